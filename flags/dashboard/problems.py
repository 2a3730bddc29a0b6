"""What a form was refused for, each fault at its field."""

from collections.abc import Collection

from flags.errors import AlreadyExists, FlagsiteError, Invalid, NotFound


def by_field(error: FlagsiteError | None, fields: Collection[str]) -> dict[str, str]:
    """Messages by the name of their field; what belongs to none of the fields is under `form`.

    That a thing of this key exists is said at the key, and that there is no such account at the
    username.
    """
    if error is None:
        return {}
    if isinstance(error, AlreadyExists) and "key" in fields:
        return {"key": str(error)}
    if isinstance(error, NotFound) and "username" in fields:
        return {"username": str(error)}
    if not isinstance(error, Invalid):
        return {"form": str(error)}
    said: dict[str, list[str]] = {}
    for problem in error.problems:
        field = problem.path.split(".")[0].split("[")[0]
        if field in fields:
            said.setdefault(field, []).append(problem.message)
        else:
            said.setdefault("form", []).append(str(problem))
    return {field: "; ".join(messages) for field, messages in said.items()}

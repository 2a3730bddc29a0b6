"""Reading the context out of a request's body."""

from typing import Any

from flags.live.decoding import NotJson, TooDeep, decoded


class BadRequest(ValueError):
    """The body cannot be evaluated with; `code` is OpenFeature's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


_NOTHING: dict[str, Any] = {}


def context_in(body: bytes) -> dict[str, Any]:
    """The context of an evaluation request; an absent one is empty.

    Raises BadRequest: PARSE_ERROR when the body is no JSON object, INVALID_CONTEXT when its context
    is no object.
    """
    try:
        said = decoded(body)
    except TooDeep:
        raise BadRequest(
            "INVALID_CONTEXT", "context: expected an object nested at most 64 deep"
        ) from None
    except NotJson as error:
        raise BadRequest("PARSE_ERROR", f"expected a JSON object: {error}") from None
    if type(said) is not dict:
        raise BadRequest("PARSE_ERROR", f"expected a JSON object, got {_name_of(said)}")
    context = said.get("context", _NOTHING)
    if type(context) is not dict:
        raise BadRequest(
            "INVALID_CONTEXT", f"context: expected a JSON object, got {_name_of(context)}"
        )
    return context


def _name_of(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", str: "a string", list: "an array"}
    return names.get(type(value), "a number")

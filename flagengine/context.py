"""Reading attributes out of a context."""

from collections.abc import Callable, Iterable

DEEPEST = 64  # containers on any path of a context, the context itself included
TARGETING_KEY = "targetingKey"

Context = dict[str, object]
Reader = Callable[[Context], object]

_SCALARS = frozenset({str, int, float, bool, type(None)})


def checked(context: object) -> Context | None:
    """The context as a plain dict, {} for None; None when it is not an object or nests too deep."""
    if type(context) is dict:
        plain = context
    elif context is None:
        return {}
    elif isinstance(context, dict):
        plain = dict(context)
    else:
        return None
    return None if _is_too_deep(plain) else plain


def _is_too_deep(context: Context) -> bool:
    level: list[Iterable[object]] = [context.values()]
    for _ in range(DEEPEST):
        inner: dict[int, Iterable[object]] = {}  # by identity: what is used twice is walked once
        for values in level:
            if not _SCALARS.issuperset(map(type, values)):
                for value in values:
                    if isinstance(value, dict):
                        inner[id(value)] = value.values()
                    elif isinstance(value, list | tuple):
                        inner[id(value)] = value
        if not inner:
            return False
        level = list(inner.values())
    return True


def reader_of(attribute: str) -> Reader | None:
    """How to read an attribute reference; None when `context.get(attribute)` is all it takes."""
    if attribute == TARGETING_KEY:
        return targeting_key_in
    if "." not in attribute:
        return None
    steps = attribute.split(".")

    def read(context: Context) -> object:
        if attribute in context:
            return context[attribute]
        value: object = context
        for step in steps:
            if not isinstance(value, dict) or step not in value:
                return None
            value = value[step]
        return value

    return read


def value_in(context: Context, attribute: str) -> object:
    """What an attribute reference reads; None when it is missing or null."""
    reader = reader_of(attribute)
    return context.get(attribute) if reader is None else reader(context)


def targeting_key_in(context: Context) -> str | None:
    value = context.get(TARGETING_KEY)
    return str.__str__(value) if value and isinstance(value, str) else None

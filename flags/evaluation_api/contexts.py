"""Reading the context out of a request's body."""

import json
import math
from typing import Any

import msgspec

_fast = msgspec.json.Decoder()
# Python refuses to read longer integers at once: their time grows with the square of the digits.
LONGEST_INTEGER = 4_000


class BadRequest(ValueError):
    """The body cannot be evaluated with; `code` is OpenFeature's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def context_in(body: bytes) -> dict[str, Any]:
    """The context of an evaluation request; an absent one is empty.

    Raises BadRequest: PARSE_ERROR when the body is no JSON object, INVALID_CONTEXT when its context
    is no object.
    """
    said = _decoded(body)
    if type(said) is not dict:
        raise BadRequest("PARSE_ERROR", f"expected a JSON object, got {_name_of(said)}")
    context = said.get("context", _NOTHING)
    if type(context) is not dict:
        raise BadRequest(
            "INVALID_CONTEXT", f"context: expected a JSON object, got {_name_of(context)}"
        )
    return context


_NOTHING: dict[str, Any] = {}


def _decoded(body: bytes) -> Any:
    try:
        return _fast.decode(body)
    except RecursionError:
        raise _TOO_DEEP from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _decoded_slowly(body)


def _decoded_slowly(body: bytes) -> Any:
    """What the fast decoder refuses and JSON allows: lone surrogates, numbers of any size."""
    try:
        return json.loads(body.decode(), parse_constant=_refuse, parse_int=_integer)
    except RecursionError:
        raise _TOO_DEEP from None
    except ValueError as error:
        raise BadRequest("PARSE_ERROR", f"expected a JSON object: {error}") from None


def _integer(digits: str) -> int | float:
    """An integer too long to be read stands for itself by its sign: it is beyond any double."""
    if len(digits) > LONGEST_INTEGER:
        return -math.inf if digits.startswith("-") else math.inf
    return int(digits)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


_TOO_DEEP = BadRequest("INVALID_CONTEXT", "context: expected an object nested at most 64 deep")


def _name_of(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", str: "a string", list: "an array", dict: "an object"}
    return names.get(type(value), "a number")

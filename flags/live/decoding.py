"""Reading JSON that apps send: fast where it can be, and everything that JSON allows."""

import json
import math
from typing import Any

import msgspec

_fast = msgspec.json.Decoder()
# Python refuses to read longer integers at once: their time grows with the square of the digits.
LONGEST_INTEGER = 4_000


class NotJson(ValueError):
    """The text is no JSON; the message says where."""


class TooDeep(NotJson):
    """The text nests deeper than can be read, and so deeper than any context may."""


def decoded(text: bytes | str) -> Any:
    """The value a JSON text says. Raises NotJson."""
    try:
        return _fast.decode(text)
    except RecursionError:
        raise TooDeep("nested too deep") from None
    except (msgspec.MsgspecError, UnicodeError):
        return _decoded_slowly(text)


def _decoded_slowly(text: bytes | str) -> Any:
    """What the fast decoder refuses and JSON allows: lone surrogates, numbers of any size."""
    try:
        text = text.decode() if isinstance(text, bytes) else text
        return json.loads(text, parse_constant=_refuse, parse_int=_integer)
    except RecursionError:
        raise TooDeep("nested too deep") from None
    except ValueError as error:
        raise NotJson(str(error)) from None


def _integer(digits: str) -> int | float:
    """An integer too long to be read stands for itself by its sign: it is beyond any double."""
    if len(digits) > LONGEST_INTEGER:
        return -math.inf if digits.startswith("-") else math.inf
    return int(digits)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")

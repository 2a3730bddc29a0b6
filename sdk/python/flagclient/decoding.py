"""Reading and writing the JSON of a ruleset one flag at a time.

The standard library reads and writes a whole document in one call that holds the interpreter: with
10,000 flags an event loop in the same process would stand still for a tenth of a second. One flag
at a time, other threads get their turn in between.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

# Below this a document takes about a millisecond as a whole.
SMALL = 64 * 1024
TABLES = ("flags", "segments")

_decoder = json.JSONDecoder()
_space = re.compile(r"[ \t\n\r]*")


def decode_ruleset(text: str) -> Any:
    """Read the JSON of a ruleset; ValueError when it is not JSON."""
    if len(text) < SMALL:
        return json.loads(text)
    document, end = _decode_object(text, _after_space(text, 0), TABLES)
    if _after_space(text, end) != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return document


def encode_ruleset(document: dict[str, Any]) -> Iterator[str]:
    """Write a ruleset as JSON, in pieces, without a line break in it."""
    opening = "{"
    for name, value in document.items():
        if name not in TABLES or not isinstance(value, dict):
            yield f"{opening}{json.dumps(name)}: {json.dumps(value)}"
        else:
            yield f'{opening}"{name}": {{'
            between = ""
            for key, entry in value.items():
                yield f"{between}{json.dumps(key)}: {json.dumps(entry)}"
                between = ", "
            yield "}"
        opening = ", "
    yield "}" if opening != "{" else "{}"


def _decode_object(text: str, at: int, tables: tuple[str, ...]) -> tuple[dict[str, Any], int]:
    """Read the object that starts at `at`, and those members that are `tables` likewise."""
    if text[at : at + 1] != "{":
        raise json.JSONDecodeError("Expecting an object", text, at)
    members: dict[str, Any] = {}
    at = _after_space(text, at + 1)
    if text[at : at + 1] == "}":
        return members, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError("Expecting a member's name", text, at)
        name, at = _decoder.raw_decode(text, at)
        at = _after_space(text, at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting ':'", text, at)
        at = _after_space(text, at + 1)
        if name in tables and text[at : at + 1] == "{":
            members[name], at = _decode_object(text, at, ())
        else:
            members[name], at = _decoder.raw_decode(text, at)
        at = _after_space(text, at)
        ending = text[at : at + 1]
        if ending == "}":
            return members, at + 1
        if ending != ",":
            raise json.JSONDecodeError("Expecting ','", text, at)
        at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    found = _space.match(text, at)
    return at if found is None else found.end()

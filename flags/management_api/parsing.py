"""JSON taken strictly: what two readers could read differently is refused, with its place."""

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

LARGEST_BODY = 1024 * 1024
# What the server takes of any body, since it is held in memory: some 250,000 UUIDs. A longer list
# comes in several uploads.
LARGEST_ID_UPLOAD = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
DEEPEST = 200


class TooLarge(APIException):
    """The body is longer than is taken here."""

    status_code = 413
    default_code = "too_large"


class LengthRequired(APIException):
    """A body that comes without saying how long it is."""

    status_code = 411
    default_code = "length_required"


class StrictJsonParser(BaseParser):
    """One JSON document in UTF-8 without repeated members, NaN, infinities, NUL, lone surrogates."""

    media_type = "application/json"
    largest = LARGEST_BODY

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        # One byte more than is taken says that there is more.
        body = stream.read(self.largest + 1)
        if len(body) > self.largest:
            raise TooLarge(f"expected at most {self.largest} bytes of body, got more")
        try:
            text = body.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ParseError(f"expected UTF-8, byte {error.start} is not") from error
        return parsed(text)


class IdUploadParser(StrictJsonParser):
    """The same for uploads of ids."""

    largest = LARGEST_ID_UPLOAD


def parsed(text: str) -> Any:
    """The document; raises ParseError naming the line and column, or the place in the document."""
    faulty: list[_Faulty] = []

    def suspect(what: str) -> "_Faulty":
        faulty.append(_Faulty(what))
        return faulty[-1]

    def members(pairs: list[tuple[str, Any]]) -> Any:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        seen: set[str] = set()
        for name, value in pairs:
            if name in seen:
                found[name] = suspect("is there twice in one object")
            else:
                seen.add(name)
                found[name] = value
        return found

    def number(text: str) -> Any:
        value = float(text)
        return value if math.isfinite(value) else suspect("is a number past all bounds")

    try:
        document = json.loads(
            text,
            object_pairs_hook=members,
            parse_float=number,
            parse_constant=lambda name: suspect(f"{name} is not JSON"),
        )
    except json.JSONDecodeError as error:
        raise ParseError(
            f"line {error.lineno}, column {error.colno}: {error.msg}, which is not JSON"
        ) from error
    except RecursionError as error:
        raise ParseError(f"expected at most {DEEPEST} levels of nesting, got more") from error
    except ValueError as error:  # an integer of more digits than Python reads
        raise ParseError(f"holds a number that is too long: {error}") from error
    # Without an escape neither NUL nor a lone surrogate can have come in: a long list of ids is
    # not looked through one by one.
    if faulty or "\\u" in text or text.count("[") + text.count("{") > DEEPEST:
        _refuse_faults(document)
    return document


class _Faulty:
    """Stands in a document where something is that may not be."""

    def __init__(self, what: str) -> None:
        self.what = what


def _refuse_faults(document: Any) -> None:
    remaining: list[tuple[str, Any, int]] = [("", document, 0)]
    while remaining:
        path, value, depth = remaining.pop()
        if depth > DEEPEST:
            raise ParseError(f"{path}: expected at most {DEEPEST} levels of nesting, got more")
        if isinstance(value, _Faulty):
            raise ParseError(f"{path}: {value.what}" if path else value.what)
        if isinstance(value, str):
            _refuse_text(path, value)
        elif isinstance(value, dict):
            for name, member in value.items():
                inner = f"{path}.{name}" if path else name
                _refuse_text(path, name)
                remaining.append((inner, member, depth + 1))
        elif isinstance(value, list):
            remaining += [(f"{path}[{i}]", item, depth + 1) for i, item in enumerate(value)]


def _refuse_text(path: str, text: str) -> None:
    where = f"{path}: " if path else ""
    if "\0" in text:
        raise ParseError(f"{where}holds NUL, which no text here may")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ParseError(f"{where}holds a lone surrogate, which is no text")

"""ETag and If-Match: the state of what is edited, and the state its editor saw."""

import re
import uuid
from typing import Protocol

from rest_framework.request import Request

from audit.canonical import canonical_bytes, sha256
from flags.errors import StaleChange
from flags.management_api.errors import PreconditionFailed

_TAG = re.compile(r'(W/)?"([^"]*)"')


class Edited(Protocol):
    """A row that is edited and counts its edits."""

    @property
    def pk(self) -> uuid.UUID: ...


def etag(row: Edited, number: int) -> str:
    """The row's ETag at this revision or version; a row made anew under its key has another."""
    return f'"{row.pk.hex[:12]}-{number}"'


def expected(
    request: Request, row: Edited, number: int, *, in_body: int | None = None
) -> int | None:
    """The revision or version that the request's editor saw, None when it does not say.

    `number` is what the row is at. What is given back goes into the change, so that an edit that
    comes in between is noticed under the lock too. Raises PreconditionFailed (412) when `If-Match`
    names another state, StaleChange (409) when the body does.
    """
    header = request.headers.get("If-Match")
    current = etag(row, number)
    if header is not None and header.strip() != "*" and current not in _strong_tags(header):
        raise PreconditionFailed(f"it is at {current}, If-Match names {header}")
    if in_body is not None and in_body != number:
        raise StaleChange(f"it is at {number}, expected {in_body}: somebody edited it meanwhile")
    named = header is not None and header.strip() != "*"
    return number if named or in_body is not None else None


def require_tag(request: Request, current: str) -> bool:
    """Whether the editor says what they saw. Raises PreconditionFailed when that is another state."""
    header = request.headers.get("If-Match", "*").strip()
    if header != "*" and current not in _strong_tags(header):
        raise PreconditionFailed(f"it is at {current}, If-Match names {header}")
    return header != "*"


def etag_of(shown: object) -> str:
    """The ETag of something that counts no edits: a digest of what is shown of it."""
    return f'"{sha256(canonical_bytes(shown))[:16]}"'


def refuse_other_than(request: Request, tag: str) -> None:
    """Raises PreconditionFailed (412) when `If-Match` names another state than this one."""
    header = request.headers.get("If-Match")
    if header is not None and header.strip() != "*" and tag not in _strong_tags(header):
        raise PreconditionFailed(f"it is at {tag}, If-Match names {header}")


def is_known(request: Request, tag: str) -> bool:
    """Whether `If-None-Match` says that the caller has this state."""
    header = request.headers.get("If-None-Match", "")
    return header.strip() == "*" or tag in [f'"{found[1]}"' for found in _TAG.findall(header)]


def _strong_tags(header: str) -> list[str]:
    # RFC 9110, 13.1.1: If-Match compares strongly, so a weak tag matches nothing.
    return [f'"{text}"' for weak, text in _TAG.findall(header) if not weak]

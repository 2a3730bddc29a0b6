"""An event as one line of JSON: what exports and archives are made of, and what they prove.

`canonical` is the text that was hashed; docs/verify_export.py needs nothing else. Whom an event is
by stands in it as a digest, so that a line names nobody.
"""

import json
from typing import Any

from audit.log import rfc3339
from audit.models import Event


def facts_of(event: Event) -> dict[str, Any]:
    """The event's values for a reader, and the bytes that prove them."""
    return {
        "id": str(event.pk),
        "stream": event.stream_id,
        "version": event.version,
        "at": rfc3339(event.at),
        "reason": event.reason,
        "request": event.request,
        "submission": str(event.submission),
        "effects": event.effects,
        "previous": event.previous_hash,
        "hash": event.hash,
        "canonical": bytes(event.canonical).decode(),
    }


def line(values: dict[str, Any]) -> bytes:
    """One object as a line of JSON Lines."""
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"

"""Where streams are, and what their newest events say. Query counts are in the docstrings."""

from collections.abc import Iterable
from typing import Any

from audit.models import Event, Stream


def states_of(keys: Iterable[str]) -> dict[str, str]:
    """Stream key → `version-digest`. One query."""
    rows = Stream.objects.filter(key__in=list(keys)).values_list("key", "version", "head_hash")
    return {key: f"{version}-{head[:16]}" for key, version, head in rows}


def version_of(key: str) -> int:
    """The stream's version; 0 when it is empty or not there. One query."""
    found = Stream.objects.filter(key=key).values_list("version", flat=True).first()
    return found or 0


def events_after(stream: str, version: int, *, most: int) -> list[dict[str, Any]]:
    """What a page is told of each event after a version, oldest first. One query."""
    events = (
        Event.objects.filter(stream_id=stream, version__gt=version)
        .order_by("version")
        .select_related("actor")
        .only("version", "at", "actor", "effects")[:most]
    )
    return [
        {
            "version": event.version,
            "at": event.at.isoformat().replace("+00:00", "Z"),
            "by": str(event.actor),
            "subjects": list(dict.fromkeys(effect["subject"] for effect in event.effects)),
            "kinds": list(dict.fromkeys(effect["kind"] for effect in event.effects)),
        }
        for event in events
    ]

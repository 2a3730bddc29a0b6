"""Checking the chain: that what is in the log is what was written, and that nothing is missing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from audit.canonical import canonical_bytes, sha256
from audit.log import rfc3339
from audit.models import Event, Stream


@dataclass(frozen=True)
class Fault:
    """Where a stream stops being what was written."""

    stream: str
    version: int
    what: str


def faults() -> Iterator[Fault]:
    """Every place where the log contradicts itself; nothing when it is whole."""
    for stream in Stream.objects.order_by("key").iterator():
        yield from _faults_in(stream)


def _faults_in(stream: Stream) -> Iterator[Fault]:
    previous, expected = "", 1
    for event in Event.objects.filter(stream=stream).order_by("version").iterator(chunk_size=500):
        if event.version != expected:
            yield Fault(stream.key, expected, f"is missing: the next event is {event.version}")
        canonical = bytes(event.canonical)
        if sha256(canonical) != event.hash:
            yield Fault(stream.key, event.version, "does not have the hash of its canonical bytes")
        if event.previous_hash != previous:
            yield Fault(stream.key, event.version, "does not follow the event before it")
        if canonical != _canonical_from_columns(event, canonical):
            yield Fault(
                stream.key, event.version, "has columns that differ from its canonical bytes"
            )
        previous, expected = event.hash, event.version + 1
    if (stream.version, stream.head_hash) != (expected - 1, previous):
        yield Fault(
            stream.key, expected, f"is missing: the stream says it ends at {stream.version}"
        )


def _canonical_from_columns(event: Event, canonical: bytes) -> bytes:
    """The canonical bytes again, from the columns that queries read.

    The delta's hash stands in the canonical bytes alone; the delta itself is compared through it.
    """
    stored = json.loads(canonical)
    delta = event.delta
    return canonical_bytes(
        {
            "stream": event.stream_id,
            "version": event.version,
            "previous": event.previous_hash,
            "at": rfc3339(event.at),
            "actor": event.actor_id,
            "reason": event.reason,
            "request": event.request,
            "submission": str(event.submission),
            "effects": _as_written(stored["effects"], event.effects),
            "delta": None
            if delta is None
            else sha256(canonical_bytes(json.loads(bytes(delta))["changes"])),
        }
    )


def _as_written(written: Any, column: Any) -> Any:
    """What was written, if the column says the same; JSONB keeps values, not how numbers looked."""
    return written if _plain(written) == _plain(column) else column


def _plain(value: Any) -> Any:
    """JSON with each value beside its type: Python takes 1 and true for equal, but not so JSON."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return isinstance(value, bool), value

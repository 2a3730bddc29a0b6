"""Checking the chain: that what is in the log is what was written, and that nothing is missing."""

import json
from collections import defaultdict
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from audit import signing
from audit.canonical import canonical_bytes, sha256
from audit.log import rfc3339
from audit.models import Archive, Event, Statement, Stream

# Where a fault of what was signed is said to be.
STATEMENTS = "statements"


@dataclass(frozen=True)
class Fault:
    """Where a stream stops being what was written."""

    stream: str
    version: int
    what: str


def faults() -> Iterator[Fault]:
    """Every place where the log or what was signed of it contradicts itself; nothing when whole."""
    for stream in Stream.objects.order_by("key").iterator():
        yield from _faults_in(stream)
    yield from _faults_in_statements()


def _faults_in(stream: Stream) -> Iterator[Fault]:
    previous, expected = yield from _faults_in_archives(stream)
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


def _faults_in_archives(stream: Stream) -> Generator[Fault, None, tuple[str, int]]:
    """Gives the hash and the version at which the events in the database go on."""
    previous, expected = "", 1
    for span in stream.archives.order_by("first"):
        if (span.first, span.previous_hash) != (expected, previous):
            yield Fault(stream.key, span.first, "is archived and does not follow what is before it")
        previous, expected = span.last_hash, span.last + 1
    return previous, expected


def _faults_in_statements() -> Iterator[Fault]:
    """What was signed against each other and against the log."""
    trusted = signing.trusted_keys()
    previous, expected = "", 1
    # Stream → version → (hash, number of the first statement that says so).
    said: dict[str, dict[int, tuple[str, int]]] = defaultdict(dict)
    for statement in Statement.objects.order_by("number").iterator(chunk_size=50):
        canonical = bytes(statement.canonical)
        stated = json.loads(canonical)
        if statement.number != expected:
            yield Fault(STATEMENTS, expected, f"is missing: the next one is {statement.number}")
        if sha256(canonical) != statement.hash or not signing.is_signed_by(statement):
            yield Fault(STATEMENTS, statement.number, "is not what was signed")
        if (stated["number"], stated["previous"]) != (statement.number, previous) or (
            stated["key"],
            stated["at"],
        ) != (statement.key, rfc3339(statement.at)):
            yield Fault(STATEMENTS, statement.number, "does not follow the statement before it")
        if trusted and statement.key not in trusted:
            yield Fault(STATEMENTS, statement.number, "is signed by a key that is not trusted")
        for stream, (version, head) in (stated["archived"] | stated["heads"]).items():
            said[stream].setdefault(version, (head, statement.number))
        previous, expected = statement.hash, statement.number + 1
    for stream, claims in sorted(said.items()):
        yield from _faults_against(stream, claims)


def _faults_against(stream: str, claims: dict[int, tuple[str, int]]) -> Iterator[Fault]:
    """Where a stream is not what was signed of it; a claim within an archive is for its file."""
    spans = list(Archive.objects.filter(stream=stream).order_by("last"))
    archived = spans[-1].last if spans else 0
    known = {span.last: span.last_hash for span in spans} | dict(
        Event.objects.filter(stream=stream, version__in=list(claims)).values_list("version", "hash")
    )
    for version, (head, number) in sorted(claims.items()):
        if version in known and known[version] != head:
            yield Fault(stream, version, f"was rewritten: statement {number} signed another")
        elif version not in known and version > archived:
            yield Fault(stream, version, f"is missing: statement {number} signed it")


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

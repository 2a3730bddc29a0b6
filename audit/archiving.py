"""Old events as files, and out of the database: written, read back, recorded, and only then removed.

A file is JSON Lines (audit/lines.py), compressed. It names nobody: who acted stands in it as a
digest, so erasing a person needs no file to be rewritten.
"""

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import DatabaseError, connection, transaction
from django.db.models import Max, Min

from audit.canonical import sha256
from audit.lines import facts_of, line
from audit.models import Archive, Event, OutboxEntry, Stream

ROLE = "flagsite_archivist"
# What one file holds and one transaction removes at most.
MOST_EVENTS = 50_000
SETTING_UP = (
    f"CREATE ROLE {ROLE} NOLOGIN; "
    f"GRANT SELECT, DELETE ON audit_event TO {ROLE}; "
    f"GRANT SELECT ON audit_archive TO {ROLE}; "
    f"GRANT {ROLE} TO {{user}};"
)


class NoArchivist(LookupError):
    """The role that may remove events is not there for this user; the message says what to do."""


class Unwritten(OSError):
    """What was read back from a file is not what was to be written."""


@dataclass(frozen=True)
class Span:
    """Events of one stream that follow each other."""

    stream: str
    first: int
    last: int
    previous_hash: str
    last_hash: str

    @property
    def file(self) -> str:
        return f"{self.stream.replace(':', '-')}-{self.first:09}-{self.last:09}.jsonl.gz"


def require_role() -> None:
    """Raises NoArchivist when this user may not take on the role, or the role not do its work."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL ROLE {ROLE}")
            cursor.execute("SELECT has_table_privilege('audit_event', 'DELETE')")
            may_remove = cursor.fetchone() == (True,)
            cursor.execute("RESET ROLE")
    except DatabaseError:
        may_remove = False
    if not may_remove:
        user = connection.settings_dict["USER"]
        raise NoArchivist(
            f"the database's user {user} may not take on the role {ROLE}; let an administrator of "
            f"the database run: {SETTING_UP.format(user=user)}"
        )


def span_before(stream: Stream, before: datetime) -> Span | None:
    """The oldest events of the stream that may go: older than that, delivered, never the newest."""
    events = Event.objects.filter(stream=stream)
    reach = events.filter(at__lt=before, version__lt=stream.version).aggregate(
        first=Min("version"), last=Max("version")
    )
    if reach["first"] is None:
        return None
    waiting = OutboxEntry.objects.filter(stream=stream.key).aggregate(Min("version"))
    last = min(
        reach["last"],
        reach["first"] + MOST_EVENTS - 1,
        (waiting["version__min"] or reach["last"] + 1) - 1,
    )
    return span_of(stream.key, reach["first"], last) if last >= reach["first"] else None


def span_of(stream: str, first: int, last: int) -> Span:
    """The span with what it is chained by. Raises LookupError when one of its ends is not there."""
    ends = {
        event.version: event
        for event in Event.objects.filter(stream=stream, version__in=[first, last]).only(
            "version", "hash", "previous_hash"
        )
    }
    return Span(stream, first, last, ends[first].previous_hash, ends[last].hash)


def write(span: Span, folder: Path) -> str:
    """Write the span's file, on the disk when this returns; its SHA-256.

    Raises Unwritten when what is read back is not the span.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = folder / f"{span.file}.unfinished"
    events = Event.objects.filter(
        stream=span.stream, version__gte=span.first, version__lte=span.last
    )
    with unfinished.open("wb") as file:
        # The same events make the same file: no time, no name inside.
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            for event in events.defer("delta").order_by("version").iterator(500):
                packed.write(line(facts_of(event)))
        file.flush()
        os.fsync(file.fileno())
    if found := next(faults_in_file(span, unfinished), None):
        raise Unwritten(f"{unfinished}: {found}")
    unfinished.replace(folder / span.file)
    return digest_of(folder / span.file)


def digest_of(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def faults_in_file(span: Span, file: Path) -> Iterator[str]:
    """Where the file is not the span: hashes, links, gaps and both ends."""
    previous, expected = span.previous_hash, span.first
    try:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for text in lines:
                row = json.loads(text)
                stated = json.loads(row["canonical"])
                if sha256(row["canonical"].encode()) != row["hash"]:
                    yield f"{expected} does not have the hash of its canonical bytes"
                if (stated["stream"], stated["version"], stated["previous"]) != (
                    span.stream,
                    expected,
                    previous,
                ):
                    yield f"{expected} does not follow the event before it"
                previous, expected = row["hash"], expected + 1
    except (OSError, EOFError, ValueError, KeyError) as error:
        yield f"cannot be read: {error}"
        return
    if (expected - 1, previous) != (span.last, span.last_hash):
        yield f"ends at {expected - 1}, expected {span.last}"


def faults_in_archive(folder: Path) -> Iterator[tuple[Archive, str]]:
    """Where the files in the folder are not what was archived."""
    for row in Archive.objects.order_by("stream_id", "first").iterator():
        file = folder / row.file
        span = Span(row.stream_id, row.first, row.last, row.previous_hash, row.last_hash)
        if not file.exists():
            yield row, f"{row.file} is not in {folder}"
        elif digest_of(file) != row.file_sha256:
            yield row, f"{row.file} does not have the SHA-256 that was recorded"
        else:
            for fault in faults_in_file(span, file):
                yield row, f"{row.file}: {fault}"


def record_and_remove(span: Span, *, file: str, file_sha256: str, at: datetime) -> None:
    """Note the span as archived and take its events out, in the transaction that is open.

    The database lets only this role remove events, and only those that a row here speaks of.
    """
    Archive.objects.create(
        stream_id=span.stream,
        first=span.first,
        last=span.last,
        previous_hash=span.previous_hash,
        last_hash=span.last_hash,
        at=at,
        file=file,
        file_sha256=file_sha256,
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {ROLE}")
        cursor.execute(
            "DELETE FROM audit_event WHERE stream_id = %s AND version BETWEEN %s AND %s",
            [span.stream, span.first, span.last],
        )
        cursor.execute("RESET ROLE")

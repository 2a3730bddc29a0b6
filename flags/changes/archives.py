"""Old events leave the database for the archive."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from audit import archiving
from audit.facts import Actor
from audit.models import Event, OutboxEntry, Stream
from flags.access import Action
from flags.changes.base import Change, Effect, Scope, change
from flags.changes.submit import submit
from flags.errors import Conflict, NotFound


@change("events.archived")
class ArchiveEvents(Change, frozen=True, kw_only=True):
    """Take the oldest events of a stream, up to `last`, out of the database: a file has them.

    There is no way back. The chain goes on over the gap.
    """

    can_wait = False
    on_site = True
    needs = Action.ADMINISTER

    project: str = ""
    stream: str
    last: int
    file: str
    file_sha256: str

    def perform(self, scope: Scope) -> list[Effect]:
        stream = Stream.objects.filter(key=self.stream).first()
        if stream is None:
            raise NotFound(f"there is no stream {self.stream}")
        newest = stream.archives.order_by("-last").first()
        first = newest.last + 1 if newest else 1
        if not first <= self.last < stream.version:
            raise Conflict(
                f"{self.stream} can be archived from {first} to {stream.version - 1}, "
                f"expected {self.last} to be among them"
            )
        self._refuse_what_is_needed(first)
        span = archiving.span_of(self.stream, first, self.last)
        archiving.record_and_remove(
            span, file=self.file, file_sha256=self.file_sha256, at=scope.now
        )
        after = {
            "first": first,
            "last": self.last,
            "previous_hash": span.previous_hash,
            "last_hash": span.last_hash,
            "file": self.file,
            "file_sha256": self.file_sha256,
        }
        return [Effect(self.kind, f"stream:{self.stream}", None, after)]

    def _refuse_what_is_needed(self, first: int) -> None:
        if OutboxEntry.objects.filter(stream=self.stream, version__lte=self.last).exists():
            raise Conflict(f"events of {self.stream} up to {self.last} wait to be delivered")
        there = Event.objects.filter(
            stream=self.stream, version__gte=first, version__lte=self.last
        ).count()
        if there != self.last - first + 1:
            raise Conflict(f"{self.stream} has a gap between {first} and {self.last}")

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


def archive(
    *, before: datetime, folder: Path, actor: Actor, now: datetime
) -> Iterator[ArchiveEvents]:
    """Archive what every stream has from before this instant, a file at a time, and give each.

    Raises audit.archiving's NoArchivist and Unwritten, and what `submit` raises; what was archived
    before that stays so. A file that is written and whose events stay is written again next time.
    """
    archiving.require_role()
    for stream in Stream.objects.order_by("key"):
        while (span := archiving.span_before(stream, before)) is not None:
            change = ArchiveEvents(
                stream=span.stream,
                last=span.last,
                file=span.file,
                file_sha256=archiving.write(span, folder),
            )
            submit(change, actor=actor, reason=f"Older than {before:%Y-%m-%d %H:%M} UTC", now=now)
            yield change

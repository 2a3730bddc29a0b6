"""Events as a file: CSV for people with spreadsheets, JSON Lines for programs and for proof.

A file is written while it is read from the database, a row at a time, so its size is of no concern.
"""

import csv
import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args

from audit.lines import facts_of, line
from audit.log import rfc3339
from audit.models import Event
from flags.differences import done, told
from flags.errors import Busy
from flags.queries.history import Filters, Streams, filtered
from flags.snapshots import one_instant

Form = Literal["csv", "jsonl"]
FORMS: tuple[Form, ...] = get_args(Form)
MEDIA_TYPES: dict[Form, str] = {"csv": "text/csv", "jsonl": "application/jsonl"}
COLUMNS = (
    "at", "project", "environment", "stream", "version", "actor_kind", "actor_id", "actor", "token",
    "reason", "request", "submission", "kind", "subject", "what", "before", "after", "event", "hash",
)  # fmt: skip
# A spreadsheet takes what begins so for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
ROWS_AT_ONCE = 500
CHUNK_BYTES = 16 * 1024
TOLD_EVERY_SECONDS = 0.25
# Each holds a thread and a database connection for as long as its reader takes.
EXPORTS_AT_ONCE = 2
_slots = threading.BoundedSemaphore(EXPORTS_AT_ONCE)


class Export:
    """The events that are wanted, oldest first, as chunks of a file; closed when it is done with.

    `total` is how many there were when it began; those that are recorded meanwhile may follow.
    `tell` is called now and then with how many are written, the last time when it is complete.
    Raises Busy when too many are on their way in this process.
    """

    def __init__(
        self,
        streams: Streams,
        filters: Filters,
        form: Form,
        *,
        tell: Callable[[int, int], None] | None = None,
    ) -> None:
        if not _slots.acquire(blocking=False):
            raise Busy(f"{EXPORTS_AT_ONCE} exports are on their way already; try again later")
        self._is_open = True
        self._streams = streams
        self._form = form
        self._tell = tell or _tell_nobody
        try:
            self._events = filtered(streams, filters)
            self.total = self._events.count()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            _slots.release()

    def __iter__(self) -> Iterator[bytes]:
        chunk = bytearray(_csv_line(COLUMNS) if self._form == "csv" else b"")
        written, told = 0, time.monotonic()
        with one_instant():
            rows = self._events.select_related("actor").defer("delta")
            for event in rows.order_by("at", "stream_id", "version").iterator(ROWS_AT_ONCE):
                chunk += self._written(event)
                written += 1
                if len(chunk) >= CHUNK_BYTES:
                    yield bytes(chunk)
                    chunk.clear()
                if time.monotonic() - told >= TOLD_EVERY_SECONDS:
                    self._tell(written, self.total)
                    told = time.monotonic()
        yield bytes(chunk)
        self._tell(written, max(written, self.total))

    def _written(self, event: Event) -> bytes:
        named = self._streams.environment(event)
        project, environment = self._streams.project(event), named.key if named else None
        if self._form == "csv":
            return b"".join(_rows(event, project, environment))
        identity = event.actor.identity
        return line(
            {
                "project": project,
                "environment": environment,
                "actor": identity,
                **facts_of(event),
            }
        )


def _tell_nobody(written: int, total: int) -> None:
    return


def _rows(event: Event, project: str | None, environment: str | None) -> Iterator[bytes]:
    """A row for each effect: a spreadsheet filters by columns, not inside of cells."""
    identity = event.actor.identity or {}
    for effect in event.effects:
        yield _csv_line(
            (
                rfc3339(event.at),
                project,
                environment,
                event.stream_id,
                event.version,
                identity.get("kind"),
                identity.get("id"),
                str(event.actor),
                identity.get("token"),
                event.reason,
                event.request,
                event.submission,
                effect["kind"],
                effect["subject"],
                _words(effect),
                _json(effect["before"]),
                _json(effect["after"]),
                event.pk,
                event.hash,
            )
        )


def _words(effect: Mapping[str, Any]) -> str:
    """What came of it; where what was done says it all, that."""
    kind, subject, after = (effect[name] for name in ("kind", "subject", "after"))
    said = told(kind, effect["before"], after)
    return "; ".join(said) or done(kind, subject, after).format(subject.replace(":", " "))


def _csv_line(cells: tuple[Any, ...]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow([_cell(cell) for cell in cells])
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _json(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)

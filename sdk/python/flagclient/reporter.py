"""The thread for what is not urgent: writing the file, reporting the counts."""

import logging
import threading
import time
from datetime import UTC, datetime

from flagclient.connection import Connection
from flagclient.counts import Count, Counts
from flagclient.endpoints import Endpoints, ServerUnusable
from flagclient.holding import Holding
from flagclient.last_known import LastKnown
from flagclient.pace import Pace

logger = logging.getLogger("flagclient")

ROWS_PER_REPORT = 1_000
# A large ruleset takes long to write: writing may take one twentieth of the time at most.
SHARE_OF_TIME = 20


class Reporter:
    """Writes and reports now and then, and a last time when it is stopped."""

    _stopping: bool
    _thread: threading.Thread | None

    def __init__(
        self,
        endpoints: Endpoints,
        holding: Holding,
        connection: Connection,
        counts: Counts,
        *,
        pace: Pace,
        sdk: str,
        last_known: LastKnown | None,
    ) -> None:
        self._endpoints = endpoints
        self._holding = holding
        self._connection = connection
        self._pace = pace
        self._sdk = sdk
        self._last_known = last_known
        self._server_collects = True
        self.after_fork(counts)

    def after_fork(self, counts: Counts) -> None:
        """Begin with other counts: those of the parent are the parent's to report."""
        self._counts = counts
        self._news = threading.Event()
        self._stopping = False
        self._thread = None
        self._written: str | None = None
        self._write_at = time.monotonic()
        self._report_at = time.monotonic() + self._pace.report_interval

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="flagclient-reporter", daemon=True)
        self._thread.start()

    def ruleset_changed(self) -> None:
        if self._last_known is not None:
            self._news.set()

    def stop(self, *, timeout: float) -> None:
        self._stopping = True
        self._news.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping:
            self._news.wait(self._seconds_left())
            self._news.clear()
            now = time.monotonic()
            if now >= self._write_at:
                self._write()
            if now >= self._report_at:
                self._report()
        self._write()
        self._report()

    def _seconds_left(self) -> float:
        next_at = self._report_at
        if self._unwritten():
            next_at = min(next_at, self._write_at)
        return max(0.0, next_at - time.monotonic())

    def _unwritten(self) -> bool:
        held = self._holding
        if self._last_known is None or held.ruleset is None or not held.is_from_server:
            return False
        return held.ruleset.state != self._written

    def _write(self) -> None:
        ruleset = self._holding.ruleset
        if not self._unwritten() or self._last_known is None or ruleset is None:
            return
        started = time.monotonic()
        self._last_known.write(ruleset.document)
        # A failed write counts too: the same ruleset would most likely fail again.
        self._written = ruleset.state
        took = time.monotonic() - started
        self._write_at = time.monotonic() + max(self._pace.save_interval, SHARE_OF_TIME * took)

    def _report(self) -> None:
        self._report_at = time.monotonic() + self._pace.poll_after(self._pace.report_interval)
        if not self._server_collects:
            return
        since, until = self._counts.since, time.time()
        counts = self._counts.unreported()
        try:
            for first in range(0, len(counts), ROWS_PER_REPORT):
                rows = counts[first : first + ROWS_PER_REPORT]
                if not self._endpoints.send_counts(self._body(rows, since, until)):
                    # This server is older than the counts; they stay readable by counts().
                    self._server_collects = False
                    return
                self._counts.mark_reported(rows, at=until)
        except ServerUnusable as error:
            logger.debug("counts.not_sent: %s", error)
        except Exception:
            logger.exception("counts.not_sent")

    def _body(self, rows: list[Count], since: float, until: float) -> dict[str, object]:
        first, last = _instant(since), _instant(until)
        return {
            "instance": self._connection.instance,
            "sdk": self._sdk,
            "counts": [
                {
                    "flag": row.flag,
                    "variation": row.variation,
                    "rule": row.rule,
                    "reason": row.reason,
                    "error_code": row.error_code,
                    "count": row.count,
                    "first": first,
                    "last": last,
                }
                for row in rows
                if row.error_code != "FLAG_NOT_FOUND"
            ],
            "unknown": [
                {"flag": row.flag, "count": row.count, "first": first, "last": last}
                for row in rows
                if row.error_code == "FLAG_NOT_FOUND"
            ],
        }


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")

"""The ruleset a client holds: who may replace it, and by what."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from flagclient.affected import flags_affected
from flagclient.listeners import Listeners
from flagclient.pace import Pace
from flagclient.state import State, Status
from flagengine import DeltaMismatch, Ruleset

logger = logging.getLogger("flagclient")


class Holding:
    """Written by the connection's thread alone; read from anywhere.

    `serve` is called with each new ruleset before anybody hears of it.
    """

    def __init__(
        self, *, pace: Pace, listeners: Listeners, serve: Callable[[Ruleset], None]
    ) -> None:
        self.ruleset: Ruleset | None = None
        self.connected = False
        self.is_from_server = False
        self._pace = pace
        self._listeners = listeners
        self._serve = serve
        self._status = Status.STARTING
        self._problem: str | None = None
        self._confirmed_at: float | None = None
        self._replaced_at = 0.0
        self.after_fork()

    def after_fork(self) -> None:
        """Start anew with locks and waiting threads; what was learnt stays."""
        self._waiting: list[Future[bool]] = []
        self._settled = self._status is Status.CLOSED
        self._settling = threading.Lock()
        self.connected = False

    @property
    def state_id(self) -> str | None:
        """Version and digest as the protocol writes them; None without a ruleset."""
        return None if self.ruleset is None else self.ruleset.state

    def state(self) -> State:
        ruleset, confirmed_at = self.ruleset, self._confirmed_at
        connected = self.connected
        age = None
        if confirmed_at is not None and ruleset is not None:
            age = 0.0 if connected else time.monotonic() - confirmed_at
        return State(
            self._status,
            None if ruleset is None else ruleset.version,
            None if ruleset is None else ruleset.environment,
            age,
            connected,
            self._problem,
        )

    def first_news(self) -> "Future[bool]":
        """Return what becomes true or false when it is known what evaluations are answered from.

        True with a ruleset that the server confirmed, or the last known one while the server is
        away; false when the key was refused or the client closed before there was any.
        """
        future: Future[bool] = Future()
        with self._settling:
            if self._settled:
                future.set_result(self.ruleset is not None)
            else:
                self._waiting.append(future)
        return future

    def restore(self, document: dict[str, Any]) -> None:
        """Begin with the last known ruleset; it counts for nothing until the server was tried."""
        self._replace(_compiled(document))

    def replace(self, document: dict[str, Any]) -> None:
        """Take a whole ruleset from the server; InvalidRuleset when it is none."""
        ruleset = _compiled(document)
        if ruleset.state != self.state_id and not self._is_late(ruleset.version):
            self.is_from_server = True
            self._replace(ruleset)

    def advance(self, deltas: Sequence[Any]) -> None:
        """Take deltas from the server; DeltaMismatch when they do not lead on from here."""
        ruleset = self.ruleset
        if ruleset is None:
            raise DeltaMismatch("deltas came before any ruleset")
        for delta in deltas:
            if not isinstance(delta, dict):
                raise DeltaMismatch(f"expected a delta, got {type(delta).__name__}")
            if delta.get("previous") == ruleset.state:
                ruleset = ruleset.advance(delta)
            elif not self._is_known(delta, ruleset):
                raise DeltaMismatch(
                    f"expected a delta on {ruleset.state}, got one on {delta.get('previous')}"
                )
        if ruleset is not self.ruleset:
            self.is_from_server = True
            self._replace(ruleset)

    def confirm(self, *, connected: bool) -> None:
        """Note that the server says this is the newest."""
        self.connected = connected
        self._confirmed_at = time.monotonic()
        self._become(Status.READY, None)
        self._settle()

    def lose(self, problem: str) -> None:
        """Note that the server could not be reached in any way."""
        self.connected = False
        if self._status is not Status.REFUSED:
            self._become(Status.STARTING if self.ruleset is None else Status.STALE, problem)
        if self.ruleset is not None:
            self._settle()

    def refuse(self, problem: str) -> None:
        """Note that the server does not take the key."""
        self.connected = False
        self._become(Status.REFUSED, problem)
        self._settle()

    def close(self) -> None:
        self.connected = False
        self._become(Status.CLOSED, None)
        self._settle()

    def _replace(self, ruleset: Ruleset) -> None:
        before, self.ruleset = self.ruleset, ruleset
        self._serve(ruleset)
        self._replaced_at = time.monotonic()
        if self._listeners.want_changes:
            flags = flags_affected(None if before is None else before.document, ruleset.document)
            self._listeners.flags_changed(flags, ruleset.version)

    def _is_known(self, delta: dict[str, Any], ruleset: Ruleset) -> bool:
        version = delta.get("version")
        if f"{version}-{delta.get('digest')}" == ruleset.state:
            return True
        return isinstance(version, int) and version <= ruleset.version and self._is_recent()

    def _is_late(self, version: int) -> bool:
        """Whether an older version comes from a server process that lags behind."""
        return self.ruleset is not None and version < self.ruleset.version and self._is_recent()

    def _is_recent(self) -> bool:
        if not self.is_from_server:
            return False
        return time.monotonic() - self._replaced_at < self._pace.lag_tolerance

    def _become(self, status: Status, problem: str | None) -> None:
        changed = status is not self._status
        self._status, self._problem = status, problem
        if changed:
            self._listeners.state_changed(self.state())

    def _settle(self) -> None:
        with self._settling:
            self._settled = True
            waiting, self._waiting = self._waiting, []
        for future in waiting:
            # An asyncio caller may have given up waiting.
            if future.set_running_or_notify_cancel():
                future.set_result(self.ruleset is not None)


def _compiled(document: dict[str, Any]) -> Ruleset:
    # Whoever holds a server key may choose the time an evaluation is for.
    return Ruleset.compile(document, clock=time.time, context_sets_now=True)

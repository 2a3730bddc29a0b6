"""Telling the app about changes, from a thread of its own.

A listener that is slow, raises or never returns delays other listeners at most; never the
connection, and never an evaluation.
"""

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

from flagclient.state import State

logger = logging.getLogger("flagclient")

ChangeListener = (
    Callable[[frozenset[str], int], None] | Callable[[frozenset[str], int], Awaitable[None]]
)
StateListener = Callable[[State], None] | Callable[[State], Awaitable[None]]


class Listeners:
    """Those who want to know. News that wait while a listener runs are folded into one call."""

    _thread: threading.Thread | None
    _new_state: State | None

    def __init__(self) -> None:
        self._change: list[Callable[[frozenset[str], int], None]] = []
        self._state: list[Callable[[State], None]] = []
        self._forget_news()

    def on_change(self, listener: ChangeListener) -> Callable[[], None]:
        """Add a listener for changed flags; call the answer to remove it."""
        return self._add(self._change, listener)

    def on_state(self, listener: StateListener) -> Callable[[], None]:
        """Add a listener for changes of the client's status; call the answer to remove it."""
        return self._add(self._state, listener)

    @property
    def want_changes(self) -> bool:
        return bool(self._change)

    def flags_changed(self, flags: frozenset[str], version: int) -> None:
        if not self._change or not flags:
            return
        with self._news:
            self._flags |= flags
            self._version = version
            self._wake()

    def state_changed(self, state: State) -> None:
        if not self._state:
            return
        with self._news:
            self._new_state = state
            self._wake()

    def close(self, *, timeout: float) -> None:
        """Deliver what waits, then stop."""
        with self._news:
            self._closed = True
            self._news.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def after_fork(self) -> None:
        """Keep the listeners, without the parent's thread and locks."""
        self._forget_news()

    def _forget_news(self) -> None:
        self._news = threading.Condition()
        self._flags: frozenset[str] = frozenset()
        self._version = 0
        self._new_state = None
        self._closed = False
        self._thread = None

    def _add(self, listeners: list[Any], listener: Any) -> Callable[[], None]:
        if not callable(listener):
            raise TypeError(f"listener: expected a callable, got {type(listener).__name__}")
        if inspect.iscoroutinefunction(listener):
            listener = _in_loop(listener, asyncio.get_running_loop())
        listeners.append(listener)

        def remove() -> None:
            if listener in listeners:
                listeners.remove(listener)

        return remove

    def _wake(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(
                target=self._run, name="flagclient-listeners", daemon=True
            )
            self._thread.start()
        self._news.notify()

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._flags or self._new_state or self._closed)
                flags, version, state = self._flags, self._version, self._new_state
                self._flags, self._new_state = frozenset(), None
            if state is not None:
                for told in tuple(self._state):
                    _call(told, state)
            if flags:
                for listener in tuple(self._change):
                    _call(listener, flags, version)
            if state is None and not flags:
                return


def _call(listener: Callable[..., None], *news: object) -> None:
    try:
        listener(*news)
    except Exception:
        logger.exception("listener.failed: %r", listener)


def _in_loop(
    listener: Callable[..., Awaitable[None]], loop: asyncio.AbstractEventLoop
) -> Callable[..., None]:
    """Return a plain listener that runs the coroutine function in the loop it came from."""

    async def call(*news: object) -> None:
        await listener(*news)

    def log_failure(done: "Future[None]") -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            logger.error("listener.failed: %r", listener, exc_info=error)

    def hand_over(*news: object) -> None:
        if loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(call(*news), loop).add_done_callback(log_failure)

    return hand_over

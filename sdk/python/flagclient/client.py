"""The client that apps make one of."""

import asyncio
import atexit
import os
import ssl
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from gc import is_tracked
from types import TracebackType
from typing import Any, Self

from flagclient.connection import Connection
from flagclient.counts import Count, Counts
from flagclient.details import Details
from flagclient.endpoints import Endpoints
from flagclient.holding import Holding
from flagclient.last_known import LastKnown
from flagclient.listeners import ChangeListener, Listeners, StateListener
from flagclient.pace import Pace
from flagclient.reporter import Reporter
from flagclient.serving import BOOLEAN, FLOAT, INTEGER, JSON, STRING, Serving, plain
from flagclient.state import State
from flagengine import Ruleset

VERSION = "0.1.0"

Context = Mapping[str, Any]
# Inside the class `float` is the method of that name.
Number = float
Seconds = float


class FlagClient:
    """Evaluates the flags of one environment in this process.

    Make one for the life of the process. It starts a thread that keeps the rules current: pushed
    over a websocket, polled while that is away. Evaluations are answered from memory: they never
    wait, never raise and never touch the network, so the same calls serve asyncio.

    `key` is a server key of the environment. `cache_path` names a file that holds the last known
    rules, for a start while the server is away. `instance_name` is shown on the connections page.
    `tls` replaces the default certificate checks, for a private authority. ValueError when `url`
    or `key` cannot be what they should be.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        instance_name: str | None = None,
        cache_path: str | os.PathLike[str] | None = None,
        tls: ssl.SSLContext | None = None,
        pace: Pace | None = None,
    ) -> None:
        pace = pace or Pace()
        sdk = f"python/{VERSION}"
        endpoints = Endpoints(url, key, user_agent=f"flagclient-{sdk}", pace=pace, tls=tls)
        last_known = None if cache_path is None else LastKnown(cache_path, key)
        self._closed = False
        self._counts = Counts()
        self._serving = Serving(None, self._counts)
        self._listeners = Listeners()
        self._holding = Holding(pace=pace, listeners=self._listeners, serve=self._serve)
        self._connection = Connection(
            endpoints,
            self._holding,
            pace=pace,
            sdk=sdk,
            name=instance_name,
            tls=tls,
            last_known=last_known,
        )
        self._reporter = Reporter(
            endpoints,
            self._holding,
            self._connection,
            self._counts,
            pace=pace,
            sdk=sdk,
            last_known=last_known,
        )
        _living.add(self)
        atexit.register(self.close)
        self._start()

    def boolean(self, flag: str, default: bool, context: Context | None = None) -> bool:
        """Return whether the flag is on for this context, or `default`."""
        return self.boolean_details(flag, default, context).value

    def string(self, flag: str, default: str, context: Context | None = None) -> str:
        """Return the string this context gets, or `default`."""
        return self.string_details(flag, default, context).value

    def integer(self, flag: str, default: int, context: Context | None = None) -> int:
        """Return the integer this context gets, or `default`."""
        return self.integer_details(flag, default, context).value

    def float(self, flag: str, default: Number, context: Context | None = None) -> Number:
        """Return the number this context gets, or `default`."""
        return self.float_details(flag, default, context).value

    def json(self, flag: str, default: Any, context: Context | None = None) -> Any:
        """Return the JSON value this context gets, the caller's own to change, or `default`."""
        return self.json_details(flag, default, context).value

    # The five calls below are the hot path: the same few lines each, because a shared function
    # would cost more than all they do. A flat context, which gc does not track, needs no checking
    # and goes straight to the compiled flag. What they miss or raise, Serving.answer sorts out.

    def boolean_details(
        self, flag: str, default: bool, context: Context | None = None
    ) -> Details[bool]:
        """Return what `boolean` returns, and where it comes from."""
        serving = self._serving
        try:
            if type(context) is not dict or is_tracked(context):
                context = plain(context)
            prepared = serving.boolean[flag](context, None)
            next(prepared.counter)
            return prepared.details
        except Exception:
            return serving.answer(BOOLEAN, flag, default, context)

    def string_details(
        self, flag: str, default: str, context: Context | None = None
    ) -> Details[str]:
        """Return what `string` returns, and where it comes from."""
        serving = self._serving
        try:
            if type(context) is not dict or is_tracked(context):
                context = plain(context)
            prepared = serving.string[flag](context, None)
            next(prepared.counter)
            return prepared.details
        except Exception:
            return serving.answer(STRING, flag, default, context)

    def integer_details(
        self, flag: str, default: int, context: Context | None = None
    ) -> Details[int]:
        """Return what `integer` returns, and where it comes from."""
        serving = self._serving
        try:
            if type(context) is not dict or is_tracked(context):
                context = plain(context)
            prepared = serving.integer[flag](context, None)
            next(prepared.counter)
            return prepared.details
        except Exception:
            return serving.answer(INTEGER, flag, default, context)

    def float_details(
        self, flag: str, default: Number, context: Context | None = None
    ) -> Details[Number]:
        """Return what `float` returns, and where it comes from."""
        serving = self._serving
        try:
            if type(context) is not dict or is_tracked(context):
                context = plain(context)
            prepared = serving.float[flag](context, None)
            next(prepared.counter)
            return prepared.details
        except Exception:
            return serving.answer(FLOAT, flag, default, context)

    def json_details(self, flag: str, default: Any, context: Context | None = None) -> Details[Any]:
        """Return what `json` returns, and where it comes from."""
        serving = self._serving
        try:
            if type(context) is not dict or is_tracked(context):
                context = plain(context)
            prepared = serving.json[flag](context, None)
            next(prepared.counter)
            return prepared.with_own_value()
        except Exception:
            return serving.answer(JSON, flag, default, context)

    def wait_until_ready(self, timeout: Seconds | None = None) -> bool:
        """Wait until flags are answered from rules; return whether they are.

        That is when the server has told the newest rules, or, while it is away, when the last known
        ones were read from the file. `timeout` is in seconds; without one this may wait for ever.
        """
        try:
            return self._holding.first_news().result(timeout)
        except FutureTimeoutError:
            return self._holding.ruleset is not None

    async def ready(self, timeout: Seconds | None = None) -> bool:
        """Do what `wait_until_ready` does, for asyncio."""
        news = asyncio.wrap_future(self._holding.first_news())
        try:
            return await asyncio.wait_for(news, timeout)
        except TimeoutError:
            return self._holding.ruleset is not None

    @property
    def state(self) -> State:
        """How the client stands with its server, now."""
        return self._holding.state()

    def on_change(self, listener: ChangeListener) -> Callable[[], None]:
        """Call `listener(flags, version)` whenever flags may answer differently than before.

        `flags` is the set of their keys, `version` that of the environment; by then evaluations
        use it. A plain function is called in a thread of the client; a coroutine function runs in
        the event loop it is registered from. Exceptions are logged. Call the answer to stop it.
        """
        return self._listeners.on_change(listener)

    def on_state(self, listener: StateListener) -> Callable[[], None]:
        """Call `listener(state)` whenever the status changes, as `on_change` calls."""
        return self._listeners.on_state(listener)

    def counts(self) -> list[Count]:
        """Return how often each answer was given and not yet reported to the server."""
        return self._counts.unreported()

    def close(self, timeout: Seconds = 5.0) -> None:
        """Report what was counted, write the file and leave, within about `timeout` seconds.

        Evaluations go on being answered, from the rules held last.
        """
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        _living.discard(self)
        self._connection.stop(timeout=timeout / 2)
        self._reporter.stop(timeout=timeout / 2)
        self._holding.close()
        self._listeners.close(timeout=timeout / 2)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = self.state
        return f"<FlagClient {state.status} version={state.version}>"

    def _start(self) -> None:
        self._connection.start()
        self._reporter.start()

    def _serve(self, ruleset: Ruleset) -> None:
        self._serving = Serving(ruleset, self._counts)
        self._reporter.ruleset_changed()

    def _after_fork(self) -> None:
        """Start anew in a forked child, which has the parent's memory and none of its threads."""
        self._counts = Counts()
        self._serving = Serving(self._holding.ruleset, self._counts)
        self._listeners.after_fork()
        self._holding.after_fork()
        self._connection.after_fork()
        self._reporter.after_fork(self._counts)
        self._start()


_living: "weakref.WeakSet[FlagClient]" = weakref.WeakSet()


def _restart_after_fork() -> None:
    for client in list(_living):
        client._after_fork()


if hasattr(os, "register_at_fork"):
    # threading was imported above: its own handler, which this one needs, runs before it.
    os.register_at_fork(after_in_child=_restart_after_fork)

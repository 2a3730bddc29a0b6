"""The thread that keeps the ruleset current: a websocket, and polling while it is away."""

import contextlib
import json
import logging
import ssl
import threading
import time
import uuid
from typing import Any

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.uri import parse_uri

from flagclient.endpoints import Endpoints, KeyRefused, ServerUnusable
from flagclient.holding import Holding
from flagclient.last_known import LastKnown
from flagclient.pace import Pace
from flagengine import InvalidRuleset

logger = logging.getLogger("flagclient")

# websockets logs every frame at DEBUG, and the first frame carries the key. A logger that stands
# outside the app's logging configuration cannot be switched on by it.
_silent = logging.Logger("flagclient.websocket", level=logging.CRITICAL + 1)

# Past 64 kB the server says `fetch`; this only bounds what a stranger may send.
LARGEST_MESSAGE = 16 * 1024 * 1024
LONGEST_GOODBYE = 300.0  # seconds; a server that asks for more is not obeyed
CLOSE_TIMEOUT = 1.0  # seconds for the closing handshake, which decides nothing
KEY_REFUSALS = {
    4401: "no such SDK key",
    4403: "an SDK key of the wrong kind: expected a server key",
    4409: "the SDK key was revoked",
}
# What a server that is away, restarting or broken makes a connection attempt raise.
_EXPECTED = (OSError, EOFError, WebSocketException, ServerUnusable, InvalidRuleset)


class Connection:
    """Feeds one Holding from one server until it is stopped."""

    _thread: threading.Thread | None

    def __init__(
        self,
        endpoints: Endpoints,
        holding: Holding,
        *,
        pace: Pace,
        sdk: str,
        name: str | None,
        tls: ssl.SSLContext | None,
        last_known: LastKnown | None,
    ) -> None:
        self._endpoints = endpoints
        self._holding = holding
        self._pace = pace
        self._sdk = sdk
        self._name = name
        self._tls = tls
        self._last_known = last_known
        self._websocket: ClientConnection | None = None
        self._prepare()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="flagclient", daemon=True)
        self._thread.start()

    def stop(self, *, timeout: float) -> None:
        self._stopping.set()
        websocket = self._websocket
        if websocket is not None:
            # Wakes the thread out of waiting for a message.
            with contextlib.suppress(Exception):
                websocket.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def after_fork(self) -> None:
        """Leave the parent's socket to the parent; the child is an instance of its own."""
        websocket, self._websocket = self._websocket, None
        if websocket is not None:
            # Closes this process's handle only: no close frame, no shutdown of the shared socket.
            websocket.socket.close()
        self._prepare()

    def _prepare(self) -> None:
        self.instance = str(uuid.uuid4())
        self._stopping = threading.Event()
        self._thread = None
        self._poll_at = time.monotonic()
        self._fetched_at = float("-inf")
        self._acknowledged: str | None = None

    def _run(self) -> None:
        self._restore()
        failures = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                pause = self._stay_connected()
                failures = 0
                self._poll_in(pause + self._pace.poll_after_loss)
            except KeyRefused as error:
                pause = self._refused(error)
            except Exception as error:
                # A server may send anything at all; this thread outlives all of it.
                if self._stopping.is_set():
                    return
                if time.monotonic() - started > self._pace.good_connection:
                    failures = 0
                failures += 1
                pause = self._pace.retry_after(failures)
                self._log_failure(error, failures, pause)
            self._wait(pause)

    def _restore(self) -> None:
        if self._last_known is None or self._holding.ruleset is not None:
            return
        document = self._last_known.read()
        if document is None:
            return
        try:
            self._holding.restore(document)
        except InvalidRuleset as error:
            logger.warning("last_known.ignored: %s: %s", self._last_known.path, error)

    def _stay_connected(self) -> float:
        """Follow the websocket until it ends; return the pause a leaving server asked for."""
        address = self._endpoints.websocket
        with connect(
            address,
            ssl=self._tls,
            compression=None,
            user_agent_header=self._sdk,
            open_timeout=self._pace.connect_timeout,
            ping_interval=self._pace.ping_interval,
            ping_timeout=self._pace.ping_timeout,
            close_timeout=CLOSE_TIMEOUT,
            max_size=LARGEST_MESSAGE,
            logger=_silent,
        ) as websocket:
            if websocket.protocol.uri != parse_uri(address):
                # The key goes to the configured server and to no other.
                raise ServerUnusable("the websocket was redirected to another address")
            self._websocket = websocket
            try:
                if self._stopping.is_set():
                    return 0.0
                return self._follow(websocket)
            except ConnectionClosed as error:
                raise _why_closed(error) from error
            finally:
                self._websocket = None
                self._holding.connected = False
                self._poll_in(self._pace.poll_after_loss)

    def _follow(self, websocket: ClientConnection) -> float:
        # Also a version it already had: this connection is new to the server.
        self._acknowledged = None
        self._say_hello(websocket)
        timeout: float | None = self._pace.hello_timeout
        while True:
            message = _parsed(websocket.recv(timeout))
            if message.get("type") == "goodbye":
                return _pause_of(message)
            self._take(message, websocket)
            self._acknowledge(websocket)
            if self._holding.connected:
                timeout = None  # from here on pings tell whether the server is there

    def _say_hello(self, websocket: ClientConnection) -> None:
        hello: dict[str, Any] = {
            "type": "hello",
            "key": self._endpoints.key,
            "instance": self.instance,
            "sdk": self._sdk,
        }
        if self._name is not None:
            hello["name"] = self._name
        ruleset = self._holding.ruleset
        if ruleset is not None:
            hello |= {"version": ruleset.version, "digest": ruleset.digest}
        websocket.send(json.dumps(hello))

    def _take(self, message: dict[str, Any], websocket: ClientConnection) -> None:
        match message:
            case {"type": "current", "version": version}:
                held = self._holding.ruleset
                if held is None or held.version != version:
                    state = self._holding.state_id
                    raise ServerUnusable(f"the server says {version} is current, we hold {state}")
            case {"type": "ruleset", "ruleset": document}:
                self._holding.replace(document)
            case {"type": "deltas", "deltas": list(deltas)}:
                self._advance(deltas)
            case {"type": "delta"}:
                self._advance([{name: message[name] for name in message if name != "type"}])
            case {"type": "fetch"}:
                self._fetch()
                self._say_hello(websocket)
                return
            case {"type": "current" | "ruleset" | "deltas"}:
                raise ServerUnusable(f"a {message['type']} message without its content")
            case _:
                return  # a newer server may say more than this client knows
        self._holding.confirm(connected=True)

    def _acknowledge(self, websocket: ClientConnection) -> None:
        ruleset = self._holding.ruleset
        if not self._holding.connected or ruleset is None:
            return
        if ruleset.state != self._acknowledged:
            websocket.send(json.dumps({"type": "receipt", "version": ruleset.version}))
            self._acknowledged = ruleset.state

    def _advance(self, deltas: list[Any]) -> None:
        try:
            self._holding.advance([self._completed(delta) for delta in deltas])
        except Exception as error:
            # Whatever is wrong with a delta, the whole ruleset says what it should have led to.
            logger.warning("delta.refused: %s", error)
            self._fetch(whole=True)

    def _completed(self, delta: Any) -> Any:
        """Put ids that travel by digest into their delta."""
        changes = delta.get("changes") if isinstance(delta, dict) else None
        if not isinstance(changes, list):
            return delta  # no delta at all: for the engine to refuse
        return {
            **delta,
            "changes": [
                {**change, **self._endpoints.segment_ids(str(change["digest"]))}
                if isinstance(change, dict) and "digest" in change
                else change
                for change in changes
            ],
        }

    def _fetch(self, *, whole: bool = False) -> None:
        now = time.monotonic()
        if now - self._fetched_at < self._pace.first_retry:
            # Reconnecting backs off; a server that asks for it in circles must not be hammered.
            raise ServerUnusable("the server makes us fetch over and over")
        self._fetched_at = now
        known = self._holding.state_id
        if known is not None and not whole:
            deltas = self._endpoints.since(known)
            if deltas is not None:
                with contextlib.suppress(Exception):
                    self._holding.advance([self._completed(delta) for delta in deltas])
                    return
        document = self._endpoints.ruleset(known=None)
        if document is not None:
            self._holding.replace(document)

    def _wait(self, seconds: float) -> None:
        """Wait until the next attempt, and poll when it is time to."""
        until = time.monotonic() + seconds
        while True:
            if time.monotonic() >= self._poll_at and not self._stopping.is_set():
                self._poll()
            wake_at = min(until, self._poll_at)
            if self._stopping.wait(max(0.0, wake_at - time.monotonic())):
                return
            if time.monotonic() >= until:
                return

    def _poll(self) -> None:
        self._poll_in(self._pace.poll_interval)
        try:
            document = self._endpoints.ruleset(known=self._holding.state_id)
            if document is not None:
                self._holding.replace(document)
            self._holding.confirm(connected=False)
        except KeyRefused as error:
            self._refused(error)
        except Exception as error:
            self._holding.lose(_described(error))
            logger.debug("poll.failed: %s", _described(error))

    def _poll_in(self, seconds: float) -> None:
        self._poll_at = time.monotonic() + self._pace.poll_after(seconds)

    def _refused(self, error: KeyRefused) -> float:
        """Note the refusal; return the pause until it is worth another try."""
        logger.error("key.refused: %s", error)
        self._holding.refuse(str(error))
        pause = self._pace.poll_after(self._pace.refused_retry)
        # Not before the websocket has tried, which says more about the reason.
        self._poll_in(2 * pause)
        return pause

    def _log_failure(self, error: Exception, failures: int, pause: float) -> None:
        if not isinstance(error, _EXPECTED):
            logger.error("connection.failed: trying again in %.1f s", pause, exc_info=error)
        else:
            # Once an outage, not once an attempt.
            level = logging.WARNING if failures == 1 else logging.DEBUG
            problem = _described(error)
            logger.log(level, "connection.lost: %s: trying again in %.1f s", problem, pause)


def _parsed(frame: str | bytes) -> dict[str, Any]:
    if not isinstance(frame, str):
        raise ServerUnusable("expected a text frame, got a binary one")
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError) as error:
        raise ServerUnusable(f"a frame is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise ServerUnusable(f"expected a JSON object, got {type(message).__name__}")
    return message


def _pause_of(goodbye: dict[str, Any]) -> float:
    milliseconds = goodbye.get("retry_after_ms")
    # The comparison is false for NaN, which JSON as Python reads it may hold.
    if isinstance(milliseconds, int | float) and milliseconds >= 0:
        return min(milliseconds / 1000, LONGEST_GOODBYE)
    return 0.0


def _why_closed(error: ConnectionClosed) -> ServerUnusable:
    code = None if error.rcvd is None else error.rcvd.code
    if code in KEY_REFUSALS:
        return KeyRefused(KEY_REFUSALS[code])
    return ServerUnusable(f"the websocket was closed: {error}")


def _described(error: Exception) -> str:
    return str(error) or type(error).__name__

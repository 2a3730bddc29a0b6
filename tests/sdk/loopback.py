"""A small real server on loopback that speaks the SDK's protocol, and misbehaves when told to.

The plain path is proved against Flagsite itself; this one is for what a well-behaved server never
does: garbage, silence, refusals, disappearing at a chosen moment.
"""

import asyncio
import contextlib
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import uvicorn

KEY = "fs_server_0123abcd_a-secret-of-this-test"
# Far above what any wait here takes; only a broken test sees it.
PATIENCE = 20.0


def a_flag(key: str, *, value: Any = True, kind: str = "boolean", version: int = 1, **more: Any):
    """A flag that serves `value` to everybody."""
    return {
        "key": key,
        "type": kind,
        "version": version,
        "variations": [{"key": "served", "value": value}],
        "enabled": True,
        "off_variation": None,
        "prerequisites": [],
        "targets": [],
        "rules": [],
        "fallthrough": {"variation": "served"},
        "client_visible": False,
        **more,
    }


def a_ruleset(*flags: dict[str, Any], version: int = 1, segments: dict[str, Any] | None = None):
    return {
        "environment": "6f1f2a8e-0000-4000-8000-000000000001",
        "version": version,
        "digest": digest_of(version),
        "flags": {flag["key"]: flag for flag in flags},
        "segments": segments or {},
    }


def digest_of(version: int, history: str = "") -> str:
    return hashlib.sha256(f"{version}{history}".encode()).hexdigest()[:16]


def state_of(ruleset: dict[str, Any]) -> str:
    return f"{ruleset['version']}-{ruleset['digest']}"


def with_ids(segment: dict[str, Any], change: dict[str, Any], batches: dict[str, bytes]):
    """The segment with the ids of a change added to its only list."""
    if "digest" in change:
        change = {**change, **json.loads(batches[change["digest"]])}
    return {**segment, change["list"]: [{"by": change["by"], "keys": change["add"]}]}


class Close(Exception):
    """Raised by a script to close the websocket with a code."""

    def __init__(self, code: int) -> None:
        self.code = code


class LoopbackServer:
    """Serves one ruleset. `script` replaces the answer to `hello`; `statuses` those over HTTP.

    A script is called with the hello and returns the frames to send: dicts, or text and bytes to
    be sent as they are.
    """

    def __init__(self, ruleset: dict[str, Any]) -> None:
        self.ruleset = ruleset
        self.deltas: list[dict[str, Any]] = []
        self.script: Callable[[dict[str, Any]], list[Any]] = self.answer_hello
        self.statuses: dict[str, int] = {}
        self.id_batches: dict[str, bytes] = {}
        self.headers: list[tuple[bytes, bytes]] = []
        self.hellos: list[dict[str, Any]] = []
        self.receipts: list[int] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.count_reports: list[dict[str, Any]] = []
        self.open_sockets: list[Callable[[Any], Any]] = []
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._news = threading.Condition()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> "LoopbackServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        config = uvicorn.Config(
            self._answer,
            host="127.0.0.1",
            port=self.port,
            log_config=None,
            lifespan="off",
            interface="asgi3",
            access_log=False,
            ws="websockets-sansio",
            ws_per_message_deflate=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        self.wait_for(lambda: self._server.started)

    def stop(self) -> None:
        """Vanish: connections are cut, nobody listens any more."""
        if self._thread is None:
            return
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self._thread = None
        self.open_sockets.clear()

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        """Wait until something the server saw makes `condition` true; return what it returned."""
        deadline = time.monotonic() + PATIENCE
        with self._news:
            while not (found := condition()):
                assert time.monotonic() < deadline, f"waited in vain; hellos: {self.hellos}"
                self._news.wait(0.02)
        return found

    def change(self, *changes: dict[str, Any], push: bool = True) -> dict[str, Any]:
        """Make the next version and push its delta; a change is a flag, or a ready-made change."""
        before = self.ruleset
        version = before["version"] + 1
        changes = [
            change if "kind" in change else {"kind": "flag", "key": change["key"], "value": change}
            for change in changes
        ]
        flags = dict(before["flags"])
        segments = dict(before["segments"])
        for change in changes:
            table = flags if change["kind"] == "flag" else segments
            if change["kind"] == "segment_ids":
                table[change["key"]] = with_ids(table[change["key"]], change, self.id_batches)
            elif change["value"] is None:
                table.pop(change["key"], None)
            else:
                table[change["key"]] = change["value"]
        delta = {
            "version": version,
            "digest": digest_of(version),
            "previous": state_of(before),
            "at": "2026-01-01T00:00:00Z",
            "changes": changes,
        }
        self.ruleset = {
            **before,
            "version": version,
            "digest": delta["digest"],
            "flags": flags,
            "segments": segments,
        }
        self.deltas.append(delta)
        if push:
            self.send({"type": "delta", **delta})
        return delta

    def send(self, frame: Any) -> None:
        """Send a frame to every open websocket; a Close closes them."""
        for send in list(self.open_sockets):
            asyncio.run_coroutine_threadsafe(send(frame), self._loop).result(PATIENCE)

    def answer_hello(self, hello: dict[str, Any]) -> list[Any]:
        """What a good server says: what the client lacks, or that it has the newest."""
        if hello["key"] != KEY:
            raise Close(4401)
        if "version" not in hello:
            return [{"type": "ruleset", "ruleset": self.ruleset}]
        deltas = self._deltas_since(f"{hello['version']}-{hello['digest']}")
        if deltas is None:
            return [{"type": "ruleset", "ruleset": self.ruleset}]
        if deltas:
            return [{"type": "deltas", "deltas": deltas}]
        return [{"type": "current", "version": self.ruleset["version"]}]

    def _deltas_since(self, state: str) -> list[dict[str, Any]] | None:
        if state == state_of(self.ruleset):
            return []
        for index, delta in enumerate(self.deltas):
            if delta["previous"] == state:
                return self.deltas[index:]
        return None

    async def _answer(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self._loop = asyncio.get_running_loop()
        if scope["type"] == "websocket":
            await self._answer_websocket(scope, receive, send)
        else:
            await self._answer_http(scope, receive, send)

    async def _answer_websocket(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["path"] == "/ws/v1/ruleset"
        await receive()
        if "websocket" in self.statuses:
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})

        async def send_frame(frame: Any) -> None:
            if isinstance(frame, Close):
                await send({"type": "websocket.close", "code": frame.code})
            elif isinstance(frame, bytes):
                await send({"type": "websocket.send", "bytes": frame})
            else:
                text = frame if isinstance(frame, str) else json.dumps(frame)
                await send({"type": "websocket.send", "text": text})

        with contextlib.suppress(Close):
            while (event := await receive())["type"] == "websocket.receive":
                await self._take(json.loads(event["text"]), send_frame)
        if send_frame in self.open_sockets:
            self.open_sockets.remove(send_frame)

    async def _take(self, message: dict[str, Any], send_frame: Any) -> None:
        if message["type"] == "hello":
            try:
                frames = self.script(message)
            except Close as close:
                await send_frame(close)
                self._note(self.hellos, message)
                raise
            for frame in frames:
                await send_frame(frame)
            if send_frame not in self.open_sockets:
                self.open_sockets.append(send_frame)
            self._note(self.hellos, message)
        elif message["type"] == "receipt":
            self._note(self.receipts, message["version"])

    async def _answer_http(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        path, method = scope["path"], scope["method"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body = b""
        while (event := await receive())["type"] == "http.request":
            body += event["body"]
            if not event.get("more_body"):
                break
        status, answer, more = self._http_answer(path, headers, body)
        answer_headers = [(b"content-type", b"application/json"), *more, *self.headers]
        await send({"type": "http.response.start", "status": status, "headers": answer_headers})
        await send({"type": "http.response.body", "body": answer})
        self._note(self.requests, (method, path, headers))

    def _http_answer(self, path: str, headers: dict[str, str], body: bytes) -> Any:
        for prefix, status in self.statuses.items():
            if path.startswith(prefix):
                return status, b"{}", []
        if headers.get("authorization") != f"Bearer {KEY}":
            return 401, b"{}", []
        if path == "/sdk/v1/ruleset":
            etag = f'"{state_of(self.ruleset)}"'
            if headers.get("if-none-match") == etag:
                return 304, b"", []
            return 200, json.dumps(self.ruleset).encode(), [(b"etag", etag.encode())]
        if path.startswith("/sdk/v1/ruleset/since/"):
            deltas = self._deltas_since(path.rsplit("/", 1)[1])
            if deltas is None:
                return 410, b"{}", []
            answer = {"version": self.ruleset["version"], "deltas": deltas}
            return 200, json.dumps(answer).encode(), []
        if path.startswith("/sdk/v1/segment-ids/"):
            batch = self.id_batches.get(path.rsplit("/", 1)[1])
            return (404, b"{}", []) if batch is None else (200, batch, [])
        if path == "/sdk/v1/counts":
            self._note(self.count_reports, json.loads(body))
            return 202, b"", []
        return 404, b"{}", []

    def _note(self, book: list[Any], entry: Any) -> None:
        with self._news:
            book.append(entry)
            self._news.notify_all()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

"""Flagsite as apps meet it: a real uvicorn process on loopback, on the test run's own stores."""

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
from django.db import connection
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from audit.facts import Actor
from audit.outbox import deliver
from flags.changes import CreateSdkKey, submit
from flags.models.secrets import new_secret

CHECKOUT = Path(__file__).resolve().parent.parent
OPERATOR = Actor.system("tests")
# Everything awaited is awaited until a condition holds, and at most this long.
PATIENCE = 20.0

# A line per request of a wait for a condition would bury what a failure says.
logging.getLogger("httpx").setLevel(logging.WARNING)


@dataclass
class Served:
    """A running server; `url` is its address, `home` its data folder."""

    url: str
    home: Path
    process: subprocess.Popen[bytes]
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE)

    def evaluate(self, key: str, flag: str = "", context: Any = None, **headers: str) -> Any:
        """POST to OFREP: one flag, or all without one."""
        path = "/ofrep/v1/evaluate/flags" + (f"/{flag}" if flag else "")
        body = {"context": {} if context is None else context}
        return self.http.post(
            path, json=body, headers={"Authorization": f"Bearer {key}", **headers}
        )

    def get(self, path: str, key: str, **headers: str) -> httpx.Response:
        return self.http.get(path, headers={"Authorization": f"Bearer {key}", **headers})

    def websocket(self, path: str, **options: Any) -> ClientConnection:
        return connect(
            self.url.replace("http", "ws", 1) + path, compression=None, legacy=True, **options
        )

    def ready(self) -> dict[str, Any]:
        said: dict[str, Any] = self.http.get("/readyz").json()
        return said

    def stop(self) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextlib.contextmanager
def served(home: Path, **variables: str) -> Iterator[Served]:
    """Run a server until the block ends; `variables` are set for it."""
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "FLAGSITE_HOME": str(home),
        "FLAGSITE_TRUTH_CHECK_SECONDS": "0.5",
        **variables,
    }
    command = [
        *(sys.executable, "-W", "ignore", "-m", "uvicorn", "flagsite.asgi:application"),
        *("--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop", "--http", "httptools"),
        *("--ws", "websockets-sansio", "--ws-per-message-deflate", "false"),
        *("--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "3"),
    ]
    process = subprocess.Popen(command, cwd=CHECKOUT, env=environment)
    server = Served(f"http://127.0.0.1:{port}", home, process)
    try:
        wait_until(lambda: answers(server), "the server answers")
        yield server
    finally:
        server.stop()


def answers(server: Served) -> bool:
    assert server.process.poll() is None, "the server ended by itself"
    try:
        return server.http.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], Any], what: str, *, within: float = PATIENCE) -> Any:
    """Wait for a condition that nothing announces; fails with `what` when it never holds."""
    deadline = time.monotonic() + within
    pause = threading.Event()
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {within} s in vain: {what}"
        pause.wait(0.02)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def database_url() -> str:
    """The address of the test database, which Django made beside the one it was given."""
    address = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(address._replace(path="/" + str(connection.settings_dict["NAME"])))


def an_sdk_key(kind: str = "server", environment: str = "production", project: str = "shop") -> str:
    """A new SDK key's secret."""
    secret = new_secret("fss" if kind == "server" else "fsc")
    submit(
        CreateSdkKey.of(secret, project=project, environment=environment, key_kind=kind),  # type: ignore[arg-type]
        actor=OPERATOR,
    )
    return secret.text


def change(*changes: Any, broadcast: bool = True) -> Any:
    """Submit, and send the hints that a worker would."""
    outcome = submit(*changes, actor=OPERATOR)
    if broadcast:
        deliver("broadcast")
    return outcome


def hello(key: str, **more: Any) -> str:
    return json.dumps(
        {"type": "hello", "key": key, "instance": str(uuid.uuid4()), "sdk": "test/1", **more}
    )


def next_frame(socket: ClientConnection) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(socket.recv(timeout=PATIENCE))
    return frame


def close_code(socket: ClientConnection) -> int:
    """Wait for the server to close, whatever comes before; its code."""
    try:
        while True:
            socket.recv(timeout=PATIENCE)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


class Proxy:
    """Stands before a store, so that a test can cut it off, or let it fall silent, and back."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener: socket.socket | None = None
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lets_through = threading.Event()
        self._lets_through.set()
        self.port = free_port()
        self.restore()

    @classmethod
    def of(cls, url: str) -> tuple["Proxy", str]:
        """A proxy before the store at this address, and the address that leads through it."""
        address = urlsplit(url)
        proxy = cls(address.hostname or "", address.port or 0)
        netloc = address.netloc.rpartition(":")[0] + f":{proxy.port}"
        return proxy, urlunsplit(address._replace(netloc=netloc))

    def cut(self) -> None:
        """Refuse connections, and end those that are open."""
        if self._listener is not None:
            # Closing alone would leave a thread in accept, which takes one more connection.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._pairs.clear()

    def fall_silent(self) -> None:
        """Accept everything and answer nothing."""
        self._lets_through.clear()

    def restore(self) -> None:
        self._lets_through.set()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        self.cut()
        self._lets_through.set()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(self._target)
            except OSError:
                return
            if listener is not self._listener:
                near.close()
                far.close()
                return
            self._pairs.append((near, far))
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._lets_through.wait()
                target.sendall(data)
        except OSError:
            pass
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

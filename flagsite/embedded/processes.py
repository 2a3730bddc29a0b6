"""The processes of a running Flagsite, side by side under honcho, each under a keeper."""

import contextlib
import http.client
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from honcho.manager import Manager
from honcho.printer import Message, Printer

from flagsite.embedded.kept import as_shell, keeper_command

READY_SECONDS = 120
WEBSOCKET_FRAME_BYTES = 1024 * 1024
# The server pings; with these a peer that is silent for 60 s is gone.
PING_EVERY_SECONDS, PONG_WITHIN_SECONDS = 20, 40
# What a stop may take, below the 5 s after which honcho kills.
GRACE_SECONDS = 4
STOPPED_BY_SIGNAL = {128 + signal.SIGINT, 128 + signal.SIGTERM}


@dataclass
class Processes:
    host: str
    port: int
    web_processes: int
    home: Path
    were_stopped: bool = field(default=False, init=False)

    def commands(self) -> dict[str, list[str]]:
        python = [sys.executable, "-m"]
        # As root Celery warns of pickled tasks from strangers; these are JSON, from one's own store.
        celery = [sys.executable, "-W", "ignore::UserWarning:celery.platforms", "-m", "celery"]
        celery += ["--app", "flagsite", "--quiet"]
        worker = [
            *(*celery, "worker", "--loglevel", "warning", "--pool", "threads"),
            # One worker of each kind here: nothing to hear from or to tell others.
            *("--without-gossip", "--without-mingle"),
        ]
        return {
            "web": [
                *(*python, "uvicorn", "flagsite.asgi:application"),
                *("--host", self.host, "--port", str(self.port)),
                *("--workers", str(self.web_processes)),
                *("--loop", "uvloop", "--http", "httptools", "--ws", "websockets-sansio"),
                *("--ws-max-size", str(WEBSOCKET_FRAME_BYTES)),
                *("--ws-ping-interval", str(PING_EVERY_SECONDS)),
                *("--ws-ping-timeout", str(PONG_WITHIN_SECONDS)),
                # Shared bytes are sent to all; compressing them per socket would undo that.
                *("--ws-per-message-deflate", "false"),
                # Whose word counts for an address is for FLAGSITE_TRUSTED_PROXIES to say.
                "--no-proxy-headers",
                *("--no-access-log", "--no-server-header", "--log-level", "warning"),
                *("--timeout-graceful-shutdown", str(GRACE_SECONDS - 1)),
            ],
            # A queue and a worker of its own: a hint never waits behind a webhook.
            "broadcast": [
                *worker,
                "--queues",
                "broadcast",
                "--concurrency",
                "2",
                "-n",
                "broadcast@%h",
            ],
            "worker": [*worker, "--queues", "default", "--concurrency", "4", "-n", "default@%h"],
            "beat": [
                *(*celery, "beat", "--loglevel", "warning"),
                # No file with its number: after a crash it would keep beat from starting.
                "--pidfile=",
            ],
        }

    def run(self, *, once_started: Callable[[], None]) -> None:
        """Run until a signal comes or a process ends for good; then all have ended."""
        manager = Manager(printer=StartedPrinter(sys.stdout, once_started))
        for name, command in self.commands().items():
            kept = keeper_command(command, name=name, grace_seconds=GRACE_SECONDS)
            manager.add_process(name, as_shell(kept))
        try:
            manager.loop()
        except BaseException:
            # Whatever went wrong, nothing may keep running behind the back of who started it.
            manager.terminate()
            raise
        self.were_stopped = manager.returncode in STOPPED_BY_SIGNAL


class StartedPrinter(Printer):  # type: ignore[misc]
    """Prints the processes' lines, and says once that they are started.

    honcho forks; a thread that exists before it has forked could leave a lock held in a child.
    """

    def __init__(self, output: object, once_started: Callable[[], None]) -> None:
        super().__init__(output)
        self.once_started: Callable[[], None] | None = once_started

    def write(self, message: Message) -> None:
        if message.name == "system":
            # The number is the keeper's: who means the program would signal the wrong process.
            message = message._replace(data=re.sub(r" \(pid=\d+\)", "", message.data))
        with quiet_when_unheard():
            super().write(message)
        if self.once_started is not None:
            call, self.once_started = self.once_started, None
            call()


@contextlib.contextmanager
def quiet_when_unheard() -> Iterator[None]:
    """Let a reader that is gone (`bin/up | head`) end the output, never the processes."""
    try:
        yield
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def web_is_ready(host: str, port: int) -> bool:
    """Wait until the web process can answer for its stores; False when it takes too long."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        connection = http.client.HTTPConnection(reached, port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return True
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    return False

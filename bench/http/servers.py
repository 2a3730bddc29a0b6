"""Server processes to be measured, and what they cost."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
TICKS = os.sysconf("SC_CLK_TCK")

SERVERS = {
    "uvicorn": [
        *("-m", "uvicorn", "APPLICATION", "--host", "127.0.0.1", "--port", "PORT"),
        *("--loop", "uvloop", "--http", "httptools", "--ws", "websockets-sansio"),
        *("--ws-per-message-deflate", "false", "--no-access-log", "--log-level", "warning"),
        *("--no-server-header", "--timeout-graceful-shutdown", "2"),
    ],
    "granian": [
        *("-m", "granian", "APPLICATION", "--interface", "asgi", "--host", "127.0.0.1"),
        *("--port", "PORT", "--loop", "uvloop", "--no-access-log", "--log-level", "warning"),
    ],
}


@dataclass(frozen=True)
class Server:
    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """Of the process and those it started, until now."""
        return sum(_cpu_seconds(pid) for pid in (self.pid, *_children(self.pid)))

    def memory_mb(self) -> float:
        total = 0
        for pid in (self.pid, *_children(self.pid)):
            status = Path(f"/proc/{pid}/status").read_text()
            total += int(status.partition("VmRSS:")[2].split()[0])
        return total / 1024


@contextlib.contextmanager
def running(
    application: str, *, server: str = "uvicorn", variables: Mapping[str, str]
) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    named = {"APPLICATION": application, "PORT": str(port)}
    command = [sys.executable, "-W", "ignore", *(named.get(word, word) for word in SERVERS[server])]
    process = subprocess.Popen(command, cwd=CHECKOUT, env={**os.environ, **variables})
    try:
        _wait(process, port)
        yield Server(process.pid, port)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise SystemExit("the server did not become ready")


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS

"""One change to many open websockets: how soon each has it, and what that costs the server.

The clients are bare protocols in a process of their own: they would otherwise cost more than what
is measured.
"""

import asyncio
import json
import multiprocessing
import statistics
import time
import uuid
from multiprocessing.connection import Connection

from bench.http.servers import Server

PATIENCE_SECONDS = 30
# Connections opened at once.
OPENING = 100


def fan_out(server: Server, key: str, *, sockets: int, changes: int) -> str:
    """Switch a flag `changes` times; in words, how long each socket took from the commit on."""
    from audit.facts import Actor
    from flags.changes import SwitchFlag, submit
    from flags.websockets.broadcast import send_hint

    ours, theirs = multiprocessing.Pipe()
    clients = multiprocessing.get_context("spawn").Process(
        target=run_clients, args=(server.port, key, sockets, changes, theirs)
    )
    memory = server.memory_mb()
    clients.start()
    try:
        assert ours.recv() == "joined"
        memory = server.memory_mb() - memory
        took: list[float] = []
        cpu = server.cpu_seconds()
        for number in range(changes):
            switch = SwitchFlag(
                project="bench", environment="production", flag="flag-00", on=number % 2 == 1
            )
            [event] = submit(switch, actor=Actor.system("bench")).events
            send_hint(event)
            seen = ours.recv()
            took += [(at - event.at.timestamp()) * 1000 for at in seen]
        cpu = server.cpu_seconds() - cpu
    finally:
        clients.terminate()
        clients.join()
    cuts = statistics.quantiles(took, n=100)
    return (
        f"{sockets} sockets: p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms, last {max(took):.0f} ms; "
        f"{cpu / changes / sockets * 1e6:.0f} µs of CPU and {memory * 1024 / sockets:.0f} kB a socket"
    )


def run_clients(port: int, key: str, sockets: int, changes: int, pipe: Connection) -> None:
    asyncio.run(_clients(port, key, sockets, changes, pipe))


async def _clients(port: int, key: str, sockets: int, changes: int, pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    while len(clients) < sockets:
        batch = [Client(port, key) for _ in range(min(OPENING, sockets - len(clients)))]
        for client in batch:
            await loop.create_connection(lambda client=client: client, "127.0.0.1", port)
        await asyncio.wait_for(asyncio.gather(*(c.joined for c in batch)), PATIENCE_SECONDS)
        clients += batch
    for _ in range(changes):
        waits = [client.next_frame() for client in clients]
        if _ == 0:
            pipe.send("joined")
        pipe.send(await asyncio.wait_for(asyncio.gather(*waits), PATIENCE_SECONDS))


class Client(asyncio.Protocol):
    """Says hello, and then only notes when something arrives."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Future[float] | None = None
        self.joined: asyncio.Future[None] = self._loop.create_future()
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(
            b"GET /ws/v1/ruleset HTTP/1.1\r\nHost: localhost:%d\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n" % self._port
        )

    def data_received(self, data: bytes) -> None:
        now = time.time()
        if not self._is_open:
            self._is_open = True
            hello = {"type": "hello", "key": self._key, "instance": str(uuid.uuid4())}
            self._transport.write(_masked(json.dumps(hello).encode()))
        elif not self.joined.done():
            self.joined.set_result(None)
        elif self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(now)

    def next_frame(self) -> "asyncio.Future[float]":
        self._waiting = self._loop.create_future()
        return self._waiting


def _masked(payload: bytes) -> bytes:
    """A text frame under a mask of zeros, which leaves the payload as it is."""
    return b"\x81\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload

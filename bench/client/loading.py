"""What loading a large ruleset does to an event loop in the same process.

A server in a process of its own answers `GET /sdk/v1/ruleset`; here a client loads it while asyncio
runs, and the longest turn of the loop is what an app's requests would have waited at worst.
"""

import asyncio
import gc
import http.server
import json
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection
from typing import Any

from bench.engine.workloads import document, flag_of_kind

RUNS = 7


def report_loading(*, flags: int) -> None:
    """Print how long loading took and the longest turn of the loop, with and without loading."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs, flags), daemon=True)
    server.start()
    port, size = ours.recv()
    try:
        idle = [asyncio.run(_longest_turn(asyncio.sleep(0.5))) for _ in range(RUNS)]
        loading = []
        for _ in range(RUNS):
            gc.collect()  # or this run would pay for the client and the rules of the one before
            loading.append(asyncio.run(_loading(port)))
    finally:
        server.terminate()
        server.join()
    print(f"Loading {flags:,} flags ({size / 1e6:.1f} MB of JSON), medians of {RUNS}:")
    print(f"- ready after {statistics.median(ready for ready, _ in loading):.0f} ms")
    print(f"- longest turn of the loop {statistics.median(turn for _, turn in loading):.1f} ms")
    print(f"- the same with nothing to do {statistics.median(idle):.1f} ms\n")


async def _loading(port: int) -> tuple[float, float]:
    # The SDK is on the path only once the command has put it there.
    from flagclient import FlagClient

    started = time.perf_counter()
    client = FlagClient(f"http://127.0.0.1:{port}", "bench")
    turn = await _longest_turn(client.ready(timeout=60))
    took = (time.perf_counter() - started) * 1000
    assert client.state.version == 1
    await asyncio.to_thread(client.close)
    return took, turn


async def _longest_turn(work: Any) -> float:
    """Return the longest turn of the loop in milliseconds while `work` goes on."""
    task = asyncio.ensure_future(work)
    longest = 0.0
    while not task.done():
        before = time.perf_counter()
        # A real pause: the thread that loads shall have the processor as an idle app leaves it.
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - before)
    await task
    return longest * 1000


def _serve(pipe: Connection, flags: int) -> None:
    ruleset = document()
    made = (flag_of_kind(number % 4 + 1, f"mixed-{number}") for number in range(flags))
    ruleset["flags"] = {flag["key"]: flag for flag in made}
    body = json.dumps(ruleset).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/sdk/v1/ruleset":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        pipe.send((server.server_port, len(body)))
        server.serve_forever()

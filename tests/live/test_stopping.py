"""A planned stop: everybody is told when to come back, and the process ends in time."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.served import PATIENCE, close_code, hello, next_frame, served


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sockets_are_told_to_come_back_at_different_moments(
    transactional_db: None,
    tmp_path: Path,
    server_key: str,
    a_flag: Callable[..., Any],
    number: signal.Signals,
) -> None:
    a_flag()
    with served(tmp_path) as server:
        sockets = [server.websocket("/ws/v1/ruleset") for _ in range(20)]
        for socket in sockets:
            socket.send(hello(server_key))
            next_frame(socket)

        server.process.send_signal(number)
        goodbyes = [next_frame(socket) for socket in sockets]
        codes = {close_code(socket) for socket in sockets}
        started = time.monotonic()
        server.process.wait(PATIENCE)

    waits = sorted(frame["retry_after_ms"] for frame in goodbyes)
    assert {frame["type"] for frame in goodbyes} == {"goodbye"}
    assert len(set(waits)) == 20
    assert waits[0] > 0
    assert codes == {1012}
    # The keeper of bin/up kills after four seconds.
    assert time.monotonic() - started < 4


def test_a_peer_that_reads_nothing_does_not_hold_up_the_stop(
    transactional_db: None, tmp_path: Path, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    with served(tmp_path) as server:
        idle = server.websocket("/ws/v1/ruleset", max_queue=1)
        idle.send(hello(server_key))
        next_frame(idle)
        silent = server.websocket("/ws/v1/ruleset")

        server.process.send_signal(signal.SIGTERM)
        server.process.wait(PATIENCE)

        assert close_code(silent) == 1012

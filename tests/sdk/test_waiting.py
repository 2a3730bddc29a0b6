"""Waiting for the first rules, closing, and asyncio."""

import asyncio
import threading

import pytest
from flagclient import FlagClient

from tests.sdk.conftest import QUICK
from tests.sdk.loopback import KEY, a_flag


def test_a_client_is_a_context_manager_and_closes_its_threads(server):
    before = set(threading.enumerate())

    with FlagClient(server.url, KEY, pace=QUICK) as client:
        client.on_change(lambda flags, version: None)
        assert client.wait_until_ready(10)
        server.change(a_flag("other"))

    left = [t for t in set(threading.enumerate()) - before if t.name.startswith("flagclient")]
    assert left == []
    assert client.state.status == "closed"
    assert client.boolean("new-checkout", False) is True


def test_closing_wakes_whoever_waits(server, connect):
    server.statuses["/"] = server.statuses["websocket"] = 503
    client = connect()
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(client.wait_until_ready(60)))
    waiting.start()

    client.close()
    client.close()
    waiting.join(10)

    assert answers == [False]


async def test_asyncio_waits_without_blocking_the_loop(server, connect):
    server.statuses["/"] = server.statuses["websocket"] = 503
    client = connect()
    assert await client.ready(timeout=0.01) is False

    waiting = asyncio.gather(client.ready(), client.ready())
    server.statuses.clear()

    assert await waiting == [True, True]
    assert client.boolean("new-checkout", False) is True


async def test_a_wait_that_is_cancelled_harms_nothing(server, connect):
    server.statuses["/"] = server.statuses["websocket"] = 503
    client = connect()
    waiting = asyncio.create_task(client.ready())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    server.statuses.clear()

    assert await client.ready(timeout=10) is True

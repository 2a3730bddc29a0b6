"""Telling the app what changed."""

import asyncio
import logging
import queue
import threading

import pytest

from tests.sdk.loopback import PATIENCE, Close, a_flag, a_ruleset


@pytest.fixture
def client(server, connect):
    client = connect()
    assert client.wait_until_ready(10)
    return client


@pytest.fixture
def heard(client):
    """A queue of what a listener is told."""
    news = queue.Queue()
    client.on_change(lambda flags, version: news.put((flags, version)))
    return news


def test_a_listener_hears_which_flags_changed_and_already_evaluates_with_it(server, client):
    seen = queue.Queue()
    client.on_change(lambda flags, version: seen.put((flags, client.boolean("new-checkout", True))))

    server.change(a_flag("new-checkout", value=False, version=2))

    assert seen.get(timeout=PATIENCE) == ({"new-checkout"}, False)


def test_a_flag_that_is_added_or_removed_counts_as_changed(server, heard):
    server.change(a_flag("other"))
    assert heard.get(timeout=PATIENCE) == ({"other"}, 2)

    server.change({"kind": "flag", "key": "other", "value": None})
    assert heard.get(timeout=PATIENCE) == ({"other"}, 3)


def test_a_whole_ruleset_names_only_what_differs(server, heard):
    server.ruleset = a_ruleset(a_flag("new-checkout"), a_flag("other"), version=9)

    server.send(Close(1012))

    assert heard.get(timeout=PATIENCE) == ({"other"}, 9)


def test_a_listener_from_the_start_hears_of_the_first_rules(server, connect):
    news = queue.Queue()
    server.statuses["/"] = server.statuses["websocket"] = 503
    client = connect()
    client.on_change(lambda flags, version: news.put((flags, version)))

    server.statuses.clear()

    assert news.get(timeout=PATIENCE) == ({"new-checkout"}, 1)


def test_a_listener_that_raises_is_logged_and_harms_nobody(server, client, caplog):
    def broken(flags, version):
        raise ZeroDivisionError

    client.on_change(broken)
    news = queue.Queue()
    client.on_change(lambda flags, version: news.put(version))

    for version in (2, 3):
        server.change(a_flag("new-checkout", version=version))
        assert news.get(timeout=PATIENCE) == version

    assert any("listener.failed" in record.getMessage() for record in caplog.records)


def test_a_listener_that_never_returns_delays_no_evaluation(server, client):
    entered, leave = threading.Event(), threading.Event()
    calls = []

    def slow(flags, version):
        calls.append((flags, version))
        entered.set()
        assert leave.wait(PATIENCE)

    client.on_change(slow)
    server.change(a_flag("first"))
    assert entered.wait(PATIENCE)
    server.change(a_flag("second"))
    server.change(a_flag("third"))
    server.wait_for(lambda: 4 in server.receipts)
    assert client.boolean("third", False) is True

    leave.set()
    client.close()

    # What came meanwhile is one call.
    assert calls == [({"first"}, 2), ({"second", "third"}, 4)]


def test_a_removed_listener_hears_nothing_more(server, client, heard):
    forgotten = queue.Queue()
    remove = client.on_change(lambda flags, version: forgotten.put(version))
    remove()
    remove()

    server.change(a_flag("other"))

    heard.get(timeout=PATIENCE)
    assert forgotten.empty()


async def test_a_coroutine_function_runs_in_the_loop_it_came_from(server, client):
    heard = asyncio.Queue()

    async def listen(flags, version):
        heard.put_nowait((flags, version, asyncio.get_running_loop()))

    client.on_change(listen)
    server.change(a_flag("other"))

    async with asyncio.timeout(PATIENCE):
        assert await heard.get() == ({"other"}, 2, asyncio.get_running_loop())


async def test_a_coroutine_function_that_raises_is_logged(server, client, caplog):
    caplog.set_level(logging.ERROR)
    called = asyncio.Event()

    async def broken(flags, version):
        called.set()
        raise ZeroDivisionError

    client.on_change(broken)
    server.change(a_flag("other"))

    async with asyncio.timeout(PATIENCE):
        await called.wait()
        while not any("listener.failed" in record.getMessage() for record in caplog.records):
            await asyncio.sleep(0)


def test_a_loop_that_is_gone_is_no_reason_to_fail(server, client, heard):
    async def subscribe():
        async def listen(flags, version):
            raise AssertionError("this loop is closed")

        client.on_change(listen)

    asyncio.run(subscribe())
    server.change(a_flag("other"))

    assert heard.get(timeout=PATIENCE) == ({"other"}, 2)


def test_a_listener_that_cannot_be_called_is_refused_at_once(client):
    with pytest.raises(TypeError, match="listener"):
        client.on_change("print")


def test_the_status_is_told_when_it_changes(server, client):
    statuses = queue.Queue()
    client.on_state(lambda state: statuses.put(state.status))

    server.stop()
    assert statuses.get(timeout=PATIENCE) == "stale"
    server.start()
    assert statuses.get(timeout=PATIENCE) == "ready"
    client.close()
    assert statuses.get(timeout=PATIENCE) == "closed"

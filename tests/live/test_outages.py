"""Stores that die or fall silent under a running server: it answers on, says so, and catches up."""

import contextlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from audit.models import Stream
from flags.changes import RevokeSdkKey, SwitchFlag
from flags.models import Environment
from flags.websockets.broadcast import send_hint
from tests.served import (
    Proxy,
    Served,
    change,
    close_code,
    database_url,
    hello,
    next_frame,
    served,
    wait_until,
)

SWITCHED_ON = SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True)


@pytest.fixture
def database() -> Iterator[tuple[Proxy, str]]:
    proxy, address = Proxy.of(database_url())
    yield proxy, address
    proxy.close()


@pytest.fixture
def valkey() -> Iterator[tuple[Proxy, str]]:
    proxy, address = Proxy.of(os.environ["REDIS_URL"])
    yield proxy, address
    proxy.close()


def value(server: Served, key: str) -> Any:
    response = server.evaluate(key, "new-checkout")
    assert response.status_code == 200, response.text
    return response.json()["value"]


@pytest.mark.parametrize("how", ["cut", "fall_silent"])
def test_without_postgresql_it_answers_on_and_catches_up(
    transactional_db: None,
    tmp_path: Path,
    database: tuple[Proxy, str],
    server_key: str,
    a_flag: Callable[..., Any],
    how: str,
) -> None:
    a_flag()
    proxy, address = database
    with (
        served(tmp_path, DATABASE_URL=address) as server,
        server.websocket("/ws/v1/ruleset") as socket,
    ):
        socket.send(hello(server_key))
        version = next_frame(socket)["ruleset"]["version"]

        getattr(proxy, how)()
        change(SWITCHED_ON)
        wait_until(lambda: server.ready()["database"] == "unreachable", "it notices")
        old = server.evaluate(server_key, "new-checkout")
        unknown = server.evaluate("fss_nobody", "new-checkout")
        ruleset = server.get("/sdk/v1/ruleset", server_key)
        proxy.restore()
        pushed = next_frame(socket)

        assert (old.status_code, old.json()["value"]) == (200, False)
        assert int(old.headers["flagsite-age"]) >= 10
        assert server.http.get("/healthz").status_code == 200
        assert (ruleset.status_code, ruleset.json()["version"]) == (200, version)
        assert (unknown.status_code, unknown.headers["retry-after"]) == (503, "1")
        assert pushed["version"] == version + 1
        wait_until(lambda: server.ready()["database"] == "reachable", "it is well again")
        assert value(server, server_key) is True
        assert "flagsite-age" not in server.evaluate(server_key, "new-checkout").headers


@pytest.mark.parametrize("how", ["cut", "fall_silent"])
def test_without_the_channel_layer_changes_arrive_by_the_truth_check(
    transactional_db: None,
    tmp_path: Path,
    valkey: tuple[Proxy, str],
    server_key: str,
    a_flag: Callable[..., Any],
    how: str,
) -> None:
    a_flag()
    proxy, address = valkey
    with (
        served(tmp_path, REDIS_URL=address) as server,
        server.websocket("/ws/v1/ruleset") as socket,
    ):
        socket.send(hello(server_key))
        version = next_frame(socket)["ruleset"]["version"]
        wait_until(lambda: server.ready()["channel_layer"] == "connected", "it hears hints")

        getattr(proxy, how)()
        change(SWITCHED_ON, broadcast=False)
        pushed = next_frame(socket)
        wait_until(lambda: server.ready()["channel_layer"] == "disconnected", "it notices")
        proxy.restore()

        assert pushed["version"] == version + 1
        assert value(server, server_key) is True
        wait_until(lambda: server.ready()["channel_layer"] == "connected", "it hears hints again")


def test_hints_are_heard_again_after_the_store_forgot_its_groups(
    transactional_db: None, tmp_path: Path, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    # Servers that were cut off never left the group.
    forget_everything()
    # With a truth check this rare only a hint can bring the change in time.
    with (
        served(tmp_path, FLAGSITE_TRUTH_CHECK_SECONDS="300") as server,
        server.websocket("/ws/v1/ruleset") as socket,
    ):
        socket.send(hello(server_key))
        version = next_frame(socket)["ruleset"]["version"]
        wait_until(lambda: server.ready()["channel_layer"] == "connected", "it hears hints")
        # Servers of other tests may listen as well, so one member alone may be another's.
        members = listeners()
        forget_everything()
        wait_until(lambda: listeners() >= members, "it joins the group again")

        (event,) = change(SWITCHED_ON).events

        def heard() -> bool:
            """A hint may be lost, so it is sent again until one is heard."""
            send_hint(event)
            with contextlib.suppress(TimeoutError):
                return bool(json.loads(socket.recv(timeout=1))["version"] == version + 1)
            return False

        wait_until(heard, "a hint leads to the delta")


def test_a_process_that_starts_in_an_outage_answers_from_disk(
    transactional_db: None,
    tmp_path: Path,
    database: tuple[Proxy, str],
    server_key: str,
    a_flag: Callable[..., Any],
) -> None:
    a_flag()
    proxy, address = database
    folder = tmp_path / "rulesets"
    with served(tmp_path, DATABASE_URL=address) as server:
        version = server.evaluate(server_key, "new-checkout").json()["metadata"]
        wait_until(lambda: len(list(folder.glob("[!.]*.json"))) == 2, "its state is on disk")
    kept = {path: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    proxy.cut()

    with (
        served(tmp_path, DATABASE_URL=address) as server,
        server.websocket("/ws/v1/ruleset") as socket,
    ):
        response = server.evaluate(server_key, "new-checkout")
        stream = Stream.objects.get(key=Environment.objects.get(key="production").stream_key)
        # An app that heard more before the outage keeps what it has.
        socket.send(hello(server_key, version=stream.version + 1, digest="0123456789abcdef"))
        told = next_frame(socket)

        assert response.json()["metadata"] == version
        assert "flagsite-age" in response.headers or server.ready()["age_seconds"] < 10
        assert told["type"] in ("current", "ruleset")
        change(SWITCHED_ON)
        proxy.restore()
        wait_until(lambda: value(server, server_key) is True, "it catches up")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert set(kept.values()) == {0o600}
    assert all(server_key not in path.read_text() for path in kept)


def test_a_key_revoked_during_an_outage_is_refused_after_it(
    transactional_db: None,
    tmp_path: Path,
    database: tuple[Proxy, str],
    server_key: str,
    a_flag: Callable[..., Any],
) -> None:
    a_flag()
    proxy, address = database
    with (
        served(tmp_path, DATABASE_URL=address) as server,
        server.websocket("/ws/v1/ruleset") as socket,
    ):
        socket.send(hello(server_key))
        next_frame(socket)
        proxy.cut()
        public_id = "_".join(server_key.split("_")[:2])
        change(RevokeSdkKey(project="shop", public_id=public_id))
        assert value(server, server_key) is False

        proxy.restore()

        assert close_code(socket) == 4409
        assert server.evaluate(server_key, "new-checkout").status_code == 401


def test_damaged_files_on_disk_do_not_keep_it_from_starting(
    transactional_db: None, tmp_path: Path, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    folder = tmp_path / "rulesets"
    folder.mkdir()
    production = Environment.objects.get(key="production")
    (folder / "keys.json").write_text('{"keys": [["x"]]}')
    (folder / f"{production.pk}.json").write_text("{")

    with served(tmp_path) as server:
        assert value(server, server_key) is False


def forget_everything() -> None:
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.flushdb()


def listeners() -> int:
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        return int(client.zcard("flagsite:group:hints"))

"""/ws/v1/ruleset: an SDK joins, is pushed every change, resumes, acknowledges, is closed."""

import contextlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from audit.models import Stream
from audit.outbox import deliver
from flagengine import Ruleset
from flags.changes import (
    ChangeSegmentIds,
    CreateSegment,
    DeleteEnvironment,
    RevokeSdkKey,
    SwitchFlag,
)
from flags.models import Delivery, Environment, Instance
from flags.snapshots import ruleset_document
from tests.served import (
    Served,
    an_sdk_key,
    change,
    close_code,
    hello,
    next_frame,
    wait_until,
)

PATH = "/ws/v1/ruleset"


def switch(on: bool, flag: str = "new-checkout") -> SwitchFlag:
    return SwitchFlag(project="shop", environment="production", flag=flag, on=on)


def test_a_newcomer_is_given_the_ruleset_and_then_each_change(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag(on=False)
    with server.websocket(PATH) as socket:
        socket.send(hello(server_key))
        first = next_frame(socket)
        ruleset = Ruleset.compile(first["ruleset"], clock=lambda: 0.0)

        change(switch(True))
        pushed = next_frame(socket)

        assert first["type"] == "ruleset"
        assert pushed["type"] == "delta"
        assert ruleset.evaluate("new-checkout", {}).reason == "DISABLED"
        assert ruleset.advance(pushed).evaluate("new-checkout", {}).value is True


def test_who_has_the_newest_is_told_so(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    with server.websocket(PATH) as socket:
        stream = production_stream()

        socket.send(hello(server_key, version=stream.version, digest=stream.digest))

        assert next_frame(socket) == {"type": "current", "version": stream.version}


def test_resuming_gives_what_was_missed(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    before = production_stream()
    change(switch(True), broadcast=False)
    change(switch(False))
    with server.websocket(PATH) as socket:
        socket.send(hello(server_key, version=before.version, digest=before.digest))

        frame = next_frame(socket)

        assert frame["type"] == "deltas"
        assert [delta["version"] for delta in frame["deltas"]] == [
            before.version + 1,
            before.version + 2,
        ]
        assert frame["deltas"][0]["previous"] == before.state


def test_a_state_that_is_not_in_the_log_gets_the_whole(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    stream = production_stream()
    for version in (stream.version, stream.version + 7, 1):
        with server.websocket(PATH) as socket:
            socket.send(hello(server_key, version=version, digest="0123456789abcdef"))

            frame = next_frame(socket)

            assert frame["type"] == "ruleset"
            assert frame["ruleset"]["digest"] == stream.digest


def test_a_ruleset_past_64_kb_is_fetched_over_http_and_hello_said_again(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    text = "x" * 30_000
    a_flag(type="string", variations=[{"key": k, "value": k + text} for k in "abc"])
    with server.websocket(PATH) as socket:
        socket.send(hello(server_key))
        fetch = next_frame(socket)
        ruleset = server.get("/sdk/v1/ruleset", server_key).json()

        change(switch(True))
        instance = str(uuid.uuid4())
        socket.send(
            hello(
                server_key, instance=instance, version=ruleset["version"], digest=ruleset["digest"]
            )
        )
        answered = next_frame(socket)
        if answered["type"] == "current":  # it had not heard of the change yet
            answered = next_frame(socket)

        assert fetch == {"type": "fetch", "version": ruleset["version"]}
        # The flag's entry is past the bound as well, so the delta travels over HTTP too.
        assert answered == {"type": "fetch", "version": ruleset["version"] + 1}


def test_the_whole_replaces_what_a_restored_database_made_untrue(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    with server.websocket(PATH) as socket:
        socket.send(hello(server_key))
        before = next_frame(socket)["ruleset"]
        # As after a restore: the same version, another history. Only the truth check can notice.
        Stream.objects.filter(key=production_stream().key).update(head_hash="f" * 64)

        frame = next_frame(socket)

        assert frame["type"] == "ruleset"
        assert (frame["ruleset"]["version"], frame["ruleset"]["digest"]) == (
            before["version"],
            "f" * 16,
        )
    wait_until(
        lambda: server.get("/sdk/v1/ruleset", server_key).json()["digest"] == "f" * 16, "HTTP"
    )


def test_a_lost_hint_costs_a_truth_check(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    with server.websocket(PATH) as socket:
        socket.send(hello(server_key))
        version = next_frame(socket)["ruleset"]["version"]

        change(switch(True), broadcast=False)

        assert next_frame(socket)["version"] == version + 1


def test_many_changes_arrive_in_order_without_gaps(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    with server.websocket(PATH) as socket:
        socket.send(hello(server_key))
        ruleset = Ruleset.compile(next_frame(socket)["ruleset"], clock=lambda: 0.0)

        for turn in range(40):
            change(switch(turn % 2 == 0))
        last = production_stream()
        while ruleset.version < last.version:
            ruleset = ruleset.advance(next_frame(socket))

        assert ruleset.state == last.state
        production = Environment.objects.get(key="production")
        assert ruleset.document["flags"] == ruleset_document(production)["flags"]


def test_ids_that_travel_beside_a_delta_can_be_fetched(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    change(CreateSegment(project="shop", key="beta"))
    a_flag(
        on=True,
        rules=[{"when": {"segment": "beta"}, "serve": {"variation": "on"}}],
        fallthrough={"variation": "off"},
    )
    ids = tuple(f"user-{number:06}" for number in range(10_000))
    with server.websocket(PATH) as socket:
        socket.send(hello(server_key))
        next_frame(socket)

        change(ChangeSegmentIds(project="shop", environment="production", segment="beta", add=ids))
        entry = next_frame(socket)["changes"][0]
        batch = server.get(entry["url"], server_key)

    assert batch.json() == {"add": list(ids), "remove": []}
    evaluated = server.evaluate(server_key, "new-checkout", {"targetingKey": "user-009999"})
    assert evaluated.json()["value"] is True
    elsewhere = server.get(entry["url"], an_sdk_key("server", "staging"))
    assert elsewhere.status_code == 404
    assert server.get(entry["url"], an_sdk_key("client")).status_code == 403


@pytest.mark.parametrize(
    "frame",
    [
        "no json",
        "[]",
        '{"no": "type"}',
        '{"type": "receipt", "version": 1}',
        '{"type": "hello"}',
        '{"type": "hello", "key": "KEY", "instance": "no uuid"}',
        '{"type": "hello", "key": "KEY", "instance": "UUID", "version": 1}',
        '{"type": "hello", "key": "KEY", "instance": "UUID", "version": -1, "digest": "0123456789abcdef"}',
        '{"type": "hello", "key": "KEY", "instance": "UUID", "version": 1e400, "digest": "0123456789abcdef"}',
        '{"type": "hello", "key": "KEY", "instance": "UUID", "version": 1, "digest": "xyz"}',
        '{"type": "hello", "key": 7, "instance": "UUID"}',
        "[" * 100_000,
        b"bytes",
    ],
)
def test_a_malformed_frame_closes_with_4400(
    server: Served, server_key: str, frame: str | bytes
) -> None:
    if isinstance(frame, str):
        frame = frame.replace("KEY", server_key).replace("UUID", str(uuid.uuid4()))
    with server.websocket(PATH) as socket:
        socket.send(frame)

        assert close_code(socket) == 4400


def test_an_unknown_key_closes_with_4401_and_a_client_key_with_4403(
    server: Served, server_key: str, client_key: str
) -> None:
    for key, code in (("fss_nobody", 4401), ("\ud800", 4401), (client_key, 4403)):
        with server.websocket(PATH) as socket:
            socket.send(hello(key))

            assert close_code(socket) == code


def test_revoking_a_key_closes_its_open_sockets_and_no_others(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    other = an_sdk_key("server")
    with server.websocket(PATH) as revoked, server.websocket(PATH) as stays:
        for socket, key in ((revoked, server_key), (stays, other)):
            socket.send(hello(key))
            next_frame(socket)

        public_id = "_".join(server_key.split("_")[:2])
        change(RevokeSdkKey(project="shop", public_id=public_id), broadcast=False)

        assert close_code(revoked) == 4409
        change(switch(True))
        assert next_frame(stays)["type"] == "delta"
    assert server.get("/sdk/v1/ruleset", server_key).status_code == 401
    assert server.evaluate(server_key, "new-checkout").status_code == 401


def test_deleting_the_environment_closes_its_sockets(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    with server.websocket(PATH) as socket:
        socket.send(hello(server_key))
        next_frame(socket)

        change(DeleteEnvironment(project="shop", environment="production"))

        assert close_code(socket) == 4409
    assert server.evaluate(server_key, "new-checkout").status_code == 401


def test_receipts_are_counted_against_who_was_connected_at_the_commit(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    names = ["one", "two", "late"]
    sockets = [server.websocket(PATH) for _ in names]
    for name, socket in zip(names[:2], sockets, strict=False):
        socket.send(hello(server_key, name=name))
        next_frame(socket)
    wait_until(lambda: Instance.objects.count() == 2, "both instances are on record")

    outcome = change(switch(True))
    deliver("default")
    version = outcome.versions["production"]
    for socket in sockets[:2]:
        assert next_frame(socket)["version"] == version
        socket.send(json.dumps({"type": "receipt", "version": version}))
    # Who joins later has the version too, and is no part of its delivery.
    sockets[2].send(hello(server_key, name="late"))
    next_frame(sockets[2])
    sockets[2].send(json.dumps({"type": "receipt", "version": version}))

    wait_until(lambda: Instance.objects.filter(version=version).count() == 3, "three receipts")
    delivery = wait_until(
        lambda: Delivery.objects.filter(version=version, receipts=2).first(), "two are counted"
    )
    assert (delivery.expected, delivery.client_receipts) == (2, 0)
    assert sum(delivery.histogram.values()) == 2
    for socket in sockets:
        socket.close()
    wait_until(
        lambda: Instance.objects.exclude(disconnected_at=None).count() == 3, "all are seen to leave"
    )


def test_a_slow_reader_holds_back_nobody_and_is_given_the_newest_state(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    filler = "x" * 50_000
    a_flag(type="string", variations=[{"key": "on", "value": filler}, {"key": "off", "value": "y"}])
    with (
        # It does not read, so its own keepalive would take the server for gone.
        server.websocket(PATH, max_queue=1, ping_interval=None) as slow,
        server.websocket(PATH) as quick,
    ):
        for socket in (slow, quick):
            socket.send(hello(server_key))
            next_frame(socket)
        # Far more than both kernels' buffers and the bounded queue can hold, and sooner than the
        # server takes a reader for stuck.
        read: list[dict[str, Any]] = []
        reading = threading.Thread(target=lambda: read.extend(frames_until_closed(quick)))
        reading.start()
        versions = [change(switch(turn % 2 == 0)).versions["production"] for turn in range(150)]
        wait_until(
            lambda: read and read[-1]["version"] == versions[-1], "the quick one has the newest"
        )
        quick.close()
        reading.join()
        assert {frame["type"] for frame in read} == {"delta"}
        seen = [next_frame(slow)]
        while seen[-1].get("version") != versions[-1]:
            seen.append(next_frame(slow))

        assert seen[-1]["type"] in ("fetch", "deltas", "delta")
        assert len(seen) < len(versions)


def frames_until_closed(socket: ClientConnection) -> Iterator[dict[str, Any]]:
    with contextlib.suppress(ConnectionClosed):
        while True:
            yield next_frame(socket)


def test_a_connection_that_says_nothing_is_closed(server: Served, server_key: str) -> None:
    with server.websocket(PATH) as socket:
        assert close_code(socket) == 4400


def test_an_address_that_is_none_is_refused(server: Served) -> None:
    with pytest.raises(InvalidStatus) as refused:
        server.websocket("/ws/v1/nothing")

    assert refused.value.response.status_code == 403


def production_stream() -> Stream:
    environment = Environment.objects.get(project__key="shop", key="production")
    return Stream.objects.get(key=environment.stream_key)

"""/ws/v1/evaluations: a browser's answers, sent when they change."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flags.changes import ConfigureFlag, EditFlag, SwitchFlag
from flags.models import Delivery, Instance
from tests.served import Served, change, close_code, hello, next_frame, wait_until

PATH = "/ws/v1/evaluations"


def switch(flag: str, on: bool) -> SwitchFlag:
    return SwitchFlag(project="shop", environment="production", flag=flag, on=on)


def test_a_context_is_answered_in_full_and_then_only_what_changes(
    server: Served, client_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag("one", client_visible=True)
    a_flag("two", client_visible=True)
    a_flag("hidden")
    with server.websocket(PATH) as socket:
        socket.send(hello(client_key, context={"targetingKey": "u"}))
        full = next_frame(socket)
        # What this context cannot see is not sent at all: the next frame is about "two".
        change(switch("hidden", True))

        outcome = change(switch("two", True))
        changed = next_frame(socket)

        off = {"variant": "off", "reason": "DISABLED", "value": False}
        assert full["type"] == "evaluations"
        assert full["flags"] == {"one": off, "two": off}
        assert changed == {
            "type": "evaluations",
            "version": outcome.versions["production"],
            "flags": {"two": {"variant": "on", "reason": "STATIC", "value": True}},
        }


def test_another_context_is_answered_in_full(
    server: Served, client_key: str, a_flag: Callable[..., Any]
) -> None:
    rule = {
        "when": {"attribute": "plan", "op": "in", "values": ["pro"]},
        "serve": {"variation": "on"},
    }
    a_flag(on=True, client_visible=True, fallthrough={"variation": "off"}, rules=[rule])
    with server.websocket(PATH) as socket:
        socket.send(hello(client_key, context={"plan": "free"}))
        before = next_frame(socket)
        socket.send(json.dumps({"type": "context", "context": {"plan": "pro", "a": "\ud800"}}))

        after = next_frame(socket)

        assert before["flags"]["new-checkout"]["value"] is False
        assert after["flags"]["new-checkout"]["value"] is True
        assert "rule" not in after["flags"]["new-checkout"]


def test_a_flag_that_is_no_longer_visible_is_taken_back(
    server: Served, client_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag(client_visible=True)
    with server.websocket(PATH) as socket:
        socket.send(hello(client_key, context={}))
        next_frame(socket)

        change(EditFlag(project="shop", flag="new-checkout", client_visible=False))

        assert next_frame(socket)["flags"] == {"new-checkout": None}


def test_an_instant_that_passes_is_sent_without_a_change(
    server: Served, client_key: str, a_flag: Callable[..., Any]
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2.5)
    rule = {
        "when": {"attribute": "now", "op": "after", "values": [soon.isoformat()]},
        "serve": {"variation": "on"},
    }
    a_flag(on=True, client_visible=True, fallthrough={"variation": "off"}, rules=[rule])
    with server.websocket(PATH) as socket:
        socket.send(hello(client_key, context={}))
        before = next_frame(socket)

        after = next_frame(socket)

        assert before["flags"]["new-checkout"]["value"] is False
        assert after["flags"]["new-checkout"]["value"] is True
        assert after["version"] == before["version"]


def test_a_missing_targeting_key_is_an_error_of_its_flag_alone(
    server: Served, client_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag("plain", client_visible=True)
    split = {"split": {"by": "targetingKey", "shares": [["on", 50_000], ["off", 50_000]]}}
    a_flag(on=True, client_visible=True, fallthrough=split)
    with server.websocket(PATH) as socket:
        socket.send(hello(client_key, context={}))

        flags = next_frame(socket)["flags"]

        assert flags["new-checkout"]["errorCode"] == "TARGETING_KEY_MISSING"
        assert flags["plain"]["value"] is False


def test_browsers_are_counted_apart_and_forgotten_when_they_leave(
    server: Served, client_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag(client_visible=True)
    with server.websocket(PATH) as socket:
        socket.send(hello(client_key, context={}))
        next_frame(socket)
        wait_until(lambda: Instance.objects.filter(kind="client").exists(), "it is on record")

        change(switch("new-checkout", True))
        version = next_frame(socket)["version"]
        socket.send(json.dumps({"type": "receipt", "version": version}))

        delivery = wait_until(
            lambda: Delivery.objects.filter(version=version, client_receipts=1).first(),
            "the receipt is counted",
        )
        assert (delivery.receipts, delivery.histogram) == (0, {})
    wait_until(lambda: not Instance.objects.exists(), "its row is gone")


def test_a_server_key_is_the_wrong_kind(server: Served, server_key: str) -> None:
    with server.websocket(PATH) as socket:
        socket.send(hello(server_key, context={}))

        assert close_code(socket) == 4403


@pytest.mark.parametrize(
    "frame", ['{"type": "context", "context": {}}', '{"type": "hello", "context": []}', "x"]
)
def test_a_malformed_frame_closes_with_4400(server: Served, frame: str) -> None:
    with server.websocket(PATH) as socket:
        socket.send(frame)

        assert close_code(socket) == 4400


def test_many_contexts_are_all_told(
    server: Served, client_key: str, a_flag: Callable[..., Any]
) -> None:
    rule = {
        "when": {"attribute": "n", "op": "lt", "values": [30]},
        "serve": {"variation": "on"},
    }
    a_flag(client_visible=True)
    sockets = [server.websocket(PATH) for _ in range(60)]
    for number, socket in enumerate(sockets):
        socket.send(hello(client_key, context={"n": number}))
        next_frame(socket)

    change(
        ConfigureFlag(
            project="shop",
            environment="production",
            flag="new-checkout",
            enabled=True,
            rules=[rule],
            fallthrough={"variation": "off"},
        )
    )

    seen = [next_frame(socket)["flags"]["new-checkout"]["value"] for socket in sockets]
    assert seen == [number < 30 for number in range(60)]
    for socket in sockets:
        socket.close()

"""Following the server over the websocket."""

import dataclasses
import hashlib
import json
import logging

import pytest

from tests.sdk.conftest import QUICK
from tests.sdk.loopback import KEY, Close, a_flag, a_ruleset, digest_of


def test_a_change_is_pushed_and_acknowledged(server, connect, until):
    client = connect(instance_name="checkout-7f9c")
    assert client.wait_until_ready(10)

    server.change(a_flag("new-checkout", value=False, version=2))

    server.wait_for(lambda: server.receipts == [1, 2])
    assert client.boolean_details("new-checkout", True)[:1] == (False,)
    assert client.boolean_details("new-checkout", True).environment_version == 2
    state = client.state
    assert (state.status, state.version, state.connected) == ("ready", 2, True)
    assert state.environment == server.ruleset["environment"]
    (hello,) = server.hellos
    assert hello["name"] == "checkout-7f9c"
    assert hello["sdk"].startswith("python/")
    assert "version" not in hello


def test_a_lost_connection_resumes_where_it_was(server, connect):
    client = connect()
    assert client.wait_until_ready(10)
    server.wait_for(lambda: server.receipts == [1])

    server.change(a_flag("new-checkout", value=False, version=2), push=False)
    server.change(a_flag("other", version=1), push=False)
    server.send(Close(1012))

    server.wait_for(lambda: 3 in server.receipts)
    first, second = server.hellos[:2]
    assert (second["version"], second["digest"]) == (1, digest_of(1))
    assert second["instance"] == first["instance"]
    assert client.boolean("new-checkout", True) is False
    assert client.boolean("other", False) is True
    # A receipt says "I evaluate with it": nobody ever evaluated with version 2.
    assert server.receipts == [1, 3]


def test_a_server_that_restarts_is_found_again(server, connect, until):
    client = connect()
    assert client.wait_until_ready(10)

    server.stop()
    until(lambda: client.state.status == "stale")
    assert client.boolean("new-checkout", False) is True
    server.change(a_flag("new-checkout", value=False, version=2), push=False)
    server.start()

    until(lambda: client.state.connected)
    assert client.boolean("new-checkout", True) is False
    assert client.state.status == "ready"


def test_too_much_for_a_frame_is_fetched(server, connect):
    client = connect()
    assert client.wait_until_ready(10)
    server.wait_for(lambda: server.receipts == [1])
    server.change(a_flag("new-checkout", value=False, version=2), push=False)

    server.send({"type": "fetch", "version": 2})

    server.wait_for(lambda: server.receipts == [1, 2])
    server.wait_for(lambda: len(server.hellos) == 2)
    assert client.boolean("new-checkout", True) is False
    assert any("/since/1-" in path for _, path, _ in server.requests)
    assert [hello.get("version") for hello in server.hellos] == [None, 2]


def test_a_first_ruleset_that_is_too_much_for_a_frame_is_fetched(server, connect):
    server.script = lambda hello: (
        server.answer_hello(hello) if "version" in hello else [{"type": "fetch", "version": 1}]
    )

    client = connect()

    assert client.wait_until_ready(10)
    assert client.boolean("new-checkout", False) is True
    server.wait_for(lambda: server.receipts == [1])


def test_a_state_the_log_does_not_have_is_fetched_whole(server, connect):
    client = connect()
    assert client.wait_until_ready(10)
    # A backup was restored: the same numbers mean something else now.
    server.ruleset = a_ruleset(a_flag("restored"), version=9)
    server.deltas.clear()

    server.send({"type": "fetch", "version": 9})

    server.wait_for(lambda: 9 in server.receipts)
    assert client.boolean("restored", False) is True
    assert client.boolean_details("new-checkout", False).error_code == "FLAG_NOT_FOUND"


@pytest.fixture
def beta_only(server):
    """A server whose flag is on for a segment of many ids, which is still empty."""
    rule = {"id": "r1", "when": {"segment": "beta"}, "serve": {"variation": "served"}}
    flag = a_flag(
        "beta-only",
        rules=[rule],
        variations=[{"key": "served", "value": True}, {"key": "no", "value": False}],
        fallthrough={"variation": "no"},
    )
    server.ruleset = a_ruleset(flag, segments={"beta": {"key": "beta"}})
    return server


def by_digest(server, ids):
    body = json.dumps({"add": ids, "remove": []}).encode()
    digest = hashlib.sha256(body).hexdigest()
    server.id_batches[digest] = body
    return {
        "kind": "segment_ids",
        "key": "beta",
        "list": "included",
        "by": "targetingKey",
        "digest": digest,
        "url": f"/sdk/v1/segment-ids/{digest}",
    }


def test_ids_too_many_for_a_delta_are_fetched(beta_only, connect):
    client = connect()
    assert client.wait_until_ready(10)
    user = {"targetingKey": "user-4999"}
    assert client.boolean("beta-only", True, user) is False

    beta_only.change(by_digest(beta_only, [f"user-{number}" for number in range(5_000)]))

    beta_only.wait_for(lambda: 2 in beta_only.receipts)
    assert client.boolean("beta-only", False, user) is True
    assert [path for _, path, _ in beta_only.requests if path == "/sdk/v1/ruleset"] == []


@pytest.mark.parametrize(
    "spoil", [lambda body: body + b" ", lambda body: None], ids=["wrong", "gone"]
)
def test_ids_that_cannot_be_had_are_fetched_with_the_whole(beta_only, connect, spoil):
    client = connect()
    assert client.wait_until_ready(10)
    change = by_digest(beta_only, ["user-1"])
    delta = beta_only.change(change, push=False)
    body = spoil(beta_only.id_batches[change["digest"]])
    beta_only.id_batches = {} if body is None else {change["digest"]: body}

    beta_only.send({"type": "delta", **delta})

    beta_only.wait_for(lambda: 2 in beta_only.receipts)
    assert client.boolean("beta-only", False, {"targetingKey": "user-1"}) is True


BAD_DELTAS = {
    "on another state": lambda delta: {**delta, "previous": "7-0000000000000000"},
    "of a kind nobody knows": lambda delta: {
        **delta,
        "changes": [{"kind": "planet", "key": "mars", "value": {}}],
    },
    "without changes": lambda delta: {**delta, "changes": None},
    "with a change that is none": lambda delta: {**delta, "changes": [7]},
}


@pytest.mark.parametrize("spoil", BAD_DELTAS.values(), ids=BAD_DELTAS)
def test_a_delta_that_does_not_fit_is_answered_by_fetching_the_whole(server, connect, spoil):
    client = connect()
    assert client.wait_until_ready(10)
    delta = server.change(a_flag("new-checkout", value=False, version=2), push=False)

    server.send({"type": "delta", **spoil(delta)})

    server.wait_for(lambda: 2 in server.receipts)
    assert client.boolean("new-checkout", True) is False


def test_a_delta_that_is_known_already_changes_nothing(server, connect):
    client = connect()
    assert client.wait_until_ready(10)
    delta = server.change(a_flag("new-checkout", value=False, version=2))
    server.wait_for(lambda: server.receipts == [1, 2])

    server.send({"type": "delta", **delta})
    server.change(a_flag("new-checkout", value=True, version=3))

    server.wait_for(lambda: server.receipts == [1, 2, 3])
    assert not any(method == "GET" for method, _, _ in server.requests)
    assert client.boolean("new-checkout", False) is True


def test_a_server_process_that_lags_does_not_turn_back_the_clock(server, connect, until):
    client = connect()
    assert client.wait_until_ready(10)
    server.change(a_flag("new-checkout", value=False, version=2))
    server.wait_for(lambda: 2 in server.receipts)

    server.send({"type": "ruleset", "ruleset": a_ruleset(a_flag("new-checkout"), version=1)})
    server.change(a_flag("new-checkout", value=False, version=3))

    server.wait_for(lambda: 3 in server.receipts)
    assert server.receipts == [1, 2, 3]


def test_an_older_version_is_believed_when_it_stays(server, connect, until):
    server.ruleset = a_ruleset(a_flag("new-checkout"), version=5)
    client = connect(pace=dataclasses.replace(QUICK, lag_tolerance=0.0))
    assert client.wait_until_ready(10)

    server.ruleset = a_ruleset(a_flag("new-checkout", value=False), version=3)
    server.send(Close(1012))

    until(lambda: client.state.version == 3)
    assert client.boolean("new-checkout", True) is False


def test_a_goodbye_is_obeyed(server, connect, until):
    pace = dataclasses.replace(QUICK, poll_interval=60, poll_after_loss=60)
    client = connect(pace=pace)
    assert client.wait_until_ready(10)

    server.send({"type": "goodbye", "retry_after_ms": 150})

    server.wait_for(lambda: len(server.hellos) == 2)
    until(lambda: client.state.connected)
    assert server.hellos[1]["version"] == 1
    assert client.state.status == "ready"


@pytest.mark.parametrize("pause", [None, "soon", -5, [], True, "NaN"])
def test_a_goodbye_without_a_sensible_pause_harms_nothing(server, connect, pause):
    client = connect()
    assert client.wait_until_ready(10)

    if pause == "NaN":
        server.send('{"type": "goodbye", "retry_after_ms": NaN}')
    else:
        server.send({"type": "goodbye", "retry_after_ms": pause})

    server.wait_for(lambda: len(server.hellos) == 2)


@pytest.mark.parametrize("code", [4401, 4403, 4409])
def test_a_refused_key_keeps_the_last_rules_and_is_tried_again(server, connect, until, code):
    client = connect()
    assert client.wait_until_ready(10)

    def refuse(hello):
        raise Close(code)

    server.script = refuse
    server.statuses["/sdk/"] = 401
    server.send(Close(code))
    until(lambda: client.state.status == "refused")
    assert client.state.problem
    assert client.boolean("new-checkout", False) is True

    server.script = server.answer_hello
    del server.statuses["/sdk/"]
    until(lambda: client.state.status == "ready")


@pytest.mark.parametrize("code", [1012, 1011, 4400, 4408, 4429])
def test_any_other_close_is_answered_by_coming_back(server, connect, code):
    client = connect()
    assert client.wait_until_ready(10)

    server.send(Close(code))

    server.wait_for(lambda: len(server.hellos) == 2)
    assert client.boolean("new-checkout", False) is True


def test_a_wrong_key_is_known_quickly_and_answers_defaults(server, connect):
    client = connect(key="fs_server_ffff_wrong")

    assert client.wait_until_ready(10) is False

    assert client.state.status == "refused"
    assert client.boolean_details("new-checkout", False).error_code == "PROVIDER_NOT_READY"


GARBAGE = {
    "not JSON": "{",
    "binary": b"\x00\x01",
    "a number": "7",
    "endless nesting": "[" * 100_000,
    "a ruleset that is none": {"type": "ruleset", "ruleset": [1]},
    "a ruleset left out": {"type": "ruleset"},
    "deltas that are none": {"type": "deltas", "deltas": {"a": 1}},
    "a current version nobody holds": {"type": "current", "version": 99},
    "a number past Python's limit": '{"type": "current", "version": ' + "9" * 5000 + "}",
}


@pytest.mark.parametrize("frame", GARBAGE.values(), ids=GARBAGE)
def test_garbage_costs_a_reconnection_at_most(server, connect, frame):
    client = connect()
    assert client.wait_until_ready(10)

    server.send(frame)

    server.wait_for(lambda: len(server.hellos) >= 2)
    assert client.boolean("new-checkout", False) is True


def test_garbage_as_first_word_leaves_the_app_with_its_defaults(server, connect):
    server.script = lambda hello: ["{"]
    server.statuses["/sdk/"] = 500
    client = connect()

    server.wait_for(lambda: len(server.hellos) >= 3)

    assert client.wait_until_ready(0) is False
    assert client.string("color", "mine") == "mine"
    server.script = server.answer_hello
    assert client.wait_until_ready(10)


def test_messages_of_a_newer_server_are_passed_over(server, connect):
    client = connect()
    assert client.wait_until_ready(10)

    server.send({"type": "weather", "rain": True})
    server.change(a_flag("new-checkout", value=False, version=2))

    server.wait_for(lambda: server.receipts == [1, 2])
    assert len(server.hellos) == 1
    assert client.boolean("new-checkout", True) is False


def test_a_bad_flag_hurts_only_itself(server, connect):
    server.ruleset = a_ruleset(a_flag("good"), a_flag("bad", fallthrough={"variation": 7}))

    client = connect()

    assert client.wait_until_ready(10)
    assert client.boolean("good", False) is True
    assert client.boolean_details("bad", False).error_code == "GENERAL"


def test_the_key_is_in_no_log_and_no_address(server, connect, caplog, until):
    caplog.set_level(logging.DEBUG)
    for name in ("flagclient", "flagclient.websocket", "websockets", "websockets.client"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    client = connect()
    assert client.wait_until_ready(10)
    server.stop()
    until(lambda: client.state.status == "stale")
    client.close()

    assert any(record.name == "flagclient" for record in caplog.records)
    own = [
        record for record in caplog.records if not record.name.startswith(("uvicorn", "asyncio"))
    ]
    secret = KEY.rsplit("_", 1)[1]
    # The server half of this test logs its frames too; only what the client writes counts.
    assert not [r for r in own if secret in r.getMessage() and "server" not in r.name]
    assert secret not in repr(client) + str(client.state)
    assert not any(secret in path for _, path, _ in server.requests)

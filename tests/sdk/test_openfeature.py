"""The provider, through OpenFeature's own API."""

import queue
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from flagclient.openfeature import FlagsiteProvider
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent
from openfeature.exception import ErrorCode, ProviderFatalError, ProviderNotReadyError
from openfeature.flag_evaluation import FlagType
from openfeature.provider import ProviderStatus

from tests.sdk.loopback import PATIENCE, Close, a_flag, a_ruleset

VALUES = {
    FlagType.BOOLEAN: True,
    FlagType.STRING: "blue",
    FlagType.INTEGER: 7,
    FlagType.FLOAT: 2.5,
    FlagType.OBJECT: {"sizes": [1, 2]},
}
DEFAULTS = {
    FlagType.BOOLEAN: False,
    FlagType.STRING: "",
    FlagType.INTEGER: 0,
    FlagType.FLOAT: 0.0,
    FlagType.OBJECT: {},
}


def a_rule(attribute, op, *values):
    condition = {"attribute": attribute, "op": op, "values": list(values)}
    return {"id": "r1", "when": condition, "serve": {"variation": "served"}}


@pytest.fixture(autouse=True)
def no_provider_is_left_behind():
    yield
    api.shutdown()
    api.clear_providers()


@pytest.fixture
def flags(server):
    never = {"fallthrough": {"variation": "no"}}
    variations = [{"key": "served", "value": True}, {"key": "no", "value": False}]
    server.ruleset = a_ruleset(
        *(
            a_flag(f"a-{kind}", value=value, kind={"OBJECT": "json"}.get(kind, kind.lower()))
            for kind, value in VALUES.items()
        ),
        a_flag("new-checkout"),
        a_flag(
            "launched",
            variations=variations,
            rules=[a_rule("since", "after", "2026-01-01T00:00:00Z")],
            **never,
        ),
        a_flag(
            "nested", variations=variations, rules=[a_rule("company.plan", "in", "pro")], **never
        ),
        a_flag("mine", variations=variations, rules=[a_rule("targetingKey", "in", "u1")], **never),
        a_flag("waiting", prerequisites=[{"flag": "nowhere", "variations": ["on"]}]),
        version=42,
    )
    return server.ruleset["flags"]


@pytest.fixture
def client(flags, connect):
    api.set_provider_and_wait(FlagsiteProvider(connect()))
    return api.get_client()


@pytest.mark.parametrize("kind", VALUES)
def test_each_type_is_resolved_with_its_details(client, kind):
    details = client.evaluate_flag_details(kind, f"a-{kind}", DEFAULTS[kind])

    assert (details.value, details.variant, details.reason) == (VALUES[kind], "served", "STATIC")
    assert details.flag_metadata == {"flagVersion": 1, "environmentVersion": 42}
    assert details.error_code is None


@pytest.mark.parametrize("kind", VALUES)
async def test_each_type_is_resolved_in_asyncio(client, kind):
    details = await client.evaluate_flag_details_async(kind, f"a-{kind}", DEFAULTS[kind])

    assert details.value == VALUES[kind]


@pytest.mark.parametrize(
    ("flag", "code"),
    [("nowhere", ErrorCode.FLAG_NOT_FOUND), ("a-STRING", ErrorCode.TYPE_MISMATCH)],
)
def test_an_error_is_the_default_with_a_code(client, flag, code):
    details = client.get_integer_details(flag, 3)

    assert (details.value, details.error_code, details.reason) == (3, code, "ERROR")


def test_a_rule_is_named_in_the_metadata(client):
    details = client.get_boolean_details("mine", False, EvaluationContext("u1"))

    assert (details.value, details.reason) == (True, "TARGETING_MATCH")
    assert details.flag_metadata["rule"] == "r1"


def test_a_failed_prerequisite_travels_under_a_name_openfeature_has(client):
    details = client.get_boolean_details("waiting", False)

    assert (details.value, details.reason, details.error_code) == (False, "DISABLED", None)


EAST = timezone(timedelta(hours=14))


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC), True),
        (datetime(2026, 1, 1, 0, 0, 1), True),
        (datetime(2026, 1, 1, 13, 59, tzinfo=EAST), False),
        (datetime(2026, 1, 1, 14, 0, 1, 500, tzinfo=EAST), True),
        (date(2026, 1, 2), True),
        (date(2025, 12, 31), False),
        ("2026-01-02T00:00:00Z", True),
    ],
)
def test_datetimes_in_a_context_are_instants(client, since, expected):
    context = EvaluationContext(attributes={"since": since})

    assert client.get_boolean_value("launched", not expected, context) is expected


def test_nested_attributes_reach_the_rules(client):
    context = EvaluationContext(attributes={"company": {"plan": "pro", "tags": ("a", "b")}})

    assert client.get_boolean_value("nested", False, context) is True


def test_a_context_that_cannot_be_read_is_the_default(client):
    endless = {}
    endless["self"] = endless

    details = client.get_boolean_details(
        "nested", True, EvaluationContext(attributes={"company": endless})
    )

    assert (details.value, details.error_code) == (True, ErrorCode.INVALID_CONTEXT)


def test_changes_are_events(client, server):
    events = queue.Queue()
    client.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, events.put)

    server.change(a_flag("new-checkout", value=False, version=2))

    event = events.get(timeout=PATIENCE)
    assert event.flags_changed == ["new-checkout"]
    assert event.metadata == {"environmentVersion": 43}
    assert event.provider_name == "Flagsite"
    assert client.get_boolean_value("new-checkout", True) is False


def test_a_server_that_goes_and_comes_back_is_stale_and_ready(client, server):
    events = queue.Queue()
    client.add_handler(
        ProviderEvent.PROVIDER_STALE, lambda e: events.put(ProviderEvent.PROVIDER_STALE)
    )

    server.stop()
    assert events.get(timeout=PATIENCE) is ProviderEvent.PROVIDER_STALE
    assert client.get_provider_status() is ProviderStatus.STALE
    assert client.get_boolean_value("new-checkout", False) is True
    client.add_handler(
        ProviderEvent.PROVIDER_READY, lambda e: events.put(ProviderEvent.PROVIDER_READY)
    )
    server.start()

    assert events.get(timeout=PATIENCE) is ProviderEvent.PROVIDER_READY


def test_a_revoked_key_is_an_error_and_the_last_rules_go_on(client, server):
    events = queue.Queue()
    client.add_handler(ProviderEvent.PROVIDER_ERROR, events.put)

    def refuse(hello):
        raise Close(4409)

    server.script = refuse
    server.statuses["/sdk/"] = 401
    server.send(Close(4409))

    assert events.get(timeout=PATIENCE).error_code is ErrorCode.GENERAL
    assert client.get_boolean_value("new-checkout", False) is True


def test_without_a_server_the_provider_is_not_ready_and_then_is(server, connect):
    server.statuses["/"] = server.statuses["websocket"] = 503
    ready = queue.Queue()

    with pytest.raises(ProviderNotReadyError):
        api.set_provider_and_wait(FlagsiteProvider(connect(), ready_timeout=0.05))
    client = api.get_client()
    assert client.get_provider_status() is ProviderStatus.ERROR
    assert client.get_boolean_value("new-checkout", False) is False
    client.add_handler(ProviderEvent.PROVIDER_READY, ready.put)
    server.statuses.clear()

    ready.get(timeout=PATIENCE)
    assert client.get_boolean_value("new-checkout", False) is True


def test_a_wrong_key_is_fatal_at_start(connect):
    with pytest.raises(ProviderFatalError):
        api.set_provider_and_wait(FlagsiteProvider(connect(key="wrong")))


def test_shutting_down_closes_the_client(flags, connect):
    own = connect()
    api.set_provider_and_wait(FlagsiteProvider(own))

    api.shutdown()

    assert own.state.status == "closed"

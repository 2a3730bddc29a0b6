"""The calls apps make: the value or the default, with the reason, whatever is passed."""

import math
from itertools import permutations
from types import MappingProxyType

import pytest
from flagclient import Details, FlagClient

from tests.sdk.conftest import QUICK
from tests.sdk.loopback import KEY, LoopbackServer, a_flag, a_ruleset

VALUES = {
    "boolean": True,
    "string": "blue",
    "integer": 7,
    "float": 2.5,
    "json": {"sizes": [1, {"two": 2}]},
}
DEFAULTS = {"boolean": False, "string": "", "integer": 0, "float": 0.0, "json": None}


@pytest.fixture(scope="module")
def client():
    """One client for all of this file: no test changes what it answers."""
    ruleset = a_ruleset(
        *(a_flag(f"a-{kind}", value=value, kind=kind) for kind, value in VALUES.items()),
        a_flag("off", enabled=False, version=5),
        a_flag("whole", value=3, kind="float"),
        a_flag(
            "by-country",
            rules=[
                {
                    "id": "r1",
                    "when": {"attribute": "country", "op": "in", "values": ["DE"]},
                    "serve": {"variation": "served"},
                }
            ],
            variations=[{"key": "served", "value": True}, {"key": "no", "value": False}],
            fallthrough={"variation": "no"},
        ),
        a_flag(
            "split",
            fallthrough={
                "split": {"by": "targetingKey", "salt": "s", "shares": [["served", 100000]]}
            },
        ),
        version=42,
    )
    with LoopbackServer(ruleset) as server, FlagClient(server.url, KEY, pace=QUICK) as client:
        assert client.wait_until_ready(10)
        yield client


@pytest.mark.parametrize("kind", VALUES)
def test_each_type_has_its_call_and_its_details(client, kind):
    details = getattr(client, f"{kind}_details")(f"a-{kind}", DEFAULTS[kind])

    assert getattr(client, kind)(f"a-{kind}", DEFAULTS[kind]) == VALUES[kind]
    assert details == Details(VALUES[kind], "served", "STATIC", None, 1, 42, None, None)
    assert type(details.value) is type(VALUES[kind])


@pytest.mark.parametrize(("kind", "asked"), list(permutations(VALUES, 2)))
def test_a_flag_of_another_type_gives_the_default_and_says_so(client, kind, asked):
    details = getattr(client, f"{asked}_details")(f"a-{kind}", DEFAULTS[asked])

    assert (details.value, details.variation) == (DEFAULTS[asked], None)
    assert (details.reason, details.error_code) == ("ERROR", "TYPE_MISMATCH")
    assert kind in details.error_message


def test_a_type_mismatch_is_noticed_after_a_good_answer_too(client):
    assert client.boolean("a-boolean", False) is True

    assert client.string_details("a-boolean", "").error_code == "TYPE_MISMATCH"


def test_a_rule_that_matches_is_named(client):
    details = client.boolean_details("by-country", False, {"country": "DE"})

    assert details == Details(True, "served", "TARGETING_MATCH", "r1", 1, 42, None, None)
    assert client.boolean("by-country", True, {"country": "FR"}) is False


def test_off_without_an_off_variation_is_the_default(client):
    assert client.boolean_details("off", True) == Details(
        True, None, "DISABLED", None, 5, 42, None, None
    )
    assert client.boolean("off", False) is False


def test_an_unknown_flag_is_the_default(client):
    details = client.integer_details("nowhere", 3)

    assert (details.value, details.error_code) == (3, "FLAG_NOT_FOUND")


def test_a_missing_targeting_key_is_the_default(client):
    assert client.boolean_details("split", False).error_code == "TARGETING_KEY_MISSING"
    assert client.boolean("split", False, {"targetingKey": "user-1"}) is True


def test_a_float_is_a_float_however_it_was_written(client):
    assert type(client.float("whole", 0.0)) is float


def test_a_json_value_is_the_callers_own(client):
    client.json("a-json", None)["sizes"][1]["two"] = 3
    client.json_details("a-json", None).value["sizes"].clear()

    assert client.json("a-json", None) == VALUES["json"]


class Hostile:
    """An object of which every use raises."""

    def __getattribute__(self, name):
        raise RuntimeError(name)

    def __eq__(self, other):
        raise RuntimeError("==")

    def __hash__(self):
        raise RuntimeError("hash")


def _nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


ODD_CONTEXTS = {
    "text": lambda: "text",
    "number": lambda: 7,
    "list": list,
    "hostile attribute": lambda: {"country": Hostile()},
    "deep": lambda: {"country": _nested(100_000)},
    "lone surrogate": lambda: {"country": "\ud800"},
    "odd numbers": lambda: {"country": math.nan, "targetingKey": 10**5000},
    "names that are none": lambda: {1: 2, None: 3},
    "hostile": Hostile,
}


@pytest.mark.parametrize("make", ODD_CONTEXTS.values(), ids=ODD_CONTEXTS)
@pytest.mark.parametrize("flag", ["by-country", "split", "off"])
def test_nothing_that_is_passed_as_context_raises(client, make, flag):
    context = make()

    assert client.boolean(flag, False, context) in (True, False)
    assert isinstance(client.boolean_details(flag, False, context), Details)


@pytest.mark.parametrize(
    "make", [lambda: None, lambda: 7, list, dict, str, lambda: "\ud800", Hostile]
)
def test_nothing_that_is_passed_as_flag_raises(client, make):
    flag, marker = make(), object()

    assert client.boolean(flag, marker) is marker
    assert client.json_details(flag, marker).reason == "ERROR"


def test_any_mapping_serves_as_context(client):
    class Attributes(dict):
        pass

    assert client.boolean("by-country", False, MappingProxyType({"country": "DE"})) is True
    assert client.boolean("by-country", False, Attributes(country="DE")) is True


def test_before_the_first_ruleset_the_default_is_the_answer(server, connect):
    server.statuses["/"] = server.statuses["websocket"] = 503

    details = connect().string_details("a-string", "mine")

    assert details == Details(
        "mine", None, "ERROR", None, None, None, "PROVIDER_NOT_READY", details.error_message
    )


@pytest.mark.parametrize("url", ["", "ftp://x", "localhost:8000", "http://", "http://u:p@host"])
def test_an_address_that_cannot_be_one_is_refused_at_once(connect, url):
    with pytest.raises(ValueError, match="url"):
        connect(url=url)


@pytest.mark.parametrize("key", ["", "a b", "a\r\nX-Evil: 1", "schlüssel", None])
def test_a_key_that_cannot_be_one_is_refused_without_repeating_it(connect, key):
    with pytest.raises(ValueError, match=r"^key: ") as refusal:
        connect(key=key)

    assert not key or key not in str(refusal.value)


@pytest.mark.parametrize("more", [{}, {"company": {"plan": "pro"}}, {"tags": ["a"]}])
def test_flat_and_nested_contexts_answer_alike_from_the_first_call_on(client, more):
    context = {"country": "DE", **more}

    answers = {client.boolean_details("by-country", False, context) for _ in range(3)}

    assert {(each.value, each.rule) for each in answers} == {(True, "r1")}

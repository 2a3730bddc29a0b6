"""The engine and the plain reading of the contract give the same answers."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flagengine import Ruleset, binding, compiling
from tests.engine import oracle
from tests.engine.rulesets import FLAG_KEYS, NOW, contexts, json_values, rulesets

generous = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def no_clock():
    raise AssertionError("the clock was read although `now` was given")


def told(result):
    answer = result._asdict()
    del answer["error_message"]
    return answer


def same(one, other):
    """Equal in value and in JSON type: 1 is not true, 1 is not 1.0."""
    return one == other and repr(one["value"]) == repr(other["value"])


def assert_agreement(document, context):
    ruleset = Ruleset.compile(document, clock=no_clock)
    everything = ruleset.evaluate_all(context, now=NOW)
    for key in [*FLAG_KEYS, "missing"]:
        expected = oracle.evaluate(document, key, context, now=NOW)
        result = ruleset.evaluate(key, context, now=NOW)
        assert same(told(result), expected)
        if key in document["flags"]:
            assert everything[key] == result
        explanation = ruleset.explain(key, context, now=NOW)
        assert explanation.result == result
        json.dumps(explanation.as_json()["steps"], allow_nan=False).encode()
        assert_steps_lead_to(explanation)


def assert_steps_lead_to(explanation):
    """The last step of an explanation is the one that its result came from."""
    last = explanation.steps[-1]
    if explanation.result.error_code is None:
        assert last["step"] == "served"
        assert last["variation"] == explanation.result.variation
        assert last["rule"] == explanation.result.rule
    else:
        assert last["step"] in ("context", "flag", "split")
        assert last["held"] is False


@generous
@given(rulesets(), contexts)
def test_every_ruleset_and_context_evaluate_as_the_contract_says(document, context):
    assert_agreement(document, context)


@generous
@given(rulesets(), json_values)
def test_any_json_is_answered_as_a_context(document, context):
    assert_agreement(document, context)


@settings(generous, max_examples=30)
@given(document=rulesets(), context=contexts)
def test_cutting_functions_up_changes_no_answer(monkeypatch, document, context):
    monkeypatch.setattr(compiling, "LARGEST_FUNCTION", 2)

    assert_agreement(document, context)


@settings(generous, max_examples=30)
@given(document=rulesets(), context=contexts, deepest=st.integers(1, 2))
def test_working_references_out_in_order_changes_no_answer(monkeypatch, document, context, deepest):
    monkeypatch.setattr(binding, "DEEPEST_CALLS", deepest)
    monkeypatch.setattr(binding, "MOST_WAYS", 2)

    assert_agreement(document, context)


@pytest.mark.parametrize("levels", [63, 64, 65, 5000])
def test_a_context_may_nest_64_deep(levels):
    nested = []
    for _ in range(levels - 2):
        nested = [nested]
    context = {"a": nested}
    document = {"environment": "e", "version": 1, "digest": "d", "flags": {}, "segments": {}}

    code = Ruleset.compile(document, clock=no_clock).evaluate("flag", context, now=NOW).error_code

    assert code == ("FLAG_NOT_FOUND" if levels <= 64 else "INVALID_CONTEXT")
    assert oracle.evaluate(document, "flag", context, now=NOW)["error_code"] == code

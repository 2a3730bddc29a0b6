"""A function made for one flag answers as `evaluate` does, with what the caller made of it."""

import pytest
from hypothesis import HealthCheck, assume, given, settings

from flagengine import Ruleset, binding
from flagengine.context import checked
from tests.engine.rulesets import NOW, a_flag, a_leaf, a_rule, a_ruleset, contexts, rulesets


class Answer:
    def __init__(self, result):
        self.result = result


def compiled(document):
    return Ruleset.compile(document, clock=lambda: NOW, context_sets_now=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=rulesets(), context=contexts)
def test_every_flag_answers_the_same(document, context):
    ruleset, plain = compiled(document), checked(context)
    assume(plain is not None)

    for key in ruleset.flags:
        answer = ruleset.evaluator(key, Answer)(plain, None)
        assert isinstance(answer, Answer)
        assert answer.result == ruleset.evaluate(key, context)


def test_the_same_answer_is_the_same_object():
    flag = a_flag(rules=[a_rule({"all": [a_leaf("country", "in", "DE")]})])
    evaluate = compiled(a_ruleset(flag)).evaluator("flag", Answer)

    assert evaluate({"country": "DE"}, None) is evaluate({"country": "DE", "age": 3}, None)
    assert evaluate({"country": "DE"}, None) is not evaluate({"country": "FR"}, None)


@pytest.mark.parametrize("length", [1, binding.DEEPEST_CALLS + 5])
def test_prerequisites_are_met_however_long_their_chain(length):
    flags = [
        a_flag(f"f{n}", prerequisites=[{"flag": f"f{n + 1}", "variations": ["on", "off"]}])
        for n in range(length)
    ]
    ruleset = compiled(a_ruleset(*flags, a_flag(f"f{length}")))

    answer = ruleset.evaluator("f0", Answer)({}, None)

    assert answer.result == ruleset.evaluate("f0", {})
    assert answer.result.reason == "DEFAULT"


def test_rules_too_many_for_one_function_give_what_the_caller_made():
    split = {"split": {"by": "targetingKey", "salt": "s", "shares": [["on", 100_000]]}}
    rules = [{**a_rule(a_leaf("n", "in", n), rule_id=f"r{n}"), "serve": split} for n in range(40)]
    ruleset = compiled(a_ruleset(a_flag(rules=rules)))
    context = {"targetingKey": "user-1", "n": 39}

    answer = ruleset.evaluator("flag", Answer)(context, None)

    assert isinstance(answer, Answer)
    assert answer.result == ruleset.evaluate("flag", context)
    assert answer.result.rule == "r39"


def test_a_cycle_is_an_error_and_not_an_exception():
    flag = a_flag(prerequisites=[{"flag": "flag", "variations": ["on"]}])

    answer = compiled(a_ruleset(flag)).evaluator("flag", Answer)({}, None)

    assert answer.result.error_code == "GENERAL"


def test_a_flag_that_does_not_exist_has_no_evaluator():
    with pytest.raises(KeyError):
        compiled(a_ruleset()).evaluator("flag", Answer)

"""What may not be saved is refused with a message that names the place."""

import pytest
from hypothesis import HealthCheck, given, settings

from flagengine import problems_in_flag, problems_in_ruleset, problems_in_segment
from tests.engine.rulesets import a_flag, a_leaf, a_rule, a_ruleset, json_values

SPLIT = {"salt": "s", "shares": [["on", 25_000], ["off", 75_000]]}


def with_shares(*shares):
    return a_flag(fallthrough={"split": {"salt": "s", "shares": list(shares)}})


def with_leaf(leaf):
    return a_flag(rules=[a_rule({"all": [{"not": leaf}]})])


LEAF = "rules[0].when.all[0].not"

REFUSED = [
    ("", None),
    ("", []),
    ("", a_flag(colour="red")),
    ("key", a_flag(key="")),
    ("version", a_flag(version=0)),
    ("version", a_flag(version=1.5)),
    ("type", a_flag(type="number")),
    ("enabled", a_flag(enabled=1)),
    ("client_visible", a_flag(client_visible="no")),
    ("variations", a_flag(variations=None)),
    ("variations", a_flag(variations={})),
    ("variations[1].key", a_flag(variations=[{"key": "on", "value": True}] * 2)),
    ("variations[0].value", a_flag(type="string")),
    ("variations[0].value", a_flag(type="integer")),
    ("variations[0]", a_flag(variations=[{"key": "on", "value": True, "weight": 5}])),
    ("variations[0].value", a_flag(type="float", variations=[{"key": "on", "value": 10**400}])),
    ("variations[0].value", a_flag(type="integer", variations=[{"key": "on", "value": 2**53}])),
    ("variations[0].value", a_flag(type="float", variations=[{"key": "on", "value": float("inf")}])),
    ("variations[0].value.a", a_flag(type="json", variations=[{"key": "on", "value": {"a": float("nan")}}])),
    ("off_variation", a_flag(off_variation="maybe")),
    ("fallthrough.variation", a_flag(fallthrough={"variation": "maybe"})),
    ("fallthrough", a_flag(fallthrough={})),
    ("fallthrough", a_flag(fallthrough=None)),
    ("fallthrough", a_flag(fallthrough={"variation": "on", "split": SPLIT})),
    ("fallthrough.split.salt", a_flag(fallthrough={"split": {"shares": []}})),
    ("fallthrough.split.by", a_flag(fallthrough={"split": {**SPLIT, "by": ""}})),
    ("fallthrough.split.by", a_flag(fallthrough={"split": {**SPLIT, "by": "now"}})),
    ("fallthrough.split.hash", a_flag(fallthrough={"split": {**SPLIT, "hash": "other"}})),
    ("fallthrough.split.shares", with_shares(["on", 60_000], ["off", 40_001])),
    ("fallthrough.split.shares", with_shares()),
    ("fallthrough.split.shares[0][1]", with_shares(["on", 0])),
    ("fallthrough.split.shares[0][1]", with_shares(["on", -1])),
    ("fallthrough.split.shares[0][1]", with_shares(["on", 0.5])),
    ("fallthrough.split.shares[0][1]", with_shares(["on", True])),
    ("fallthrough.split.shares[1][0]", with_shares(["on", 5], ["maybe", 5])),
    ("fallthrough.split.shares[0]", with_shares("on")),
    ("prerequisites[0].flag", a_flag(prerequisites=[{"variations": ["on"]}])),
    ("prerequisites[0].variations", a_flag(prerequisites=[{"flag": "x"}])),
    ("prerequisites[0].variations", a_flag(prerequisites=[{"flag": "x", "variations": []}])),
    ("targets[0].variation", a_flag(targets=[{"variation": "maybe", "keys": []}])),
    ("targets[0].keys[1]", a_flag(targets=[{"variation": "on", "keys": ["a", 5]}])),
    ("targets[1].keys", a_flag(targets=[{"variation": v, "keys": ["a"]} for v in ("on", "off")])),
    ("rules", a_flag(rules="none")),
    ("rules[0]", a_flag(rules=[None])),
    ("rules[0].id", a_flag(rules=[a_rule({"all": []}, rule_id="")])),
    ("rules[1].id", a_flag(rules=[a_rule({"all": []})] * 2)),
    ("rules[0].when", a_flag(rules=[{"id": "r", "serve": {"variation": "on"}}])),
    ("rules[0].serve", a_flag(rules=[{"id": "r", "when": {"all": []}}])),
    ("rules[0].serve.variation", a_flag(rules=[a_rule({"all": []}, "maybe")])),
    ("rules[0].when", a_flag(rules=[a_rule({})])),
    ("rules[0].when", a_flag(rules=[a_rule({"all": [], "not": {"all": []}})])),
    ("rules[0].when.all", a_flag(rules=[a_rule({"all": {}})])),
    ("rules[0].when.segment", a_flag(rules=[a_rule({"segment": 5})])),
    (f"{LEAF}.attribute", with_leaf(a_leaf("", "in", "a"))),
    (f"{LEAF}.op", with_leaf(a_leaf("a", "like", "a"))),
    (f"{LEAF}.op", with_leaf({"attribute": "a", "values": []})),
    (f"{LEAF}.values", with_leaf({"attribute": "a", "op": "in"})),
    (f"{LEAF}.values", with_leaf({"attribute": "a", "op": "exists", "values": []})),
    (LEAF, with_leaf(a_leaf("a", "in", "a", negate=True))),
    (f"{LEAF}.ignore_case", with_leaf(a_leaf("a", "lt", 5, ignore_case=True))),
    (f"{LEAF}.ignore_case", with_leaf(a_leaf("a", "in", "a", ignore_case="yes"))),
    (f"{LEAF}.values[1]", with_leaf(a_leaf("a", "in", "a", None))),
    (f"{LEAF}.values[0]", with_leaf(a_leaf("a", "in", float("nan")))),
    (f"{LEAF}.values[0]", with_leaf(a_leaf("a", "contains", 5))),
    (f"{LEAF}.values[1]", with_leaf(a_leaf("a", "matches", "a", "(b"))),
    (f"{LEAF}.values[0]", with_leaf(a_leaf("a", "matches", r"(a)\1"))),
    (f"{LEAF}.values[0]", with_leaf(a_leaf("a", "matches", r"(?=a)"))),
    (f"{LEAF}.values[0]", with_leaf(a_leaf("a", "matches", "\ud800"))),
    (f"{LEAF}.values[0]", with_leaf(a_leaf("a", "gt", "ten"))),
    (f"{LEAF}.values[0]", with_leaf(a_leaf("a", "gt", True))),
    (f"{LEAF}.values[0]", with_leaf(a_leaf("a", "gt", float("inf")))),
    (f"{LEAF}.values[0]", with_leaf(a_leaf("a", "semver_lt", "1.x"))),
    (f"{LEAF}.values[0]", with_leaf(a_leaf("a", "before", "tomorrow"))),
    (f"{LEAF}.values[0]", with_leaf(a_leaf("a", "in_cidr", "10.0.0.0/33"))),
    (f"{LEAF}.values[0]", with_leaf(a_leaf("a", "in_cidr", "10.0.0.0/255.0.0.0"))),
    (f"{LEAF}.values[0]", with_leaf(a_leaf("a", "in", "nul \0"))),
    ("rules[0].name", a_flag(rules=[{**a_rule({"all": []}), "name": "\ud800"}])),
]  # fmt: skip


@pytest.mark.parametrize(("path", "flag"), REFUSED)
def test_a_bad_flag_is_refused_at_the_place(path, flag):
    found = problems_in_flag(flag)

    assert path in [problem.path for problem in found]
    assert all(problem.message for problem in found)


def test_a_good_flag_has_no_problems():
    flag = a_flag(
        prerequisites=[{"flag": "other", "variations": ["on"]}],
        targets=[{"variation": "on", "by": "company", "keys": ["a"]}, {"variation": "off", "keys": ["a"]}],
        rules=[a_rule(a_leaf("a", "matches", "^a+$")), a_rule({"segment": "s"}, rule_id="r2")],
        fallthrough={"split": SPLIT},
        off_variation=None,
    )  # fmt: skip

    assert problems_in_flag(flag) == []


def test_the_place_is_told_from_where_the_caller_stands():
    (problem,) = problems_in_flag(a_flag(enabled=None), where="flags.one")

    assert str(problem) == "flags.one.enabled: expected true or false, got nothing"


def test_conditions_and_values_may_not_nest_without_end():
    when = value = {"all": []}
    for _ in range(5000):
        when, value = {"not": when}, [value]
    flags = [
        a_flag(rules=[a_rule(when)]),
        a_flag(type="json", variations=[{"key": "on", "value": value}], off_variation="on"),
    ]

    for flag in flags:
        assert any("nest" in problem.message for problem in problems_in_flag(flag))


@pytest.mark.parametrize(
    ("path", "segment"),
    [
        ("", None),
        ("", {"key": "s", "colour": "red"}),
        ("key", {}),
        ("when", {"key": "s", "when": []}),
        ("when.values[0]", {"key": "s", "when": a_leaf("a", "matches", "(")}),
        ("included", {"key": "s", "included": {}}),
        ("included[0].keys", {"key": "s", "included": [{"by": "targetingKey"}]}),
        ("excluded[0].keys[0]", {"key": "s", "excluded": [{"keys": [5]}]}),
        ("excluded[0].by", {"key": "s", "excluded": [{"by": 5, "keys": []}]}),
    ],
)
def test_a_bad_segment_is_refused_at_the_place(path, segment):
    assert path in [problem.path for problem in problems_in_segment(segment)]


def requiring(key, *others):
    return a_flag(key, prerequisites=[{"flag": other, "variations": ["on"]} for other in others])


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("flags", None),
        ("segments", {"flags": {}}),
        ("flags.b.enabled", a_ruleset(a_flag("a"), a_flag("b", enabled=None))),
        ("flags.a.key", {**a_ruleset(), "flags": {"a": a_flag("b")}}),
        ("flags.a.prerequisites[0].flag", a_ruleset(requiring("a", "gone"))),
        (
            "flags.a.prerequisites[0].variations[0]",
            a_ruleset(a_flag("b"), a_flag("a", prerequisites=[{"flag": "b", "variations": ["x"]}])),
        ),
        ("flags.a", a_ruleset(a_flag("a", rules=[a_rule({"not": {"segment": "gone"}})]))),
        ("flags.a", a_ruleset(requiring("a", "a"))),
        ("flags.b", a_ruleset(requiring("a", "b"), requiring("b", "c"), requiring("c", "b"))),
        ("segments.s", a_ruleset(segments=[{"key": "s", "when": {"segment": "s"}}])),
        ("segments.s", a_ruleset(segments=[{"key": "s", "when": {"segment": "gone"}}])),
    ],
)
def test_a_bad_ruleset_is_refused_at_the_place(path, document):
    assert path in [problem.path for problem in problems_in_ruleset(document)]


def test_a_good_ruleset_has_no_problems():
    flag = a_flag("a", rules=[a_rule({"segment": "s"})])
    document = a_ruleset(flag, requiring("b", "a"), segments=[{"key": "s"}])

    assert problems_in_ruleset(document) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(json_values)
def test_any_json_is_judged(value):
    assert problems_in_flag(value)
    assert problems_in_segment(value)
    assert problems_in_ruleset(value)

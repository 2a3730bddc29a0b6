"""Compiling, advancing and asking a ruleset what it is."""

import json
import math
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flagengine import DeltaMismatch, InvalidRuleset, Ruleset, binding
from tests.engine.rulesets import (
    FLAG_KEYS,
    NOW,
    SEGMENT_KEYS,
    a_flag,
    a_leaf,
    a_rule,
    a_ruleset,
    contexts,
    flags,
    json_values,
    rulesets,
    segments,
)


def clock():
    return NOW


def compiled(document):
    return Ruleset.compile(document, clock=clock)


def a_delta(ruleset, *changes):
    return {
        "version": ruleset.version + 1,
        "digest": f"d{ruleset.version + 1}",
        "previous": ruleset.state,
        "changes": list(changes),
    }


def ids_change(key="beta", name="included", by="targetingKey", add=(), remove=()):
    return {
        "kind": "segment_ids",
        "key": key,
        "list": name,
        "by": by,
        "add": list(add),
        "remove": list(remove),
    }


def in_beta(key="flag"):
    return a_flag(key, rules=[a_rule({"segment": "beta"})], fallthrough={"variation": "off"})


def beta(*ids):
    return {"key": "beta", "included": [{"by": "targetingKey", "keys": list(ids)}], "excluded": []}


# The law of deltas

changes = st.one_of(
    st.sampled_from(FLAG_KEYS).flatmap(
        lambda key: st.builds(
            lambda value: {"kind": "flag", "key": key, "value": value},
            st.one_of(st.none(), flags(key, FLAG_KEYS)),
        )
    ),
    st.sampled_from(SEGMENT_KEYS).flatmap(
        lambda key: st.builds(
            lambda value: {
                "kind": "segment",
                "key": key,
                "value": value
                and {m: v for m, v in value.items() if m not in ("included", "excluded")},
            },
            st.one_of(st.none(), segments(key)),
        )
    ),
)
id_changes = st.builds(
    lambda name, by, add, remove: (name, by, add, remove),
    st.sampled_from(["included", "excluded"]),
    st.sampled_from(["targetingKey", "a"]),
    st.lists(st.sampled_from(["user-1", "user-2", "a", "ab"]), max_size=3),
    st.lists(st.sampled_from(["user-1", "user-2", "a", "ab"]), max_size=3),
)


def applied(document, delta):
    """The document after a delta, worked out plainly."""
    after = json.loads(json.dumps(document))
    after["version"], after["digest"] = delta["version"], delta["digest"]
    for change in delta["changes"]:
        key = change["key"]
        if change["kind"] == "segment_ids":
            groups = after["segments"][key].setdefault(change["list"], [])
            ids = {one for group in groups if group["by"] == change["by"] for one in group["keys"]}
            ids = (ids | set(change["add"])) - set(change["remove"])
            groups[:] = [group for group in groups if group["by"] != change["by"]]
            groups.append({"by": change["by"], "keys": sorted(ids)})
        else:
            table = after[change["kind"] + "s"]
            if change["value"] is None:
                table.pop(key, None)
            elif change["kind"] == "flag":
                table[key] = change["value"]
            else:
                old = table.get(key, {})
                lists = {name: old.get(name, []) for name in ("included", "excluded")}
                table[key] = {**change["value"], **lists}
    return after


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(rulesets(), st.lists(st.lists(changes, max_size=3), max_size=3), contexts, st.data())
def test_a_ruleset_advanced_is_the_ruleset_compiled_afresh(document, steps, context, data):
    ruleset, plain = compiled(document), document
    for step in steps:
        ruleset.evaluate_all(context)
        before = ruleset.evaluate_all(context)
        delta = a_delta(ruleset, *step)
        alive = [key for key in SEGMENT_KEYS if key in applied(plain, delta)["segments"]]
        if alive:
            key = data.draw(st.sampled_from(alive))
            name, by, add, remove = data.draw(id_changes)
            delta["changes"].append(ids_change(key, name, by, add, remove))

        advanced, plain = ruleset.advance(delta), applied(plain, delta)

        assert ruleset.evaluate_all(context) == before
        expected = compiled(plain).evaluate_all(context)
        assert advanced.evaluate_all(context) == expected
        assert compiled(advanced.document).evaluate_all(context) == expected
        assert advanced.next_flip(0) == compiled(plain).next_flip(0)
        ruleset = advanced


def test_every_result_says_the_version_that_answered():
    old = compiled(a_ruleset(a_flag("kept"), a_flag("changed")))
    first = old.evaluate("kept", {})

    new = old.advance(a_delta(old, {"kind": "flag", "key": "changed", "value": None}))

    assert (first.environment_version, old.evaluate("kept", {}).environment_version) == (7, 7)
    assert new.evaluate("kept", {}).environment_version == 8
    assert new.evaluate("changed", {}).environment_version == 8


def test_advancing_compiles_only_what_changed():
    old = compiled(a_ruleset(in_beta("kept"), in_beta("changed"), segments=[beta("user-1")]))
    old.warm()

    new = old.advance(a_delta(old, {"kind": "flag", "key": "changed", "value": a_flag("changed")}))

    assert new.flags["kept"] is old.flags["kept"]
    assert new.flags["kept"].piece is old.flags["kept"].piece
    assert new.flags["changed"] is not old.flags["changed"]


# Id lists


def test_a_list_changed_many_times_is_the_list_it_should_be():
    expected = {f"id-{number}" for number in range(5000)}
    ruleset = compiled(a_ruleset(in_beta(), segments=[beta(*expected)]))

    for step in range(40):
        add = [f"new-{step}-{number}" for number in range(100)]
        remove = [f"id-{step * 50 + number}" for number in range(50)] + [f"new-{step - 1}-7"]
        ruleset = ruleset.advance(a_delta(ruleset, ids_change(add=add, remove=remove)))
        expected = (expected | set(add)) - set(remove)
        for subject in (add[0], remove[0], f"new-{step - 1}-7", "id-4999"):
            held = ruleset.evaluate("flag", {"targetingKey": subject}).value
            assert held is (subject in expected)

    written = ruleset.document["segments"]["beta"]["included"]
    assert written == [{"by": "targetingKey", "keys": sorted(expected)}]


def test_an_id_removed_and_added_again_is_in_the_list():
    ruleset = compiled(a_ruleset(in_beta(), segments=[beta("user-1")]))

    for add, remove in (([], ["user-1"]), (["user-1"], [])):
        ruleset = ruleset.advance(a_delta(ruleset, ids_change(add=add, remove=remove)))

    assert ruleset.evaluate("flag", {"targetingKey": "user-1"}).value is True


def test_changing_a_long_list_copies_none_of_it():
    ids = [f"id-{number}" for number in range(200_000)]
    ruleset = compiled(a_ruleset(in_beta(), segments=[beta(*ids)]))

    changed = ruleset.advance(a_delta(ruleset, ids_change(add=["new"], remove=["id-5"])))

    lists = [one._segments["beta"].lists["included"]["targetingKey"] for one in (ruleset, changed)]
    assert lists[0].base is lists[1].base
    assert len(lists[1]) == len(lists[0]) == 200_000


# What is no ruleset, and what is broken in one


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "ruleset",
        {},
        {**a_ruleset(), "environment": 5},
        {**a_ruleset(), "version": 0},
        {**a_ruleset(), "version": "1"},
        {**a_ruleset(), "digest": None},
        {**a_ruleset(), "flags": []},
        {**a_ruleset(), "segments": None},
    ],
)
def test_what_is_no_ruleset_is_refused(document):
    with pytest.raises(InvalidRuleset):
        compiled(document)


@settings(max_examples=60, deadline=None)
@given(rulesets(), st.data())
def test_any_damage_to_a_flag_stays_within_it(document, data):
    damaged = json.loads(json.dumps(document))
    key = data.draw(st.sampled_from(sorted(damaged["flags"])))
    member = data.draw(st.sampled_from(sorted(damaged["flags"][key])))
    damaged["flags"][key][member] = data.draw(json_values)
    damaged["flags"]["untouched"] = a_flag("untouched")

    ruleset = compiled(damaged)

    for flag in damaged["flags"]:
        ruleset.evaluate(flag, {"targetingKey": "user-1", "a": 1})
        ruleset.explain(flag, {"targetingKey": "user-1", "a": 1})
    assert ruleset.evaluate("untouched", {}).value is True
    assert ruleset.next_flip(0) is None or ruleset.next_flip(0) > 0


@pytest.mark.parametrize("delta", [{}, {"changes": []}, 5, {"changes": [], "previous": "7-aa"}])
def test_what_is_no_delta_is_refused(delta):
    with pytest.raises(DeltaMismatch):
        compiled(a_ruleset()).advance(delta)


# Time


def test_flips_are_the_instants_at_which_answers_change():
    when = {"all": [a_leaf("now", "after", 1000), a_leaf("now", "before", "1970-01-01T00:33:20Z")]}
    late = {"key": "late", "when": a_leaf("now", "gte", 3000)}
    ruleset = compiled(a_ruleset(a_flag(rules=[a_rule(when)]), segments=[late]))

    assert ruleset.next_flip(0) == 1000.001
    assert ruleset.next_flip(1000.001) == 2000
    assert ruleset.next_flip(2000) == 3000
    assert ruleset.next_flip(3000) is None
    assert ruleset.last_flip(1000) is None
    assert ruleset.last_flip(1000.001) == 1000.001
    assert ruleset.last_flip(9999) == 3000


@pytest.mark.parametrize(
    ("op", "operand"),
    [("lt", 5), ("lte", 5), ("gt", 5), ("gte", 5), ("in", 5), ("before", 5), ("after", 5)],
)
def test_between_flips_nothing_changes_and_at_a_flip_something_does(op, operand):
    ruleset = compiled(
        a_ruleset(
            a_flag(rules=[a_rule(a_leaf("now", op, operand))], fallthrough={"variation": "off"})
        )
    )

    def value(now):
        return ruleset.evaluate("flag", {}, now=now).value

    flip, seen = ruleset.next_flip(0), [value(0)]
    while flip is not None:
        before = (flip + (ruleset.last_flip(math.nextafter(flip, 0)) or 0)) / 2
        assert value(before) == seen[-1]
        seen.append(value(flip))
        assert seen[-1] != seen[-2]
        flip = ruleset.next_flip(flip)
    assert value(1e9) == seen[-1]


def test_the_clock_is_read_once_an_evaluation_and_only_if_needed():
    readings = []

    def counting():
        readings.append(1)
        return NOW

    timed = a_rule({"any": [a_leaf("now", "before", 5), a_leaf("now", "before", 6)]}, "off")
    ruleset = Ruleset.compile(
        a_ruleset(a_flag("plain"), a_flag("timed", rules=[timed])), clock=counting
    )

    ruleset.evaluate("plain", {})
    assert len(readings) == 0
    ruleset.evaluate("timed", {})
    assert len(readings) == 1
    ruleset.evaluate("timed", {}, now=5.5)
    assert len(readings) == 1


@pytest.mark.parametrize("said", [1500, "1970-01-01T00:25:00Z"])
def test_a_context_sets_the_time_only_where_it_may(said):
    document = a_ruleset(
        a_flag(rules=[a_rule(a_leaf("now", "gte", 1500))], fallthrough={"variation": "off"})
    )
    trusting = Ruleset.compile(document, clock=lambda: 1000.0, context_sets_now=True)
    strict = Ruleset.compile(document, clock=lambda: 1000.0)

    assert trusting.evaluate("flag", {"now": said}).value is True
    assert trusting.evaluate_all({"now": said})["flag"].value is True
    assert trusting.explain("flag", {"now": said}).result.value is True
    assert trusting.evaluate("flag", {"now": "soon"}).value is False
    assert trusting.evaluate("flag", {"now": said}, now=5).value is False
    assert strict.evaluate("flag", {"now": said}).value is False


# Size and threads


def test_ten_thousand_flags_load_without_compiling_any():
    document = a_ruleset(
        *[in_beta(f"flag-{number}") for number in range(10_000)], segments=[beta()]
    )
    ruleset = compiled(document)

    ruleset.evaluate("flag-77", {})

    worked_out = [flag for flag in ruleset.flags.values() if "piece" in vars(flag)]
    assert [flag.key for flag in worked_out] == ["flag-77"]


def test_a_chain_of_thousands_of_prerequisites_is_evaluated():
    chain = [
        a_flag(
            f"f{number}",
            prerequisites=[{"flag": f"f{number - 1}", "variations": ["on"]}] if number else [],
        )
        for number in range(3000)
    ]
    ruleset = compiled(a_ruleset(*chain))

    assert ruleset.evaluate("f2999", {}).value is True
    assert ruleset.explain("f2999", {}).result.value is True


def test_segments_that_double_at_each_level_are_evaluated():
    levels = [
        {"key": f"s{number}", "when": {"all": [{"segment": f"s{number - 1}"}] * 2}}
        for number in range(1, 60)
    ]
    first = {"key": "s0", "when": a_leaf("x", "in", 1)}
    flag = a_flag(rules=[a_rule({"segment": "s59"})], fallthrough={"variation": "off"})
    ruleset = compiled(a_ruleset(flag, segments=[first, *levels]))

    assert ruleset.evaluate("flag", {"x": 1}).value is True
    assert ruleset.evaluate("flag", {"x": 2}).value is False
    assert ruleset.explain("flag", {"x": 1}).result.value is True
    assert binding.MOST_WAYS < 2**59


def test_threads_that_come_first_together_agree():
    ruleset = compiled(a_ruleset(*[in_beta(f"flag-{n}") for n in range(200)], segments=[beta("u")]))
    together, answers = threading.Barrier(8), []

    def evaluate():
        together.wait()
        answers.append(ruleset.evaluate_all({"targetingKey": "u"}))

    threads = [threading.Thread(target=evaluate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 8
    assert all(answer == answers[0] for answer in answers)


def test_all_flags_or_only_those_that_clients_may_see():
    ruleset = compiled(a_ruleset(a_flag("shown"), a_flag("hidden", client_visible=False)))

    assert list(ruleset.evaluate_all({})) == ["shown", "hidden"]
    assert list(ruleset.evaluate_all({}, client_visible_only=True)) == ["shown"]
    assert {r.error_code for r in ruleset.evaluate_all([]).values()} == {"INVALID_CONTEXT"}


def test_flags_say_what_a_door_needs_to_know():
    split = {"split": {"salt": "s", "shares": [["on", 5]]}}
    ruleset = compiled(a_ruleset(a_flag("a"), a_flag("b", fallthrough=split, version=9)))

    a, b = ruleset.flags["a"], ruleset.flags["b"]

    assert (a.type, a.version, a.client_visible, a.needs_targeting_key) == (
        "boolean",
        3,
        True,
        False,
    )
    assert (b.version, b.needs_targeting_key) == (9, True)


@pytest.mark.parametrize("key", [None, 5, ["flag"], {}, "\ud800", ""])
def test_any_flag_key_is_answered(key):
    ruleset = compiled(a_ruleset(a_flag()))

    assert ruleset.evaluate(key, {}).error_code == "FLAG_NOT_FOUND"
    assert ruleset.evaluate(key, 5).error_code == "INVALID_CONTEXT"
    assert ruleset.explain(key, {}).result.error_code == "FLAG_NOT_FOUND"


def test_odd_python_values_in_a_context_are_answered():
    class Text(str):
        __slots__ = ()

    loop = {}
    loop["loop"] = loop
    flag = a_flag(
        targets=[{"variation": "off", "keys": ["user-1"]}],
        rules=[a_rule(a_leaf("plan", "in", "pro"))],
        fallthrough={"split": {"salt": "s", "shares": [["on", 100_000]]}},
    )
    ruleset = compiled(a_ruleset(flag))

    assert ruleset.evaluate("flag", {"targetingKey": Text("user-1")}).value is False
    assert ruleset.evaluate("flag", {"targetingKey": Text("u"), "plan": Text("pro")}).rule == "r1"
    assert ruleset.evaluate("flag", {"targetingKey": "u", "plan": ("x", "pro")}).rule == "r1"
    assert ruleset.evaluate("flag", {"targetingKey": "u", "plan": object(), 5: 5}).rule is None
    assert ruleset.evaluate("flag", loop).error_code == "INVALID_CONTEXT"

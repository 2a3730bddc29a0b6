"""Differences in words: complete for everything an entry can hold, and readable."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.differences import condition_in_words, json_lines, sentences

ENTRY = {
    "key": "new-checkout",
    "type": "boolean",
    "version": 17,
    "variations": [{"key": "on", "value": True}, {"key": "off", "value": False}],
    "enabled": True,
    "off_variation": "off",
    "prerequisites": [{"flag": "billing-v2", "variations": ["on"]}],
    "targets": [{"variation": "on", "by": "targetingKey", "keys": ["user-1"]}],
    "rules": [
        {
            "id": "r1",
            "name": "Beta testers",
            "when": {
                "all": [
                    {"segment": "beta"},
                    {"attribute": "country", "op": "in", "values": ["FR"]},
                ]
            },
            "serve": {"variation": "on"},
        },
        {
            "id": "r2",
            "when": {"attribute": "plan", "op": "in", "values": ["pro"]},
            "serve": {
                "split": {
                    "by": "targetingKey",
                    "salt": "abc",
                    "shares": [["on", 10000], ["off", 90000]],
                }
            },
        },
    ],
    "fallthrough": {"variation": "off"},
    "client_visible": False,
}


def edited(**members):
    return {**copy.deepcopy(ENTRY), **members}


def with_rule(index, **members):
    entry = copy.deepcopy(ENTRY)
    entry["rules"][index].update(members)
    return entry


SPLIT = ENTRY["rules"][1]["serve"]["split"]

EXAMPLES = [
    (edited(enabled=False), ["Turned off"]),
    (edited(version=18), ["Version 17 became 18"]),
    (edited(version=18, enabled=False), ["Turned off"]),
    (
        edited(off_variation=None),
        ["When off it serves the app's own default instead of off"],
    ),
    (
        edited(prerequisites=[]),
        ["No longer requires billing-v2"],
    ),
    (
        edited(prerequisites=[{"flag": "billing-v2", "variations": ["on", "off"]}]),
        ["Requires billing-v2 to serve on or off, before on"],
    ),
    (
        edited(
            targets=[
                {"variation": "on", "by": "targetingKey", "keys": ["user-2", "user-3"]},
                {"variation": "off", "by": "targetingKey", "keys": ["user-1"]},
            ]
        ),
        ["user-1 gets off instead of on", "user-2 and user-3 now get on"],
    ),
    (
        with_rule(
            0,
            when={
                "all": [
                    {"segment": "beta"},
                    {"attribute": "country", "op": "in", "values": ["DE", "FR"]},
                ]
            },
        ),
        ["Rule Beta testers: DE was added, so that country is one of DE, FR"],
    ),
    (
        with_rule(0, when={"segment": "beta"}),
        [
            "Rule Beta testers now applies when in segment beta; "
            "before when in segment beta and country is FR"
        ],
    ),
    (
        with_rule(1, serve={"split": {**SPLIT, "shares": [["on", 25000], ["off", 75000]]}}),
        ["Rule 2: on grew from 10\u00a0% to 25\u00a0%, off shrank from 90\u00a0% to 75\u00a0%"],
    ),
    (
        with_rule(1, serve={"split": {**SPLIT, "salt": "other"}}),
        ["Rule 2 is shuffled anew: the split has another salt"],
    ),
    (
        with_rule(1, serve={"variation": "on"}),
        ["Rule 2 serves on instead of on 10\u00a0%, off 90\u00a0%"],
    ),
    (with_rule(0, name="Testers"), ["Rule Testers was Beta testers"]),
    (edited(rules=ENTRY["rules"][::-1]), ["Rule 1 moved from place 2 to 1"]),
    (
        edited(rules=ENTRY["rules"][:1]),
        ["Rule 2 was removed: served on 10\u00a0%, off 90\u00a0% when plan is pro"],
    ),
    (
        edited(fallthrough={"split": {**SPLIT, "by": "company"}}),
        ["Everyone else gets on 10\u00a0%, off 90\u00a0% by company instead of off"],
    ),
    (edited(client_visible=True), ["Client keys may now evaluate it"]),
]


@pytest.mark.parametrize(("after", "said"), EXAMPLES)
def test_a_difference_reads_as_a_person_would_say_it(after, said):
    assert sorted(sentences(ENTRY, after)) == sorted(said)


def test_several_differences_are_all_said():
    after = edited(enabled=False, off_variation="on", client_visible=True, version=18)

    assert len(sentences(ENTRY, after)) == 3


def test_a_number_that_only_changed_its_type_is_a_difference():
    assert sentences(
        {"type": "float", "variations": [{"key": "a", "value": 1}]},
        {"type": "float", "variations": [{"key": "a", "value": 1.0}]},
    ) == ["Value of variation a changed from 1 to 1.0"]


def test_text_that_looks_like_a_number_is_told_apart_from_one():
    leaf = {"attribute": "plan", "op": "in", "values": ["1", 1, "true", True, "a, b", ""]}

    assert condition_in_words(leaf) == 'plan is one of "1", 1, "true", true, "a, b", ""'


def test_nested_conditions_keep_their_meaning():
    said = condition_in_words(
        {
            "all": [
                {"any": [{"segment": "a"}, {"segment": "b"}]},
                {"not": {"attribute": "app", "op": "semver_gte", "values": ["2.0.0"]}},
                {"attribute": "email", "op": "exists"},
            ]
        }
    )

    assert said == (
        "(in segment a or in segment b) and not (app is a version from 2.0.0) and email is given"
    )


def test_id_lists_say_who_came_and_went():
    change = {"list": "included", "by": "targetingKey", "add": ["a", "b"], "remove": ["c"]}

    assert sentences({}, change) == [
        "a and b were added to the included ids",
        "c was taken from the included ids",
    ]


def test_long_lists_are_counted_and_not_written_out():
    change = {"list": "included", "add": [f"user-{n}" for n in range(500)], "remove": []}

    assert sentences({}, change)[0].endswith("user-7 and 492 more were added to the included ids")


# Laws

keys = st.sampled_from(["a", "b", "c"])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([1.0, 0.5])
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=2),
    max_leaves=3,
)
leaves = st.fixed_dictionaries(
    {
        "attribute": keys,
        "op": st.sampled_from(["in", "contains", "gt"]),
        "values": st.lists(st.sampled_from(["x", "y", 1, True]), min_size=1, max_size=3),
    },
    optional={"ignore_case": st.booleans()},
)
conditions = st.recursive(
    leaves | st.fixed_dictionaries({"segment": keys}),
    lambda inner: (
        st.fixed_dictionaries({"all": st.lists(inner, max_size=2)})
        | st.fixed_dictionaries({"any": st.lists(inner, max_size=2)})
        | st.fixed_dictionaries({"not": inner})
    ),
    max_leaves=3,
)
splits = st.fixed_dictionaries(
    {
        "salt": keys,
        "shares": st.lists(
            st.tuples(keys, st.integers(0, 100_000)).map(list),
            max_size=3,
            unique_by=lambda share: share[0],
        ),
    },
    optional={"by": keys, "hash": keys},
)
serves = st.fixed_dictionaries({"variation": keys}) | st.fixed_dictionaries({"split": splits})
flag_entries = st.fixed_dictionaries(
    {
        "key": st.just("f"),
        "type": st.sampled_from(["boolean", "json"]),
        "version": st.integers(1, 2),
        "variations": st.lists(
            st.fixed_dictionaries({"key": keys, "value": values}),
            max_size=3,
            unique_by=lambda row: row["key"],
        ),
        "enabled": st.booleans(),
        "off_variation": st.none() | keys,
        "prerequisites": st.lists(
            st.fixed_dictionaries({"flag": keys, "variations": st.lists(keys, max_size=2)}),
            max_size=2,
            unique_by=lambda row: row["flag"],
        ),
        "targets": st.lists(
            st.fixed_dictionaries(
                {"variation": keys, "keys": st.lists(keys, max_size=2)}, optional={"by": keys}
            ),
            max_size=2,
        ),
        "rules": st.lists(
            st.fixed_dictionaries(
                {"id": keys, "when": conditions, "serve": serves}, optional={"name": keys}
            ),
            max_size=3,
            unique_by=lambda row: row["id"],
        ),
        "fallthrough": serves,
        "client_visible": st.booleans(),
    }
)
segment_entries = st.fixed_dictionaries(
    {"key": st.just("s")},
    optional={
        "when": conditions,
        "included": st.lists(
            st.fixed_dictionaries({"by": keys, "keys": st.lists(keys, max_size=2)}), max_size=2
        ),
    },
)
facts = st.fixed_dictionaries(
    {
        "name": st.text(max_size=3),
        "description": st.text(max_size=3),
        "tags": st.lists(keys, max_size=2),
        "owner": st.none() | keys,
        "is_permanent": st.booleans(),
        "json_schema": values,
    }
)
states = st.none() | flag_entries | segment_entries | facts


@given(
    st.one_of(
        st.tuples(flag_entries, flag_entries),
        st.tuples(segment_entries, segment_entries),
        st.tuples(facts, facts),
        st.tuples(states, states),
    )
)
def test_there_are_words_exactly_when_there_is_a_difference(pair):
    before, after = pair
    differ = json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True)

    assert bool(sentences(before, after)) == differ
    assert all(sentence.strip() for sentence in sentences(before, after))


@given(flag_entries, flag_entries)
def test_every_member_that_differs_is_said(before, after):
    for member in before.keys() - {"version"}:
        changed = {**before, member: after[member]}
        differs = json.dumps(before[member], sort_keys=True) != json.dumps(
            after[member], sort_keys=True
        )
        others = {**changed, "client_visible": not before["client_visible"]}

        assert bool(sentences(before, changed)) == differs
        if differs and member != "client_visible":
            assert len(sentences(before, others)) >= 2


@given(states, states)
def test_lines_of_json_lead_from_one_state_to_the_other(before, after):
    lines = json_lines(before, after)

    assert bool(lines) == (json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True))
    folded = sum(int(line.text.split()[0]) for line in lines if line.mark == "skipped")
    new = [] if after is None else json.dumps(after, indent=2).split("\n")
    shown = [line for line in lines if line.mark in ("same", "added")]
    if lines:
        assert folded + len(shown) == len(new)

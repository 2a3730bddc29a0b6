"""Which flags are named to a listener."""

import pytest
from flagclient.affected import flags_affected

from tests.sdk.loopback import a_flag, a_ruleset


def a_flag_with(key, condition):
    return a_flag(key, rules=[{"id": "r1", "when": condition, "serve": {"variation": "served"}}])


BEFORE = a_ruleset(
    a_flag("alone"),
    a_flag("base"),
    a_flag("above", prerequisites=[{"flag": "base", "variations": ["served"]}]),
    a_flag("top", prerequisites=[{"flag": "above", "variations": ["served"]}]),
    a_flag_with("beta-only", {"all": [{"not": {"any": [{"segment": "beta"}]}}]}),
    a_flag_with("staff-only", {"segment": "staff"}),
    a_flag("needs-beta", prerequisites=[{"flag": "beta-only", "variations": ["served"]}]),
    segments={
        "staff": {"key": "staff", "included": [{"by": "targetingKey", "keys": ["user-1"]}]},
        "beta": {"key": "beta", "when": {"any": [{"segment": "staff"}]}},
    },
)


def with_changes(*, flags=None, segments=None):
    after = {**BEFORE}
    for name, changes in (("flags", flags or {}), ("segments", segments or {})):
        table = {**BEFORE[name], **changes}
        after[name] = {key: entry for key, entry in table.items() if entry is not None}
    return after


CASES = {
    "nothing": (with_changes(), set()),
    "one flag": (with_changes(flags={"alone": a_flag("alone", value=False)}), {"alone"}),
    "an equal copy": (with_changes(flags={"alone": a_flag("alone")}), set()),
    "a flag others need": (
        with_changes(flags={"base": a_flag("base", enabled=False)}),
        {"base", "above", "top"},
    ),
    "a flag removed": (with_changes(flags={"base": None}), {"base", "above", "top"}),
    "a segment": (
        with_changes(segments={"beta": {"key": "beta"}}),
        {"beta-only", "needs-beta"},
    ),
    "a segment in a segment": (
        with_changes(segments={"staff": None}),
        {"staff-only", "beta-only", "needs-beta"},
    ),
}


@pytest.mark.parametrize(("after", "expected"), CASES.values(), ids=CASES)
def test_flags_that_may_answer_differently_are_named(after, expected):
    assert flags_affected(BEFORE, after) == expected


def test_at_first_every_flag_is_new():
    assert flags_affected(None, BEFORE) == set(BEFORE["flags"])


@pytest.mark.parametrize("odd", [7, [], {"rules": 7}, {"rules": [7]}, {"prerequisites": [7, {}]}])
def test_a_bad_definition_is_only_a_changed_flag(odd):
    after = with_changes(flags={"odd": odd})

    assert flags_affected(BEFORE, after) == {"odd"}
    assert flags_affected(after, with_changes(segments={"x": odd})) == {"odd"}

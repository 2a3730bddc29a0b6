"""Flags as people change them: created, switched, configured, archived."""

import pytest

from flags.changes import (
    ArchiveFlag,
    ConfigureFlag,
    CreateFlag,
    EditEnvironment,
    EditFlag,
    SwitchFlag,
    submit,
)
from flags.errors import Denied, InUse, Invalid, StaleChange
from flags.models import Environment
from flags.snapshots import ruleset_document

pytestmark = pytest.mark.django_db


def production(project):
    return Environment.objects.get(project=project, key="production")


def test_switching_a_flag_bumps_its_environment_alone(project, editor, a_flag):
    a_flag("new-checkout")

    outcome = submit(
        SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True),
        actor=editor,
        reason="launch",
    )

    assert outcome.versions == {"production": 3}
    assert [event.stream_id for event in outcome.events] == [production(project).stream_key]
    assert ruleset_document(production(project))["flags"]["new-checkout"]["enabled"] is True


def test_switching_to_what_it_is_records_nothing(editor, a_flag):
    a_flag("new-checkout", on=True)

    outcome = submit(
        SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True),
        actor=editor,
    )

    assert not outcome.changed
    assert outcome.events == []


def test_a_switch_that_expected_another_state_is_stale(editor, a_flag):
    a_flag("new-checkout", on=True)

    with pytest.raises(StaleChange, match="already on in production"):
        submit(
            SwitchFlag(
                project="shop", environment="production", flag="new-checkout", on=True, was=False
            ),
            actor=editor,
        )


def test_outsider_is_refused_and_nothing_is_saved(outsider, a_flag):
    flag = a_flag("new-checkout")

    with pytest.raises(Denied):
        submit(
            SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True),
            actor=outsider,
        )

    assert not flag.configurations.filter(enabled=True).exists()


def test_weights_past_a_whole_are_refused_with_their_place(editor, a_flag):
    a_flag("new-checkout")

    with pytest.raises(Invalid) as refused:
        submit(
            ConfigureFlag(
                project="shop",
                environment="production",
                flag="new-checkout",
                fallthrough={
                    "split": {"by": "targetingKey", "shares": [["on", 60000], ["off", 60000]]}
                },
            ),
            actor=editor,
        )

    assert "fallthrough.split" in str(refused.value)


def test_editing_the_shares_keeps_the_salt(editor, a_flag):
    split = {"by": "targetingKey", "shares": [["on", 10000], ["off", 90000]]}
    flag = a_flag("new-checkout", fallthrough={"split": split})
    salt = flag.configurations.get(environment__key="production").fallthrough["split"]["salt"]

    submit(
        ConfigureFlag(
            project="shop",
            environment="production",
            flag="new-checkout",
            fallthrough={"split": {**split, "shares": [["on", 50000], ["off", 50000]]}},
        ),
        actor=editor,
    )

    kept = flag.configurations.get(environment__key="production").fallthrough["split"]
    assert kept["salt"] == salt
    assert kept["shares"] == [["on", 50000], ["off", 50000]]


def test_circles_of_prerequisites_are_refused(editor, a_flag):
    a_flag("a")
    a_flag("b", prerequisites=[{"flag": "a", "variations": ["on"]}])

    with pytest.raises(Invalid, match="leads in a circle"):
        submit(
            ConfigureFlag(
                project="shop",
                environment="production",
                flag="a",
                prerequisites=[{"flag": "b", "variations": ["on"]}],
            ),
            actor=editor,
        )


def test_a_required_flag_is_neither_archived_nor_robbed_of_the_variation(editor, a_flag):
    a_flag("a", type="string", variations=[{"key": "x", "value": "x"}, {"key": "y", "value": "y"}])
    a_flag("b", prerequisites=[{"flag": "a", "variations": ["y"]}])

    with pytest.raises(InUse, match="prerequisite of b"):
        submit(ArchiveFlag(project="shop", flag="a"), actor=editor)
    with pytest.raises((InUse, Invalid)):
        submit(
            EditFlag(project="shop", flag="a", variations=[{"key": "x", "value": "x"}]),
            actor=editor,
        )


def test_values_against_their_schema_are_refused(editor, project):
    with pytest.raises(Invalid, match=r"variations\[1\].value.size"):
        submit(
            CreateFlag(
                project="shop",
                key="banner",
                type="json",
                json_schema={"properties": {"size": {"type": "integer"}}},
                variations=[
                    {"key": "a", "value": {"size": 1}},
                    {"key": "b", "value": {"size": "x"}},
                ],
            ),
            actor=editor,
        )


def test_a_float_flag_keeps_its_fraction_whatever_the_store_made_of_it(project, a_flag):
    a_flag(
        "rate",
        type="float",
        variations=[{"key": "whole", "value": 3}, {"key": "huge", "value": 1e22}],
    )

    variations = ruleset_document(production(project))["flags"]["rate"]["variations"]

    assert [repr(row["value"]) for row in variations] == ["3.0", "1e+22"]


def test_a_dry_run_says_what_would_happen_and_does_nothing(editor, a_flag):
    flag = a_flag("new-checkout")

    outcome = submit(
        SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True),
        actor=editor,
        dry_run=True,
    )

    assert [effect.kind for effect in outcome.effects] == ["flag.switched"]
    assert not flag.configurations.filter(enabled=True).exists()


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (EditFlag(project="shop", flag="new-checkout", name="x" * 201), "name"),
        (EditFlag(project="shop", flag="new-checkout", description="a\0b"), "description"),
        (EditFlag(project="shop", flag="new-checkout", tags=["a\ud800"]), r"tags\[0\]"),
        (
            EditEnvironment(project="shop", environment="staging", position=10**30),
            "position",
        ),
    ],
    ids=["too long", "NUL", "a lone surrogate", "out of range"],
)
def test_what_no_column_can_hold_is_refused_with_its_place(owner, a_flag, change, place):
    a_flag("new-checkout")

    with pytest.raises(Invalid, match=f"^{place}: "):
        submit(change, actor=owner)

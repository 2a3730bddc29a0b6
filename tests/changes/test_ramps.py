"""Ramps: who joins and when, and what the clock and people may do."""

from itertools import pairwise

import pytest

from flagengine import Ruleset
from flags.changes import (
    ArchiveFlag,
    ConfigureFlag,
    EditFlag,
    PauseRamp,
    ResumeRamp,
    RollBackRamp,
    SetRampTemplate,
    SkipRampStep,
    StartRamp,
    StopRamp,
    SwitchFlag,
    submit,
)
from flags.errors import (
    Conflict,
    Conflicting,
    InUse,
    Invalid,
    StaleChange,
    WrongState,
)
from flags.snapshots import ruleset_document
from tests.changes.ramping import (
    HOUR,
    PRODUCTION,
    SHOP,
    WITH_APPROVAL,
    at,
    configuration,
    flag,
    ramp,
    share,
    start,
    sweep,
)

__all__ = ["flag"]
pytestmark = pytest.mark.django_db

# Who joins


SUBJECTS = [{"targetingKey": f"user-{number}"} for number in range(4_000)]


def who_has(variation):
    ruleset = Ruleset.compile(ruleset_document(configuration().environment), clock=lambda: 0.0)
    run = ruleset.evaluator("new-checkout", lambda result: result.variation)
    return {context["targetingKey"] for context in SUBJECTS if run(context, None) == variation}


@pytest.mark.parametrize(
    "serves",
    [
        {"variation": "off"},
        {"split": {"by": "targetingKey", "shares": [["on", 500], ["off", 99_500]]}},
        {"split": {"by": "targetingKey", "shares": [["off", 99_500], ["on", 500]]}},
    ],
    ids=["plain", "split", "split, the base first"],
)
def test_subjects_only_ever_join(a_flag, editor, serves):
    a_flag("new-checkout", on=True, fallthrough=serves)
    joined = [who_has("on")]

    start(editor)
    joined.append(who_has("on"))
    salt = configuration().fallthrough["split"]["salt"]
    for hours in (1, 2, 3):
        sweep(hours)
        joined.append(who_has("on"))
        assert configuration().fallthrough["split"]["salt"] == salt

    assert ramp().state == "finished"
    for before, after in pairwise(joined):
        assert before < after
    assert len(joined[-1]) == len(SUBJECTS)


@pytest.mark.parametrize(
    ("serves", "more", "why"),
    [
        ({"variation": "on"}, {}, "served to everybody here already"),
        ({"variation": "off"}, {"base": "on"}, "expected another variation"),
        (
            {"split": {"by": "targetingKey", "shares": [["on", 2_000], ["off", 98_000]]}},
            {},
            "take it from subjects who have it",
        ),
        (
            {"split": {"by": "targetingKey", "shares": [["on", 1_000], ["off", 9_000]]}},
            {},
            "add up to 100 %",
        ),
        (
            {"split": {"by": "targetingKey", "shares": [["off", 500], ["on", 500], ["off", 99_000]]}},
            {"base": "off"},
            "a split of on and off alone",
        ),
    ],
)  # fmt: skip
def test_where_subjects_would_leave_no_ramp_begins(a_flag, editor, serves, more, why):
    a_flag("new-checkout", on=True, fallthrough=serves)

    with pytest.raises(Invalid, match=why):
        start(editor, **more)


def test_a_flag_that_is_off_is_switched_on_and_off_again(a_flag, editor):
    a_flag("new-checkout")

    start(editor)
    assert (configuration().enabled, share("on"), share("off")) == (True, 1_000, 99_000)
    submit(RollBackRamp(**SHOP, ramp=1), actor=editor)

    assert (configuration().enabled, configuration().fallthrough) == (False, {"variation": "on"})


def test_a_rule_is_ramped_and_the_others_stay(a_flag, editor):
    rules = [
        {"id": name, "when": {"attribute": "plan", "op": "in", "values": [name]},
         "serve": {"variation": "off"}}
        for name in ("free", "pro")
    ]  # fmt: skip
    a_flag("new-checkout", on=True, rules=rules)

    start(editor, place="pro")
    sweep(1)

    free, pro = configuration().rules
    assert free == rules[0]
    assert pro["serve"]["split"]["shares"] == [["on", 5_000], ["off", 95_000]]


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [{"share": 1_000}],
        [{"share": 5_000, **HOUR}, {"share": 5_000}],
        [{"share": 5_000}, {"share": 6_000}],
        [{"share": 5_000, **HOUR}, {"share": 100_001}],
        [{"share": True, **HOUR}, {"share": 6_000}],
        [{"share": 5_000, "hold": {"seconds": 0}}, {"share": 6_000}],
        [{"share": 5_000, "hold": {"approval": False}}, {"share": 6_000}],
        [{"share": 5_000, **HOUR}, {"share": 6_000, **HOUR}],
        [5, 6],
    ],
)
def test_steps_that_are_none_are_refused(flag, editor, steps):
    with pytest.raises(Invalid, match="steps"):
        start(editor, steps)


def test_one_place_has_one_ramp(flag, editor):
    start(editor)

    with pytest.raises(Conflict, match="ramp 1 is under way here"):
        start(editor)


def test_a_template_is_copied(flag, editor):
    careful = SetRampTemplate(**SHOP, key="careful", steps=[{"share": 10, **HOUR}, {"share": 20}])
    submit(careful, actor=editor)
    submit(
        StartRamp(**PRODUCTION, flag="new-checkout", variation="on", template="careful"),
        actor=editor,
    )

    submit(
        SetRampTemplate(**SHOP, key="careful", steps=[{"share": 9, **HOUR}, {"share": 100_000}]),
        actor=editor,
    )

    assert ramp().steps == [{"share": 10, **HOUR}, {"share": 20}]


def test_a_flag_that_is_ramping_is_not_archived(flag, editor):
    start(editor)

    with pytest.raises(InUse, match="ramp 1"):
        submit(ArchiveFlag(**SHOP, flag="new-checkout"), actor=editor)

    submit(StopRamp(**SHOP, ramp=1), actor=editor)
    submit(ArchiveFlag(**SHOP, flag="new-checkout"), actor=editor)


# What the clock does


def test_a_step_is_taken_when_it_is_due_and_once(flag, editor):
    start(editor)

    assert sweep(0.5) == 0
    assert sweep(1) == 1
    assert sweep(1) == 0

    assert (share(), ramp().next_due_at) == (5_000, at(2))


def test_a_late_worker_delays_nothing_after_it(flag, editor):
    start(editor)

    sweep(1.9)

    assert ramp().next_due_at == at(2)


def test_overdue_steps_fold_into_one_event(flag, editor):
    start(editor)
    before = configuration().version

    sweep(100)

    assert (share(), ramp().state) == (100_000, "finished")
    assert configuration().version == before + 1


def test_an_approval_is_never_skipped_by_the_clock(flag, editor):
    start(editor, WITH_APPROVAL)

    sweep(100)
    sweep(200)

    assert (share(), ramp().state) == (5_000, "awaiting_approval")


def test_pausing_keeps_what_is_left_of_the_hold(flag, editor):
    start(editor)
    submit(PauseRamp(**SHOP, ramp=1), actor=editor, now=at(0.75))

    assert sweep(50) == 0
    submit(ResumeRamp(**SHOP, ramp=1), actor=editor, now=at(50))

    assert (share(), ramp().next_due_at) == (1_000, at(50.25))


def test_resuming_skips_no_approval(flag, editor):
    start(editor, WITH_APPROVAL)
    sweep(1)
    submit(PauseRamp(**SHOP, ramp=1), actor=editor, now=at(1))

    submit(ResumeRamp(**SHOP, ramp=1), actor=editor, now=at(2))
    sweep(3)

    assert (share(), ramp().state) == (5_000, "awaiting_approval")


def test_skipping_takes_the_next_step_now_but_no_approval(flag, editor):
    start(editor, WITH_APPROVAL)

    submit(SkipRampStep(**SHOP, ramp=1, step=0), actor=editor, now=at(0.1))

    assert share() == 5_000
    with pytest.raises(WrongState, match="waits for approval"):
        submit(SkipRampStep(**SHOP, ramp=1), actor=editor, now=at(0.2))


def test_what_the_author_of_a_skip_saw_counts(flag, editor):
    start(editor)
    sweep(1)

    with pytest.raises(StaleChange):
        submit(SkipRampStep(**SHOP, ramp=1, step=0), actor=editor, now=at(1))


@pytest.mark.parametrize(
    ("meanwhile", "why"),
    [
        (ConfigureFlag(**PRODUCTION, flag="new-checkout", fallthrough={"variation": "off"}), "fallthrough"),
        (SwitchFlag(**PRODUCTION, flag="new-checkout", on=False), "enabled"),
        (
            EditFlag(**SHOP, flag="new-checkout", variations=[
                {"key": "on", "value": False}, {"key": "off", "value": True}]),
            "variations",
        ),
    ],
    ids=["the place", "switched off", "what the variations mean"],
)  # fmt: skip
def test_what_others_changed_meanwhile_is_not_overwritten(flag, editor, meanwhile, why):
    start(editor)
    submit(meanwhile, actor=editor)
    before = configuration().version

    sweep(1)
    sweep(2)

    assert (ramp().state, configuration().version) == ("held", before)
    assert f"{why} of new-checkout in production was changed" in ramp().why
    with pytest.raises(Conflicting):
        submit(RollBackRamp(**SHOP, ramp=1), actor=editor)


def test_a_change_elsewhere_in_the_flag_stays_under_the_ramp(flag, editor):
    start(editor)
    submit(ConfigureFlag(**PRODUCTION, flag="new-checkout", off_variation=None), actor=editor)

    sweep(1)

    assert (share(), configuration().off_variation) == (5_000, None)


def test_a_rule_that_is_gone_holds_its_ramp(a_flag, editor):
    rule = {"id": "pro", "when": {"attribute": "plan", "op": "exists"}, "serve": {"variation": "off"}}  # fmt: skip
    a_flag("new-checkout", on=True, rules=[rule])
    start(editor, place="pro")
    submit(ConfigureFlag(**PRODUCTION, flag="new-checkout", rules=[]), actor=editor)

    sweep(1)

    assert "rule pro of new-checkout" in ramp().why


def test_a_held_ramp_goes_on_from_what_is_there(flag, editor):
    start(editor)
    salt = configuration().fallthrough["split"]["salt"]
    shares = [["on", 3_000], ["off", 97_000]]
    mended = {"split": {"by": "targetingKey", "salt": salt, "shares": shares}}
    submit(ConfigureFlag(**PRODUCTION, flag="new-checkout", fallthrough=mended), actor=editor)
    sweep(1)

    submit(ResumeRamp(**SHOP, ramp=1), actor=editor, now=at(5))
    sweep(5)

    assert (share(), ramp().state, ramp().why) == (5_000, "running", "")

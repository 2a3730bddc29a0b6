"""Ramps: who joins and when, what the clock may do, and what approval of a plan lets through."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.utils import timezone

from flagengine import Ruleset
from flags.changes import (
    AdvanceRamp,
    ApplyRequest,
    ApproveRampStep,
    ArchiveFlag,
    ConfigureFlag,
    EditEnvironment,
    EditFlag,
    OpenRequest,
    PauseRamp,
    ResumeRamp,
    ReviewRequest,
    RollBackRamp,
    SetMember,
    SetPolicy,
    SetRampTemplate,
    SkipRampStep,
    StartRamp,
    StopRamp,
    SwitchFlag,
    submit,
)
from flags.changes.releases import clock
from flags.errors import (
    ApprovalNeeded,
    Conflict,
    Conflicting,
    Denied,
    InUse,
    Invalid,
    StaleChange,
    WrongState,
)
from flags.models import Environment, FlagConfiguration, Ramp, Request
from flags.snapshots import ruleset_document
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

SHOP: dict[str, Any] = {"project": "shop"}
PRODUCTION: dict[str, Any] = {**SHOP, "environment": "production"}
HOUR = {"hold": {"seconds": 3_600}}
APPROVAL = {"hold": {"approval": True}}
TIMED = [{"share": 1_000, **HOUR}, {"share": 5_000, **HOUR}, {"share": 25_000, **HOUR}, {"share": 100_000}]  # fmt: skip
WITH_APPROVAL = [
    {"share": 1_000, **HOUR}, {"share": 5_000, **APPROVAL}, {"share": 25_000, **HOUR}, {"share": 100_000},
]  # fmt: skip
BEGIN = timezone.now().replace(microsecond=0)
START = StartRamp(**PRODUCTION, flag="new-checkout", variation="on", steps=TIMED)


def at(hours):
    return BEGIN + timedelta(hours=hours)


def ramp(number=1):
    return Ramp.objects.get(number=number)


def configuration():
    return FlagConfiguration.objects.get(flag__key="new-checkout", environment__key="production")


def share(variation="on"):
    return dict(configuration().fallthrough["split"]["shares"]).get(variation, 0)


def sweep(hours):
    return clock.sweep(now=at(hours))


def guard(**policy):
    submit(
        SetPolicy(**PRODUCTION, **policy),
        EditEnvironment(**PRODUCTION, requires_approval=True),
        actor=OPERATOR,
    )


def unguard():
    Environment.objects.filter(key="production").update(requires_approval=False)


def start(editor, steps=TIMED, **more):
    change = StartRamp(
        **PRODUCTION, flag="new-checkout", variation="on", **{"steps": steps, **more}
    )
    return submit(change, actor=editor, now=at(0))


def agreed(editor, reviewer, steps=TIMED):
    """A ramp that was begun by an approved request."""
    number = start(editor, steps).request
    submit(ReviewRequest(**SHOP, request=number, verdict="approved"), actor=reviewer, now=at(0))
    submit(ApplyRequest(**SHOP, request=number), actor=editor, now=at(0))


@pytest.fixture
def flag(a_flag):
    """On, and serves `off` to everybody."""
    return a_flag("new-checkout", on=True, fallthrough={"variation": "off"})


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


# Approval of the plan


def test_starting_a_ramp_under_approval_becomes_a_request(flag, editor):
    guard()

    outcome = start(editor)

    assert outcome.request == 1
    assert not Ramp.objects.exists()


def test_one_approval_covers_the_whole_ramp(flag, editor, reviewer):
    guard()
    agreed(editor, reviewer)

    for hours, wanted in ((1, 5_000), (2, 25_000), (3, 100_000)):
        sweep(hours)
        assert share() == wanted

    assert ramp().is_agreed
    assert ramp().request.number == 1


def test_a_verdict_is_bound_to_the_whole_plan(flag, editor, reviewer):
    guard()
    number = start(editor).request
    submit(ReviewRequest(**SHOP, request=number, verdict="approved"), actor=reviewer)
    assert Request.objects.get().state == "approved"
    (kept,) = Request.objects.get().changes
    faster = [TIMED[0], {"share": 100_000}]

    from_plan = {**kept, "steps": faster}
    submit(
        OpenRequest(**SHOP, changes=[from_plan]), actor=editor
    )  # of the same first step: nothing but the plan differs
    first, second = Request.objects.order_by("number")

    assert first.state == "approved"
    assert second.state == "in_review"
    submit(ReviewRequest(**SHOP, request=2, verdict="approved"), actor=reviewer)
    behaviours = {row.behaviour for request in (first, second) for row in request.verdicts.all()}
    assert len(behaviours) == 2


def test_starting_another_ramp_meanwhile_keeps_the_verdict(flag, a_flag, editor, reviewer):
    a_flag("elsewhere")
    guard()
    number = start(editor).request
    submit(ReviewRequest(**SHOP, request=number, verdict="approved"), actor=reviewer)
    submit(StartRamp(**SHOP, environment="staging", flag="elsewhere", variation="on"), actor=editor)

    submit(ApplyRequest(**SHOP, request=number), actor=editor)

    assert ramp(2).is_agreed


def test_a_plan_in_small_steps_goes_past_no_condition(flag, editor):
    guard(conditions=[{"kind": "rollout_grows", "points": 40}])

    assert start(editor).request == 1


def test_nor_does_one_of_a_flag_that_is_off(a_flag, editor):
    a_flag()
    guard(conditions=[{"kind": "rollout_grows", "points": 25}])
    small = [{"share": share, **HOUR} for share in (20_000, 40_000, 60_000, 80_000)]

    assert start(editor, [*small, {"share": 100_000}]).request == 1


def test_a_ramp_begun_before_the_guard_is_held_until_its_plan_is_approved(flag, editor, reviewer):
    start(editor)
    guard()

    sweep(1)
    assert (share(), ramp().state) == (1_000, "held")
    assert "requires approval" in ramp().why

    number = submit(ResumeRamp(**SHOP, ramp=1), actor=editor, now=at(2)).request
    submit(ReviewRequest(**SHOP, request=number, verdict="approved"), actor=reviewer, now=at(3))
    submit(ApplyRequest(**SHOP, request=number), actor=editor, now=at(4))
    sweep(4)
    sweep(5)

    assert (share(), ramp().state, ramp().is_agreed) == (25_000, "running", True)


def test_an_agreed_ramp_is_held_when_the_place_was_changed_while_unguarded(flag, editor, reviewer):
    guard()
    agreed(editor, reviewer)
    unguard()
    submit(
        ConfigureFlag(**PRODUCTION, flag="new-checkout", fallthrough={"variation": "off"}),
        actor=editor,
    )
    guard()

    sweep(1)

    assert (ramp().state, configuration().fallthrough) == ("held", {"variation": "off"})


def test_skipping_is_another_schedule_and_asks(flag, editor, reviewer):
    guard()
    agreed(editor, reviewer)

    outcome = submit(SkipRampStep(**SHOP, ramp=1), actor=editor, now=at(0.1))

    assert outcome.request == 2
    assert share() == 1_000


@pytest.mark.parametrize("condition", [None, {"kind": "rollout_grows", "points": 10}])
def test_skipping_in_small_steps_asks_too(flag, editor, reviewer, condition):
    guard(conditions=[condition] if condition else [])
    agreed(editor, reviewer)

    assert submit(SkipRampStep(**SHOP, ramp=1), actor=editor, now=at(0.1)).request == 2


def test_the_way_back_is_part_of_what_was_approved(flag, editor, reviewer):
    guard()
    agreed(editor, reviewer)
    sweep(1)

    outcome = submit(RollBackRamp(**SHOP, ramp=1), actor=editor)

    assert outcome.request is None
    assert (ramp().state, configuration().fallthrough) == ("rolled_back", {"variation": "off"})


def test_a_ramp_that_is_over_leads_nowhere_back(flag, editor, reviewer):
    guard()
    agreed(editor, reviewer)
    sweep(3)

    with pytest.raises(WrongState, match="finished"):
        submit(RollBackRamp(**SHOP, ramp=1), actor=editor)


def test_what_a_plan_lets_through_lets_nothing_through_beside_it(flag, a_flag, editor, reviewer):
    a_flag("other")
    guard()
    agreed(editor, reviewer)

    with pytest.raises(Invalid, match="submitted by itself"):
        submit(
            RollBackRamp(**SHOP, ramp=1),
            SwitchFlag(**PRODUCTION, flag="other", on=True),
            actor=editor,
        )


def test_nor_does_a_request_that_holds_it(flag, a_flag, editor, reviewer):
    a_flag("other")
    guard()
    agreed(editor, reviewer)
    both = [RollBackRamp(**SHOP, ramp=1), SwitchFlag(**PRODUCTION, flag="other", on=True)]
    opened = submit(OpenRequest(**SHOP, changes=[row.as_json() for row in both]), actor=editor)

    with pytest.raises(ApprovalNeeded):
        submit(ApplyRequest(**SHOP, request=opened.request), actor=editor)


def test_the_starter_having_left_stops_nothing(flag, editor, reviewer):
    guard()
    agreed(editor, reviewer)
    submit(SetMember(**SHOP, username="editor", role="viewer"), actor=OPERATOR)

    sweep(1)

    assert share() == 5_000


def test_a_step_due_in_a_freeze_waits(flag, editor, reviewer):
    guard()
    agreed(editor, reviewer)
    unguard()
    guard(freezes=[{"from": at(0.5).isoformat(), "to": at(1.5).isoformat(), "why": "sale"}])

    assert sweep(1) == 0
    with pytest.raises(WrongState, match="frozen until"):
        submit(AdvanceRamp(**SHOP, ramp=1), actor=OPERATOR, now=at(1))
    sweep(1.5)

    assert (share(), ramp().next_due_at) == (5_000, at(2))


def test_hours_are_those_of_the_time_zone(flag, editor, reviewer):
    guard()
    agreed(editor, reviewer, [{"share": 1_000, "hold": {"seconds": 1}}, {"share": 2_000}])
    unguard()
    # 09:00 to 17:00 in Tokyo is 00:00 to 08:00 UTC.
    guard(
        windows=[{"days": [0, 1, 2, 3, 4, 5, 6], "from": "09:00", "to": "17:00"}],
        time_zone="Asia/Tokyo",
    )
    tomorrow = (BEGIN + timedelta(days=1)).replace(hour=0, minute=0, second=0)

    assert clock.sweep(now=tomorrow.replace(hour=9)) == 0
    assert clock.sweep(now=tomorrow + timedelta(days=1, hours=1)) == 1


# Approval of a step


def awaiting(editor, **more):
    start(editor, [{"share": 1_000, **APPROVAL}, {"share": 5_000, **HOUR}, {"share": 9_000}], **more)  # fmt: skip


def approve(actor, hours=1):
    return submit(ApproveRampStep(**SHOP, ramp=1), actor=actor, now=at(hours))


def test_a_step_is_taken_with_the_approval_it_waits_for(flag, editor, reviewer):
    awaiting(editor)

    approve(reviewer)

    assert (share(), ramp().state, ramp().next_due_at) == (5_000, "running", at(2))


def test_as_many_approve_as_the_policy_says(flag, editor, reviewer, admin, viewer):
    guard(approvals=2)
    number = start(editor, WITH_APPROVAL).request
    for who in (reviewer, admin):
        submit(ReviewRequest(**SHOP, request=number, verdict="approved"), actor=who, now=at(0))
    submit(ApplyRequest(**SHOP, request=number), actor=editor, now=at(0))
    sweep(1)

    approve(reviewer)
    approve(reviewer)
    assert share() == 5_000
    with pytest.raises(Denied, match="not among those"):
        approve(viewer)
    approve(admin)

    assert share() == 25_000


def test_who_approved_by_a_token_that_does_not_count_approves_in_person(flag, editor, reviewer):
    awaiting(editor)
    program = replace(reviewer, token="fst_ci", scopes=frozenset({"review"}))

    approve(program)
    assert share() == 1_000
    approve(reviewer)

    assert share() == 5_000


def test_the_starter_approves_no_step_of_their_own(flag, admin):
    awaiting(admin)

    with pytest.raises(Denied, match="of their own"):
        approve(admin)


def test_nor_does_the_author_of_the_request_that_another_applied(flag, admin, reviewer, editor):
    guard()
    number = start(admin, WITH_APPROVAL).request
    submit(ReviewRequest(**SHOP, request=number, verdict="approved"), actor=reviewer, now=at(0))
    submit(ApplyRequest(**SHOP, request=number), actor=editor, now=at(0))
    sweep(1)

    with pytest.raises(Denied, match="of their own"):
        approve(admin)


def test_approval_of_a_step_is_for_what_is_there(flag, editor, reviewer, admin):
    guard(approvals=2)
    unguard()
    awaiting(editor)
    guard(approvals=2)
    Ramp.objects.update(is_agreed=True)
    approve(reviewer)
    unguard()
    submit(SwitchFlag(**PRODUCTION, flag="new-checkout", on=False), actor=editor)
    guard(approvals=2)

    with pytest.raises(Conflicting, match="enabled of new-checkout"):
        approve(admin)


def test_approval_given_in_a_freeze_counts_when_it_is_over(flag, editor, reviewer):
    guard()
    agreed(editor, reviewer, WITH_APPROVAL)
    sweep(1)
    unguard()
    guard(freezes=[{"from": at(1).isoformat(), "to": at(9).isoformat(), "why": "sale"}])

    approve(reviewer, hours=2)
    sweep(3)
    assert (share(), ramp().state) == (5_000, "awaiting_approval")
    sweep(9)

    assert (share(), ramp().next_due_at) == (25_000, at(10))


def test_approval_of_a_step_is_no_way_round_the_gate(flag, editor, reviewer):
    awaiting(editor)
    guard()

    with pytest.raises(ApprovalNeeded):
        approve(reviewer)

    assert share() == 1_000


def test_a_request_for_a_ramp_is_titled_by_its_flag(a_flag):
    a_flag()

    asked = submit(OpenRequest(**SHOP, changes=[START.as_json()]), actor=OPERATOR)

    assert Request.objects.get(number=asked.request).title == (
        "new-checkout: ramp of on started in production"
    )

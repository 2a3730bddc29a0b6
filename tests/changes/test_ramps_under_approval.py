"""Ramps where approval is asked for: what approval of a plan, and of a step, lets through."""

from dataclasses import replace
from datetime import timedelta

import pytest

from flags.changes import (
    AdvanceRamp,
    ApplyRequest,
    ApproveRampStep,
    ConfigureFlag,
    OpenRequest,
    ResumeRamp,
    ReviewRequest,
    RollBackRamp,
    SetMember,
    SkipRampStep,
    StartRamp,
    SwitchFlag,
    submit,
)
from flags.changes.releases import clock
from flags.errors import (
    ApprovalNeeded,
    Conflicting,
    Denied,
    Invalid,
    WrongState,
)
from flags.models import Ramp, Request
from tests.cast import OPERATOR
from tests.changes.ramping import (
    APPROVAL,
    BEGIN,
    HOUR,
    PRODUCTION,
    SHOP,
    START,
    TIMED,
    WITH_APPROVAL,
    agreed,
    at,
    configuration,
    flag,
    guard,
    ramp,
    share,
    start,
    sweep,
    unguard,
)

__all__ = ["flag"]
pytestmark = pytest.mark.django_db

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

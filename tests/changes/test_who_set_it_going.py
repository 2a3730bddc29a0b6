"""What the clock applies is judged by who set it going, as they may act when it happens."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from flags.changes import (
    ApplyRequest,
    CloseRequest,
    ConfigureFlag,
    EditEnvironment,
    EditFlag,
    EditRequest,
    EditUser,
    GrantLease,
    KeepLease,
    OpenRequest,
    RemoveMember,
    ReviewRequest,
    SetMember,
    SetPolicy,
    SetTeam,
    SettleRequest,
    SubmitRequest,
    SwitchFlag,
    due,
    submit,
)
from flags.errors import Denied, WrongState
from flags.models import Environment, FlagConfiguration, Membership, Request, User
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

SHOP: dict[str, Any] = {"project": "shop"}
STAGING: dict[str, Any] = {**SHOP, "environment": "staging"}
PRODUCTION: dict[str, Any] = {**SHOP, "environment": "production"}
SWITCH = SwitchFlag(**STAGING, flag="new-checkout", on=True)
GUARDED_SWITCH = SwitchFlag(**PRODUCTION, flag="new-checkout", on=True)
PROMOTION = SetMember(**SHOP, username="viewer", role="admin")
TEAM = SetTeam(**SHOP, key="sre", members=["viewer"])
RENAMED = EditEnvironment(**STAGING, name="Stage")
BEGIN = timezone.now()
LATER = BEGIN + timedelta(days=20)
DEMOTED = SetMember(**SHOP, username="admin", role="viewer")
REMOVED = RemoveMember(**SHOP, username="admin")
DEACTIVATED = EditUser(username="admin", is_active=False)


@pytest.fixture
def shop(project, a_flag):
    a_flag("new-checkout")
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)


def scheduled(actor, *changes):
    rows = [change.as_json() for change in changes]
    submit(OpenRequest(**SHOP, changes=rows, apply_at=LATER), actor=actor, now=BEGIN)
    return request()


def request():
    return Request.objects.get(number=1)


def sweep(after=timedelta()):
    return due.sweep(now=LATER + after, since=LATER)


def is_on(environment="staging"):
    return FlagConfiguration.objects.get(environment__key=environment).enabled


def unguard():
    Environment.objects.filter(key="production").update(requires_approval=False)


def role_of(username):
    return Membership.objects.get(user__username=username).role


@pytest.mark.parametrize("gone", [DEMOTED, REMOVED, DEACTIVATED], ids=["demoted", "removed", "deactivated"])  # fmt: skip
@pytest.mark.parametrize("change", [PROMOTION, TEAM, RENAMED, SetPolicy(**STAGING, approvals=2)])
def test_nobody_administers_by_the_clock_who_may_no_more(shop, admin, change, gone):
    scheduled(admin, SWITCH, change)
    submit(gone, actor=OPERATOR)

    assert sweep(timedelta(days=2)) == 1

    assert request().state == "failed"
    assert "admin, who set it going, may not do it any more" in request().outcome
    assert (role_of("viewer"), is_on()) == ("viewer", False)
    assert sweep(timedelta(days=3)) == 0


def test_what_failed_so_is_applied_by_somebody_who_may(shop, admin, editor, owner):
    scheduled(admin, PROMOTION)
    submit(DEMOTED, actor=OPERATOR)
    sweep()

    submit(ApplyRequest(**SHOP, request=1), actor=owner, now=LATER)

    assert (request().state, role_of("viewer")) == ("applied", "admin")


def test_what_failed_is_not_taken_up_again_by_the_clock(shop, admin, reviewer):
    scheduled(admin, GUARDED_SWITCH, PROMOTION)
    approval = ReviewRequest(**SHOP, request=1, verdict="approved")
    submit(approval, actor=reviewer, now=BEGIN)
    submit(DEMOTED, actor=OPERATOR)
    sweep()
    why = request().outcome
    submit(SetMember(**SHOP, username="admin", role="admin"), actor=OPERATOR)

    submit(SettleRequest(**SHOP, request=1), actor=OPERATOR, now=LATER)
    submit(approval, actor=reviewer, now=LATER)

    assert sweep(timedelta(days=9)) == 0
    assert (request().state, request().outcome) == ("failed", why)


def test_who_asks_again_sets_it_going_anew(shop, admin, owner):
    scheduled(admin, PROMOTION)
    submit(DEMOTED, actor=OPERATOR)
    sweep()

    submit(SubmitRequest(**SHOP, request=1), actor=owner, now=LATER)

    assert sweep() == 1
    assert role_of("viewer") == "admin"


def test_nobody_decides_by_the_clock_about_a_role_above_their_own(shop, admin):
    scheduled(admin, PROMOTION)
    lower = SetMember(**SHOP, username="admin", role="admin", environments={"staging": "editor"})
    submit(lower, actor=OPERATOR)

    sweep()

    assert request().state == "failed"
    assert "where admin is editor" in request().outcome
    assert role_of("viewer") == "viewer"


def test_a_request_does_not_give_the_rights_that_it_takes(shop, admin):
    submit(SetMember(**SHOP, username="reviewer", role="admin"), actor=OPERATOR)
    scheduled(admin, SetMember(**SHOP, username="admin", role="admin"), PROMOTION, SWITCH)
    submit(DEMOTED, actor=OPERATOR)

    sweep()

    assert (role_of("admin"), role_of("viewer")) == ("viewer", "viewer")


@pytest.mark.parametrize("gone", [REMOVED, DEACTIVATED], ids=["removed", "deactivated"])
def test_a_plain_edit_goes_through_whose_author_has_left(shop, admin, gone):
    scheduled(admin, SWITCH)
    submit(gone, actor=OPERATOR)

    assert sweep() == 1

    assert is_on()


def test_a_plain_edit_of_who_may_only_look_by_now_fails(shop, admin):
    scheduled(admin, SWITCH)
    submit(DEMOTED, actor=OPERATOR)

    sweep()

    assert (request().state, is_on()) == ("failed", False)


@pytest.mark.parametrize("gone", [DEMOTED, REMOVED, DEACTIVATED], ids=["demoted", "removed", "deactivated"])  # fmt: skip
def test_what_was_approved_is_in_nobodys_hand_but_the_reviewers(shop, admin, reviewer, gone):
    stricter = SetPolicy(**PRODUCTION, approvals=2)
    scheduled(admin, GUARDED_SWITCH, stricter)
    submit(ReviewRequest(**SHOP, request=1, verdict="approved"), actor=reviewer, now=BEGIN)
    submit(gone, actor=OPERATOR)

    assert sweep() == 1

    policy = Environment.objects.get(key="production").policy
    assert (is_on("production"), policy.approvals) == (True, 2)


def test_an_approval_covers_nothing_that_no_policy_asked_about(shop, admin, reviewer):
    scheduled(admin, GUARDED_SWITCH, PROMOTION)
    # To approve the switch takes no right to promote anybody, and gives none.
    submit(ReviewRequest(**SHOP, request=1, verdict="approved"), actor=reviewer, now=BEGIN)
    submit(DEMOTED, actor=OPERATOR)

    sweep()

    assert (request().state, is_on("production")) == ("failed", False)
    assert role_of("viewer") == "viewer"


def test_who_changes_it_last_answers_for_it(shop, admin, owner):
    submit(SetMember(**SHOP, username="reviewer", role="admin"), actor=OPERATOR)
    scheduled(owner, SWITCH)
    more = EditRequest(**SHOP, request=1, changes=[SWITCH.as_json(), PROMOTION.as_json()])
    submit(more, actor=admin, now=BEGIN)
    submit(DEMOTED, actor=OPERATOR)

    sweep()

    assert (request().state, role_of("viewer")) == ("failed", "viewer")


def test_who_takes_its_instant_away_sets_nothing_going(shop, editor, admin):
    scheduled(editor, SWITCH)

    submit(EditRequest(**SHOP, request=1, apply_at=None), actor=admin, now=BEGIN)

    assert (request().state, request().armed_by.username) == ("approved", "editor")


def test_disabling_a_policy_lets_nothing_through_that_nobody_approved(shop, editor, admin):
    scheduled(editor, GUARDED_SWITCH)
    assert request().state == "in_review"
    unguard()

    # Told early, and once more at the instant; a sweep that comes late does not forget.
    due.sweep(now=LATER - timedelta(hours=1), since=BEGIN)
    assert sweep(timedelta(days=1)) == 0

    assert (request().state, is_on("production")) == ("in_review", False)
    submit(ApplyRequest(**SHOP, request=1), actor=editor, now=LATER)
    assert is_on("production")


@pytest.mark.parametrize(
    "change",
    [
        SetPolicy(**PRODUCTION, approvals=3),
        EditFlag(**SHOP, flag="new-checkout", tags=[]),
        KeepLease(**SHOP, lease=1),
    ],
    ids=["of a policy", "of a tag", "of a lease"],
)
def test_nor_what_alters_the_guard_and_no_ruleset(shop, editor, admin, reviewer, change):
    tagged = [{"kind": "tagged", "tags": ["payments"]}]
    unguard()
    submit(
        EditFlag(**SHOP, flag="new-checkout", tags=["payments"]),
        SetPolicy(**PRODUCTION, conditions=tagged),
        EditEnvironment(**PRODUCTION, requires_approval=True),
        actor=OPERATOR,
    )
    lease = GrantLease(**SHOP, changes=[GUARDED_SWITCH.as_json()], seconds=40 * 24 * 60 * 60)
    submit(lease, actor=editor, now=BEGIN)
    submit(ReviewRequest(**SHOP, request=1, verdict="approved"), actor=reviewer, now=BEGIN)
    submit(ApplyRequest(**SHOP, request=1), actor=editor, now=BEGIN)
    waits = OpenRequest(**SHOP, changes=[change.as_json()], apply_at=LATER)
    submit(waits, actor=admin, now=BEGIN)
    unguard()

    # Looked at twice: what asked is not forgotten by the first.
    for _ in range(2):
        submit(SettleRequest(**SHOP, request=2), actor=OPERATOR, now=BEGIN)
    assert sweep() == 0

    assert Request.objects.get(number=2).state == "in_review"


def test_what_lapsed_is_given_by_those_who_were_asked(shop, editor):
    submit(EditEnvironment(**STAGING, requires_approval=True), actor=OPERATOR)
    only_there = {"production": "viewer"}
    submit(
        SetMember(**SHOP, username="admin", role="reviewer", environments=only_there),
        SetMember(**SHOP, username="reviewer", role="viewer", environments={"production": "reviewer"}),
        actor=OPERATOR,
    )  # fmt: skip
    scheduled(editor, SWITCH, GUARDED_SWITCH)
    unguard()

    viewer = User.objects.get(username="viewer").as_actor()
    with pytest.raises(Denied, match="not among those"):
        submit(ReviewRequest(**SHOP, request=1, verdict="rejected"), actor=viewer, reason="No")
    for who in ("admin", "reviewer"):
        actor = User.objects.get(username=who).as_actor()
        submit(ReviewRequest(**SHOP, request=1, verdict="approved"), actor=actor, now=BEGIN)

    assert request().state == "scheduled"


def test_who_sets_it_going_anew_where_nobody_asks_lets_it_happen(shop, editor):
    scheduled(editor, GUARDED_SWITCH)
    unguard()

    submit(EditRequest(**SHOP, request=1, armed=True), actor=editor, now=BEGIN)

    assert request().state == "scheduled"
    assert sweep() == 1
    assert is_on("production")


def test_what_moved_after_the_approval_and_the_end_of_the_policy_waits(shop, editor, reviewer):
    scheduled(editor, GUARDED_SWITCH)
    submit(ReviewRequest(**SHOP, request=1, verdict="approved"), actor=reviewer, now=BEGIN)
    unguard()
    moved = ConfigureFlag(**PRODUCTION, flag="new-checkout", fallthrough={"variation": "off"})
    submit(moved, actor=OPERATOR, now=BEGIN)

    sweep()

    assert (request().state, is_on("production")) == ("in_review", False)


def test_what_is_scheduled_further_away_than_requests_wait_is_done_then(shop, editor):
    rows = [SWITCH.as_json()]
    at = BEGIN + timedelta(days=90)
    submit(OpenRequest(**SHOP, changes=rows, apply_at=at), actor=editor, now=BEGIN)

    due.sweep(now=BEGIN + timedelta(days=60), since=BEGIN)
    assert request().state == "scheduled"
    # What a sweep found may have been scheduled before it comes to it.
    with pytest.raises(WrongState):
        submit(CloseRequest(**SHOP, request=1, state="expired", why="Late"), actor=OPERATOR)

    due.sweep(now=at, since=BEGIN)
    assert is_on()

"""Requests: what an environment under approval lets happen, and when."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.facts import Actor
from flags.changes import (
    ApplyRequest,
    ConfigureFlag,
    CreateFlag,
    DraftChanges,
    EditEnvironment,
    EditFlag,
    EditRequest,
    EditUser,
    OpenRequest,
    ReviewBypass,
    ReviewRequest,
    SetMember,
    SetPolicy,
    SetTeam,
    SettleRequest,
    SubmitRequest,
    SwitchFlag,
    UndoVerdict,
    WithdrawRequest,
    due,
    submit,
)
from flags.errors import ApprovalNeeded, Conflicting, Denied, Invalid, WrongState
from flags.models import Environment, Flag, Request
from flags.snapshots import ruleset_document
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

SHOP: dict[str, Any] = {"project": "shop"}
PRODUCTION: dict[str, Any] = {**SHOP, "environment": "production"}
SWITCH = SwitchFlag(**PRODUCTION, flag="new-checkout", on=True)


@pytest.fixture
def guarded(project, a_flag):
    """Production asks for one approval; it has the flag new-checkout, off."""
    a_flag("new-checkout")
    submit(
        EditEnvironment(**PRODUCTION, requires_approval=True),
        SetPolicy(**PRODUCTION, approvals=1),
        actor=OPERATOR,
    )
    return Environment.objects.get(project=project, key="production")


def is_on(flag="new-checkout", environment="production"):
    return Flag.objects.get(key=flag).configurations.get(environment__key=environment).enabled


def request(number=1):
    return Request.objects.get(number=number)


def review(actor, verdict="approved", *, number=1, reason=""):
    return submit(
        ReviewRequest(**SHOP, request=number, verdict=verdict), actor=actor, reason=reason
    )


def apply(actor, number=1, **more):
    return submit(ApplyRequest(**SHOP, request=number, **more), actor=actor)


def set_policy(**policy):
    Environment.objects.filter(key="production").update(requires_approval=False)
    submit(
        SetPolicy(**PRODUCTION, **policy),
        EditEnvironment(**PRODUCTION, requires_approval=True),
        actor=OPERATOR,
    )


def test_a_save_becomes_a_request_and_changes_nothing(guarded, editor):
    before = ruleset_document(guarded)

    outcome = submit(SWITCH, actor=editor, reason="launch")

    assert outcome.request == 1
    assert outcome.versions == {}
    assert ruleset_document(guarded) == before
    assert (request().state, request().author.username) == ("in_review", "editor")


def test_what_alters_no_guarded_ruleset_needs_no_request(guarded, editor):
    outcome = submit(EditFlag(**SHOP, flag="new-checkout", description="Says more"), actor=editor)

    assert outcome.request is None


def test_an_approved_request_is_applied_by_who_may(guarded, editor, reviewer):
    submit(SWITCH, actor=editor)

    review(reviewer)
    outcome = apply(editor)

    assert is_on()
    assert request().state == "applied"
    assert {event.request for event in outcome.events} == {"1"}


def test_without_approval_it_is_not_applied(guarded, editor):
    submit(SWITCH, actor=editor)

    with pytest.raises(ApprovalNeeded, match="1 more approval by a reviewer"):
        apply(editor)

    assert not is_on()


def test_author_cannot_approve_own_request(guarded, admin):
    submit(SWITCH, actor=admin)

    with pytest.raises(Denied, match="of their own"):
        review(admin)


def test_who_the_policy_does_not_ask_cannot_approve(guarded, editor, viewer):
    submit(SWITCH, actor=editor)

    with pytest.raises(Denied, match="not among those"):
        review(viewer)


def test_a_reviewer_who_lost_the_role_counts_no_more(guarded, editor, reviewer):
    submit(SWITCH, actor=editor)
    review(reviewer)
    submit(SetMember(**SHOP, username="reviewer", role="viewer"), actor=OPERATOR)

    with pytest.raises(ApprovalNeeded):
        apply(editor)


def test_rejecting_takes_a_reason_and_ends_it(guarded, editor, reviewer):
    submit(SWITCH, actor=editor)
    with pytest.raises(Invalid, match="takes a reason"):
        review(reviewer, "rejected")

    review(reviewer, "rejected", reason="Not before the sale")

    assert (request().state, request().outcome) == ("rejected", "Not before the sale")
    with pytest.raises(WrongState):
        apply(editor)


def test_an_edit_makes_verdicts_stale(guarded, editor, reviewer):
    submit(SWITCH, actor=editor)
    review(reviewer)
    split = {"split": {"by": "targetingKey", "shares": [["on", 10_000], ["off", 90_000]]}}
    more = ConfigureFlag(**PRODUCTION, flag="new-checkout", fallthrough=split)

    submit(EditRequest(**SHOP, request=1, changes=[SWITCH.as_json(), more.as_json()]), actor=editor)

    assert request().state == "in_review"
    with pytest.raises(ApprovalNeeded):
        apply(editor)
    review(reviewer)
    apply(editor)
    assert is_on()


def test_another_schedule_makes_verdicts_stale(guarded, editor, reviewer):
    submit(SWITCH, actor=editor)
    review(reviewer)
    assert request().state == "approved"

    later = timezone.now() + timedelta(days=1)
    submit(EditRequest(**SHOP, request=1, apply_at=later), actor=editor)

    assert request().state == "in_review"


def test_undoing_a_verdict_takes_the_approval_back(guarded, editor, reviewer):
    submit(SWITCH, actor=editor)
    review(reviewer)

    submit(UndoVerdict(**SHOP, request=1), actor=reviewer)

    assert request().state == "in_review"


def test_a_disjoint_change_keeps_the_verdict_only_if_the_behaviour_is_the_same(
    guarded, editor, reviewer
):
    submit(SWITCH, actor=editor)
    review(reviewer)
    # The operator bypasses; somebody else's edit of another flag lands meanwhile.
    _bypass(CreateFlag(**SHOP, key="elsewhere"))

    apply(editor)

    assert is_on()


def test_a_change_of_the_same_flag_makes_the_verdict_stale(guarded, editor, reviewer):
    submit(SWITCH, actor=editor)
    review(reviewer)
    _bypass(ConfigureFlag(**PRODUCTION, flag="new-checkout", fallthrough={"variation": "off"}))

    with pytest.raises(ApprovalNeeded):
        apply(editor)

    review(reviewer)
    apply(editor)
    entry = ruleset_document(guarded)["flags"]["new-checkout"]
    assert (entry["enabled"], entry["fallthrough"]) == (True, {"variation": "off"})


def test_a_change_of_the_same_member_is_a_conflict(guarded, editor, reviewer):
    wanted = ConfigureFlag(**PRODUCTION, flag="new-checkout", off_variation=None)
    submit(wanted, actor=editor)
    review(reviewer)
    _bypass(ConfigureFlag(**PRODUCTION, flag="new-checkout", off_variation="on"))

    with pytest.raises(Conflicting, match="off_variation of flag new-checkout in production"):
        apply(editor)


def _bypass(change):
    outcome = submit_as_request(change)
    submit(ApplyRequest(**SHOP, request=outcome, bypass_reason="an emergency"), actor=OPERATOR)


def submit_as_request(change):
    return submit(OpenRequest(**SHOP, changes=[change.as_json()]), actor=OPERATOR).request


def test_bypass_is_recorded_and_waits_for_a_review(guarded, editor, admin, reviewer):
    submit(SWITCH, actor=editor)
    with pytest.raises(Denied, match="needs admin"):
        apply(editor, bypass_reason="the shop is down")

    apply(admin, bypass_reason="the shop is down")

    assert is_on()
    assert request().bypass_reason == "the shop is down"
    with pytest.raises(Denied):
        submit(ReviewBypass(**SHOP, request=1), actor=editor)
    submit(ReviewBypass(**SHOP, request=1), actor=reviewer)
    assert request().bypass_reviewed_by.username == "reviewer"


def test_the_policy_asks_for_teams(guarded, editor, reviewer, admin):
    submit(SetTeam(**SHOP, key="sre", members=["admin"]), actor=OPERATOR)
    set_policy(approvals=1, from_whom=[{"team": "sre", "approvals": 1}])
    submit(SWITCH, actor=editor)

    review(reviewer)
    with pytest.raises(ApprovalNeeded, match="of team sre"):
        apply(editor)
    review(admin)
    apply(editor)

    assert is_on()


@pytest.mark.parametrize(
    ("conditions", "asks"),
    [
        ([], True),
        ([{"kind": "fields", "fields": ["enabled"]}], True),
        ([{"kind": "fields", "fields": ["rules"]}], False),
        ([{"kind": "rollout_grows", "points": 20}], True),
        ([{"kind": "tagged", "tags": ["payments"]}], False),
        ([{"kind": "segment"}], False),
    ],
)
def test_conditions_say_when_approval_is_needed(guarded, editor, conditions, asks):
    set_policy(conditions=conditions)

    outcome = submit(SWITCH, actor=editor)

    assert (outcome.request is not None) is asks
    assert is_on() is not asks


PAYMENTS = [{"kind": "tagged", "tags": ["payments", "money"]}]
UNTAG = EditFlag(**SHOP, flag="pay", tags=[])


@pytest.mark.parametrize(
    "changes",
    [[UNTAG], [UNTAG, SwitchFlag(**PRODUCTION, flag="pay", on=True)]],
    ids=["first", "beside"],
)
def test_taking_the_tag_away_is_no_way_past_a_policy_that_asks_by_it(a_flag, editor, changes):
    a_flag("pay", tags=["payments"])
    set_policy(conditions=PAYMENTS)

    number = submit(*changes, actor=editor).request

    assert request(number).environments == ["production"]
    assert Flag.objects.get(key="pay").tags == ["payments"]


def test_a_verdict_is_bound_to_the_tags_that_are_taken_away(a_flag, editor, reviewer):
    a_flag("pay", tags=["payments", "money"])
    set_policy(conditions=PAYMENTS)
    submit(EditFlag(**SHOP, flag="pay", tags=["payments"]), actor=editor)
    review(reviewer)

    submit(EditRequest(**SHOP, request=1, changes=[UNTAG.as_json()]), actor=editor)

    with pytest.raises(ApprovalNeeded):
        apply(editor)


def test_a_flag_that_is_made_with_the_tag_asks_and_can_be_approved(guarded, editor, reviewer):
    set_policy(conditions=PAYMENTS)

    submit(CreateFlag(**SHOP, key="pay", tags=["payments"]), actor=editor)
    assert request().state == "in_review"
    review(reviewer)
    apply(editor)

    assert Flag.objects.filter(key="pay").exists()


def test_a_bypass_of_the_guard_itself_is_signed_by_who_could_have_approved(
    guarded, admin, viewer, reviewer
):
    submit(SetPolicy(**PRODUCTION, approvals=2), actor=admin)
    submit(ApplyRequest(**SHOP, request=1, bypass_reason="an emergency"), actor=admin)

    with pytest.raises(Denied, match="production asks for"):
        submit(ReviewBypass(**SHOP, request=1), actor=viewer)
    submit(ReviewBypass(**SHOP, request=1), actor=reviewer)


def test_weakening_the_guard_is_itself_something_to_approve(guarded, admin):
    for weaker in (
        EditEnvironment(**PRODUCTION, requires_approval=False),
        SetPolicy(**PRODUCTION, minimum_role="viewer"),
    ):
        assert submit(weaker, actor=admin).request is not None

    guarded.refresh_from_db()
    assert guarded.requires_approval
    assert guarded.policy.minimum_role == "reviewer"


def test_a_freeze_holds_an_approved_request_back(guarded, editor, reviewer):
    now = timezone.now()
    freeze = {
        "from": (now - timedelta(hours=1)).isoformat(),
        "to": (now + timedelta(hours=1)).isoformat(),
        "why": "Christmas",
    }
    set_policy(freezes=[freeze])
    submit(SWITCH, actor=editor)
    review(reviewer)

    with pytest.raises(WrongState, match=r"frozen until .* Christmas"):
        apply(editor)


def test_drafts_collect_until_they_are_submitted(guarded, editor, a_flag, reviewer):
    draft = [SWITCH.as_json()]
    submit(DraftChanges(**PRODUCTION, changes=draft), actor=editor)
    more = ConfigureFlag(**PRODUCTION, flag="new-checkout", off_variation=None)
    submit(DraftChanges(**PRODUCTION, changes=[more.as_json()]), actor=editor)
    assert [row["kind"] for row in request().changes] == ["flag.switched", "flag.configured"]
    with pytest.raises(WrongState):
        review(reviewer)

    submit(SubmitRequest(**SHOP, request=1), actor=editor)

    assert request().state == "in_review"


@pytest.fixture
def search(a_flag):
    """A second flag, made before production is guarded."""
    return a_flag("search")


def half(flag="new-checkout"):
    shares = [["on", 50_000], ["off", 50_000]]
    return ConfigureFlag(
        **PRODUCTION, flag=flag, fallthrough={"split": {"salt": "s", "shares": shares}}
    )


def test_a_save_is_added_to_a_request_that_was_approved_and_asks_again(
    search, guarded, editor, reviewer
):
    submit(SWITCH, actor=editor)
    review(reviewer)
    assert request().state == "approved"
    other = SwitchFlag(**PRODUCTION, flag="search", on=True, was=False)

    submit(EditRequest(**SHOP, request=1, add=[other.as_json(), half().as_json()]), actor=editor)

    assert [row["kind"] for row in request().changes] == [
        "flag.switched", "flag.switched", "flag.configured",
    ]  # fmt: skip
    assert request().title == ("new-checkout, search: switched on and configured in production")
    assert request().state == "in_review"
    with pytest.raises(ApprovalNeeded):
        apply(editor)
    review(reviewer)
    apply(editor)
    assert is_on()
    assert is_on("search")


def test_a_title_that_somebody_gave_stays(search, guarded, editor):
    submit(SWITCH, actor=editor)
    submit(EditRequest(**SHOP, request=1, title="Launch"), actor=editor)

    submit(EditRequest(**SHOP, request=1, add=[half("search").as_json()]), actor=editor)

    assert request().title == "Launch"


def test_what_is_added_is_brought_together_with_what_is_there(guarded, editor):
    def targeted(*keys):
        targets = [{"variation": key, "keys": [f"{key}-person"]} for key in keys]
        return ConfigureFlag(**PRODUCTION, flag="new-checkout", targets=targets)

    submit(targeted("on"), actor=editor)

    submit(EditRequest(**SHOP, request=1, add=[targeted("off").as_json()]), actor=editor)

    kept = request().changes[-1]["targets"]
    assert sorted(row["variation"] for row in kept) == ["off", "on"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"changes": [half().as_json()], "add": [half().as_json()]}, "got both"),
        ({"add": [SwitchFlag(**PRODUCTION, flag="new-checkout", on=False).as_json()]}, "already"),
        ({"add": [EditUser(username="viewer", is_active=False).as_json()]}, "cannot wait"),
        ({"title": " "}, "expected a title"),
    ],
)
def test_an_edit_that_makes_no_sense_is_refused(guarded, editor, given, words):
    submit(SWITCH, actor=editor)

    with pytest.raises(Invalid, match=words):
        submit(EditRequest(**SHOP, request=1, **given), actor=editor)

    assert request().revision == 1


def test_nobody_adds_what_they_may_not_ask_for(guarded, editor, viewer):
    submit(SWITCH, actor=editor)

    with pytest.raises(Denied):
        submit(EditRequest(**SHOP, request=1, add=[half().as_json()]), actor=viewer)


def test_an_edit_settles_no_conflict_in_what_it_leaves_alone(search, guarded, editor):
    mine = [half("search"), SWITCH]
    submit(*mine, actor=editor)
    theirs = ConfigureFlag(**PRODUCTION, flag="search", fallthrough={"variation": "off"})
    _bypass(theirs)
    submit(EditRequest(**SHOP, request=1, title="Launch", reason="It is time"), actor=editor)
    assert (request().state, request().reason) == ("conflicted", "It is time")

    rows = [request().changes[0], half().as_json()]
    submit(EditRequest(**SHOP, request=1, changes=rows), actor=editor)

    assert request().state == "conflicted"
    submit(EditRequest(**SHOP, request=1, changes=rows[1:]), actor=editor)
    assert request().state == "in_review"


def serving(variation):
    return ConfigureFlag(**PRODUCTION, flag="new-checkout", fallthrough={"variation": variation})


def test_what_is_added_in_sight_of_theirs_is_in_no_conflict_with_it(guarded, editor):
    submit(SWITCH, actor=editor)
    _bypass(serving("off"))

    submit(EditRequest(**SHOP, request=1, add=[half().as_json()]), actor=editor)

    assert request().state == "in_review"
    _bypass(serving("on"))
    submit(SettleRequest(**SHOP, request=1), actor=OPERATOR)
    assert request().state == "conflicted"


def test_only_its_author_and_admins_withdraw_a_request(guarded, editor, reviewer):
    submit(SWITCH, actor=editor)
    with pytest.raises(Denied):
        submit(WithdrawRequest(**SHOP, request=1), actor=reviewer)

    submit(WithdrawRequest(**SHOP, request=1), actor=editor)

    assert request().state == "withdrawn"


def test_taking_the_permission_to_apply_keeps_the_request(guarded, editor, reviewer, viewer):
    submit(SWITCH, actor=editor)
    review(reviewer)

    with pytest.raises(Denied):
        apply(viewer)

    assert request().state == "approved"


def test_an_armed_request_is_applied_by_itself_once_approved(guarded, editor, reviewer):
    submit(SWITCH, actor=editor)
    submit(EditRequest(**SHOP, request=1, armed=True), actor=editor)
    assert sweep() == 0

    review(reviewer)

    assert sweep() == 1
    assert is_on()


def test_a_scheduled_request_is_applied_at_its_instant_and_once(guarded, editor, reviewer):
    at = timezone.now() + timedelta(hours=3)
    submit(SWITCH, actor=editor)
    submit(EditRequest(**SHOP, request=1, apply_at=at), actor=editor)
    review(reviewer)
    assert request().state == "scheduled"

    assert sweep(at - timedelta(seconds=1)) == 0
    assert sweep(at) == 1
    assert sweep(at) == 0
    assert is_on()


def test_who_scheduled_it_having_left_does_not_block_it(guarded, editor, reviewer):
    at = timezone.now() + timedelta(hours=3)
    submit(SWITCH, actor=editor)
    submit(EditRequest(**SHOP, request=1, apply_at=at), actor=editor)
    review(reviewer)
    submit(EditUser(username="editor", is_active=False), actor=OPERATOR)

    assert sweep(at) == 1
    assert is_on()


def test_a_scheduled_request_whose_target_moved_goes_back_to_review(guarded, editor, reviewer):
    at = timezone.now() + timedelta(hours=3)
    submit(SWITCH, actor=editor)
    submit(EditRequest(**SHOP, request=1, apply_at=at), actor=editor)
    review(reviewer)
    _bypass(ConfigureFlag(**PRODUCTION, flag="new-checkout", fallthrough={"variation": "off"}))

    # An hour before, which is early enough to tell people.
    assert sweep(at - timedelta(hours=1)) == 1

    assert request().state == "in_review"
    assert sweep(at) == 0
    assert not is_on()


@pytest.mark.parametrize("lifted", ["the need for approval", "its conditions"])
def test_lifting_the_policy_lets_the_clock_apply_nothing_unapproved(guarded, editor, lifted):
    submit(SWITCH, actor=editor)
    submit(EditRequest(**SHOP, request=1, armed=True), actor=editor)
    if lifted == "its conditions":
        lift = SetPolicy(**PRODUCTION, conditions=[{"kind": "segment"}])
    else:
        lift = EditEnvironment(**PRODUCTION, requires_approval=False)
    _bypass(lift)
    settle()

    assert sweep() == 0
    assert (request().state, is_on()) == ("in_review", False)
    with pytest.raises(ApprovalNeeded, match="1 more approval"):
        apply(Actor.system("schedule"))

    apply(editor)
    assert is_on()


def test_what_was_approved_before_the_policy_was_lifted_stays_approved(guarded, editor, reviewer):
    at = timezone.now() + timedelta(hours=3)
    submit(SWITCH, actor=editor)
    submit(EditRequest(**SHOP, request=1, apply_at=at), actor=editor)
    review(reviewer)
    _bypass(EditEnvironment(**PRODUCTION, requires_approval=False))
    settle()

    assert sweep(at) == 1
    assert is_on()


def settle():
    submit(SettleRequest(**SHOP, request=1), actor=OPERATOR)


def test_what_nobody_answers_expires(guarded, editor, reviewer):
    submit(SWITCH, actor=editor)

    assert sweep(timezone.now() + timedelta(days=31)) == 1

    assert request().state == "expired"


def sweep(now=None):
    now = now or timezone.now()
    return due.sweep(now=now, since=now - timedelta(minutes=5))


def test_a_scheduled_request_is_not_applied_before_its_instant(guarded, editor, reviewer):
    submit(SWITCH, actor=editor)
    at = timezone.now() + timedelta(hours=3)
    submit(EditRequest(**SHOP, request=1, apply_at=at), actor=editor)
    review(reviewer)

    with pytest.raises(WrongState, match="approved for"):
        apply(editor)


def test_who_the_policy_does_not_ask_cannot_reject_either(guarded, editor, viewer):
    submit(SWITCH, actor=editor)

    with pytest.raises(Denied, match="not among those"):
        review(viewer, "rejected", reason="I would rather not")


def test_asking_again_answers_who_wanted_changes(guarded, editor, reviewer):
    submit(SWITCH, actor=editor)
    review(reviewer, "changes_requested", reason="In half of the shops only")
    assert request().state == "changes_requested"

    submit(SubmitRequest(**SHOP, request=1), actor=editor)

    assert request().state == "in_review"
    review(reviewer)
    assert request().state == "approved"

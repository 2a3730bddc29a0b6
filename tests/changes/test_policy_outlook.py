"""What would become of the open requests by another policy: rehearsed, and nothing left of it."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import Event
from flags.changes import (
    ApplyRequest,
    ConfigureFlag,
    EditEnvironment,
    OpenRequest,
    ReviewRequest,
    SetPolicy,
    SetTeam,
    SwitchFlag,
    outlook,
    submit,
)
from flags.changes.outlook import under_policy
from flags.errors import Denied
from flags.models import Policy, Request
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

SHOP: dict[str, Any] = {"project": "shop"}
PRODUCTION: dict[str, Any] = {**SHOP, "environment": "production"}
SWITCH = SwitchFlag(**PRODUCTION, flag="checkout", on=True)
SERVE_ON = ConfigureFlag(**PRODUCTION, flag="other", fallthrough={"variation": "off"})


@pytest.fixture
def requests(a_flag, editor, reviewer):
    """#1 is approved, #2 in review, #3 a draft."""
    for key in ("checkout", "other", "third"):
        a_flag(key)
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)
    submit(SWITCH, actor=editor)
    submit(ReviewRequest(**SHOP, request=1, verdict="approved"), actor=reviewer)
    submit(SERVE_ON, actor=editor)
    third = SwitchFlag(**PRODUCTION, flag="third", on=True)
    submit(OpenRequest(**SHOP, changes=[third.as_json()], submit=False), actor=editor)


def fates(actor, **policy):
    found = under_policy(SetPolicy(**PRODUCTION, **policy), actor=actor)
    return {fate.request.number: fate for fate in found}


def lacks(standing):
    return [row.what for row in standing.missing]


def test_more_approvals_are_asked_of_what_was_approved(requests, admin):
    found = fates(admin, approvals=2)

    assert list(found) == [3, 2, 1]
    assert (found[1].request.state, found[1].state) == ("approved", "in_review")
    assert lacks(found[1].then) == ["1 more approval by a reviewer or above"]
    assert (lacks(found[2].now), lacks(found[2].then)) == (
        ["1 more approval by a reviewer or above"],
        ["2 more approvals by a reviewer or above"],
    )
    assert (found[3].state, found[3].is_moved) == ("draft", True)


def test_nothing_is_left_of_the_rehearsal(requests, admin):
    events = Event.objects.count()

    fates(admin, approvals=2)

    assert [row.state for row in Request.objects.order_by("number")] == [
        "approved",
        "in_review",
        "draft",
    ]
    assert (Event.objects.count(), Policy.objects.count()) == (events, 0)


def test_a_condition_lets_others_pass(requests, admin):
    found = fates(admin, conditions=[{"kind": "fields", "fields": ["enabled"]}])

    assert (found[2].then.demands, found[2].then.missing) == ([], [])
    # What lifts a demand approves nothing.
    assert (found[2].state, bool(found[2].then.lapsed)) == ("in_review", True)
    assert not found[1].is_moved


def test_who_is_asked_is_another(requests, admin):
    submit(SetTeam(**SHOP, key="sre", members=["admin"]), actor=OPERATOR)

    found = fates(admin, from_whom=[{"team": "sre"}])

    assert [(row.what, row.who) for row in found[1].then.missing] == [
        ("1 more approval of team sre", ["admin"])
    ]


def test_who_is_named_is_among_those_who_are_missing(requests, admin):
    submit(SetTeam(**SHOP, key="sre", members=["admin", "owner"]), actor=OPERATOR)
    named = [{"team": "sre"}, {"person": "owner"}]

    found = fates(admin, approvals=2, from_whom=named)
    of_many = fates(admin, approvals=1, from_whom=[{"team": "sre", "approvals": 2}])

    assert lacks(found[2].then) == [
        "2 more approvals by a reviewer or above",
        "1 of them by somebody of team sre",
        "1 of them by owner",
    ]
    assert lacks(found[1].then) == [
        "1 more approval by a reviewer or above",
        "that one by somebody of team sre",
        "that one by owner",
    ]
    assert lacks(of_many[1].then) == ["2 more approvals of team sre"]


def test_a_freeze_closes_what_is_approved_and_the_hour_of_what_is_scheduled(
    requests, admin, editor
):
    now = timezone.now()
    at = now + timedelta(days=10)
    later = SwitchFlag(**PRODUCTION, flag="third", on=True)
    submit(OpenRequest(**SHOP, changes=[later.as_json()], apply_at=at), actor=editor)

    def frozen(begins, ends):
        row = {"from": begins.isoformat(), "to": ends.isoformat(), "why": "sale"}
        return fates(admin, freezes=[row])

    soon = frozen(now - timedelta(days=1), now + timedelta(days=1))
    assert (soon[1].closed, soon[1].is_moved, soon[4].is_moved) == ((), True, False)
    assert "production is frozen until" in soon[1].closed_then[0]
    then = frozen(at - timedelta(hours=1), at + timedelta(hours=1))
    assert (then[1].is_moved, bool(then[4].closed_then)) == (False, True)


def test_what_the_rehearsal_says_is_what_becomes_of_it(requests, admin):
    found = fates(admin, approvals=2)

    change = SetPolicy(**PRODUCTION, approvals=2)
    number = submit(change, actor=admin).request
    bypass = ApplyRequest(**SHOP, request=number, bypass_reason="Agreed on the phone")
    submit(bypass, actor=admin)

    # Their gate is another one now; `drift` settles them when it is handed the event.
    now = fates(admin, approvals=2)
    assert lacks(now[1].now) == lacks(found[1].then)


def test_who_may_not_set_a_policy_is_told_nothing_of_it(requests, editor):
    with pytest.raises(Denied):
        fates(editor, approvals=2)


def test_no_more_is_looked_up_than_is_rehearsed(requests, admin, editor, monkeypatch):
    monkeypatch.setattr(outlook, "MOST_REHEARSED", 1)

    def queries():
        with CaptureQueriesContext(connection) as asked:
            assert len(fates(admin, approvals=2)) == 1
        return len(asked)

    before = queries()
    for _ in range(2):
        more = SwitchFlag(**PRODUCTION, flag="third", on=True)
        submit(OpenRequest(**SHOP, changes=[more.as_json()], submit=False), actor=editor)

    assert queries() == before

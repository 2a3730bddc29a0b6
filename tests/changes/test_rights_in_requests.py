"""A request gives nobody a right that they do not have, and outlives what it is about."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from flags.changes import (
    ApplyRequest,
    CreateUser,
    DeleteEnvironment,
    EditEnvironment,
    EditRequest,
    OpenRequest,
    ReviewRequest,
    SetMember,
    SettleRequest,
    SwitchFlag,
    WithdrawRequest,
    due,
    submit,
)
from flags.changes.outlook import standing
from flags.errors import Denied, Invalid, NotFound, StaleChange, WrongState
from flags.models import Environment, Membership, Request
from flags.snapshots import ruleset_document
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

SHOP: dict[str, Any] = {"project": "shop"}
SWITCH = SwitchFlag(**SHOP, environment="production", flag="new-checkout", on=True)
PROMOTION = SetMember(**SHOP, username="editor", role="admin")


@pytest.fixture
def guarded(project, a_flag):
    a_flag("new-checkout")
    a_flag("search")
    submit(
        EditEnvironment(**SHOP, environment="production", requires_approval=True), actor=OPERATOR
    )
    return Environment.objects.get(project=project, key="production")


def opened(actor, *changes, **more):
    return submit(
        OpenRequest(**SHOP, changes=[change.as_json() for change in changes], **more), actor=actor
    ).request


def test_nobody_asks_for_what_they_may_not_do(guarded, editor):
    with pytest.raises(Denied):
        opened(editor, PROMOTION, armed=True)
    number = opened(editor, SWITCH)
    with pytest.raises(Denied):
        submit(
            EditRequest(**SHOP, request=number, changes=[PROMOTION.as_json()], armed=True),
            actor=editor,
        )

    due.sweep(now=timezone.now(), since=timezone.now())

    assert Membership.objects.get(user__username="editor").role == "editor"


def test_nobody_arms_what_they_may_not_do(guarded, admin, editor):
    number = opened(admin, PROMOTION)

    with pytest.raises(Denied):
        submit(EditRequest(**SHOP, request=number, armed=True), actor=editor)


def test_what_concerns_the_site_waits_in_no_request(guarded, admin):
    with pytest.raises(Invalid, match="cannot wait"):
        opened(admin, CreateUser(project="shop", username="another", is_superuser=True))


def test_an_approval_covers_nothing_beside_the_request(guarded, editor, reviewer):
    number = opened(editor, SWITCH)
    submit(ReviewRequest(**SHOP, request=number, verdict="approved"), actor=reviewer)
    before = ruleset_document(guarded)

    with pytest.raises(Invalid):
        submit(
            ApplyRequest(**SHOP, request=number),
            SwitchFlag(**SHOP, environment="production", flag="search", on=True),
            actor=editor,
        )

    assert ruleset_document(guarded) == before


def test_an_edit_over_somebody_elses_is_stale(guarded, editor):
    number = opened(editor, SWITCH)
    submit(EditRequest(**SHOP, request=number, title="Launch"), actor=editor)

    with pytest.raises(StaleChange):
        submit(EditRequest(**SHOP, request=number, title="Go", expected_revision=1), actor=editor)


def test_a_request_about_an_environment_that_is_gone_fails_and_is_withdrawn(project, a_flag, admin):
    a_flag("new-checkout", environment="staging")
    number = opened(
        admin,
        SwitchFlag(**SHOP, environment="staging", flag="new-checkout", on=True),
        apply_at=timezone.now() + timedelta(hours=25),
    )
    submit(DeleteEnvironment(**SHOP, environment="staging"), actor=admin)
    soon = timezone.now() + timedelta(hours=1, minutes=1)

    assert due.sweep(now=soon, since=soon - timedelta(minutes=5)) == 1

    request = Request.objects.get(number=number)
    assert (request.state, "staging" in request.outcome) == ("failed", True)
    with pytest.raises(NotFound):
        submit(SettleRequest(**SHOP, request=number), actor=admin)
    submit(WithdrawRequest(**SHOP, request=number), actor=admin)
    request.refresh_from_db()
    assert request.state == "withdrawn"


def test_where_a_request_stands_is_seen_without_a_trace(guarded, editor, reviewer):
    number = opened(editor, SWITCH)
    before = ruleset_document(guarded)

    seen = standing("shop", number)

    assert [row.who for row in seen.missing] == [["admin", "owner", "reviewer"]]
    assert ruleset_document(guarded) == before
    submit(WithdrawRequest(**SHOP, request=number), actor=editor)
    with pytest.raises(WrongState):
        standing("shop", number)

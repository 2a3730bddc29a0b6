"""A member's role may be another one in single environments: what follows from it, everywhere."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from flags import access
from flags.access import Action
from flags.changes import (
    ApplyRequest,
    ArchiveFlag,
    CreateFlag,
    CreateSdkKey,
    DeleteEnvironment,
    EditEnvironment,
    EditFlag,
    EditRequest,
    OpenRequest,
    RemoveMember,
    RestoreFlag,
    ReviewRequest,
    RevokeSdkKey,
    SetMember,
    SetPolicy,
    SwitchFlag,
    WithdrawRequest,
    submit,
)
from flags.errors import ApprovalNeeded, Denied, Invalid, StaleChange
from flags.models import Environment, EnvironmentRole, Request
from flags.queries.requests import waiting_for
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

SHOP: dict[str, Any] = {"project": "shop"}


def switch(environment: str, flag: str = "new-checkout") -> SwitchFlag:
    return SwitchFlag(**SHOP, environment=environment, flag=flag, on=True)


def give(who: str, role: Any, actor: Any = OPERATOR, **environments: Any) -> None:
    submit(SetMember(**SHOP, username=who, role=role, environments=environments), actor=actor)


def opened(actor, *changes, **more):
    return submit(
        OpenRequest(**SHOP, changes=[change.as_json() for change in changes], **more), actor=actor
    ).request


@pytest.fixture
def production(project, a_flag):
    a_flag("new-checkout")
    return Environment.objects.get(project=project, key="production")


@pytest.fixture
def guarded(production):
    submit(
        EditEnvironment(**SHOP, environment="production", requires_approval=True), actor=OPERATOR
    )
    return production


def test_an_exception_takes_away_and_gives(production, editor, viewer):
    give("editor", "editor", production="viewer")
    give("viewer", "viewer", staging="editor")

    with pytest.raises(Denied, match="editor is viewer in production; this needs editor"):
        submit(switch("production"), actor=editor)
    with pytest.raises(Denied):
        submit(switch("production"), switch("staging"), actor=editor)
    with pytest.raises(Denied, match="viewer is viewer in production"):
        submit(switch("production"), actor=viewer)

    assert submit(switch("staging"), actor=editor).changed
    assert submit(switch("development"), actor=editor).changed
    assert not submit(switch("staging"), actor=viewer).changed


def test_what_is_there_in_production_needs_the_role_there_and_what_is_new_does_not(
    production, editor
):
    give("editor", "editor", production="viewer")
    variations = [{"key": "on", "value": True}, {"key": "off", "value": False, "name": "No"}]

    assert submit(CreateFlag(**SHOP, key="search"), actor=editor).changed
    assert submit(
        EditFlag(**SHOP, flag="new-checkout", description="Words alone"), actor=editor
    ).changed
    for change in (
        ArchiveFlag(**SHOP, flag="new-checkout"),
        EditFlag(**SHOP, flag="new-checkout", client_visible=True),
        EditFlag(**SHOP, flag="new-checkout", variations=[*variations[::-1]]),
    ):
        with pytest.raises(Denied, match="in production"):
            submit(change, actor=editor)


def test_a_flag_comes_back_only_by_who_may_where_it_comes_back(production, editor):
    submit(switch("production"), ArchiveFlag(**SHOP, flag="new-checkout"), actor=OPERATOR)
    give("editor", "editor", production="viewer")

    with pytest.raises(Denied, match="in production"):
        submit(RestoreFlag(**SHOP, flag="new-checkout"), actor=editor)


def test_an_admin_with_an_exception_has_no_say_there(production, admin, a_flag):
    give("admin", "admin", production="viewer")

    for change in (
        EditEnvironment(**SHOP, environment="production", requires_approval=True),
        SetPolicy(**SHOP, environment="production", approvals=1, minimum_role="viewer"),
        DeleteEnvironment(**SHOP, environment="production"),
    ):
        with pytest.raises(Denied, match="admin is viewer in production; this needs admin"):
            submit(change, actor=admin)


def test_a_key_is_revoked_by_an_admin_of_its_environment(production, admin):
    key = CreateSdkKey(
        **SHOP, environment="production", key_kind="server", public_id="fss_9", hash="9" * 64
    )
    submit(key, actor=OPERATOR)
    give("admin", "admin", production="editor")

    with pytest.raises(Denied, match="in production"):
        submit(RevokeSdkKey(**SHOP, public_id="fss_9"), actor=admin)


# Nobody decides about a role above their own


def test_an_admin_cannot_lift_their_own_exception(production, admin):
    give("admin", "admin", production="viewer")

    for environments in ({}, {"production": "editor"}, {"production": "admin"}):
        with pytest.raises(Denied, match="nobody decides about a role above their own"):
            give("admin", "admin", admin, **environments)
    with pytest.raises(Denied):
        submit(RemoveMember(**SHOP, username="reviewer"), actor=admin)

    give("admin", "admin", admin, production="viewer", staging="viewer")
    assert EnvironmentRole.objects.filter(membership__user__username="admin").count() == 2


def test_an_admin_makes_no_admin_where_they_are_none(production, admin, outsider):
    give("admin", "admin", production="viewer")

    with pytest.raises(Denied):
        give("outsider", "editor", admin)
    with pytest.raises(Denied):
        give("viewer", "viewer", admin, production="reviewer")
    with pytest.raises(Denied):
        give("editor", "editor", admin, production="viewer")
    give("outsider", "viewer", admin, staging="admin", development="editor")

    assert access.may(
        outsider, Action.ADMINISTER, production.project, _environment(production, "staging")
    )
    assert not access.may(outsider, Action.ADMINISTER, production.project)


def _environment(beside: Environment, key: str) -> Environment:
    return Environment.objects.get(project=beside.project, key=key)


def test_a_site_administrator_lifts_any_exception(production, admin, owner):
    give("admin", "admin", production="viewer")

    give("admin", "admin", owner)

    assert access.may(admin, Action.ADMINISTER, production.project, production)


def test_an_exception_that_equals_the_role_is_none(production, editor):
    give("editor", "editor", production="editor", staging="viewer")

    rows = EnvironmentRole.objects.filter(membership__user__username="editor")
    assert [(row.environment.key, row.role) for row in rows] == [("staging", "viewer")]


def test_exceptions_stay_where_they_are_not_given(production):
    give("editor", "editor", staging="viewer")

    submit(SetMember(**SHOP, username="editor", role="reviewer"), actor=OPERATOR)

    assert EnvironmentRole.objects.get(membership__user__username="editor").role == "viewer"


def test_an_exception_names_an_environment_that_is_there(production):
    with pytest.raises(Invalid, match="development, staging, production"):
        give("editor", "editor", prod="viewer")


def test_members_seen_otherwise_are_stale(production):
    give("editor", "editor", staging="viewer")

    with pytest.raises(StaleChange):
        submit(
            SetMember(**SHOP, username="editor", role="editor", was="editor", was_environments={}),
            actor=OPERATOR,
        )


def test_exceptions_go_and_come_back_with_the_member(production):
    give("editor", "editor", staging="viewer")
    removal = RemoveMember(**SHOP, username="editor")

    outcome = submit(removal, actor=OPERATOR)
    assert not EnvironmentRole.objects.exists()
    submit(*(removal.undo(outcome.effects) or []), actor=OPERATOR)

    assert EnvironmentRole.objects.get(membership__user__username="editor").role == "viewer"


# Requests


def test_nobody_asks_for_what_they_may_not_do_there(guarded, editor, admin):
    give("editor", "editor", production="viewer")

    with pytest.raises(Denied, match="in production"):
        opened(editor, switch("production"))
    with pytest.raises(Denied, match="in production"):
        opened(editor, ArchiveFlag(**SHOP, flag="new-checkout"))
    with pytest.raises(Denied, match="in production"):
        submit(switch("production"), actor=editor)
    assert not Request.objects.exists()


def test_nobody_arms_or_applies_what_they_may_not_do_there(production, editor, admin):
    number = opened(admin, ArchiveFlag(**SHOP, flag="new-checkout"))
    give("editor", "editor", production="viewer")

    for change in (
        EditRequest(**SHOP, request=number, armed=True),
        EditRequest(**SHOP, request=number, apply_at=timezone.now() + timedelta(hours=1)),
        ApplyRequest(**SHOP, request=number),
    ):
        with pytest.raises(Denied, match="in production"):
            submit(change, actor=editor)


def test_the_role_there_says_whose_approval_counts(guarded, editor, reviewer, viewer):
    give("reviewer", "reviewer", production="viewer")
    give("viewer", "viewer", production="reviewer")
    number = opened(editor, switch("production"))

    assert waiting_for(guarded.project, reviewer.id) == []
    assert waiting_for(guarded.project, viewer.id) == [number]
    with pytest.raises(Denied, match="reviewer is not among those"):
        submit(ReviewRequest(**SHOP, request=number, verdict="approved"), actor=reviewer)
    submit(ReviewRequest(**SHOP, request=number, verdict="approved"), actor=viewer)

    assert Request.objects.get(number=number).state == "approved"


def test_an_approval_ends_with_the_role_there(guarded, editor, reviewer):
    number = opened(editor, switch("production"))
    submit(ReviewRequest(**SHOP, request=number, verdict="approved"), actor=reviewer)
    give("reviewer", "reviewer", production="viewer")

    with pytest.raises(ApprovalNeeded):
        submit(ApplyRequest(**SHOP, request=number), actor=editor)


def test_a_bypass_is_for_admins_of_the_environment(guarded, editor, admin):
    give("admin", "admin", production="editor")
    give("editor", "editor", production="admin")
    number = opened(admin, switch("production"))
    applying = ApplyRequest(**SHOP, request=number, bypass_reason="It burns")

    with pytest.raises(Denied, match="admin is editor in production; this needs admin"):
        submit(applying, actor=admin)

    assert submit(applying, actor=editor).changed


def test_who_lost_the_role_may_still_withdraw(guarded, editor):
    number = opened(editor, switch("production"))
    give("editor", "viewer")

    submit(WithdrawRequest(**SHOP, request=number), actor=editor)

    assert Request.objects.get(number=number).state == "withdrawn"


# Reading


def test_everybody_in_the_project_sees_all_of_it(production, viewer):
    give("viewer", "viewer", production="admin", staging="viewer")

    for environment in production.project.environments.all():
        assert access.may(viewer, Action.VIEW, production.project, environment)
    with pytest.raises(Exception, match="flags_environment_role_is_known"):
        EnvironmentRole.objects.update(role="nobody")

"""Service accounts, what their tokens may, and whose voice a token is."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.facts import Actor
from audit.models import Event
from audit.outbox import deliver
from flags.changes import (
    ApplyRequest,
    CreateApiToken,
    CreateProject,
    CreateService,
    CreateServiceToken,
    EditEnvironment,
    EditRequest,
    EditUser,
    OpenRequest,
    RemoveMember,
    RemoveService,
    ReviewBypass,
    ReviewRequest,
    RevokeServiceToken,
    SetMember,
    SetPolicy,
    SwitchFlag,
    due,
    expiry,
    from_json,
    submit,
)
from flags.changes.outlook import standing
from flags.errors import AlreadyExists, ApprovalNeeded, Denied, Invalid, NotFound
from flags.models import ApiToken, Environment, Notice, Request, User
from flags.snapshots import ruleset_document
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

SHOP: dict[str, Any] = {"project": "shop"}
SWITCH = SwitchFlag(**SHOP, environment="production", flag="new-checkout", on=True)


@pytest.fixture
def production(project, a_flag):
    a_flag("new-checkout")
    return Environment.objects.get(project=project, key="production")


@pytest.fixture
def guarded(production):
    guard = EditEnvironment(**SHOP, environment="production", requires_approval=True)
    policy = SetPolicy(**SHOP, environment="production", tokens_may_review=True)
    submit(policy, guard, actor=OPERATOR)
    return production


def a_service(name: str = "deployer", role: Any = "editor", **environments: Any) -> User:
    submit(CreateService(**SHOP, name=name, role=role, environments=environments), actor=OPERATOR)
    return User.objects.get(username=f"{name}@shop")


def a_token(
    service: User, *scopes: Any, by: Actor = OPERATOR, public_id: str = "fst_s1", **more: Any
) -> Actor:
    """Who speaks by a new token of this service."""
    submit(
        CreateServiceToken(
            **SHOP,
            service=service.username.partition("@")[0],
            public_id=public_id,
            hash=public_id,
            scopes=list(scopes),
            **more,
        ),
        actor=by,
    )
    return speaking(service, *scopes, token=public_id)


def speaking(account: User, *scopes: str, token: str) -> Actor:
    return Actor(
        kind=account.as_actor().kind,
        id=str(account.pk),
        name=account.username,
        scopes=frozenset(scopes),
        token=token,
    )


def opened(actor: Actor, *changes: Any, **more: Any) -> Any:
    rows = [change.as_json() for change in changes or (SWITCH,)]
    return submit(OpenRequest(**SHOP, changes=rows, **more), actor=actor).request


def approve(number: int, actor: Actor) -> None:
    submit(ReviewRequest(**SHOP, request=number, verdict="approved"), actor=actor)


# What a service is


def test_a_service_acts_within_its_role_and_its_token(production, admin):
    deployer = a_service(production="viewer")
    acting = a_token(deployer, "read", "apply", by=admin)
    staging = SwitchFlag(**SHOP, environment="staging", flag="new-checkout", on=True)

    outcome = submit(staging, actor=acting)
    with pytest.raises(Denied, match="deployer@shop is viewer in production"):
        submit(SWITCH, actor=acting)
    with pytest.raises(Denied, match="this needs review"):
        submit(ReviewRequest(**SHOP, request=1, verdict="approved"), actor=acting)

    actor = outcome.events[0].actor
    assert (actor.identity["kind"], actor.identity["name"]) == ("service", "deployer@shop")


def test_a_service_never_signs_in(production, owner, client):
    deployer = a_service()

    for edit in (
        {"password_hash": "argon2$whatever"},
        {"email": "deployer@example.com"},
        {"is_superuser": True},
    ):
        with pytest.raises(Invalid, match="never signs in"):
            submit(EditUser(username="deployer@shop", **edit), actor=owner)
    with pytest.raises(IntegrityError, match="never_signs_in"), transaction.atomic():
        User.objects.filter(pk=deployer.pk).update(password="argon2$whatever")
    assert not client.login(username="deployer@shop", password="")


def test_a_service_belongs_to_its_project(production, admin):
    a_service()
    submit(CreateProject(project="other", name="Other"), actor=OPERATOR)

    with pytest.raises(Invalid, match="another project"):
        submit(SetMember(project="other", username="deployer@shop", role="viewer"), actor=OPERATOR)
    with pytest.raises(Invalid, match="remove the service"):
        submit(RemoveMember(**SHOP, username="deployer@shop"), actor=admin)
    with pytest.raises(AlreadyExists):
        a_service()


def test_a_removed_service_is_refused_and_may_come_back_without_its_tokens(production, admin):
    deployer = a_service()
    acting = a_token(deployer, "read", "apply")

    submit(RemoveService(**SHOP, name="deployer"), actor=admin)
    with pytest.raises(Denied, match="not active"):
        submit(SWITCH, actor=acting)
    with pytest.raises(NotFound):
        a_token(deployer, "read", public_id="fst_s2")
    again = a_service(role="viewer")

    assert again.pk == deployer.pk
    assert ApiToken.objects.get(public_id="fst_s1").revoked_at is not None


def test_only_admins_have_to_do_with_services(production, editor, admin):
    a_service()
    for change in (
        CreateService(**SHOP, name="importer", role="viewer"),
        CreateServiceToken(
            **SHOP, service="deployer", public_id="fst_x", hash="x", scopes=["read"]
        ),
        RemoveService(**SHOP, name="deployer"),
    ):
        with pytest.raises(Denied, match="this needs admin"):
            submit(change, actor=editor)


def test_nobody_makes_a_service_or_its_token_above_themselves(production, admin):
    submit(
        SetMember(**SHOP, username="admin", role="admin", environments={"production": "viewer"}),
        actor=OPERATOR,
    )
    deployer = a_service()

    with pytest.raises(Denied, match="above their own"):
        submit(CreateService(**SHOP, name="importer", role="editor"), actor=admin)
    with pytest.raises(Denied, match="above their own"):
        a_token(deployer, "read", "apply", by=admin)


def test_a_token_makes_no_tokens(production):
    deployer = a_service(role="admin")
    acting = a_token(deployer, "read", "admin")

    with pytest.raises(Denied, match="cannot make or revoke tokens"):
        a_token(deployer, "read", by=acting, public_id="fst_s2")
    with pytest.raises(Denied, match="cannot make or revoke tokens"):
        submit(RevokeServiceToken(**SHOP, public_id="fst_s1"), actor=acting)


# To propose and to apply


def test_who_may_only_propose_applies_nothing_even_where_no_approval_is_needed(production):
    acting = a_token(a_service(), "read", "propose")
    before = ruleset_document(production)

    outcome = submit(SWITCH, actor=acting)

    request = Request.objects.get(number=outcome.request)
    assert ruleset_document(production) == before
    assert (request.state, request.author.username) == ("approved", "deployer@shop")
    with pytest.raises(Denied, match="this needs apply"):
        submit(ApplyRequest(**SHOP, request=request.number), actor=acting)
    due.sweep(now=timezone.now(), since=timezone.now())
    assert ruleset_document(production) == before


def test_what_a_service_asked_for_and_may_not_apply_is_told_to_the_admins(production, editor):
    acting = a_token(a_service(), "read", "propose")

    submit(SWITCH, actor=acting)
    opened(editor)
    deliver("default")

    notices = Notice.objects.filter(request__number=1)
    assert [(row.person.username, row.kind, row.text) for row in notices] == [
        ("admin", "ready", "It waits for somebody to apply it")
    ]
    assert not Notice.objects.filter(request__number=2, person__username="admin").exists()


def test_who_may_only_propose_lets_nothing_happen_by_itself(production, editor):
    acting = a_token(a_service(), "read", "propose")
    soon = timezone.now() + timedelta(minutes=5)
    mine = opened(acting)
    armed = opened(editor, armed=True)

    for change in (
        OpenRequest(**SHOP, changes=[SWITCH.as_json()], armed=True),
        OpenRequest(**SHOP, changes=[SWITCH.as_json()], apply_at=soon),
        EditRequest(**SHOP, request=mine, armed=True),
        EditRequest(**SHOP, request=mine, apply_at=soon),
        EditRequest(**SHOP, request=armed, title="Another"),
        EditRequest(**SHOP, request=armed, changes=[SWITCH.as_json()]),
    ):
        with pytest.raises(Denied, match="this needs apply"):
            submit(change, actor=acting)
    assert submit(EditRequest(**SHOP, request=mine, title="Launch"), actor=acting).changed


def test_a_dry_run_of_who_may_only_propose_says_so(production):
    acting = a_token(a_service(), "read", "propose")

    with pytest.raises(ApprovalNeeded, match="propose and not apply"):
        submit(SWITCH, actor=acting, dry_run=True)


def test_who_may_only_apply_asks_for_nothing(guarded):
    acting = a_token(a_service(), "read", "apply")

    with pytest.raises(Denied, match="this needs propose"):
        submit(SWITCH, actor=acting)


# Whose verdict it is


def test_a_service_reviews_where_the_policy_lets_programs_do_so(guarded, editor, admin):
    acting = a_token(a_service(role="reviewer"), "read", "review", by=admin)
    number = opened(editor)

    approve(number, acting)
    assert Request.objects.get(number=number).state == "approved"
    submit(SetPolicy(**SHOP, environment="staging", tokens_may_review=False), actor=OPERATOR)
    policy = guarded.policy
    policy.tokens_may_review = False
    policy.save()

    assert standing("shop", number).missing


def test_nobody_approves_their_own_by_a_service_whose_token_they_made(guarded, admin):
    acting = a_token(a_service(role="reviewer"), "read", "review", by=admin)
    number = opened(admin)

    with pytest.raises(Denied, match="made the token"):
        approve(number, acting)


def test_nobody_approves_what_a_service_asked_by_a_token_that_they_made(guarded, admin, reviewer):
    acting = a_token(a_service(), "read", "propose", by=admin)
    number = opened(acting)

    with pytest.raises(Denied, match="admin is not among those"):
        approve(number, admin)
    approve(number, reviewer)

    assert Request.objects.get(number=number).state == "approved"


def test_one_person_with_services_is_one_voice(guarded, editor, admin, reviewer):
    policy = guarded.policy
    policy.approvals = 2
    policy.save()
    one = a_token(a_service("one", "reviewer"), "read", "review", by=admin)
    two = a_token(a_service("two", "reviewer"), "read", "review", by=admin, public_id="fst_s2")
    number = opened(editor)

    for actor in (one, two, admin):
        approve(number, actor)
    assert [row.what for row in standing("shop", number).missing] == [
        "1 more approval by a reviewer or above"
    ]
    approve(number, reviewer)

    assert Request.objects.get(number=number).state == "approved"


# What was stored before


def test_a_token_stored_with_the_scope_write_may_propose_and_apply():
    stored = {
        "kind": "api_token.created",
        "schema": 1,
        "project": "",
        "username": "editor",
        "public_id": "fst_2",
        "hash": "c" * 64,
        "scopes": ["read", "write"],
        "name": "",
        "expires_at": None,
    }

    change = from_json(stored)

    assert isinstance(change, CreateApiToken)
    assert change.scopes == ["read", "propose", "apply"]
    with pytest.raises(Invalid, match="at most 2"):
        from_json({**stored, "schema": 3})


# Tokens that end soon


def test_the_end_of_a_token_is_announced_once_at_each_threshold(production):
    now = timezone.now()
    acting = a_token(a_service(), "read", expires_at=now + timedelta(days=30))
    assert acting.token is not None
    ends = now + timedelta(days=30)

    def said(before: timedelta) -> list[int]:
        expiry.warn_of_expiry(now=ends - before)
        expiry.warn_of_expiry(now=ends - before)
        rows = Event.objects.filter(effects__contains=[{"kind": "api_token.expires_soon"}])
        return [row.effects[0]["after"]["days_left"] for row in rows.order_by("version")]

    assert said(timedelta(days=15)) == []
    assert said(timedelta(days=14)) == [14]
    assert said(timedelta(days=4)) == [14]
    # Nobody swept for a while: what was missed is said once.
    assert said(timedelta(hours=20)) == [14, 1]
    assert said(timedelta(hours=-1)) == [14, 1]


def test_a_revoked_token_is_not_announced(production, admin):
    now = timezone.now()
    a_token(a_service(), "read", expires_at=now + timedelta(days=2))
    submit(RevokeServiceToken(**SHOP, public_id="fst_s1"), actor=admin)

    assert expiry.warn_of_expiry(now=now) == 0


def test_nobody_signs_for_their_own_bypass_through_a_service(
    guarded, editor, admin, owner, reviewer
):
    deployer = a_service(role="admin")
    own = a_token(deployer, "read", "review", by=admin)
    number = opened(editor)
    submit(ApplyRequest(**SHOP, request=number, bypass_reason="It is down"), actor=admin)
    sign = ReviewBypass(**SHOP, request=number)

    with pytest.raises(Denied, match="somebody else than"):
        submit(sign, actor=own)

    submit(sign, actor=reviewer)


def test_nobody_signs_for_what_a_service_applied_by_their_token(guarded, editor, admin, reviewer):
    acting = a_token(a_service(role="admin"), "read", "apply", "admin", by=admin)
    number = opened(editor)
    submit(ApplyRequest(**SHOP, request=number, bypass_reason="It is down"), actor=acting)

    with pytest.raises(Denied, match="somebody else than"):
        submit(ReviewBypass(**SHOP, request=number), actor=admin)
    submit(ReviewBypass(**SHOP, request=number), actor=reviewer)

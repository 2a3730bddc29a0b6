"""Erasing a person: the name is nowhere any more, and everything else goes on."""

import io

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import models
from django.test import Client

from audit.models import Event, Person
from audit.verification import faults
from flags.changes import (
    CommentOnRequest,
    CreateApiToken,
    EditEnvironment,
    EditUser,
    EraseUser,
    OpenRequest,
    ReviewRequest,
    SetMember,
    SetPolicy,
    SettleRequest,
    SwitchFlag,
    submit,
)
from flags.errors import Conflict, Denied, Invalid
from flags.models import ApiToken, Environment, Policy, Request, User
from tests.cast import OPERATOR, PASSWORD

pytestmark = pytest.mark.django_db
NAME = "grace.unmistakable"


@pytest.fixture
def grace(users, project, a_flag):
    """Somebody who has left traces everywhere."""
    user = User.objects.get(username="editor")
    user.username, user.email = NAME, f"{NAME}@example.org"
    user.first_name, user.last_name = NAME, NAME
    user.save()
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    actor = user.as_actor()
    a_flag()
    guard = EditEnvironment(project="shop", environment="production", requires_approval=True)
    submit(guard, actor=OPERATOR)
    switch = SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True)
    submit(switch, actor=actor)
    submit(
        SwitchFlag(project="shop", environment="staging", flag="new-checkout", on=True), actor=actor
    )
    member = SetMember(project="shop", username=NAME, role="viewer")
    submit(OpenRequest(project="shop", changes=[member.as_json()]), actor=OPERATOR)
    submit(CommentOnRequest(project="shop", request=2, body="Good"), actor=actor)
    submit(
        CreateApiToken(username=NAME, public_id="fst_9", hash="9" * 64, scopes=["read"]),
        actor=actor,
    )
    return user


def erase() -> None:
    call_command("erase_person", NAME, stderr=io.StringIO())


def rows_that_hold(text: str) -> set[str]:
    """Each table with a value that holds the text, whatever its type."""
    found = set()
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, models.CharField | models.TextField | models.JSONField):
                values = model._default_manager.values_list(field.attname, flat=True)
                if any(text in str(value) for value in values):
                    found.add(f"{model.__name__}.{field.name}")
    return found


def test_the_name_is_nowhere_any_more(grace):
    assert {"User.username", "Person.identity", "Request.changes"} <= rows_that_hold(NAME)

    erase()

    assert rows_that_hold(NAME) == set()


def test_the_chain_is_whole_and_says_that_it_happened(grace):
    digests = set(Person.objects.filter(identity__id=str(grace.pk)).values_list("pk", flat=True))

    erase()

    (event,) = Event.objects.filter(effects__contains=[{"kind": "user.erased"}])
    assert set(event.effects[0]["after"]["erased"]) == digests
    assert list(faults()) == []


def test_nobody_signs_in_or_calls_with_it(grace, client: Client):
    submit(EditUser(username=NAME, is_active=True), actor=OPERATOR)
    client.force_login(grace)

    erase()

    grace.refresh_from_db()
    assert not grace.is_active
    assert not grace.check_password(PASSWORD)
    assert client.get("/p/shop/flags").status_code == 302
    assert ApiToken.objects.get(public_id="fst_9").revoked_at is not None


def test_what_the_person_did_stays(grace, users, client: Client):
    erase()
    client.force_login(users["admin"])

    for address in (
        "/p/shop/requests/1",
        "/p/shop/requests/2",
        "/p/shop/activity",
        "/p/shop/audit",
        "/p/shop/flags/new-checkout/history",
        "/p/shop/settings/members",
    ):
        page = client.get(address)
        assert page.status_code == 200, address
        assert NAME not in page.content.decode()
    assert "Good" in client.get("/p/shop/requests/2").content.decode()
    assert "erased" in client.get("/p/shop/flags/new-checkout/history").content.decode()


def test_a_request_of_an_erased_person_is_approved_and_applied(grace, reviewer):
    erase()

    review = ReviewRequest(project="shop", request=1, verdict="approved")
    submit(review, actor=reviewer)

    assert Request.objects.get(number=1).state == "approved"


def test_whose_approval_a_policy_asks_for_is_not_erased(grace):
    submit(SetMember(project="shop", username=NAME, role="reviewer"), actor=OPERATOR)
    policy = SetPolicy(project="shop", environment="staging", from_whom=[{"person": NAME}])
    submit(policy, actor=OPERATOR)

    with pytest.raises(CommandError, match="policy of staging in shop asks for the approval"):
        erase()

    assert "User.username" in rows_that_hold(NAME)


def test_nor_is_it_in_the_policies_that_requests_remember(grace):
    request = Request.objects.get(number=1)
    environment = Environment.objects.get(key="production")
    policy = Policy.objects.create(environment=environment, from_whom=[{"person": NAME}])
    submit(SettleRequest(project="shop", request=1), actor=OPERATOR)
    policy.delete()
    request.refresh_from_db()
    assert NAME in str(request.asked)

    erase()

    request.refresh_from_db()
    assert NAME not in str(request.asked)


def test_erasing_twice_changes_nothing(grace):
    erase()
    grace.refresh_from_db()
    before = Event.objects.count()

    submit(EraseUser(username=grace.username), actor=OPERATOR)

    assert Event.objects.count() == before


def test_only_another_site_administrator_erases(grace, owner, admin):
    with pytest.raises(Denied):
        submit(EraseUser(username=NAME), actor=admin)
    with pytest.raises(Denied):
        submit(EraseUser(username=NAME), actor=grace.as_actor())
    with pytest.raises(Conflict, match="nobody erases themselves"):
        submit(EraseUser(username="owner"), actor=owner)


def test_the_admin_erases_after_asking(grace, users, client: Client):
    client.force_login(users["owner"])
    address = f"/admin/flags/user/{grace.pk}/delete/"

    asked = client.get(address)
    assert User.objects.filter(username=NAME).exists()
    client.post(address, {"post": "yes"})

    assert asked.status_code == 200
    assert User.objects.filter(pk=grace.pk, username__startswith="erased-").exists()
    assert "LogEntry.object_repr" not in rows_that_hold(NAME)


def test_a_service_is_no_person(project):
    service = User.objects.create(username="deploys", password="!", service_of=project)

    with pytest.raises(Invalid, match="is a service"):
        submit(EraseUser(username=service.username), actor=OPERATOR)

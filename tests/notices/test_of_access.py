"""Notices of who came to approve, and of tokens that end soon."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from audit.models import Event
from audit.outbox import deliver
from flags.changes import (
    CreateApiToken,
    CreateService,
    CreateServiceToken,
    EditEnvironment,
    EditUser,
    EraseUser,
    RevokeApiToken,
    SetMember,
    SetPolicy,
    SetTeam,
    expiry,
    submit,
)
from flags.models import Notice
from flags.notices.mailing import send_due
from flags.notices.telling import tell
from flags.notices.words import address_of, words_of
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

SHOP: dict[str, Any] = {"project": "shop"}
PRODUCTION: dict[str, Any] = {**SHOP, "environment": "production"}


@pytest.fixture
def guarded(project):
    submit(
        SetTeam(**SHOP, key="sre", members=[]),
        SetTeam(**SHOP, key="design", members=[]),
        SetPolicy(**PRODUCTION, from_whom=[{"team": "sre"}]),
        EditEnvironment(**PRODUCTION, requires_approval=True),
        actor=OPERATOR,
    )
    deliver("default")
    assert not Notice.objects.exists()
    return project


def told(*changes: Any, actor: Any) -> dict[str, tuple[str, str]]:
    """Who is told what of these changes, being told twice and hearing it once."""
    Notice.objects.all().delete()
    events = submit(*changes, actor=actor).events
    deliver("default")
    for event in events:
        tell(event)
    return {row.person.username: (words_of(row), row.text) for row in Notice.objects.all()}


def test_a_role_by_which_an_approval_counts_is_told_to_reviewers_and_admins(guarded, admin):
    raised = told(SetMember(**SHOP, username="editor", role="reviewer"), actor=admin)

    said = (
        "admin made editor one of those whose approval counts",
        "In Production, as reviewer",
    )
    assert raised == {"owner": said, "reviewer": said, "editor": said}
    assert address_of(Notice.objects.all()[0]) == "/p/shop/settings/members"
    # Who could already, and who cannot still.
    assert told(SetMember(**SHOP, username="editor", role="admin"), actor=admin) == {}
    assert told(SetMember(**SHOP, username="outsider", role="editor"), actor=admin) == {}


def test_an_exception_counts_where_it_holds_and_is_guarded(guarded, admin):
    def excepted(**environments: Any) -> Any:
        change = SetMember(**SHOP, username="viewer", role="viewer", environments=environments)
        return told(change, actor=admin)

    assert excepted(staging="reviewer") == {}
    assert excepted(production="reviewer")["reviewer"][1] == "In Production, as reviewer"
    # The exception goes, and the project's role comes to the same.
    assert excepted() == {}


def test_a_team_that_a_policy_names_is_told_of_whatever_the_role(guarded, admin):
    joined = told(SetTeam(**SHOP, key="sre", members=["reviewer", "viewer"]), actor=admin)

    assert Notice.objects.filter(person__username="owner").count() == 2
    assert joined["owner"][1] == "In Production, as one of team sre"
    assert told(SetTeam(**SHOP, key="sre", members=["viewer"]), actor=admin) == {}
    assert told(SetTeam(**SHOP, key="design", members=["viewer"]), actor=admin) == {}


def test_who_was_an_approver_for_a_moment_is_told_of_too(guarded, admin):
    submit(SetMember(**SHOP, username="editor", role="reviewer"), actor=admin)
    submit(SetMember(**SHOP, username="editor", role="editor"), actor=admin)

    deliver("default")

    assert {row.person.username for row in Notice.objects.all()} == {"owner", "reviewer"}


def test_a_service_counts_where_verdicts_of_tokens_do(guarded, admin):
    silent = CreateService(**SHOP, name="checker", role="reviewer")
    heard = CreateService(**SHOP, name="approver", role="reviewer")

    assert told(silent, actor=admin) == {}
    policy = guarded.environments.get(key="production").policy
    policy.tokens_may_review = True
    policy.save()

    assert told(heard, actor=admin)["reviewer"][0] == (
        "admin made approver@shop one of those whose approval counts"
    )


def test_an_erased_person_is_named_in_no_notice(guarded, admin, owner):
    told(SetMember(**SHOP, username="editor", role="reviewer"), actor=admin)
    submit(EraseUser(username="editor"), actor=owner, reason="Asked for")

    row = Notice.objects.filter(person__username="reviewer").get(kind="approver_added")

    assert "editor" not in words_of(row) + row.text


def test_the_mail_of_it_is_marked_as_important(guarded, admin, settings, owner):
    settings.MAIL_IS_SENT = True
    submit(EditUser(username="reviewer", email="reviewer@example.com"), actor=owner)
    told(SetMember(**SHOP, username="editor", role="reviewer"), actor=admin)

    send_due(timezone.now())

    (sent,) = mail.outbox
    assert sent.subject == "[shop] admin made editor one of those whose approval counts"
    assert sent.extra_headers["Importance"] == "high"
    assert "In Production, as reviewer" in sent.body
    assert "/p/shop/settings/members" in sent.body


def a_token(*, days: int, of: str = "") -> Any:
    made: dict[str, Any] = {
        "public_id": "fst_1",
        "hash": "1",
        "scopes": ["read"],
        "name": "CI",
        "expires_at": timezone.now() + timedelta(days=days),
    }
    if not of:
        return CreateApiToken(username="editor", **made)
    return CreateServiceToken(**SHOP, service=of, **made)


def warned() -> list[tuple[str, str]]:
    """Whom a sweep tells of a token, and what of."""
    expiry.warn_of_expiry(now=timezone.now())
    deliver("default")
    for event in Event.objects.filter(stream_id="site"):
        tell(event)
    return [
        (row.person.username, words_of(row))
        for row in Notice.objects.filter(kind__endswith="token_ends")
    ]


def test_the_person_is_told_that_their_token_ends(project, settings, owner):
    settings.MAIL_IS_SENT = True
    submit(EditUser(username="editor", email="editor@example.com"), actor=owner)
    submit(a_token(days=10), actor=OPERATOR)

    assert warned() == [("editor", "An API token of yours ends soon")]
    row = Notice.objects.get(kind="token_ends")
    assert row.text.startswith("CI (fst_1) ends on ")
    assert (row.project, address_of(row)) == (None, "/account/tokens")
    send_due(timezone.now())
    assert mail.outbox[-1].subject == "[Flagsite] An API token of yours ends soon"


def test_the_admins_are_told_that_a_services_token_ends(project):
    submit(CreateService(**SHOP, name="deployer", role="editor"), actor=OPERATOR)
    submit(a_token(days=2, of="deployer"), actor=OPERATOR)

    assert warned() == [("admin", "An API token of a service ends soon")]
    row = Notice.objects.get()
    assert row.text.startswith("deployer: CI (fst_1) ends on ")
    assert row.project == project


def test_nobody_is_told_of_a_token_that_was_revoked_meanwhile(project, owner):
    submit(a_token(days=10), actor=OPERATOR)
    expiry.warn_of_expiry(now=timezone.now())
    submit(RevokeApiToken(public_id="fst_1"), actor=owner)

    assert warned() == []


def test_a_notice_of_no_project_stands_in_the_inbox(project, users, client):
    submit(a_token(days=10), actor=OPERATOR)
    warned()
    client.force_login(users["editor"])

    page = client.get("/inbox").content.decode()

    assert '<a href="/account/tokens">An API token of yours ends soon</a>' in page

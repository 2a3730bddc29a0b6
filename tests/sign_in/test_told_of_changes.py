"""Whoever's account is opened in another way hears of it, by mail and in the inbox."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.hashers import make_password
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from audit.models import Event
from audit.outbox import deliver
from flags.changes import ChooseMails, EditUser, submit
from flags.models import Notice
from flags.notices.mailing import send_due
from flags.notices.words import words_of
from tests.cast import OPERATOR, PASSWORD
from tests.sign_in.test_invitations_and_mail import Mailbox, mailbox
from tests.sign_in.test_passwords import sign_in, words
from tests.sign_in.test_second_factors import enrolled

__all__ = ["enrolled", "mailbox"]
pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (X11; Linux) Firefox/140.0"


@pytest.fixture(autouse=True)
def _nothing_counted() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def viewer_with_mail(users):
    """Who chose to get no mails: of these they are told all the same."""
    edit = EditUser(username="viewer", email="viewer@example.org")
    submit(edit, ChooseMails(username="viewer", each=False), actor=OPERATOR)


def told() -> list[tuple[str, str]]:
    """Title and text of each notice, in order."""
    deliver("default")
    rows = Notice.objects.filter(person__username="viewer").order_by("at", "key")
    return [(words_of(row), row.text) for row in rows]


def test_each_change_to_how_one_signs_in_is_mailed_with_place_and_no_secret(
    viewer_with_mail, mailbox: Mailbox, enrolled, django_capture_on_commit_callbacks
):
    client, secret = enrolled("viewer")
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/account/recovery-codes/new")
    codes = client.get("/account/recovery-codes").context["unused_codes"]
    new = "another long password"
    sent = {"current": PASSWORD, "password": new, "again": new}
    client.post("/account/signing-in", sent, HTTP_USER_AGENT=FIREFOX)
    made = client.post("/account/tokens", {"name": "ci", "scopes": ["read"], "lifetime": "30"})
    client.post("/account/app/remove")
    deliver("default")
    send_due(timezone.now())

    subjects = [mail["Subject"] for mail in mailbox.mails]
    bodies = [mail.get_payload() for mail in mailbox.mails]
    assert subjects == [
        "[Flagsite] A second factor was added to your account",
        "[Flagsite] New recovery codes of your account were made",
        "[Flagsite] The password of your account was changed",
        "[Flagsite] An API token was made in your name",
        "[Flagsite] A second factor of your account was removed",
    ]
    assert {mail["To"] for mail in mailbox.mails} == {"viewer@example.org"}
    assert "An authenticator app, from 127.0.0.1" in bodies[0]
    assert "From 127.0.0.1, Firefox on Linux." in bodies[2]
    assert f"{timezone.now():%B %Y}" in bodies[2]
    assert "sign out all other browsers at https://flags.example/account/signing-in" in bodies[
        2
    ].replace("\n", " ")
    assert "Ci, from 127.0.0.1" in bodies[3]
    for kept in (secret, *codes, PASSWORD, new, made.context["secret"].text):
        assert not any(kept in body for body in bodies)
    assert "The password of your account was changed" in words(client.get("/inbox"))


def test_where_no_mail_is_sent_the_inbox_says_it(viewer_with_mail, client):
    submit(EditUser(username="viewer", password_hash=make_password("x")), actor=OPERATOR)

    assert told() == [("The password of your account was changed by the operator", "")]
    assert not Notice.objects.exclude(mail_due_at=None).exists()


def test_a_session_from_another_place_is_told_of_once(viewer_with_mail):
    for address in ("192.0.2.1", "192.0.2.1", "203.0.113.9", "203.0.113.9"):
        sign_in(Client(HTTP_USER_AGENT=FIREFOX), address=address)

    assert told() == [
        (
            "Your account was signed in to from a new place",
            "From 203.0.113.9, Firefox on Linux",
        )
    ]


def test_the_addresses_of_one_network_are_one_place(viewer_with_mail):
    for address in ("2001:db8:1:2::7", "2001:db8:1:2:9::1", "2001:db8:1:3::7"):
        sign_in(Client(HTTP_USER_AGENT=FIREFOX), address=address)

    assert [text for _, text in told()] == ["From 2001:db8:1:3::7, Firefox on Linux"]


def test_where_somebody_signs_in_is_kept_apart_from_the_chain(viewer_with_mail):
    sign_in(Client(), address="203.0.113.9")

    event = Event.objects.get(effects__contains=[{"kind": "user.signed_in"}])

    assert event.actor.identity["place"].startswith("203.0.113.9, ")
    assert b"203.0.113.9" not in bytes(event.canonical)

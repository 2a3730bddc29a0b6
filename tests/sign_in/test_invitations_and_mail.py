"""Invitations and forgotten passwords, with mail through a real SMTP server on loopback."""

import re
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from email.message import Message

import pytest
from aiosmtpd.controller import Controller
from django.core.cache import cache
from django.test import Client, override_settings
from django.utils import timezone

from audit.models import OutboxEntry
from audit.outbox import deliver
from flags.changes import CreateInvitation, EditUser, RemoveMember, SetMember, submit
from flags.changes.invitations import accept
from flags.errors import Denied, Invalid
from flags.models import Invitation, Membership, User
from tests.cast import OPERATOR, PASSWORD
from tests.served import free_port
from tests.sign_in.test_passwords import sign_in, told, words

pytestmark = pytest.mark.django_db
NEW = {"username": "newcomer", "password": PASSWORD, "again": PASSWORD}


class Mailbox:
    """What came, as an SMTP server has it; `refuses` is what it answers instead."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.refuses = ""
        self.refuses_what_it_read = ""

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if self.refuses:
            return self.refuses
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.refuses_what_it_read:
            return self.refuses_what_it_read
        self.mails.append(message_from_bytes(envelope.content))
        return "250 OK"

    def link(self) -> str:
        """The path that the newest mail leads to."""
        (found,) = re.findall(r"https://flags\.example(/\S+)", self.mails[-1].get_payload())
        return found


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox()
    server = Controller(box, hostname="127.0.0.1", port=free_port())
    server.start()
    with override_settings(
        MAIL_IS_SENT=True,
        PUBLIC_URL="https://flags.example",
        EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=server.port,
    ):
        yield box
    server.stop()


@pytest.fixture(autouse=True)
def _nothing_counted():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def admins(project) -> Client:
    client = Client()
    sign_in(client, "admin")
    return client


def invite(client: Client, email: str = "Newcomer@example.org", role: str = "editor"):
    return client.post("/p/shop/settings/members/invitations", {"email": email, "role": role})


def role_of(name: str) -> str | None:
    return Membership.objects.filter(user__username=name).values_list("role", flat=True).first()


def test_an_invitation_is_mailed_makes_the_account_and_is_used_up(admins, mailbox):
    assert invite(admins).status_code == 302
    assert "newcomer@example.org" in words(admins.get("/p/shop/settings/members/invitations"))
    deliver("default")
    assert mailbox.mails[0]["To"] == "newcomer@example.org"
    assert "admin invites you to Shop as editor" in mailbox.mails[0].get_payload()

    visitor = Client()
    assert "Join Shop" in words(visitor.get(mailbox.link()))
    assert visitor.post(mailbox.link(), NEW)["Location"] == "/p/shop/flags"

    assert visitor.get("/p/shop/flags").status_code == 200
    assert role_of("newcomer") == "editor"
    assert User.objects.get(username="newcomer").email == "newcomer@example.org"
    assert Client().get(mailbox.link()).status_code == 410
    assert "newcomer@" not in words(admins.get("/p/shop/settings/members/invitations"))


def test_mail_waits_for_its_server(admins, mailbox):
    invite(admins)
    with override_settings(EMAIL_PORT=free_port()):
        deliver("default")
    waiting = OutboxEntry.objects.filter(subscriber="sign_in_mail").first()
    assert waiting.attempts == 1
    assert mailbox.mails == []

    OutboxEntry.objects.update(not_before=None)
    deliver("default")

    assert len(mailbox.mails) == 1


@pytest.mark.parametrize("when", ["refuses", "refuses_what_it_read"])
@pytest.mark.parametrize(("answer", "kept"), [("550 nobody", False), ("450 later", True)])
def test_who_takes_no_mail_at_all_holds_up_nobody_elses(admins, mailbox, answer, kept, when):
    setattr(mailbox, when, answer)
    invite(admins)

    deliver("default")

    assert OutboxEntry.objects.filter(subscriber="sign_in_mail").exists() == kept


def test_without_mail_the_link_is_shown_once_and_claims_no_address(admins):
    shown = invite(admins)
    (link,) = re.findall(r"http://testserver(/invitations/[^<\s]+)", shown.content.decode())
    assert link not in admins.get("/p/shop/settings/members/invitations").content.decode()

    Client().post(link, NEW)

    assert User.objects.get(username="newcomer").email == ""


def test_who_has_an_account_joins_with_it(admins, mailbox, users):
    submit(EditUser(username="outsider", email="out@example.org"), actor=OPERATOR)
    invite(admins, "out@example.org", "viewer")
    deliver("default")
    visitor = Client()

    assert "Make my account" not in words(visitor.get(mailbox.link()))
    assert visitor.post(mailbox.link(), NEW).status_code == 409
    sign_in(visitor, "outsider")
    visitor.post(mailbox.link())

    assert role_of("outsider") == "viewer"


def test_an_invitation_changes_no_role_that_somebody_has(admins, mailbox):
    invite(admins, role="viewer")
    deliver("default")
    editor = Client()
    sign_in(editor, "editor")

    answer = editor.post(mailbox.link())

    assert answer.status_code == 409
    assert role_of("editor") == "editor"


@pytest.mark.parametrize("ending", ["revoked", "expired", "forged"])
def test_an_invitation_that_is_over_lets_nobody_in(admins, ending):
    invite(admins)
    row = Invitation.objects.get()
    token = row.token
    if ending == "revoked":
        admins.post(f"/p/shop/settings/members/invitations/{row.pk}/revoke")
    elif ending == "expired":
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        token = f"{row.pk}:forged"

    assert Client().post(f"/invitations/{token}", NEW).status_code == 410
    assert not User.objects.filter(username="newcomer").exists()


def test_who_invited_must_still_be_allowed_to_when_it_is_accepted(project, admin, users):
    change = CreateInvitation(project="shop", email="x@example.org", role="admin", mailed=True)
    submit(change, actor=admin)
    submit(RemoveMember(project="shop", username="admin"), actor=OPERATOR)

    with pytest.raises(Denied):
        accept(Invitation.objects.get(), "outsider")
    assert role_of("outsider") is None


def test_only_admins_invite_and_nobody_above_themselves(project, admin, editor):
    change = CreateInvitation(project="shop", email="x@example.org", role="admin", mailed=True)
    lower = SetMember(
        project="shop", username="admin", role="admin", environments={"production": "viewer"}
    )
    with pytest.raises(Denied):
        submit(change, actor=editor)
    submit(lower, actor=OPERATOR)
    with pytest.raises(Denied, match="above their own"):
        submit(change, actor=admin)


def test_an_address_that_is_none_is_refused(project, admin):
    change = CreateInvitation(project="shop", email="x", role="viewer", mailed=True)

    with pytest.raises(Invalid, match="mail address"):
        submit(change, actor=admin)


def test_a_weak_password_makes_no_account(admins):
    invite(admins)
    link = f"/invitations/{Invitation.objects.get().token}"

    answer = Client().post(link, {**NEW, "password": "12345", "again": "12346"})

    assert answer.status_code == 422
    assert "too short" in words(answer)
    assert not User.objects.filter(username="newcomer").exists()


def test_a_forgotten_password_is_chosen_anew_by_mail(client, users, mailbox):
    submit(EditUser(username="viewer", email="Viewer@example.org"), actor=OPERATOR)
    signed_in = Client()
    sign_in(signed_in)
    assert "Forgot your password?" in words(client.get("/sign-in"))

    for address in ("viewer@example.org", "nobody@example.org"):
        asked = client.post("/sign-in/forgotten", {"email": address})
        assert asked["Location"] == "/sign-in/forgotten/sent"
    deliver("default")

    assert [mail["To"] for mail in mailbox.mails] == ["Viewer@example.org"]
    form = client.get(mailbox.link())["Location"]
    new = "a password that is new"
    assert client.post(form, {"password1": new, "password2": new})["Location"].endswith("/done")
    assert signed_in.get("/account").status_code == 302
    assert sign_in(Client(), "viewer", new)["Location"] == "/"
    assert len(told("user.password_changed")) == 1
    assert "no longer good" in words(Client().get(mailbox.link(), follow=True))


def test_links_to_a_new_password_are_mailed_three_times_an_hour(users, mailbox):
    submit(EditUser(username="viewer", email="viewer@example.org"), actor=OPERATOR)

    answers = [
        Client(REMOTE_ADDR=f"192.0.2.{number}").post(
            "/sign-in/forgotten", {"email": "Viewer@example.org"}
        )
        for number in range(4)
    ]
    deliver("default")

    assert [answer.status_code for answer in answers] == [302, 302, 302, 429]
    assert "Too often" in words(answers[-1])
    assert len(mailbox.mails) == 3


def test_no_secret_of_a_mail_waits_in_a_table(admins, mailbox):
    invite(admins)
    token = Invitation.objects.get().token.partition(":")[2]

    stored = [
        str(value) for entry in OutboxEntry.objects.all() for value in vars(entry.event).values()
    ] + [str(vars(Invitation.objects.get()))]

    assert not any(token in value for value in stored)


def test_where_no_mail_is_sent_the_page_says_so(client, users):
    assert "sends no mail" in words(client.get("/sign-in/forgotten"))
    assert "Forgot" not in words(client.get("/sign-in"))

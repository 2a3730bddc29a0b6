"""Notices by mail, handed to a real SMTP server on loopback."""

import email
import email.policy
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.utils import timezone

from audit.outbox import deliver
from flags.changes import ChooseMails, EditEnvironment, EditUser, SwitchFlag, submit
from flags.models import Notice
from flags.notices.mailing import send_due
from flagsite.embedded.ports import free_port
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

PRODUCTION: dict[str, Any] = {"project": "shop", "environment": "production"}


class Server:
    """What came in, and whom it refuses."""

    def __init__(self) -> None:
        self.came: list[email.message.EmailMessage] = []
        self.refuses: set[str] = set()

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address in self.refuses:
            return "550 there is no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        found = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.came.append(found)
        return "250 OK"

    def to(self, name: str) -> list[Any]:
        return [mail for mail in self.came if mail["To"] == f"{name}@example.org"]


@pytest.fixture
def server(settings) -> Iterator[Server]:
    handler = Server()
    running = Controller(handler, hostname="127.0.0.1", port=free_port())
    running.start()
    settings.MAIL_IS_SENT = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_PORT = running.port
    settings.PUBLIC_URL = "https://flags.example.org"
    yield handler
    running.stop()


@pytest.fixture
def asked(server, project, a_flag, editor):
    for name in ("admin", "reviewer"):
        submit(EditUser(username=name, email=f"{name}@example.org"), actor=OPERATOR)
    submit(ChooseMails(username="admin", each=False), actor=OPERATOR)
    a_flag("checkout")
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)
    ask(editor)


def ask(editor) -> None:
    change = SwitchFlag(**PRODUCTION, flag="checkout", on=True)
    submit(change, actor=editor, reason="Launch\r\nBcc: everybody@example.org")
    deliver("default")


def test_a_mail_says_what_waits_and_where(asked, server):
    assert send_due(timezone.now()) == 1

    (mail,) = server.came
    assert mail["To"] == "reviewer@example.org"
    assert mail["Subject"] == (
        "[shop] editor asks for your verdict on #1 checkout: switched on in production"
    )
    assert "https://flags.example.org/p/shop/requests/1" in mail.get_content()
    assert mail["Bcc"] is None
    assert send_due(timezone.now()) == 0


def test_who_wants_none_and_who_has_no_address_gets_none(asked, server):
    send_due(timezone.now())

    assert (server.to("admin"), len(server.came)) == ([], 1)
    assert Notice.objects.filter(person__username="admin").exists()


def test_who_turned_mails_off_meanwhile_gets_none(asked, server):
    submit(ChooseMails(username="reviewer", each=False), actor=OPERATOR)

    assert send_due(timezone.now()) == 0
    assert not Notice.objects.filter(mail_due_at__isnull=False).exists()


def test_mails_wait_while_the_server_is_away(asked, server, settings):
    there, settings.EMAIL_PORT = settings.EMAIL_PORT, 1
    now = timezone.now()

    assert send_due(now) == 0
    assert send_due(now + timedelta(seconds=1)) == 0
    notice = Notice.objects.get(mail_due_at__isnull=False)
    assert (notice.mail_attempts, "refused" in notice.mail_error) == (1, True)

    settings.EMAIL_PORT = there
    assert send_due(now + timedelta(minutes=1)) == 1
    notice.refresh_from_db()
    assert (notice.mail_due_at, notice.mail_error) == (None, "")


def test_one_refused_address_holds_nobody_up(asked, server, editor):
    submit(ChooseMails(username="admin", each=True), actor=OPERATOR)
    ask(editor)
    server.refuses.add("reviewer@example.org")

    send_due(timezone.now())

    assert len(server.to("admin")) == 1
    failed = Notice.objects.filter(person__username="reviewer", mail_attempts=1)
    assert failed.count() == 2


def test_old_news_is_given_up(asked, server):
    server.refuses.add("reviewer@example.org")

    send_due(timezone.now() + timedelta(days=3))

    assert not Notice.objects.filter(mail_due_at__isnull=False).exists()


def test_a_mail_that_may_have_gone_out_already_is_known_for_the_same(asked, server):
    for _ in range(2):
        Notice.objects.filter(person__username="reviewer").update(mail_due_at=timezone.now())
        send_due(timezone.now())

    first, second = server.came
    assert first["Message-ID"] == second["Message-ID"]

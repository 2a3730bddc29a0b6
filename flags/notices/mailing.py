"""Sending notices by mail, from their rows: kept and tried again while the mail server is away.

At least once: a worker that dies between sending and writing it down sends again, under the same
Message-ID, by which mail programs know it for the same mail.
"""

import logging
import smtplib
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse

from flags.models import Notice
from flags.notices.words import LOUD, OF_ACCOUNTS, address_of, is_mailed, words_of

logger = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(hours=1)
# News older than this is no news: it stays in the inbox.
GIVEN_UP_AFTER = timedelta(days=3)


def send_due(now: datetime) -> int:
    """Send each mail that is due; how many went out.

    A server that takes no connection is asked once a sweep; what waits for it stays due.
    """
    if not _next_due(now).exists():
        return 0
    connection = get_connection()
    sent = 0
    try:
        while (outcome := _send_next(connection, now)) is not None:
            sent += outcome
    except OSError as error:
        logger.warning("mail.server_lost error=%s", type(error).__name__)
    finally:
        connection.close()
    return sent


def _send_next(connection: BaseEmailBackend, now: datetime) -> int | None:
    """1 for a mail that went out, 0 for one that did not, None when nothing is due.

    Raises OSError where the server cannot be reached, after writing down when to try again.
    """
    trouble: Exception | None = None
    with transaction.atomic():
        notice = (
            _next_due(now)
            .select_for_update(skip_locked=True, of=("self",))
            .select_related("person", "project", "request", "about")
            .order_by("mail_due_at")
            .first()
        )
        if notice is None:
            return None
        try:
            if is_mailed(notice.kind, notice.person):
                connection.send_messages([_mail(notice)])
                notice.mailed_at = now
            notice.mail_due_at, notice.mail_error = None, ""
        except (OSError, smtplib.SMTPException) as error:
            trouble = error
            _put_back(notice, error, now=now)
        notice.save(update_fields=["mailed_at", "mail_due_at", "mail_attempts", "mail_error"])
    if isinstance(trouble, smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused):
        # This one mail is refused; others may be taken, on a connection that begins anew.
        connection.close()
        return 0
    if trouble is not None:
        raise OSError from trouble
    return int(notice.mailed_at is not None)


def _next_due(now: datetime) -> QuerySet[Notice]:
    return Notice.objects.filter(mail_due_at__lte=now)


def _put_back(notice: Notice, error: Exception, *, now: datetime) -> None:
    notice.mail_attempts += 1
    notice.mail_error = f"{type(error).__name__}: {error}"[:500]
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(notice.mail_attempts - 1, 10))
    is_news = now + pause - notice.at < GIVEN_UP_AFTER
    notice.mail_due_at = now + pause if is_news else None
    logger.warning("mail.failed", extra={"notice": str(notice.pk), "attempt": notice.mail_attempts})


def _mail(notice: Notice) -> EmailMessage:
    words = words_of(notice)
    address = f"{settings.PUBLIC_URL}{address_of(notice)}"
    if notice.kind in OF_ACCOUNTS:
        lines = _of_account(notice, words, address)
    else:
        lines = [words + ".", *([f"“{notice.text}”"] if notice.text else []), address, _foot()]
    where = notice.project.key if notice.project else "Flagsite"
    host = settings.PUBLIC_URL.partition("://")[2].partition(":")[0]
    return EmailMessage(
        subject=" ".join(f"[{where}] {words}".split())[:200],
        body="\n\n".join(lines) + "\n",
        to=[notice.person.email],
        headers={
            "Message-ID": f"<notice.{notice.pk}@{host}>",
            "Auto-Submitted": "auto-generated",
            **({"Importance": "high", "X-Priority": "1"} if notice.kind in LOUD else {}),
        },
    )


def _of_account(notice: Notice, words: str, address: str) -> list[str]:
    """When, from where, and what to do if it was somebody else."""
    place = settings.PUBLIC_URL + reverse("signing-in")
    return [
        f"{words}, on {notice.at:%-d %B %Y, %H:%M} UTC.",
        *([f"{notice.text}."] if notice.text else []),
        f"If you did this, or expected it, there is nothing to do. See {address}",
        "If not, somebody else may be in your account: change your password and sign out all other "
        f"browsers at {place} and tell a site administrator.",
        f"-- \nFlagsite tells {notice.person.get_username()} of each change to how they sign in.",
    ]


def _foot() -> str:
    return (
        "-- \nFlagsite sends you this because it concerns you. "
        f"Turn mails off at {settings.PUBLIC_URL}{reverse('inbox')}"
    )

"""The `sign_in_mail` subscriber: invitations and links to a new password, written when they are sent.

Nothing that opens a door waits in a table: the links are made here, from rows and the secret key.
"""

import logging
from smtplib import SMTPDataError, SMTPRecipientsRefused

from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from audit.models import Event
from flags.models import Invitation, User

logger = logging.getLogger(__name__)


def send(event: Event) -> None:
    """Mail what the event asks for; raises while the mail server is away, and is called again."""
    if not settings.MAIL_IS_SENT:
        return
    for effect in event.effects:
        _, _, key = effect["subject"].partition(":")
        match effect["kind"]:
            case "invitation.created":
                _invite(Invitation.objects.select_related("project", "invited_by").get(pk=key))
            case "user.password_reset_asked":
                _lead_to_a_new_password(User.objects.get(pk=key))


def _invite(invitation: Invitation) -> None:
    if not invitation.is_mailed or not invitation.is_open(timezone.now()):
        return
    subject = f"Join {invitation.project.name} on Flagsite"
    address = reverse("invitation", args=[invitation.token])
    context = {"invitation": invitation, "address": settings.PUBLIC_URL + address}
    _mail(invitation.email, subject, "sign_in/mail/invitation.txt", context)


def _lead_to_a_new_password(user: User) -> None:
    if not user.is_active or not user.email:
        return
    named = {"uidb36": user_pk_to_url_str(user), "key": default_token_generator.make_token(user)}
    address = reverse("account_reset_password_from_key", kwargs=named)
    context = {"user": user, "address": settings.PUBLIC_URL + address}
    _mail(user.email, "A new password for Flagsite", "sign_in/mail/password.txt", context)


def _mail(to: str, subject: str, template: str, context: dict[str, object]) -> None:
    try:
        send_mail(" ".join(subject.split()), render_to_string(template, context), None, [to])
    except SMTPRecipientsRefused as error:
        if any(code < 500 for code, _ in error.recipients.values()):
            raise
        # For good: sending it again would hold up everybody else's mail.
        logger.warning("sign_in.mail_refused")
    except SMTPDataError as error:
        # The same, when the server has read the mail.
        if error.smtp_code < 500:
            raise
        logger.warning("sign_in.mail_refused")

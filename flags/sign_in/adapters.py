"""What allauth asks and tells us: limits on guessing, secrets at rest, and each step for the log.

allauth's own signals say the same, but a receiver would be a write nobody sees in the code; these
methods are called by name.
"""

import base64
import hashlib
from ipaddress import IPv6Address, ip_address
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from cryptography.fernet import Fernet
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest, HttpResponse

from audit.facts import Actor
from flags.changes import (
    AddFactor,
    AskPasswordReset,
    Change,
    ChangePassword,
    FailSignIn,
    RemoveFactor,
    SignIn,
    SignOut,
    submit,
)
from flags.models import User
from flags.queries.sign_in import account_named
from flags.sessions import actor_at_place, has_second_factor, network_of

# Guessing is slowed per address (of IPv6 per network, since each visitor has one to themselves),
# and per account from one address. Attempts on one account from everywhere together are slowed too,
# but never for an address from which its person is signed in: nobody can lock somebody else out.
LIMITS = {
    "from_address": "30/5m/ip",
    "on_account_from_address": "5/5m/key",
    "on_account": "50/10m/key",
}
SYSTEM = Actor.system("sign-in")

WORDS = {
    "mfa_reauthenticate": "Use a code",
    "mfa_reauthenticate:webauthn": "Use your passkey",
}

# What allauth tells a person by mail, and what it means here.
TOLD: dict[str, tuple[type[AddFactor] | type[RemoveFactor], Any]] = {
    "mfa/email/totp_activated": (AddFactor, "totp"),
    "mfa/email/totp_deactivated": (RemoveFactor, "totp"),
    "mfa/email/webauthn_added": (AddFactor, "webauthn"),
    "mfa/email/webauthn_removed": (RemoveFactor, "webauthn"),
    "mfa/email/recovery_codes_generated": (AddFactor, "recovery_codes"),
}


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Passwords, sessions, and what is recorded of them."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def login(self, request: HttpRequest, user: Any) -> None:
        # First the log: nobody comes in unrecorded.
        by = [
            record.get("type") or record.get("provider") or record["method"]
            for record in get_authentication_records(request, user)
        ]
        actor = actor_at_place(request, user)
        submit(SignIn(username=user.get_username(), by=by), actor=actor)
        super().login(request, user)

    def logout(self, request: HttpRequest) -> None:
        user = request.user
        if isinstance(user, User):
            submit(SignOut(username=user.get_username()), actor=actor_at_place(request))
        super().logout(request)

    def set_password(self, user: Any, password: str) -> None:
        """After a reset: who forgot a password has no session to keep."""
        change = ChangePassword(username=user.get_username(), password_hash=make_password(password))
        submit(change, actor=actor_at_place(self.request, user))
        user.refresh_from_db()

    def add_message(self, *args: Any, **options: Any) -> None:
        """The pages say for themselves what happened."""

    def send_notification_mail(
        self, template_prefix: str, user: Any, context: Any = None, email: Any = None
    ) -> None:
        if template_prefix in TOLD:
            kind, factor = TOLD[template_prefix]
            change: Change = kind(username=user.get_username(), factor=factor)
            submit(change, actor=actor_at_place(self.request, user))

    def send_password_reset_mail(self, user: Any, email: str, context: Any) -> None:
        """The mail is written and sent by a worker, once the event is in the log."""
        submit(AskPasswordReset(username=user.get_username()), actor=SYSTEM)

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Without the password where there is a second factor: whoever has only the password must
        not be able to take the factor away.
        """
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if not has_second_factor(user.pk):
            return methods
        # Beside a passkey alone, a code would be one for recovery: that comes last.
        order = ["mfa_reauthenticate", "mfa_reauthenticate:webauthn"]
        if not Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists():
            order.reverse()
        by_id = {method["id"]: method for method in methods}
        return [{**by_id[one], "description": WORDS[one]} for one in order if one in by_id]

    # Guessing

    def get_client_ip(self, request: HttpRequest) -> str:
        """The visitor's address; one of IPv4 that came over IPv6 is the IPv4 address it is."""
        address = ip_address(super().get_client_ip(request))
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return str(mapped or address)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        place, account = network_of(self.get_client_ip(request)), named_in(credentials)
        asked = [("from_address", None), ("on_account_from_address", f"{account} {place}")]
        there = UserSession.objects.filter(user__username__iexact=account)
        if all(network_of(ip) != place for ip in there.values_list("ip", flat=True)):
            asked.append(("on_account", account))
        self._used = []
        for action, key in asked:
            usage = ratelimit.consume(
                request, app="flags.sign_in", action=action, key=key, config=LIMITS
            )
            if usage is None:
                raise self.validation_error("too_many_login_attempts")
            self._used.append(usage)

    def _rollback_login_failed_rl_usage(self) -> None:
        # Who got it right has not been guessing; what others used up stays.
        for usage in self._used:
            usage.rollback()

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        account = account_named(named_in(credentials))
        username = account.get_username() if account else None
        submit(FailSignIn(username=username, by="password"), actor=SYSTEM)

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponse:
        submit(FailSignIn(username=user.get_username(), by="inactive"), actor=SYSTEM)
        response: HttpResponse = super().respond_user_inactive(request, user)
        return response


def named_in(credentials: dict[str, Any]) -> str:
    return str(credentials.get("username") or "").lower()


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Secrets of second factors are unreadable without the secret key, as in a stolen backup."""

    def encrypt(self, text: str) -> str:
        return _fernet().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _fernet().decrypt(encrypted_text.encode()).decode()


def _fernet() -> Fernet:
    key = hashlib.sha256(b"flags.sign_in.factors:" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))

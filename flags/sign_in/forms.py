"""allauth's forms: a mail address will do for a username, and a code of an app is taken once."""

from typing import Any

from allauth.account.forms import LoginForm, ResetPasswordForm
from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from django.conf import settings
from django.core.cache import cache

from flags.changes import FailSignIn, submit
from flags.models import User
from flags.queries.sign_in import account_named
from flags.sign_in.adapters import SYSTEM

# allauth remembers a used code for one period; with a tolerance it is good for longer.
GOOD_FOR_SECONDS = 30 * (2 * settings.MFA_TOTP_TOLERANCE + 1)


class SignInForm(LoginForm):  # type: ignore[misc]
    """Takes the mail address of an account in the place of its username."""

    def clean_login(self) -> str:
        typed: str = super().clean_login()
        account = account_named(typed)
        return typed if account is None else account.get_username()


class ForgottenForm(ResetPasswordForm):  # type: ignore[misc]
    """Leads to a new password whoever has one: not people who come by an identity provider alone."""

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        found = User.objects.filter(email__iexact=email, is_active=True)
        self.users = [user for user in found if user.has_usable_password()]
        return email


def use_up(user: Any, code: str) -> None:
    """Refuses a code of an app that was taken before, however it is spaced."""
    place = f"sign-in:used:{user.pk}:{normalize_user_code(code)}"
    if not cache.add(place, True, timeout=GOOD_FOR_SECONDS):
        raise get_adapter().validation_error("incorrect_code")


class EnrolForm(ActivateTOTPForm):  # type: ignore[misc]
    """The code that enrols an app is one of its codes."""

    def clean_code(self) -> str:
        code: str = super().clean_code()
        use_up(self.user, code)
        return code


class _Once:
    user: Any
    authenticator: Authenticator

    def clean_code(self) -> str:
        code: str = super().clean_code()  # type: ignore[misc]
        if self.authenticator.type == Authenticator.Type.TOTP:
            use_up(self.user, code)
        return code

    def _emit_authentication_failed(self, authenticator: Authenticator) -> None:
        change = FailSignIn(username=self.user.get_username(), by=authenticator.type)
        submit(change, actor=SYSTEM)


class AuthenticateForm(_Once, forms.AuthenticateForm):  # type: ignore[misc]
    pass


class ReauthenticateForm(_Once, forms.ReauthenticateForm):  # type: ignore[misc]
    pass

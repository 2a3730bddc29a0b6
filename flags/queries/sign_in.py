"""Accounts by the name that is typed, and what an account signs in with."""

from dataclasses import dataclass

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.db.models import Q

from flags.models import User


@dataclass(frozen=True)
class Factors:
    """What a person can prove who they are with, beside a password."""

    app: Authenticator | None
    passkeys: list[Authenticator]
    codes_left: int | None  # recovery codes; None when there are none at all

    @property
    def any(self) -> bool:
        return self.app is not None or bool(self.passkeys)


def account_named(typed: str) -> User | None:
    """The account of this username, else the one of this mail address."""
    by_name = User.objects.filter(username=typed).first()
    if by_name is not None or not typed:
        return by_name
    found = list(User.objects.filter(Q(username__iexact=typed) | Q(email__iexact=typed))[:2])
    return found[0] if len(found) == 1 else None


def factors_of(user: User) -> Factors:
    rows = list(Authenticator.objects.filter(user=user).order_by("pk"))
    by_type = {row.type: row for row in rows}
    codes = by_type.get(Authenticator.Type.RECOVERY_CODES)
    return Factors(
        app=by_type.get(Authenticator.Type.TOTP),
        passkeys=[row for row in rows if row.type == Authenticator.Type.WEBAUTHN],
        codes_left=None if codes is None else len(codes.wrap().get_unused_codes()),
    )


def identities_of(user: User) -> list[SocialAccount]:
    """By whose word, beside their own password, the person comes in."""
    return list(SocialAccount.objects.filter(user=user).order_by("date_joined"))


def sessions_of(user: User) -> list[UserSession]:
    """Where the person is signed in, the last seen first; sessions that ended by themselves are gone."""
    sessions: list[UserSession] = UserSession.objects.purge_and_list(user)
    return sorted(sessions, key=lambda session: session.last_seen_at, reverse=True)

"""Signing in and out, and by what: recorded in the site's stream without a word about the person.

What django-allauth keeps in tables of its own it has written by then; the other changes here write
their rows themselves.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Literal

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings

from audit.facts import Actor
from flags.access import Action
from flags.changes.base import Change, Effect, Scope, change
from flags.errors import AlreadyExists, Conflict, Invalid, NotFound
from flags.models import User

Factor = Literal["totp", "webauthn", "recovery_codes"]

SessionStore: Any = import_module(settings.SESSION_ENGINE).SessionStore


class OnAccount(Change, frozen=True, kw_only=True):
    """A change to one's own account; a site administrator may make it to anybody's."""

    can_wait = False
    on_site = True
    needs = Action.VIEW

    project: str = ""
    username: str

    def account(self, scope: Scope) -> User:
        user = scope.user(self.username)
        if not is_own(scope.actor, user):
            scope.require_site_administrator()
        if user.is_service:
            raise Invalid.at("username", f"{self.username} is a service, which never signs in")
        return user

    def told(self, user: User, before: Any, after: Any) -> list[Effect]:
        return [Effect(self.kind, f"user:{user.pk}", before, after)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


def is_own(actor: Actor, user: User) -> bool:
    """Whether the person acts on their own account. A token may not: one that leaked could lock
    its person out.
    """
    return actor.kind == "person" and actor.id == str(user.pk) and actor.token is None


@change("user.signed_in")
class SignIn(OnAccount, frozen=True, kw_only=True):
    """Somebody came in; `by` says what they proved who they are with, in this order."""

    by: list[str]

    def perform(self, scope: Scope) -> list[Effect]:
        return self.told(self.account(scope), None, {"by": self.by})


@change("user.sign_in_failed")
class FailSignIn(Change, frozen=True, kw_only=True):
    """Somebody was turned away; `username` is None when the account they named is none."""

    can_wait = False
    on_site = True
    needs = Action.ADMINISTER

    project: str = ""
    username: str | None
    by: str

    def perform(self, scope: Scope) -> list[Effect]:
        # Recorded for names that are none as well: an answer that comes sooner would tell them.
        who = "unknown" if self.username is None else scope.user(self.username).pk
        return [Effect(self.kind, f"user:{who}", None, {"by": self.by})]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


@change("user.signed_out")
class SignOut(OnAccount, frozen=True, kw_only=True):
    """Somebody left."""

    def perform(self, scope: Scope) -> list[Effect]:
        return self.told(self.account(scope), None, {})


@change("user.password_changed")
class ChangePassword(OnAccount, frozen=True, kw_only=True):
    """Set a password and end every session of the account. `password_hash` is Django's encoded form.

    Whoever changes it in a session goes on in a new one, which is the door's to open.
    """

    password_hash: str

    def perform(self, scope: Scope) -> list[Effect]:
        user = self.account(scope)
        user.password = self.password_hash
        scope.save(user, "password")
        ended = end_sessions(scope, UserSession.objects.filter(user=user))
        return self.told(user, None, {"sessions_ended": ended})


@change("user.password_reset_asked")
class AskPasswordReset(OnAccount, frozen=True, kw_only=True):
    """Somebody asked for a link to a new password; it goes to the account's address."""

    needs = Action.ADMINISTER

    def perform(self, scope: Scope) -> list[Effect]:
        return self.told(self.account(scope), None, {})


@change("user.factor_added")
class AddFactor(OnAccount, frozen=True, kw_only=True):
    """A second factor was enrolled, or recovery codes were made anew."""

    factor: Factor

    def perform(self, scope: Scope) -> list[Effect]:
        return self.told(self.account(scope), None, {"factor": self.factor})


@change("user.factor_removed")
class RemoveFactor(OnAccount, frozen=True, kw_only=True):
    """A second factor was given up."""

    factor: Factor

    def perform(self, scope: Scope) -> list[Effect]:
        return self.told(self.account(scope), {"factor": self.factor}, None)


@change("user.factors_reset")
class ResetFactors(OnAccount, frozen=True, kw_only=True):
    """Take every second factor from an account whose person lost them, and end its sessions."""

    needs = Action.ADMINISTER

    def perform(self, scope: Scope) -> list[Effect]:
        user = self.account(scope)
        factors = Authenticator.objects.filter(user=user).order_by("pk")
        before = {"factors": [factor.type for factor in factors]}
        for factor in factors:
            scope.delete(factor)
        end_sessions(scope, UserSession.objects.filter(user=user))
        return self.told(user, before, {"factors": []})


@change("user.sessions_revoked")
class RevokeSessions(OnAccount, frozen=True, kw_only=True):
    """End sessions of an account, by the ids of allauth's records of them."""

    sessions: list[int]

    def perform(self, scope: Scope) -> list[Effect]:
        user = self.account(scope)
        found = UserSession.objects.filter(user=user, pk__in=self.sessions)
        ended = end_sessions(scope, found)
        if not ended:
            raise NotFound("there is no such session; it may have ended by itself")
        return self.told(user, {"sessions": ended}, {"sessions": 0})


@change("user.identity_connected")
class ConnectIdentity(OnAccount, frozen=True, kw_only=True):
    """Let a person in by what an identity provider says: `uid` is its name for them."""

    provider: str
    uid: str

    def perform(self, scope: Scope) -> list[Effect]:
        user = self.account(scope)
        if SocialAccount.objects.filter(provider=self.provider, uid=self.uid).exists():
            raise AlreadyExists("this identity belongs to an account already")
        scope.create(SocialAccount(user=user, provider=self.provider, uid=self.uid))
        return self.told(user, None, {"provider": self.provider})


@change("user.identity_disconnected")
class DisconnectIdentity(OnAccount, frozen=True, kw_only=True):
    """Let a person in no longer by this identity, unless nothing else would let them in."""

    identity: int

    def perform(self, scope: Scope) -> list[Effect]:
        user = self.account(scope)
        identity = SocialAccount.objects.filter(user=user, pk=self.identity).first()
        if identity is None:
            raise NotFound(f"there is no identity {self.identity} of {self.username}")
        if not user.has_usable_password() and not self._has_others(user):
            raise Conflict("nothing else would let you in: set a password first")
        before = {"provider": identity.provider}
        scope.delete(identity)
        return self.told(user, before, None)

    def _has_others(self, user: User) -> bool:
        """Of providers that the site uses: by another one nobody comes in."""
        usable = SocialAccount.objects.filter(user=user, provider__in=settings.OIDC_PROVIDERS)
        return bool(usable.exclude(pk=self.identity).exists())


def end_sessions(scope: Scope, sessions: Any) -> int:
    """Ends them in this transaction; how many there were."""
    found = list(sessions)
    for session in found:
        SessionStore(session.session_key).delete()
        scope.delete(session)
    return len(found)

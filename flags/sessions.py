"""What a session says of the person in it: who acts, and when they last proved a second factor."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.core.internal import ratelimit
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.http import HttpRequest

from audit.facts import Actor
from flags.browsers import browser_named
from flags.errors import Denied, SecondFactorNeeded
from flags.models import User

# How allauth calls a proof by an authenticator app, a passkey or a recovery code.
SECOND_FACTOR = "mfa"


def actor_in(request: Any) -> Actor:
    """The signed-in person of a page or of a call of the management API, as one who acts."""
    user = request.user
    assert isinstance(user, User), "nobody is signed in"
    return replace(user.as_actor(), second_factor_at=second_factor_at(request, user))


def actor_at_place(request: HttpRequest, user: User | None = None) -> Actor:
    """Who acts on their own account, and from where: for the log, which keeps both apart from the
    chain, and for what the person is told.

    `user` is whom the request is about to sign in, or who came by a link; else who is signed in.
    """
    actor = actor_in(request) if user is None else user.as_actor()
    browser = browser_named(request.headers.get("User-Agent", ""))
    return replace(actor, place=f"{get_adapter(request).get_client_ip(request)}, {browser}")


def network_of(address: str) -> str:
    """What counts as one place: an IPv4 address, or the /64 network of an IPv6 address."""
    return ratelimit.truncate_ip(address)  # type: ignore[no-any-return]


def second_factor_at(request: HttpRequest, user: User) -> datetime | None:
    """When this session last saw a second factor of theirs; None for never."""
    proofs = [
        proof["at"]
        for proof in get_authentication_records(request, user)
        if proof["method"] == SECOND_FACTOR
    ]
    return datetime.fromtimestamp(max(proofs), UTC) if proofs else None


def has_second_factor(user: int | str) -> bool:
    """Whether the account of this id has an authenticator app or a passkey enrolled."""
    factors = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
    return bool(Authenticator.objects.filter(user_id=user, type__in=factors).exists())


def must_enrol(user: int | str) -> bool:
    """Whether the site requires a second factor of the account of this id, and it has none yet."""
    return settings.REQUIRE_SECOND_FACTOR and not has_second_factor(user)


def require_fresh_second_factor(actor: Actor, *, now: datetime) -> None:
    """Raises SecondFactorNeeded unless it was proved in the last minutes; of who has none, nothing
    is asked, unless the site requires one.

    A token proves nothing about who holds it: with the account's second factor it is refused.
    """
    if actor.kind != "person":
        return
    if not has_second_factor(actor.id):
        if settings.REQUIRE_SECOND_FACTOR:
            raise Denied(f"this needs a second factor, and {actor.name} has none enrolled")
        return
    if actor.token is not None:
        raise Denied(
            f"{actor.name} has a second factor, which a token cannot prove: do this signed in"
        )
    proved = actor.second_factor_at
    if proved is None or now - proved > settings.SECOND_FACTOR_FRESH:
        minutes = settings.SECOND_FACTOR_FRESH.total_seconds() / 60
        raise SecondFactorNeeded(
            f"this needs your second factor, proved in the last {minutes:.0f} minutes: "
            "confirm at /account/confirm/code or /account/confirm/passkey, then do it again"
        )

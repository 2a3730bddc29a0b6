"""Who asks: an API token in `Authorization: Bearer fst_…`, or the session of a signed-in person."""

from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from audit.facts import Actor
from flags.models import ApiToken, User
from flags.models.secrets import hash_of
from flags.sessions import actor_in

SCHEME = "Bearer"
# How often a token's last use is written: often enough to find unused tokens, seldom enough to be
# no write per request.
LAST_USED_EVERY = timedelta(minutes=1)


class ApiTokenAuthentication(BaseAuthentication):
    """Reads the bearer token; without one it leaves the request to the session."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != SCHEME.lower():
            return None
        token = (
            ApiToken.objects.select_related("user").filter(hash=hash_of(text.strip(" "))).first()
        )
        now = timezone.now()
        if token is None:
            raise AuthenticationFailed("there is no such API token")
        if token.revoked_at is not None:
            raise AuthenticationFailed(f"API token {token.public_id} is revoked")
        if token.expires_at is not None and token.expires_at <= now:
            raise AuthenticationFailed(f"API token {token.public_id} has expired")
        if not token.user.is_active:
            raise AuthenticationFailed(f"the account of API token {token.public_id} is not active")
        if token.last_used_at is None or token.last_used_at < now - LAST_USED_EVERY:
            _note_use(token, now)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return f'{SCHEME} realm="Flagsite"'


def actor_of(request: Request) -> Actor:
    """The person who asks, limited to the token's scopes when a token speaks for them."""
    if not isinstance(request.auth, ApiToken):
        return actor_in(request)
    actor: Actor = request.user.as_actor()
    return Actor(
        kind=actor.kind,
        id=actor.id,
        name=actor.name,
        scopes=frozenset(request.auth.scopes),
        token=request.auth.public_id,
    )


def _note_use(token: ApiToken, now: Any) -> None:
    # Judged again by the database: of requests that come together one writes.
    ApiToken.objects.filter(
        Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_EVERY), pk=token.pk
    ).update(last_used_at=now)


class ApiTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema names it; found by being defined."""

    target_class = ApiTokenAuthentication
    name = "apiToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "fst_…"}

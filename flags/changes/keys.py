"""SDK keys and API tokens: made and revoked. A change holds the hash, never the secret."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from flags.access import Action
from flags.changes.base import Change, Effect, Scope, change
from flags.errors import Denied, Invalid, NotFound
from flags.models import ApiToken, SdkKey, User
from flags.models.secrets import Secret

AnyScope = Literal["read", "propose", "apply", "review", "admin"]


def key_facts(key: SdkKey) -> dict[str, Any]:
    return {"environment": key.environment.key, "kind": key.kind, "name": key.name}


def token_facts(token: ApiToken) -> dict[str, Any]:
    """What the log says of a token; of a service's, whose it is too."""
    service = token.user.get_username().partition("@")[0]
    return {
        "user": str(token.user_id),
        "name": token.name,
        "scopes": token.scopes,
        "expires_at": token.expires_at and token.expires_at.isoformat(),
        **({"service": service} if token.user.is_service else {}),
    }


@change("sdk_key.created")
class CreateSdkKey(Change, frozen=True, kw_only=True):
    """Let apps read an environment by a key whose secret its maker has seen."""

    can_wait = False
    needs = Action.ADMINISTER

    environment: str
    key_kind: Literal["server", "client"]
    public_id: str
    hash: str
    name: str = ""

    @classmethod
    def of(
        cls,
        secret: Secret,
        *,
        project: str,
        environment: str,
        key_kind: Literal["server", "client"],
        name: str = "",
    ) -> "CreateSdkKey":
        return cls(
            project=project,
            environment=environment,
            key_kind=key_kind,
            public_id=secret.public_id,
            hash=secret.hash,
            name=name,
        )

    def touches(self) -> Sequence[str]:
        return (self.environment,)

    def perform(self, scope: Scope) -> list[Effect]:
        key = SdkKey(
            environment=scope.environment(self.environment),
            kind=self.key_kind,
            name=self.name,
            public_id=self.public_id,
            hash=self.hash,
            created_at=scope.now,
        )
        scope.create(key)
        return [Effect(self.kind, f"sdk_key:{key.public_id}", None, key_facts(key))]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [RevokeSdkKey(project=self.project, public_id=self.public_id)]


@change("sdk_key.revoked")
class RevokeSdkKey(Change, frozen=True, kw_only=True):
    """Refuse a key from now on, on connections that are open too. There is no way back."""

    can_wait = False
    needs = Action.ADMINISTER

    public_id: str

    def touches(self) -> Sequence[str]:
        keys = SdkKey.objects.filter(
            environment__project__key=self.project, public_id=self.public_id
        )
        return tuple(keys.values_list("environment__key", flat=True))

    def perform(self, scope: Scope) -> list[Effect]:
        key = (
            SdkKey.objects.filter(environment__project=scope.project, public_id=self.public_id)
            .select_related("environment")
            .first()
        )
        if key is None:
            raise NotFound(f"there is no SDK key {self.public_id} in {self.project}")
        if key.revoked_at is not None:
            return []
        key.revoked_at = scope.now
        scope.save(key, "revoked_at")
        return [Effect(self.kind, f"sdk_key:{key.public_id}", key_facts(key), None)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


@change("api_token.created")
class CreateApiToken(Change, frozen=True, kw_only=True):
    """Let a program act in a person's name; everybody may make tokens for themselves alone."""

    can_wait = False
    on_site = True
    needs = Action.VIEW
    schema = 2

    project: str = ""
    username: str
    public_id: str
    hash: str
    scopes: list[AnyScope]
    name: str = ""
    expires_at: datetime | None = None

    @classmethod
    def upcast(cls, schema: int, fields: dict[str, Any]) -> dict[str, Any]:
        """Until schema 2, `write` was to propose and to apply."""
        scopes = [
            scope
            for named in fields.get("scopes", [])
            for scope in (("propose", "apply") if named == "write" else (named,))
        ]
        return {**fields, "scopes": scopes}

    def perform(self, scope: Scope) -> list[Effect]:
        user = scope.user(self.username)
        _require_own(scope, str(user.pk))
        token = new_token(
            scope,
            user,
            public_id=self.public_id,
            hash=self.hash,
            scopes=self.scopes,
            name=self.name,
            expires_at=self.expires_at,
        )
        return [Effect(self.kind, f"api_token:{token.public_id}", None, token_facts(token))]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [RevokeApiToken(public_id=self.public_id)]


@change("api_token.revoked")
class RevokeApiToken(Change, frozen=True, kw_only=True):
    """Refuse a token from now on. There is no way back."""

    can_wait = False
    on_site = True
    needs = Action.VIEW

    project: str = ""
    public_id: str

    def perform(self, scope: Scope) -> list[Effect]:
        token = ApiToken.objects.filter(public_id=self.public_id).first()
        if token is None:
            raise NotFound(f"there is no API token {self.public_id}")
        _require_own(scope, str(token.user_id))
        return revoked(scope, token, kind=self.kind)

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


@change("api_token.expires_soon")
class WarnOfExpiry(Change, frozen=True, kw_only=True):
    """Say once, when so many days are left, that a token ends soon."""

    can_wait = False
    on_site = True
    needs = Action.ADMINISTER

    project: str = ""
    public_id: str
    days: int

    def perform(self, scope: Scope) -> list[Effect]:
        token = ApiToken.objects.filter(public_id=self.public_id).first()
        if token is None:
            raise NotFound(f"there is no API token {self.public_id}")
        told = token.told_days_left is not None and token.told_days_left <= self.days
        if told or token.revoked_at is not None:
            return []
        token.told_days_left = self.days
        scope.save(token, "told_days_left")
        known = token_facts(token)
        after = known | {"days_left": self.days}
        return [Effect(self.kind, f"api_token:{token.public_id}", known, after)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


def new_token(
    scope: Scope,
    user: User,
    *,
    public_id: str,
    hash: str,  # noqa: A002
    scopes: Sequence[str],
    name: str,
    expires_at: datetime | None,
) -> ApiToken:
    """Save a token of this account. Raises Invalid."""
    if not scopes:
        raise Invalid.at("scopes", f"expected some of {', '.join(ApiToken.SCOPES)}, got none")
    if expires_at is not None and expires_at <= scope.now:
        raise Invalid.at("expires_at", "expected an instant to come, got one that has passed")
    token = ApiToken(
        user=user,
        made_by=scope.account(),
        name=name,
        public_id=public_id,
        hash=hash,
        scopes=sorted(set(scopes)),
        created_at=scope.now,
        expires_at=expires_at,
    )
    scope.create(token)
    return token


def revoked(scope: Scope, token: ApiToken, *, kind: str) -> list[Effect]:
    """Refuse the token from now on; nothing comes of it where it was refused already."""
    if token.revoked_at is not None:
        return []
    token.revoked_at = scope.now
    scope.save(token, "revoked_at")
    return [Effect(kind, f"api_token:{token.public_id}", token_facts(token), None)]


def refuse_by_token(scope: Scope) -> None:
    """A token may not make or revoke tokens: one that leaked could outlive its own revocation."""
    if scope.actor.token is not None:
        raise Denied("an API token cannot make or revoke tokens; sign in to do it")


def _require_own(scope: Scope, user_id: str) -> None:
    refuse_by_token(scope)
    if scope.actor.id != user_id:
        scope.require_site_administrator()

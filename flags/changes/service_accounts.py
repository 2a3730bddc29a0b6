"""Service accounts: programs of a project, with a role like a member and tokens of their own."""

from collections.abc import Sequence
from datetime import datetime

from flags.access import Action
from flags.changes.base import UNSET, Change, Effect, Scope, UnsetType, change
from flags.changes.keys import AnyScope, new_token, refuse_by_token, revoked, token_facts
from flags.changes.members import (
    AnyRole,
    exceptions_given,
    facts,
    refuse_above_own,
    set_exceptions,
)
from flags.errors import AlreadyExists, Invalid, NotFound
from flags.models import ApiToken, Membership, User
from flags.models.keys import KEY_MEANS, is_key


def username_of(project: str, name: str) -> str:
    """What a service is called where accounts are named: `deployer@shop`."""
    return f"{name}@{project}"


@change("service.created")
class CreateService(Change, frozen=True, kw_only=True):
    """Make a service account with a role, and others in single environments.

    One of this name that was removed comes back; its tokens do not.
    """

    can_wait = False
    needs = Action.ADMINISTER

    name: str
    role: AnyRole
    environments: dict[str, AnyRole] | UnsetType = UNSET

    def perform(self, scope: Scope) -> list[Effect]:
        if not is_key(self.name):
            raise Invalid.at("name", f"expected {KEY_MEANS}, got {self.name!r}")
        project = scope.the_project()
        username = username_of(project.key, self.name)
        user = User.objects.filter(username=username).first()
        if user is not None and (user.is_active or user.service_of_id != project.pk):
            raise AlreadyExists(f"there is an account {username} already")
        given = {} if self.environments is UNSET else self.environments
        exceptions = exceptions_given(scope, role=self.role, given=given)
        after = {"role": self.role, "environments": exceptions}
        refuse_above_own(scope, username, None, after)
        if user is None:
            user = User(username=username, service_of=project, date_joined=scope.now)
            user.set_unusable_password()
            scope.create(user)
        else:
            user.is_active = True
            scope.save(user, "is_active")
        member = Membership(project=project, user=user, role=self.role)
        scope.create(member)
        set_exceptions(scope, member, exceptions)
        return [Effect(self.kind, f"service:{self.name}", None, {"account": str(user.pk), **after})]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [RemoveService(project=self.project, name=self.name)]


@change("service.removed")
class RemoveService(Change, frozen=True, kw_only=True):
    """Take a service out of the project and refuse its tokens; what it did stays on record."""

    can_wait = False
    needs = Action.ADMINISTER

    name: str

    def perform(self, scope: Scope) -> list[Effect]:
        user = service(scope, self.name)
        member = Membership.objects.get(project=scope.project, user=user)
        before = facts(member)
        refuse_above_own(scope, user.get_username(), before, None)
        tokens = ApiToken.objects.filter(user=user).select_related("user")
        refused = [row for token in tokens for row in revoked(scope, token, kind=self.kind)]
        scope.delete(member)
        user.is_active = False
        scope.save(user, "is_active")
        gone = {"account": str(user.pk), **before}
        return [Effect(self.kind, f"service:{self.name}", gone, None), *refused]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            CreateService(
                project=self.project,
                name=self.name,
                role=effect.before["role"],
                environments=effect.before["environments"],
            )
            for effect in effects
            if effect.subject == f"service:{self.name}"
        ]


@change("service_token.created")
class CreateServiceToken(Change, frozen=True, kw_only=True):
    """Let a program act as a service, within these scopes and until it expires."""

    can_wait = False
    needs = Action.ADMINISTER

    service: str
    public_id: str
    hash: str
    scopes: list[AnyScope]
    name: str = ""
    expires_at: datetime | None = None

    def perform(self, scope: Scope) -> list[Effect]:
        refuse_by_token(scope)
        user = service(scope, self.service)
        # Who holds the token may do what the service may.
        member = Membership.objects.get(project=scope.project, user=user)
        refuse_above_own(scope, user.get_username(), None, facts(member))
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
        return [RevokeServiceToken(project=self.project, public_id=self.public_id)]


@change("service_token.revoked")
class RevokeServiceToken(Change, frozen=True, kw_only=True):
    """Refuse a service's token from now on. There is no way back."""

    can_wait = False
    needs = Action.ADMINISTER

    public_id: str

    def perform(self, scope: Scope) -> list[Effect]:
        refuse_by_token(scope)
        tokens = ApiToken.objects.filter(user__service_of=scope.project, public_id=self.public_id)
        token = tokens.select_related("user").first()
        if token is None:
            raise NotFound(f"no service of {self.project} has a token {self.public_id}")
        return revoked(scope, token, kind=self.kind)

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


def service(scope: Scope, name: str) -> User:
    """The service of this name that is there. Raises NotFound."""
    project = scope.the_project()
    user = User.objects.filter(
        service_of=project, username=username_of(project.key, name), is_active=True
    ).first()
    if user is None:
        raise NotFound(f"there is no service {name} in {project.key}")
    return user

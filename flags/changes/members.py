"""Members: who belongs to a project, in which role, and where in another one."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from flags.access import Action
from flags.changes.base import UNSET, Change, Effect, Scope, UnsetType, change
from flags.errors import Denied, Invalid, NotFound, StaleChange
from flags.models import Environment, EnvironmentRole, Membership, Role

AnyRole = Literal["viewer", "editor", "reviewer", "admin"]


def facts(member: Membership) -> dict[str, Any]:
    """What the project's stream says of a member."""
    return {
        "role": member.role,
        "environments": {key: role.value for key, role in member.exceptions().items()},
    }


@change("member.set")
class SetMember(Change, frozen=True, kw_only=True):
    """Give a person a role in a project, or another one.

    `environments` are the exceptions: the role in single environments, all of them; what is not
    given stays.
    """

    needs = Action.ADMINISTER

    username: str
    role: AnyRole
    environments: dict[str, AnyRole] | UnsetType = UNSET
    # What the author saw; None skips the check.
    was: str | None = None
    was_environments: dict[str, str] | None = None

    def perform(self, scope: Scope) -> list[Effect]:
        user = scope.user(self.username)
        if user.is_service and user.service_of_id != scope.the_project().pk:
            raise Invalid.at("username", f"{self.username} is a service of another project")
        member = Membership.objects.filter(project=scope.project, user=user).first()
        if user.is_service and member is None:
            raise NotFound(f"{self.username} was removed; make the service anew")
        refuse_another_role(member, self.username, self.was, self.was_environments)
        before = facts(member) if member else None
        kept = before["environments"] if before else {}
        given = exceptions_given(
            scope,
            role=self.role,
            given=kept if self.environments is UNSET else self.environments,
        )
        after = {"role": self.role, "environments": given}
        if before == after:
            return []
        refuse_above_own(scope, self.username, before, after)
        if member is None:
            member = Membership(project=scope.the_project(), user=user, role=self.role)
            scope.create(member)
        elif member.role != self.role:
            member.role = self.role
            scope.save(member, "role")
        set_exceptions(scope, member, given)
        return [Effect(self.kind, f"member:{user.pk}", before, after)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            SetMember(project=self.project, username=self.username, **effect.before)
            if effect.before
            else RemoveMember(project=self.project, username=self.username)
            for effect in effects
        ]


@change("member.removed")
class RemoveMember(Change, frozen=True, kw_only=True):
    """Take a person out of a project."""

    needs = Action.ADMINISTER

    username: str
    # What the author saw; None skips the check.
    was: str | None = None
    was_environments: dict[str, str] | None = None

    def perform(self, scope: Scope) -> list[Effect]:
        user = scope.user(self.username)
        member = Membership.objects.filter(project=scope.project, user=user).first()
        refuse_another_role(member, self.username, self.was, self.was_environments)
        if member is None:
            raise NotFound(f"{self.username} is not a member of {self.project}")
        if user.is_service:
            raise Invalid.at("username", f"{self.username} is a service: remove the service")
        before = facts(member)
        refuse_above_own(scope, self.username, before, None)
        scope.delete(member)
        return [Effect(self.kind, f"member:{user.pk}", before, None)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            SetMember(project=self.project, username=self.username, **effect.before)
            for effect in effects
        ]


def exceptions_given(scope: Scope, *, role: str, given: Mapping[str, str]) -> dict[str, str]:
    """The exceptions to keep beside this role, in the order of the environments. Raises Invalid.

    What equals the role is no exception: kept as one, it would outlive it.
    """
    there = list(scope.the_project().environments.values_list("key", flat=True))
    if unknown := sorted(given.keys() - set(there)):
        raise Invalid.at(
            f"environments.{unknown[0]}", f"expected one of {', '.join(there)}, got none of them"
        )
    return {key: given[key] for key in there if key in given and given[key] != role}


def refuse_another_role(
    member: Membership | None,
    username: str,
    was: str | None,
    was_environments: Mapping[str, str] | None,
) -> None:
    """Raises StaleChange where the member is no longer what the author saw."""
    role = member.role if member else "no member"
    if was is not None and role != was:
        raise StaleChange(f"{username} is {role}, expected {was}: somebody changed it meanwhile")
    exceptions = facts(member)["environments"] if member else {}
    if was_environments is not None and exceptions != was_environments:
        raise StaleChange(
            f"{username} has the exceptions {exceptions}, expected {dict(was_environments)}: "
            "somebody changed it meanwhile"
        )


def refuse_above_own(
    scope: Scope,
    username: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> None:
    """Nobody gives or takes, anywhere, a role above the one that they have there.

    So an admin with an exception cannot lift it, for themselves or through somebody else.
    Raises Denied.
    """
    if scope.rights.is_unlimited:
        return
    for environment in scope.the_project().environments.all():
        roles = {_role_in(environment, facts) for facts in (before, after)}
        own = scope.rights.role_in(environment)
        above = [role for role in roles if role and (own is None or role.rank > own.rank)]
        if len(roles) > 1 and above:
            raise Denied(
                f"{username} would be made or be no longer {above[0].value} in {environment.key}, "
                f"where {scope.rights.actor.name} is {own.value if own else 'nobody'}: "
                "nobody decides about a role above their own"
            )


def set_exceptions(scope: Scope, member: Membership, given: Mapping[str, str]) -> None:
    """Save these exceptions of a member, and no others."""
    there = {row.environment.key: row for row in member.environment_roles.all()}
    for key in there.keys() - given.keys():
        scope.delete(there[key])
    for key, role in given.items():
        if key not in there:
            environment = scope.the_project().environments.get(key=key)
            scope.create(EnvironmentRole(membership=member, environment=environment, role=role))
        elif there[key].role != role:
            there[key].role = role
            scope.save(there[key], "role")


def _role_in(environment: Environment, facts: Mapping[str, Any] | None) -> Role | None:
    return Role(facts["environments"].get(environment.key, facts["role"])) if facts else None

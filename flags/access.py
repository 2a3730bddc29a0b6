"""Who may do what. Every permission question is answered here.

A role in a project allows what it says and everything below it, in each of its environments; an
exception gives a member another role in one environment, a higher or a lower one. A superuser may
do everything everywhere; the system actor is the operator's own shell. A token can only narrow what
its account may do. Everybody in a project sees all of it: no exception goes below viewer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from django.db.models import Q, QuerySet

from audit.facts import Actor
from flags.errors import Denied
from flags.models import Environment, Membership, Project, Role, User


class Action(StrEnum):
    """What an actor may want to do in an environment, in a project, or to the whole site."""

    VIEW = "view"
    PROPOSE = "propose"
    EDIT = "edit"
    REVIEW = "review"
    WITHDRAW = "withdraw"
    BYPASS = "bypass"
    ADMINISTER = "administer"


LOWEST_ROLE = {
    Action.VIEW: Role.VIEWER,
    # To ask for a change takes the role that making it takes; a token may have one without the other.
    Action.PROPOSE: Role.EDITOR,
    Action.EDIT: Role.EDITOR,
    # Whose verdict counts is for the policy to say; anybody in the project may give one.
    Action.REVIEW: Role.VIEWER,
    # Its author may, whatever has become of their role; who else is the change to say.
    Action.WITHDRAW: Role.VIEWER,
    Action.BYPASS: Role.ADMIN,
    Action.ADMINISTER: Role.ADMIN,
}
SCOPE = {
    Action.VIEW: "read",
    Action.PROPOSE: "propose",
    Action.EDIT: "apply",
    Action.REVIEW: "review",
    Action.WITHDRAW: "propose",
    Action.BYPASS: "admin",
    Action.ADMINISTER: "admin",
}


def refuse_who_only_reads(actor: Actor) -> None:
    """Raises Denied for a token that has no scope but `read`: with it nothing is changed, one's own
    settings included.
    """
    if actor.scopes is not None and actor.scopes <= {SCOPE[Action.VIEW]}:
        raise Denied("the token's scopes are read; it changes nothing")


@dataclass(frozen=True)
class Rights:
    """What one actor may do in one project (or to the site, without one), read at once."""

    actor: Actor
    project: Project | None
    # No role limits the operator's shell and site administrators.
    is_unlimited: bool = False
    is_active: bool = True
    # The role in the project, None for who is no member; and by environment where it differs.
    role: Role | None = None
    exceptions: Mapping[str, Role] = field(default_factory=dict)

    def role_in(self, environment: Environment | None) -> Role | None:
        """The role that counts there; without an environment, in the project as a whole."""
        if environment is None or self.role is None:
            return self.role
        return self.exceptions.get(environment.key, self.role)

    def holds(self, role: Role, environment: Environment | None = None) -> bool:
        """Whether the actor has this role there, or a higher one."""
        held = self.role_in(environment)
        return self.is_unlimited or (held is not None and held.rank >= role.rank)

    @property
    def has_left(self) -> bool:
        """Whether the account is no part of the project any more: no member, or not active."""
        return not self.is_active or (self.role is None and not self.is_unlimited)

    @property
    def only_proposes(self) -> bool:
        """Whether it speaks by a token that may ask for changes and apply none."""
        scopes = self.actor.scopes
        return (
            scopes is not None
            and SCOPE[Action.PROPOSE] in scopes
            and SCOPE[Action.EDIT] not in scopes
        )

    def may(self, action: Action, environment: Environment | None = None) -> bool:
        return self.missing(action, environment) is None

    def require(self, action: Action, environment: Environment | None = None) -> None:
        """Raises Denied, saying what is missing."""
        if reason := self.missing(action, environment):
            raise Denied(reason)

    def missing(self, action: Action, environment: Environment | None = None) -> str | None:
        """What the actor lacks to do it, for a person to read; None when nothing."""
        actor = self.actor
        if actor.kind == "system":
            return None
        if actor.scopes is not None and SCOPE[action] not in actor.scopes:
            return (
                f"the token's scopes are {', '.join(sorted(actor.scopes))}; "
                f"this needs {SCOPE[action]}"
            )
        if not self.is_active:
            return f"the account {actor.name} is not active"
        if self.is_unlimited:
            return None
        if self.project is None:
            return None if action is Action.VIEW else "only a site administrator may do this"
        role, needed = self.role_in(environment), LOWEST_ROLE[action]
        if role is None:
            return f"{actor.name} is not a member of {self.project.key}"
        if role.rank < needed.rank:
            where = environment.key if environment is not None else self.project.key
            return f"{actor.name} is {role.value} in {where}; this needs {needed.value}"
        return None


def rights(actor: Actor, project: Project | None) -> Rights:
    """What the actor may do, as things stand now; inside `apply` that is under its locks.

    Three queries at most, whatever is asked of it then.
    """
    if actor.kind == "system":
        return Rights(actor, project, is_unlimited=True)
    user = User.objects.filter(pk=actor.id, is_active=True).only("is_superuser").first()
    if user is None:
        return Rights(actor, project, is_active=False)
    if user.is_superuser or project is None:
        return Rights(actor, project, is_unlimited=user.is_superuser)
    member = (
        Membership.objects.filter(project=project, user_id=actor.id)
        .prefetch_related("environment_roles__environment")
        .first()
    )
    if member is None:
        return Rights(actor, project)
    return Rights(actor, project, role=Role(member.role), exceptions=member.exceptions())


def may(
    actor: Actor, action: Action, project: Project | None, environment: Environment | None = None
) -> bool:
    return rights(actor, project).may(action, environment)


def require(
    actor: Actor, action: Action, project: Project | None, environment: Environment | None = None
) -> None:
    """Raises Denied, saying what is missing."""
    rights(actor, project).require(action, environment)


def missing(
    actor: Actor, action: Action, project: Project | None, environment: Environment | None = None
) -> str | None:
    """What the actor lacks to do it, for a person to read; None when nothing."""
    return rights(actor, project).missing(action, environment)


def visible_projects(actor: Actor) -> "list[Project]":
    """The projects the actor may view, by key."""
    if actor.kind == "system":
        return list(Project.objects.all())
    if actor.scopes is not None and SCOPE[Action.VIEW] not in actor.scopes:
        return []
    user = User.objects.filter(pk=actor.id, is_active=True).only("is_superuser").first()
    if user is None:
        return []
    if user.is_superuser:
        return list(Project.objects.all())
    return list(Project.objects.filter(memberships__user_id=actor.id))


def people_with(role: Role, environment: Environment) -> "QuerySet[User]":
    """Active accounts with this role or a higher one in the environment, and site administrators."""
    roles = [one.value for one in Role if one.rank >= role.rank]
    here = Membership.objects.filter(project_id=environment.project_id)
    excepted = here.filter(environment_roles__environment=environment)
    counted = excepted.filter(environment_roles__role__in=roles) | here.exclude(
        pk__in=excepted
    ).filter(role__in=roles)
    return User.objects.filter(
        Q(is_superuser=True) | Q(pk__in=counted.values("user_id")), is_active=True
    )

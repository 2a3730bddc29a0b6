"""Who may do what. Every permission question is answered here.

A role in a project allows what it says and everything below it; a superuser may do everything
everywhere; the system actor is the operator's own shell. A token can only narrow what its person
may do.
"""

from enum import StrEnum

from audit.facts import Actor
from flags.errors import Denied
from flags.models import Membership, Project, Role, User


class Action(StrEnum):
    """What an actor may want to do in a project, or to the whole site (no project)."""

    VIEW = "view"
    EDIT = "edit"
    REVIEW = "review"
    BYPASS = "bypass"
    ADMINISTER = "administer"


LOWEST_ROLE = {
    Action.VIEW: Role.VIEWER,
    Action.EDIT: Role.EDITOR,
    # Whose verdict counts is for the policy to say; anybody in the project may give one.
    Action.REVIEW: Role.VIEWER,
    Action.BYPASS: Role.ADMIN,
    Action.ADMINISTER: Role.ADMIN,
}
SCOPE = {
    Action.VIEW: "read",
    Action.EDIT: "write",
    Action.REVIEW: "review",
    Action.BYPASS: "admin",
    Action.ADMINISTER: "admin",
}


def may(actor: Actor, action: Action, project: Project | None) -> bool:
    """Whether the actor may, as things stand now; inside `apply` that is under its locks."""
    return missing(actor, action, project) is None


def require(actor: Actor, action: Action, project: Project | None) -> None:
    """Raises Denied, saying what is missing."""
    if reason := missing(actor, action, project):
        raise Denied(reason)


def missing(actor: Actor, action: Action, project: Project | None) -> str | None:
    """What the actor lacks to do it, for a person to read; None when nothing."""
    if actor.kind == "system":
        return None
    if actor.scopes is not None and SCOPE[action] not in actor.scopes:
        return (
            f"the token's scopes are {', '.join(sorted(actor.scopes))}; this needs {SCOPE[action]}"
        )
    user = User.objects.filter(pk=actor.id, is_active=True).only("is_superuser").first()
    if user is None:
        return f"the account {actor.name} is not active"
    if user.is_superuser:
        return None
    if project is None and action is Action.VIEW:
        return None
    if project is None:
        return "only a site administrator may do this"
    role = _role_in(project, actor)
    if role is None:
        return f"{actor.name} is not a member of {project.key}"
    needed = LOWEST_ROLE[action]
    if role.rank < needed.rank:
        return f"{actor.name} is {role.value} in {project.key}; this needs {needed.value}"
    return None


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


def _role_in(project: Project, actor: Actor) -> Role | None:
    role = (
        Membership.objects.filter(project=project, user_id=actor.id)
        .values_list("role", flat=True)
        .first()
    )
    return Role(role) if role else None

"""Who belongs to a project. A few queries each, however many there are."""

from django.db.models import Case, IntegerField, QuerySet, Value, When

from flags.models import Membership, Project, Role, User


def members_of(project: Project) -> list[Membership]:
    """The people among the members, with their exceptions: who may most first, then by name."""
    return _ranked(Membership.objects.filter(project=project, user__service_of=None))


def admins_of(project: Project) -> list[User]:
    """The people who may manage the project as a whole, by their membership."""
    rows = members_of(project)
    return [row.user for row in rows if row.role == Role.ADMIN and row.user.is_active]


def services_of(project: Project) -> list[Membership]:
    """The services, with their exceptions and tokens: who may most first, then by name."""
    rows = Membership.objects.filter(project=project).exclude(user__service_of=None)
    return _ranked(rows.prefetch_related("user__api_tokens"))


def _ranked(rows: "QuerySet[Membership]") -> list[Membership]:
    rank = Case(
        *(When(role=role.value, then=Value(role.rank)) for role in Role),
        output_field=IntegerField(),
    )
    rows = rows.select_related("user").prefetch_related("environment_roles__environment")
    return list(rows.annotate(rank=rank).order_by("-rank", "user__username"))


def memberships_of(user_id: str) -> list[Membership]:
    """The projects that somebody belongs to, with their role there."""
    rows = Membership.objects.filter(user_id=user_id).select_related("project")
    return list(rows.order_by("project__name"))

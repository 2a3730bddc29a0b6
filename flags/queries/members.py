"""Who belongs to a project. One query each."""

from django.db.models import Case, IntegerField, Value, When

from flags.models import Membership, Project, Role


def members_of(project: Project) -> list[Membership]:
    """The members with their accounts: who may most first, then by name."""
    rank = Case(
        *(When(role=role.value, then=Value(role.rank)) for role in Role),
        output_field=IntegerField(),
    )
    rows = Membership.objects.filter(project=project).select_related("user")
    return list(rows.annotate(rank=rank).order_by("-rank", "user__username"))


def memberships_of(user_id: str) -> list[Membership]:
    """The projects that somebody belongs to, with their role there."""
    rows = Membership.objects.filter(user_id=user_id).select_related("project")
    return list(rows.order_by("project__name"))

"""`/projects/{project}/members`: who belongs to it, in which role."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from flags.changes import RemoveMember, SetMember
from flags.errors import NotFound
from flags.management_api.base import ManagementView, edits, reads, removes
from flags.management_api.errors import PreconditionFailed
from flags.management_api.fields import Body, Choice, Query
from flags.management_api.pages import Pages
from flags.management_api.preconditions import require_tag
from flags.models import Membership, Role


class MemberShown(serializers.ModelSerializer[Membership]):
    """`environments` are the exceptions: where the role is another one."""

    username = serializers.CharField(source="user.username")
    role = Choice(Role.values)
    environments = serializers.SerializerMethodField()

    class Meta:
        model = Membership
        fields = ["username", "role", "environments"]

    def get_environments(self, member: Membership) -> dict[str, str]:
        return {key: role.value for key, role in member.exceptions().items()}


class MemberRole(Body):
    role = Choice(Role.values)
    environments = serializers.DictField(
        child=Choice(Role.values),
        required=False,
        help_text="All exceptions; those that there are stay when it is not given.",
    )


class Members(ManagementView):
    pagination_class = Pages.by("user__username")

    @reads(MemberShown, summary="The members of a project", many=True, operation_id="members")
    def get(self, request: Request, project: str) -> Response:
        Query.of(request.query_params)
        return self.page(members_of(self, project), MemberShown)


class OneMember(ManagementView):
    @reads(MemberShown, summary="A member")
    def get(self, request: Request, project: str, username: str) -> Response:
        return self._now(project, username)

    @edits(MemberRole, MemberShown, summary="Give a person a role, or another one")
    def put(self, request: Request, project: str, username: str) -> Response:
        seen = self._seen(project, username)
        given = self.body(MemberRole)
        reason = given.pop("reason", "")
        change = SetMember(project=project, username=username, **given, **seen)
        return self.edited([change], lambda: self._now(project, username), reason=reason)

    @removes(summary="Take a person out of a project", is_compared=True)
    def delete(self, request: Request, project: str, username: str) -> Response:
        seen = self._seen(project, username)
        return self.removed(RemoveMember(project=project, username=username, **seen))

    def _seen(self, project: str, username: str) -> dict[str, Any]:
        """What the request's author saw, for the change to compare; nothing without `If-Match`."""
        member = members_of(self, project).filter(user__username=username).first()
        if member is None:
            if "If-Match" in self.request.headers:
                raise PreconditionFailed(f"{username} is not a member of {project}")
            return {}
        if not require_tag(self.request, tag_of(member)):
            return {}
        return {"was": member.role, "was_environments": dict(member.exceptions())}

    def _now(self, project: str, username: str) -> Response:
        member = members_of(self, project).filter(user__username=username).first()
        if member is None:
            raise NotFound(f"{username} is not a member of {project}")
        return self.shown(MemberShown(member).data, tag_of(member))


def members_of(view: ManagementView, project: str) -> "QuerySet[Membership]":
    rows = view.project(project).memberships.select_related("user").filter(user__service_of=None)
    return rows.prefetch_related("environment_roles__environment")


def tag_of(member: Membership) -> str:
    """A member has no number that grows; the roles are all there is to see."""
    roles = [member.role, *(f"{key}={role}" for key, role in sorted(member.exceptions().items()))]
    return f'"{member.pk.hex[:12]}-{",".join(roles)}"'

"""`/projects/{project}/members`: who belongs to it, in which role."""

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
from flags.management_api.preconditions import etag, expected
from flags.models import Membership, Role


class MemberShown(serializers.ModelSerializer[Membership]):
    username = serializers.CharField(source="user.username")
    role = Choice(Role.values)

    class Meta:
        model = Membership
        fields = ["username", "role"]


class MemberRole(Body):
    role = Choice(Role.values)


class Members(ManagementView):
    pagination_class = Pages.by("user__username")

    @reads(MemberShown, summary="The members of a project", many=True, operation_id="members")
    def get(self, request: Request, project: str) -> Response:
        Query.of(request.query_params)
        return self.page(self.project(project).memberships.select_related("user"), MemberShown)


class OneMember(ManagementView):
    @reads(MemberShown, summary="A member")
    def get(self, request: Request, project: str, username: str) -> Response:
        return self._now(project, username)

    @edits(MemberRole, MemberShown, summary="Give a person a role, or another one")
    def put(self, request: Request, project: str, username: str) -> Response:
        seen = self._seen(project, username)
        given = self.body(MemberRole)
        change = SetMember(project=project, username=username, role=given["role"], was=seen)
        return self.edited(
            [change], lambda: self._now(project, username), reason=given.get("reason", "")
        )

    @removes(summary="Take a person out of a project", is_compared=True)
    def delete(self, request: Request, project: str, username: str) -> Response:
        seen = self._seen(project, username)
        return self.removed(RemoveMember(project=project, username=username, was=seen))

    def _seen(self, project: str, username: str) -> str | None:
        """The role that the request's author saw, None when `If-Match` does not say."""
        member = self._members(project).filter(user__username=username).first()
        if member is not None:
            named = expected(self.request, member, Role(member.role).rank)
            return None if named is None else str(member.role)
        if "If-Match" in self.request.headers:
            raise PreconditionFailed(f"{username} is not a member of {project}")
        return None

    def _now(self, project: str, username: str) -> Response:
        member = self._members(project).filter(user__username=username).first()
        if member is None:
            raise NotFound(f"{username} is not a member of {project}")
        # A member has no number that grows; the role is all there is to see.
        return self.shown(MemberShown(member).data, etag(member, Role(member.role).rank))

    def _members(self, project: str) -> "QuerySet[Membership]":
        return self.project(project).memberships.select_related("user")

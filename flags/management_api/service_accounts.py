"""`/projects/{project}/services`: accounts of programs, with their roles and tokens."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from flags.access import Action
from flags.changes import (
    CreateService,
    CreateServiceToken,
    RemoveService,
    RevokeServiceToken,
    SetMember,
)
from flags.errors import NotFound
from flags.management_api.api_tokens import ApiTokenMade, ApiTokenShown
from flags.management_api.base import ManagementView, creates, edits, reads, removes
from flags.management_api.fields import Body, Choice, Query, Text
from flags.management_api.members import MemberRole, MemberShown, tag_of
from flags.management_api.pages import Pages
from flags.management_api.preconditions import require_tag
from flags.models import ApiToken, Membership, Role
from flags.models.secrets import new_secret


class ServiceShown(MemberShown):
    name = serializers.SerializerMethodField()

    class Meta(MemberShown.Meta):
        fields = ["name", *MemberShown.Meta.fields]

    def get_name(self, member: Membership) -> str:
        return str(member.user.get_username().partition("@")[0])


class NewService(Body):
    name = Text(max_length=100, help_text="A key; accounts are named `{name}@{project}`.")
    role = Choice(Role.values)
    environments = serializers.DictField(child=Choice(Role.values), required=False)


class NewServiceToken(Body):
    name = Text(required=False, max_length=200)
    scopes = serializers.ListField(child=Choice(ApiToken.SCOPES), allow_empty=False)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)


class Services(ManagementView):
    pagination_class = Pages.by("user__username")

    @reads(ServiceShown, summary="The services of a project", many=True, operation_id="services")
    def get(self, request: Request, project: str) -> Response:
        Query.of(request.query_params)
        return self.page(services_of(self, project), ServiceShown)

    @creates(NewService, ServiceShown, summary="Make a service account")
    def post(self, request: Request, project: str) -> Response:
        self.project(project)
        given = self.body(NewService)
        reason = given.pop("reason", "")

        def answer() -> tuple[str, Any, str]:
            member = service(self, project, given["name"])
            address = reverse("api-service", args=[project, given["name"]])
            return address, ServiceShown(member).data, tag_of(member)

        return self.created([CreateService(project=project, **given)], answer, reason=reason)


class OneService(ManagementView):
    @reads(ServiceShown, summary="A service")
    def get(self, request: Request, project: str, service_name: str) -> Response:
        return self._now(project, service_name)

    @edits(MemberRole, ServiceShown, summary="Give a service another role")
    def put(self, request: Request, project: str, service_name: str) -> Response:
        member = service(self, project, service_name)
        seen = require_tag(request, tag_of(member))
        given = self.body(MemberRole)
        reason = given.pop("reason", "")
        change = SetMember(
            project=project,
            username=member.user.get_username(),
            was=member.role if seen else None,
            was_environments=dict(member.exceptions()) if seen else None,
            **given,
        )
        return self.edited([change], lambda: self._now(project, service_name), reason=reason)

    @removes(summary="Remove a service; its tokens are refused at once", is_compared=True)
    def delete(self, request: Request, project: str, service_name: str) -> Response:
        require_tag(request, tag_of(service(self, project, service_name)))
        return self.removed(RemoveService(project=project, name=service_name))

    def _now(self, project: str, name: str) -> Response:
        member = service(self, project, name)
        return self.shown(ServiceShown(member).data, tag_of(member))


class ServiceTokens(ManagementView):
    pagination_class = Pages.by("created_at", "public_id")

    @reads(ApiTokenShown, summary="A service's tokens", many=True, operation_id="service_tokens")
    def get(self, request: Request, project: str, service_name: str) -> Response:
        Query.of(request.query_params)
        return self.page(tokens_of(self, project, service_name), ApiTokenShown)

    @creates(
        NewServiceToken, ApiTokenMade, summary="Make a token; its secret is in this answer alone"
    )
    def post(self, request: Request, project: str, service_name: str) -> Response:
        service(self, project, service_name)
        given = self.body(NewServiceToken)
        reason = given.pop("reason", "")
        secret = new_secret(ApiToken.PREFIX)
        change = CreateServiceToken(
            project=project,
            service=service_name,
            public_id=secret.public_id,
            hash=secret.hash,
            **given,
        )

        def answer() -> tuple[str, Any, None]:
            token = ApiToken.objects.select_related("user").get(public_id=secret.public_id)
            address = reverse("api-service-token", args=[project, service_name, token.public_id])
            return address, {**ApiTokenShown(token).data, "secret": secret.text}, None

        return self.created([change], answer, reason=reason)


class OneServiceToken(ManagementView):
    @reads(ApiTokenShown, summary="A service's token")
    def get(self, request: Request, project: str, service_name: str, public_id: str) -> Response:
        return self.shown(ApiTokenShown(self._token(project, service_name, public_id)).data)

    @removes(summary="Revoke a service's token")
    def delete(self, request: Request, project: str, service_name: str, public_id: str) -> Response:
        self._token(project, service_name, public_id)
        return self.removed(RevokeServiceToken(project=project, public_id=public_id))

    def _token(self, project: str, name: str, public_id: str) -> ApiToken:
        token = tokens_of(self, project, name).filter(public_id=public_id).first()
        if token is None:
            raise NotFound(f"service {name} has no token {public_id}")
        return token


def services_of(view: ManagementView, project: str) -> "QuerySet[Membership]":
    rows = view.project(project).memberships.select_related("user").exclude(user__service_of=None)
    return rows.prefetch_related("environment_roles__environment")


def service(view: ManagementView, project: str, name: str) -> Membership:
    member = services_of(view, project).filter(user__username=f"{name}@{project}").first()
    if member is None:
        raise NotFound(f"there is no service {name} in {project}")
    return member


def tokens_of(view: ManagementView, project: str, name: str) -> "QuerySet[ApiToken]":
    """Which programs hold what is for admins to know, as making them is. Raises Denied."""
    member = service(view, project, name)
    view.require(Action.ADMINISTER, member.project)
    return ApiToken.objects.select_related("user").filter(user=member.user)

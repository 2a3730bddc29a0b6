"""`/projects/{project}/invitations`: who is invited, by mail or by a link to pass on."""

import uuid
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from flags.changes import CreateInvitation, RevokeInvitation
from flags.errors import NotFound
from flags.management_api.base import ManagementView, creates, reads, removes
from flags.management_api.fields import Body, Choice, Query, Text
from flags.management_api.pages import Pages
from flags.models import Invitation, Role
from flags.queries.invitations import open_invitations


class InvitationShown(serializers.ModelSerializer[Invitation]):
    role = Choice(Role.values)
    invited_by = serializers.SerializerMethodField(help_text="Null when it was the operator.")

    class Meta:
        model = Invitation
        fields = ["id", "email", "role", "is_mailed", "invited_by", "created_at", "expires_at"]

    def get_invited_by(self, invitation: Invitation) -> str | None:
        return invitation.invited_by and invitation.invited_by.get_username()


class InvitationMade(InvitationShown):
    """`link` is null where it was mailed, and in the answer to a repeated Idempotency-Key."""

    link = serializers.CharField(
        allow_null=True, help_text="To pass on; whoever opens it first joins."
    )

    class Meta(InvitationShown.Meta):
        fields = [*InvitationShown.Meta.fields, "link"]


class NewInvitation(Body):
    email = Text(max_length=254)
    role = Choice(Role.values)


class Invitations(ManagementView):
    pagination_class = Pages.by("-created_at", "id")

    @reads(InvitationShown, summary="Who is invited", many=True, operation_id="invitations")
    def get(self, request: Request, project: str) -> Response:
        Query.of(request.query_params)
        return self.page(invitations_of(self, project), InvitationShown)

    @creates(NewInvitation, InvitationMade, summary="Invite an address, by mail where mail is sent")
    def post(self, request: Request, project: str) -> Response:
        self.project(project)
        given = self.body(NewInvitation)
        reason = given.pop("reason", "")
        change = CreateInvitation(project=project, mailed=settings.MAIL_IS_SENT, **given)

        def answer(named: str) -> tuple[str, Any, None]:
            row = invitations_of(self, project).get(pk=named)
            link = None
            if not row.is_mailed:
                link = request.build_absolute_uri(reverse("invitation", args=[row.token]))
            address = reverse("api-invitation", args=[project, row.pk])
            return address, {**InvitationShown(row).data, "link": link}, None

        return self.named(change, answer, reason=reason)


class OneInvitation(ManagementView):
    @reads(InvitationShown, summary="An open invitation")
    def get(self, request: Request, project: str, invitation: uuid.UUID) -> Response:
        return self.shown(InvitationShown(self._open(project, invitation)).data)

    @removes(summary="Take an invitation back")
    def delete(self, request: Request, project: str, invitation: uuid.UUID) -> Response:
        found = self._open(project, invitation)
        return self.removed(RevokeInvitation(project=project, invitation=str(found.pk)))

    def _open(self, project: str, invitation: uuid.UUID) -> Invitation:
        found = invitations_of(self, project).filter(pk=invitation).first()
        if found is None:
            raise NotFound(f"there is no open invitation {invitation} in {project}")
        return found


def invitations_of(view: ManagementView, project: str) -> "QuerySet[Invitation]":
    return open_invitations(view.project(project), timezone.now())

"""`/projects/{project}/environments`"""

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from audit.models import Stream
from flags.changes import CreateEnvironment, DeleteEnvironment, EditEnvironment
from flags.management_api.base import ManagementView, creates, edits, reads, removes
from flags.management_api.fields import Body, Query, Text, Truth, Whole
from flags.management_api.pages import Pages
from flags.management_api.preconditions import etag, expected
from flags.models import Environment
from flags.queries.environments import streams_of


class EnvironmentShown(serializers.ModelSerializer[Environment]):
    """`version` and `digest` are those of its ruleset, `revision` that of these settings."""

    version = serializers.IntegerField()
    digest = serializers.CharField()

    class Meta:
        model = Environment
        fields = [
            "key",
            "name",
            "position",
            "requires_approval",
            "created_at",
            "revision",
            "version",
            "digest",
        ]

    def to_representation(self, instance: Environment) -> dict[str, Any]:
        stream: Stream = self.context["streams"][instance.pk]
        instance.version, instance.digest = stream.version, stream.digest  # type: ignore[attr-defined]
        return super().to_representation(instance)


class NewEnvironment(Body):
    key = Text()
    name = Text(required=False, max_length=200)
    position = Whole(required=False)
    requires_approval = Truth(required=False)


class EnvironmentEdit(Body):
    name = Text(required=False, max_length=200, allow_blank=False)
    position = Whole(required=False)
    requires_approval = Truth(required=False)
    expected_revision = Whole(required=False)


def shown(environments: Sequence[Environment]) -> list[Any]:
    context = {"streams": streams_of(environments)}
    return [EnvironmentShown(row, context=context).data for row in environments]


class Environments(ManagementView):
    pagination_class = Pages.by("position", "key")

    @reads(
        EnvironmentShown,
        summary="The environments of a project, in their order",
        many=True,
        operation_id="environments",
    )
    def get(self, request: Request, project: str) -> Response:
        Query.of(request.query_params)
        pages = self.pagination_class()
        rows = self.project(project).environments.all()
        page = pages.paginate_queryset(rows, request, view=self)
        return pages.get_paginated_response(shown(page or []))

    @creates(NewEnvironment, EnvironmentShown, summary="Make an environment, every flag off")
    def post(self, request: Request, project: str) -> Response:
        self.project(project)
        given = self.body(NewEnvironment)
        reason = given.pop("reason", "")

        def answer() -> tuple[str, Any, str]:
            row = self.environment(project, given["key"])
            address = reverse("api-environment", args=[project, row.key])
            return address, shown([row])[0], etag(row, row.revision)

        return self.created([CreateEnvironment(project=project, **given)], answer, reason=reason)


class OneEnvironment(ManagementView):
    @reads(EnvironmentShown, summary="An environment")
    def get(self, request: Request, project: str, environment: str) -> Response:
        # No 304 here: the version moves without the settings, whose revision the ETag names.
        return self._now(project, environment)

    @edits(EnvironmentEdit, EnvironmentShown, summary="Name, order or guard an environment")
    def patch(self, request: Request, project: str, environment: str) -> Response:
        row = self.environment(project, environment)
        given = self.body(EnvironmentEdit)
        reason = given.pop("reason", "")
        seen = expected(request, row, row.revision, in_body=given.pop("expected_revision", None))
        change = EditEnvironment(
            project=project, environment=environment, expected_revision=seen, **given
        )
        return self.edited([change], lambda: self._now(project, environment), reason=reason)

    @removes(summary="Remove an environment with its keys", is_compared=True)
    def delete(self, request: Request, project: str, environment: str) -> Response:
        row = self.environment(project, environment)
        seen = expected(request, row, row.revision)
        # The first change alters nothing: it makes sure that nobody edited it meanwhile.
        return self.removed(
            EditEnvironment(project=project, environment=environment, expected_revision=seen),
            DeleteEnvironment(project=project, environment=environment),
        )

    def _now(self, project: str, environment: str) -> Response:
        row = self.environment(project, environment)
        return Response(shown([row])[0], headers={"ETag": etag(row, row.revision)})

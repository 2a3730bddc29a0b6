"""`/projects`"""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from flags import access
from flags.changes import CreateProject, EditProject
from flags.management_api.base import ManagementView, creates, edits, reads
from flags.management_api.fields import Body, Query, Text, Whole
from flags.management_api.pages import Pages
from flags.management_api.preconditions import etag, expected
from flags.models import Project


class ProjectShown(serializers.ModelSerializer[Project]):
    class Meta:
        model = Project
        fields = ["key", "name", "description", "created_at", "revision"]


class NewProject(Body):
    key = Text()
    name = Text(required=False, max_length=200)
    description = Text(required=False)


class ProjectEdit(Body):
    name = Text(required=False, max_length=200, allow_blank=False)
    description = Text(required=False)
    expected_revision = Whole(required=False)


class Projects(ManagementView):
    pagination_class = Pages

    @reads(ProjectShown, summary="The projects one may view", many=True, operation_id="projects")
    def get(self, request: Request) -> Response:
        Query.of(request.query_params)
        visible = [project.pk for project in access.visible_projects(self.actor)]
        return self.page(Project.objects.filter(pk__in=visible), ProjectShown)

    @creates(NewProject, ProjectShown, summary="Make a project")
    def post(self, request: Request) -> Response:
        given = self.body(NewProject)
        reason = given.pop("reason", "")
        key = given.pop("key")

        def answer() -> tuple[str, Any, str]:
            row = Project.objects.get(key=key)
            address = reverse("api-project", args=[key])
            return address, ProjectShown(row).data, etag(row, row.revision)

        return self.created([CreateProject(project=key, **given)], answer, reason=reason)


class OneProject(ManagementView):
    @reads(ProjectShown, summary="A project")
    def get(self, request: Request, project: str) -> Response:
        row = self.project(project)
        return self.shown(ProjectShown(row).data, etag(row, row.revision))

    @edits(ProjectEdit, ProjectShown, summary="Name or describe a project differently")
    def patch(self, request: Request, project: str) -> Response:
        row = self.project(project)
        given = self.body(ProjectEdit)
        reason = given.pop("reason", "")
        seen = expected(request, row, row.revision, in_body=given.pop("expected_revision", None))
        change = EditProject(project=project, expected_revision=seen, **given)
        return self.edited([change], lambda: self._now(project), reason=reason)

    def _now(self, project: str) -> Response:
        row = self.project(project)
        return self.shown(ProjectShown(row).data, etag(row, row.revision))

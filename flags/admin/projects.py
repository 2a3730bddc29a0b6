"""Projects and their environments."""

from typing import Any

from django.contrib import admin

from flags.admin.door import DoorWithHistory, taken
from flags.changes import (
    Change,
    CreateEnvironment,
    CreateProject,
    DeleteEnvironment,
    EditEnvironment,
    EditProject,
)
from flags.models import Environment, Project


@admin.register(Project)
class ProjectDoor(DoorWithHistory):
    identity = ("key",)
    edited = ("name", "description")
    shown = ("created_at", "revision")
    list_display = ("key", "name", "created_at")
    search_fields = ("key", "name")

    def changes(self, given: dict[str, Any], row: Project | None) -> list[Change]:
        values = taken(given, *self.edited)
        if row is None:
            return [CreateProject(project=given["key"], **values)]
        return [EditProject(project=row.key, expected_revision=given["seen"], **values)]


@admin.register(Environment)
class EnvironmentDoor(DoorWithHistory):
    identity = ("project", "key")
    edited = ("name", "position", "requires_approval")
    shown = ("created_at", "revision")
    list_display = ("key", "project", "name", "position", "requires_approval")
    list_filter = ("project", "requires_approval")
    list_select_related = ("project",)
    search_fields = ("key", "name", "project__key")

    def changes(self, given: dict[str, Any], row: Environment | None) -> list[Change]:
        values = taken(given, *self.edited)
        if row is None:
            project = given["project"].key
            return [CreateEnvironment(project=project, key=given["key"], **values)]
        return [
            EditEnvironment(
                project=row.project.key,
                environment=row.key,
                expected_revision=given["seen"],
                **values,
            )
        ]

    def removal(self, row: Environment) -> list[Change]:
        return [DeleteEnvironment(project=row.project.key, environment=row.key)]

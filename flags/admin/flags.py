"""Flags, and what they serve in each environment."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from flags.admin.door import DoorWithHistory, taken
from flags.changes import (
    ArchiveFlag,
    Change,
    ConfigureFlag,
    CreateFlag,
    DeleteFlag,
    EditFlag,
    RestoreFlag,
)
from flags.models import Flag, FlagConfiguration


@admin.register(Flag)
class FlagDoor(DoorWithHistory):
    identity = ("project", "key", "type")
    edited = (
        "name",
        "description",
        "variations",
        "json_schema",
        "owner",
        "tags",
        "is_permanent",
        "client_visible",
    )
    shown = ("created_at", "changed_at", "archived_at", "revision")
    list_display = ("key", "project", "name", "type", "owner", "changed_at", "archived_at")
    list_filter = ("project", "type", "is_permanent", ("archived_at", admin.EmptyFieldListFilter))
    list_select_related = ("project", "owner")
    search_fields = ("key", "name", "description")
    actions = ("archive", "restore")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "type":
            return forms.ChoiceField(choices=[(type_, type_) for type_ in Flag.TYPES])
        return super().formfield_for_dbfield(db_field, request, **options)

    def changes(self, given: dict[str, Any], row: Flag | None) -> list[Change]:
        owner = given["owner"].get_username() if given["owner"] else None
        values = taken(given, *self.edited) | {"owner": owner}
        if row is None:
            named = taken(given, "key", "type")
            return [CreateFlag(project=given["project"].key, **named, **values)]
        return [
            EditFlag(
                project=row.project.key, flag=row.key, expected_revision=given["seen"], **values
            )
        ]

    def removal(self, row: Flag) -> list[Change]:
        return [DeleteFlag(project=row.project.key, flag=row.key)]

    @admin.action(description="Archive: take out of every ruleset and keep")
    def archive(self, request: HttpRequest, flags: "models.QuerySet[Flag]") -> None:
        self.act(request, [(f, ArchiveFlag(project=f.project.key, flag=f.key)) for f in flags])

    @admin.action(description="Bring back from the archive")
    def restore(self, request: HttpRequest, flags: "models.QuerySet[Flag]") -> None:
        self.act(request, [(f, RestoreFlag(project=f.project.key, flag=f.key)) for f in flags])


@admin.register(FlagConfiguration)
class FlagConfigurationDoor(DoorWithHistory):
    can_add = False  # it comes with its flag and its environment
    identity = ("flag", "environment")
    edited = ("enabled", "off_variation", "prerequisites", "targets", "rules", "fallthrough")
    seen = "version"
    shown = ("version", "changed_at")
    list_display = ("flag", "environment", "enabled", "version", "changed_at")
    list_filter = ("enabled", "environment__project", "environment__key")
    list_select_related = ("flag", "environment")
    search_fields = ("flag__key", "environment__key")

    def changes(self, given: dict[str, Any], row: FlagConfiguration) -> list[Change]:
        lists = {name: given[name] or [] for name in ("prerequisites", "targets", "rules")}
        return [
            ConfigureFlag(
                project=row.flag.project.key,
                environment=row.environment.key,
                flag=row.flag.key,
                expected_version=given["seen"],
                **taken(given, "enabled", "off_variation", "fallthrough"),
                **lists,
            )
        ]

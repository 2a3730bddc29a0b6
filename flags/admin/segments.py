"""Segments, their definitions and ids."""

from typing import Any

from django.contrib import admin

from flags.admin.door import DoorWithHistory, ReadOnly, taken
from flags.changes import (
    Change,
    CreateSegment,
    DefineSegment,
    DeleteSegment,
    EditSegment,
)
from flags.models import (
    Segment,
    SegmentDefinition,
    SegmentId,
    SegmentIdBatch,
)


@admin.register(Segment)
class SegmentDoor(DoorWithHistory):
    identity = ("project", "key")
    edited = ("name", "description", "tags")
    shown = ("created_at", "changed_at", "revision")
    list_display = ("key", "project", "name", "changed_at")
    list_filter = ("project",)
    list_select_related = ("project",)
    search_fields = ("key", "name", "description")

    def changes(self, given: dict[str, Any], row: Segment | None) -> list[Change]:
        values = taken(given, *self.edited)
        if row is None:
            return [CreateSegment(project=given["project"].key, key=given["key"], **values)]
        return [
            EditSegment(
                project=row.project.key, segment=row.key, expected_revision=given["seen"], **values
            )
        ]

    def removal(self, row: Segment) -> list[Change]:
        return [DeleteSegment(project=row.project.key, segment=row.key)]


@admin.register(SegmentDefinition)
class SegmentDefinitionDoor(DoorWithHistory):
    can_add = False  # it comes with its segment and its environment
    identity = ("segment", "environment")
    edited = ("when",)
    seen = "version"
    shown = ("version", "changed_at")
    list_display = ("segment", "environment", "version", "changed_at")
    list_filter = ("environment__project", "environment__key")
    list_select_related = ("segment", "environment")
    search_fields = ("segment__key", "environment__key")

    def changes(self, given: dict[str, Any], row: SegmentDefinition) -> list[Change]:
        return [
            DefineSegment(
                project=row.segment.project.key,
                environment=row.environment.key,
                segment=row.segment.key,
                when=given["when"],
                expected_version=given["seen"],
            )
        ]


@admin.register(SegmentId)
class SegmentIdTable(ReadOnly):
    list_display = ("value", "by", "list", "definition")
    list_filter = ("list",)
    list_select_related = ("definition",)
    search_fields = ("value__exact",)


@admin.register(SegmentIdBatch)
class SegmentIdBatchTable(ReadOnly):
    fields = ("digest",)
    search_fields = ("digest",)

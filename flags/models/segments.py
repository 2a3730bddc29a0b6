"""Segments: named audiences, defined in each environment; their id lists are rows of their own."""

import json
import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from flags.models.environments import Environment
from flags.models.keys import key_constraint, key_field
from flags.models.projects import Project


class Segment(models.Model):
    """A named audience of a project."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="segments")
    key = key_field()
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    tags = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    # Grows with each edit of this row: what an editor compares before saving over it.
    revision = models.PositiveBigIntegerField(default=1)
    history = HistoricalRecords()

    class Meta:
        ordering = ["key"]
        constraints = [
            key_constraint("segment"),
            models.UniqueConstraint(fields=["project", "key"], name="flags_segment_key_in_project"),
        ]

    def __str__(self) -> str:
        return self.key


class SegmentDefinition(models.Model):
    """Who is in a segment in one environment, id lists aside; `when` null holds for nobody."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="definitions")
    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, related_name="segment_definitions"
    )
    version = models.PositiveBigIntegerField(default=1)
    when = models.JSONField(null=True, blank=True)
    changed_at = models.DateTimeField()
    history = HistoricalRecords()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["segment", "environment"], name="flags_definition_one_per_environment"
            )
        ]

    def __str__(self) -> str:
        return f"{self.segment_id} in {self.environment_id}"


class SegmentId(models.Model):
    """One id on one list of a definition. There may be millions, so no history copies them."""

    definition = models.ForeignKey(
        SegmentDefinition, on_delete=models.CASCADE, related_name="listed_ids"
    )
    list = models.CharField(max_length=10)
    by = models.CharField(max_length=200, default="targetingKey")
    value = models.CharField(max_length=500)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["definition", "list", "by", "value"], name="flags_segment_id_listed_once"
            ),
            models.CheckConstraint(
                name="flags_segment_id_list_is_known",
                condition=Q(list__in=["included", "excluded"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.list} {self.by}"


class SegmentIdBatch(models.Model):
    """Ids that one change added and removed, when they are too many to travel inside a delta.

    Named by the SHA-256 of its body, so it never changes.
    """

    digest = models.CharField(primary_key=True, max_length=64)
    body = models.BinaryField()

    class Meta:
        verbose_name_plural = "segment id batches"

    def __str__(self) -> str:
        return self.digest

    @property
    def ids(self) -> dict[str, list[str]]:
        """`{"add": […], "remove": […]}`."""
        ids: dict[str, list[str]] = json.loads(bytes(self.body))
        return ids

"""Flags, and their configuration in each environment."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from flags.models.environments import Environment
from flags.models.keys import key_constraint, key_field
from flags.models.projects import Project


class Flag(models.Model):
    """A question an app asks; its variations are the answers there are.

    `variations` is a list of `{"key", "value", "name"?, "description"?}` in the order shown.
    """

    TYPES = ("boolean", "string", "integer", "float", "json")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="flags")
    key = key_field()
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    type = models.CharField(max_length=20)
    variations = models.JSONField()
    json_schema = models.JSONField(null=True, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    tags = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    is_permanent = models.BooleanField(default=False)
    # Whether client keys, which are public, may evaluate it.
    client_visible = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True, blank=True)
    # Grows with each edit of this row: what an editor compares before saving over it.
    revision = models.PositiveBigIntegerField(default=1)
    history = HistoricalRecords()

    class Meta:
        ordering = ["key"]
        constraints = [
            key_constraint("flag"),
            models.UniqueConstraint(fields=["project", "key"], name="flags_flag_key_in_project"),
            models.CheckConstraint(
                name="flags_flag_type_is_known",
                condition=Q(type__in=["boolean", "string", "integer", "float", "json"]),
            ),
            models.CheckConstraint(
                name="flags_flag_boolean_has_no_schema",
                condition=~Q(type="boolean") | Q(json_schema__isnull=True),
            ),
        ]
        indexes = [models.Index(fields=["project", "-changed_at"], name="flags_flag_recent")]

    def __str__(self) -> str:
        return self.key

    @property
    def is_archived(self) -> bool:
        return self.archived_at is not None


class FlagConfiguration(models.Model):
    """What a flag does in one environment; the shapes of the JSON are those of the ruleset."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    flag = models.ForeignKey(Flag, on_delete=models.CASCADE, related_name="configurations")
    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, related_name="configurations"
    )
    version = models.PositiveBigIntegerField(default=1)
    enabled = models.BooleanField(default=False)
    # The key of a variation; null is the app's own default.
    off_variation = models.CharField(max_length=200, null=True, blank=True)
    prerequisites = models.JSONField(default=list, blank=True)
    targets = models.JSONField(default=list, blank=True)
    rules = models.JSONField(default=list, blank=True)
    fallthrough = models.JSONField()
    changed_at = models.DateTimeField()
    history = HistoricalRecords()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["flag", "environment"], name="flags_configuration_one_per_environment"
            ),
            models.CheckConstraint(
                name="flags_configuration_version_from_1", condition=Q(version__gte=1)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.flag_id} in {self.environment_id}"

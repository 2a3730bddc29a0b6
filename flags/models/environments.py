"""Environments: where a project's flags have a state of their own."""

import uuid

from django.db import models
from simple_history.models import HistoricalRecords

from flags.models.keys import key_constraint, key_field
from flags.models.projects import Membership, Project


class Environment(models.Model):
    """One place where a project runs; its version and digest are those of its stream."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="environments")
    key = key_field()
    name = models.CharField(max_length=200)
    # The order in which changes are promoted: development before production.
    position = models.PositiveIntegerField()
    requires_approval = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    # Grows with each edit of this row: what an editor compares before saving over it.
    revision = models.PositiveBigIntegerField(default=1)
    history = HistoricalRecords()

    class Meta:
        ordering = ["position", "key"]
        constraints = [
            key_constraint("environment"),
            models.UniqueConstraint(
                fields=["project", "key"], name="flags_environment_key_in_project"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def stream_key(self) -> str:
        return f"environment:{self.id}"


class EnvironmentRole(models.Model):
    """An exception: a member's role in one environment, where it is not that in the project."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, related_name="environment_roles"
    )
    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, related_name="environment_roles"
    )
    role = models.CharField(max_length=20)

    class Meta:
        ordering = ["environment__position", "environment__key"]
        constraints = [
            models.UniqueConstraint(
                fields=["membership", "environment"], name="flags_environment_role_one_each"
            ),
            models.CheckConstraint(
                name="flags_environment_role_is_known",
                condition=models.Q(role__in=["viewer", "editor", "reviewer", "admin"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} in {self.environment}"

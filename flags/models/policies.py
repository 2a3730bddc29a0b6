"""What an environment asks for before its ruleset changes, and the teams it may name."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from flags.models.environments import Environment
from flags.models.keys import key_constraint, key_field
from flags.models.projects import Project


class Team(models.Model):
    """People of a project who answer for something together."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="teams")
    key = key_field()
    name = models.CharField(max_length=200)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="teams", blank=True)

    class Meta:
        ordering = ["key"]
        constraints = [
            key_constraint("team"),
            models.UniqueConstraint(fields=["project", "key"], name="flags_team_key_in_project"),
        ]

    def __str__(self) -> str:
        return self.name


class Policy(models.Model):
    """An environment's rules for approval; docs/requests.md describes the shapes of the JSON.

    `from_whom` is a list of `{"team": key, "approvals": n}` or `{"person": username, "approvals": 1}`
    that must all be met, on top of `approvals` in all. `conditions` is a list of which one suffices
    to ask for approval; an empty one asks always. `windows` are the hours in which requests may be
    applied (none: always); `freezes` are spans of time in which they may not.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    environment = models.OneToOneField(Environment, on_delete=models.CASCADE, related_name="policy")
    approvals = models.PositiveIntegerField(default=1)
    from_whom = models.JSONField(default=list, blank=True)
    minimum_role = models.CharField(max_length=20, default="reviewer")
    exclude_contributors = models.BooleanField(default=False)
    # Whether a verdict given with an API token of scope `review` counts.
    tokens_may_review = models.BooleanField(default=False)
    conditions = models.JSONField(default=list, blank=True)
    windows = models.JSONField(default=list, blank=True)
    freezes = models.JSONField(default=list, blank=True)
    time_zone = models.CharField(max_length=100, default="UTC")
    expires_after_days = models.PositiveIntegerField(default=30)
    history = HistoricalRecords()

    class Meta:
        verbose_name_plural = "policies"
        constraints = [
            models.CheckConstraint(
                name="flags_policy_approvals_1_to_10",
                condition=Q(approvals__gte=1, approvals__lte=10),
            ),
            models.CheckConstraint(
                name="flags_policy_minimum_role_is_known",
                condition=Q(minimum_role__in=["viewer", "editor", "reviewer", "admin"]),
            ),
            models.CheckConstraint(
                name="flags_policy_expires_in_1_to_365_days",
                condition=Q(expires_after_days__gte=1, expires_after_days__lte=365),
            ),
        ]

    def __str__(self) -> str:
        return f"policy of {self.environment_id}"

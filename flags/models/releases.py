"""Releases: ramps, which grow a share step by step, and leases, which end by themselves."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from flags.models.environments import Environment
from flags.models.flags import Flag
from flags.models.keys import key_constraint, key_field
from flags.models.projects import Project
from flags.models.requests import Request


class RampState(models.TextChoices):
    """Where a ramp stands; docs/releases.md draws the transitions."""

    RUNNING = "running"
    PAUSED = "paused"
    AWAITING_APPROVAL = "awaiting_approval"
    HELD = "held"
    FINISHED = "finished"
    ROLLED_BACK = "rolled_back"
    STOPPED = "stopped"


UNDER_WAY = (RampState.RUNNING, RampState.PAUSED, RampState.AWAITING_APPROVAL, RampState.HELD)


class RampTemplate(models.Model):
    """Steps under a name. A ramp copies them, so that an edit here moves none that is under way."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="ramp_templates")
    key = key_field()
    name = models.CharField(max_length=200)
    steps = models.JSONField()

    class Meta:
        ordering = ["key"]
        constraints = [
            key_constraint("ramp_template"),
            models.UniqueConstraint(
                fields=["project", "key"], name="flags_ramp_template_key_in_project"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Ramp(models.Model):
    """One variation growing at one place of a flag, at the cost of another, the base.

    `place` is `fallthrough` or the id of a rule. `steps` is a list of `{"share", "hold"?}`: the
    share in thousandths of a percent, and what must pass before the next step, `{"seconds": n}` or
    `{"approval": true}`; the last has none. `was` is what the place served before, with `enabled`,
    for the way back; `left` is what the ramp left there, against which others' changes are noticed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="ramps")
    number = models.PositiveIntegerField()
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="ramps")
    flag = models.ForeignKey(Flag, on_delete=models.CASCADE, related_name="ramps")
    place = models.CharField(max_length=200)
    variation = models.CharField(max_length=200)
    base = models.CharField(max_length=200)
    steps = models.JSONField()
    step = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=20, default=RampState.RUNNING)
    # What a person has to decide about, in words, while it is held.
    why = models.TextField(blank=True)
    next_due_at = models.DateTimeField(null=True, blank=True)
    # What was left of the hold when it was paused.
    remaining_seconds = models.PositiveBigIntegerField(null=True, blank=True)
    was = models.JSONField()
    left = models.JSONField()
    # Whether approval of the whole plan was given where it was asked for.
    is_agreed = models.BooleanField(default=False)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    request = models.ForeignKey(
        Request, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    started_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "number"], name="flags_ramp_number_in_project"
            ),
            models.UniqueConstraint(
                fields=["environment", "flag", "place"],
                condition=Q(closed_at__isnull=True),
                name="flags_ramp_one_under_way_per_place",
            ),
            models.CheckConstraint(
                name="flags_ramp_state_is_known",
                condition=Q(state__in=[state.value for state in RampState]),
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_due_at"], condition=Q(closed_at__isnull=True), name="flags_ramp_due"
            )
        ]

    def __str__(self) -> str:
        return f"ramp {self.number} of {self.flag_id}"

    @property
    def share(self) -> int:
        share: int = self.steps[self.step]["share"]
        return share


class StepApproval(models.Model):
    """One person's word that a ramp may take its next step; it counts for that step alone.

    `behaviour` is the hash of what the step would have done when the word was given.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    ramp = models.ForeignKey(Ramp, on_delete=models.CASCADE, related_name="approvals")
    step = models.PositiveIntegerField()
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    behaviour = models.CharField(max_length=64)
    # Through an API token: counts only where the policy lets programs review.
    by_token = models.CharField(max_length=40, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["at"]
        constraints = [
            models.UniqueConstraint(
                fields=["ramp", "step", "reviewer", "behaviour"], name="flags_step_approval_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.reviewer_id} for step {self.step}"


class LeaseState(models.TextChoices):
    """Where a lease stands; docs/releases.md says what leads where."""

    RUNNING = "running"
    HELD = "held"
    ENDED = "ended"
    KEPT = "kept"


class Lease(models.Model):
    """Changes that were made for a time, and the way back from them.

    `back` is a list, an entry a subject: `environment`, `subject`, the members as they `was` and as
    the lease `left` them, and the stored `change` that takes it back.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="leases")
    number = models.PositiveIntegerField()
    changes = models.JSONField()
    back = models.JSONField()
    # Keys of the environments it altered, and of those where approval was asked for and given.
    environments = models.JSONField(default=list)
    agreed = models.JSONField(default=list)
    lasts_seconds = models.PositiveBigIntegerField(null=True, blank=True)
    ends_at = models.DateTimeField()
    state = models.CharField(max_length=20, default=LeaseState.RUNNING)
    # What a person has to decide about, in words, while it is held.
    why = models.TextField(blank=True)
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    request = models.ForeignKey(
        Request, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    granted_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "number"], name="flags_lease_number_in_project"
            ),
            models.CheckConstraint(
                name="flags_lease_state_is_known",
                condition=Q(state__in=[state.value for state in LeaseState]),
            ),
        ]
        indexes = [models.Index(fields=["state", "ends_at"], name="flags_lease_due")]

    def __str__(self) -> str:
        return f"lease {self.number}"

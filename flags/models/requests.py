"""Requests: changes that wait for approval, the verdicts on them and what was said about them."""

import uuid
from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q

from flags.models.projects import Project


class State(models.TextChoices):
    """Where a request stands; docs/requests.md draws the transitions."""

    DRAFT = "draft"
    IN_REVIEW = "in_review"
    CHANGES_REQUESTED = "changes_requested"
    APPROVED = "approved"
    SCHEDULED = "scheduled"
    APPLIED = "applied"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    CONFLICTED = "conflicted"
    FAILED = "failed"


OPEN = (
    State.DRAFT,
    State.IN_REVIEW,
    State.CHANGES_REQUESTED,
    State.APPROVED,
    State.SCHEDULED,
    State.CONFLICTED,
    State.FAILED,
)
REVIEWED = tuple(state for state in OPEN if state is not State.DRAFT)
# One that is scheduled waits for its instant alone, which may be further away.
EXPIRING = tuple(state for state in REVIEWED if state is not State.SCHEDULED)


class Request(models.Model):
    """A set of changes to one project that is applied all or nothing.

    `changes` are stored changes (`Change.as_json`). `seen` is what the author saw: the effects of a
    dry run at the time of writing, against which a moved target is noticed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="requests")
    number = models.PositiveIntegerField()
    title = models.CharField(max_length=200)
    reason = models.TextField(blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="requests"
    )
    contributors = models.ManyToManyField(
        settings.AUTH_USER_MODEL, related_name="contributed_requests", blank=True
    )
    state = models.CharField(max_length=20, default=State.DRAFT)
    changes = models.JSONField()
    seen = models.JSONField()
    # What a verdict had to be bound to when it was last looked at where the request stands.
    behaviour = models.CharField(max_length=64, blank=True, default="", db_default="")
    # Keys of the environments whose policies are asked.
    environments = models.JSONField(default=list)
    # Environment key → the policy that asked for approval there, as it was when it last did. One
    # that is lifted while the request waits approves nothing.
    asked = models.JSONField(default=dict, db_default={})
    # Applied by itself as soon as it is approved (and its instant, if it has one, has come).
    is_armed = models.BooleanField(default=False)
    apply_at = models.DateTimeField(null=True, blank=True)
    armed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    revision = models.PositiveBigIntegerField(default=1)
    created_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    # Why it failed, conflicted or was rejected, for a person to read.
    outcome = models.TextField(blank=True)
    applied_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    bypass_reason = models.TextField(blank=True)
    # A bypass asks for a review afterwards, which stays open until somebody signs it.
    bypass_reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "number"], name="flags_request_number_in_project"
            ),
            models.CheckConstraint(
                name="flags_request_state_is_known",
                condition=Q(state__in=[state.value for state in State]),
            ),
        ]
        indexes = [models.Index(fields=["state", "apply_at"], name="flags_request_due")]

    def __str__(self) -> str:
        return f"#{self.number} {self.title}"

    def current_verdicts(self) -> "list[Verdict]":
        """Those in force for what the request did when it was last looked at."""
        given = [row for row in self.verdicts.all() if row.undone_at is None]
        return [row for row in given if self.behaviour in ("", row.behaviour)]

    @property
    def state_words(self) -> str:
        """As `In review`."""
        return State(self.state).label.capitalize()

    @property
    def expires(self) -> datetime | None:
        """When it expires as it stands now, if it does."""
        return self.expires_at if self.state in EXPIRING else None

    @property
    def is_open(self) -> bool:
        return self.closed_at is None


class Verdict(models.Model):
    """What one reviewer said of one behaviour; it counts only for that behaviour.

    `behaviour` is the hash of what the request would have done when the verdict was given; when the
    request would do something else now, the verdict is stale: kept, shown, not counted.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request = models.ForeignKey(Request, on_delete=models.CASCADE, related_name="verdicts")
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="verdicts"
    )
    verdict = models.CharField(max_length=20)
    reason = models.TextField(blank=True)
    behaviour = models.CharField(max_length=64)
    # Through an API token: counts only where the policy lets programs review.
    by_token = models.CharField(max_length=40, blank=True)
    at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["at"]
        constraints = [
            models.CheckConstraint(
                name="flags_verdict_is_known",
                condition=Q(verdict__in=["approved", "changes_requested", "rejected"]),
            ),
            models.UniqueConstraint(
                fields=["request", "reviewer"],
                condition=Q(undone_at__isnull=True),
                name="flags_verdict_one_in_force",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.reviewer_id}"


class Comment(models.Model):
    """What somebody said about a request, or about one line of its difference."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request = models.ForeignKey(Request, on_delete=models.CASCADE, related_name="comments")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="comments"
    )
    answers = models.ForeignKey(
        "self", on_delete=models.CASCADE, null=True, related_name="answered_by"
    )
    # Which line: `flag:checkout@production rules[0].serve`; empty for the request as a whole.
    line = models.CharField(max_length=500, blank=True)
    body = models.TextField()
    at = models.DateTimeField()

    class Meta:
        ordering = ["at"]

    def __str__(self) -> str:
        return self.body[:80]

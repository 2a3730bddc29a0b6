"""Projects, and who belongs to them in which role."""

import uuid

from django.conf import settings
from django.db import models
from simple_history.models import HistoricalRecords

from flags.models.keys import key_constraint, key_field

# The stream of what belongs to no project: accounts and API tokens.
SITE_STREAM = "site"


class Project(models.Model):
    """What belongs together: environments, flags and segments."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = key_field(unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField()
    # Grows with each edit of this row: what an editor compares before saving over it.
    revision = models.PositiveBigIntegerField(default=1)
    history = HistoricalRecords()

    class Meta:
        ordering = ["key"]
        constraints = [key_constraint("project")]

    def __str__(self) -> str:
        return self.name

    @property
    def stream_key(self) -> str:
        return f"project:{self.id}"


class Role(models.TextChoices):
    """What a member may do, each more than the one before."""

    VIEWER = "viewer", "Viewer"
    EDITOR = "editor", "Editor"
    REVIEWER = "reviewer", "Reviewer"
    ADMIN = "admin", "Admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


class Membership(models.Model):
    """A person's role in a project."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=20)
    history = HistoricalRecords()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "user"], name="flags_membership_one_per_person"
            ),
            models.CheckConstraint(
                name="flags_membership_role_is_known",
                condition=models.Q(role__in=["viewer", "editor", "reviewer", "admin"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.project}"

    def exceptions(self) -> dict[str, Role]:
        """The environments in which the role is another one, by key."""
        return {row.environment.key: Role(row.role) for row in self.environment_roles.all()}

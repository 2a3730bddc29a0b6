"""What people are told: one row for each person and thing, read in the inbox and sent by mail."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from flags.models.projects import Project
from flags.models.requests import Request


class Notice(models.Model):
    """One thing that one person is told.

    `kind` is one of those in flags/notices/words.py. `key` names what it is about, so that telling
    it again changes nothing. `by` is who did it, in words, empty where the clock did.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices"
    )
    key = models.CharField(max_length=200)
    kind = models.CharField(max_length=40)
    # None for what belongs to no project, such as a person's own token.
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, null=True, related_name="notices"
    )
    request = models.ForeignKey(
        Request, on_delete=models.CASCADE, null=True, related_name="notices"
    )
    # Whom it is about, by their account: a name kept in words would outlive their erasure.
    about = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    by = models.CharField(max_length=200, blank=True)
    # What was said: a reason, the beginning of a comment, why it failed.
    text = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField()
    read_at = models.DateTimeField(null=True)
    # When the mail is to be tried next; null where none is to be sent any more.
    mail_due_at = models.DateTimeField(null=True)
    mail_attempts = models.PositiveIntegerField(default=0)
    mail_error = models.CharField(max_length=500, blank=True)
    mailed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.UniqueConstraint(fields=["person", "key"], name="flags_notice_told_once")
        ]
        indexes = [
            models.Index(fields=["person", "-at"], name="flags_notice_inbox"),
            models.Index(fields=["person"], condition=Q(read_at=None), name="flags_notice_unread"),
            models.Index(
                fields=["mail_due_at"],
                condition=Q(mail_due_at__isnull=False),
                name="flags_notice_mail_due",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.person_id}"

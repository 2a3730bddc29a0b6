"""Invitations into a project, sent to people who may have no account yet."""

import uuid
from datetime import datetime

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db import models

from flags.models.projects import Project

SIGNER = Signer(salt="flags.invitation")


class Invitation(models.Model):
    """A role in a project for whoever holds its token.

    The token is the row's id, signed: no table holds what opens a door, and the mail that carries
    it is written when it is sent.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=20)
    # In whose name the role is given; nobody's when it was the operator.
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    # Whether only the mailbox had the link, so that who comes with it has proved the address.
    is_mailed = models.BooleanField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.role} of {self.project} for {self.email}"

    @property
    def token(self) -> str:
        return SIGNER.sign(str(self.pk))

    def is_open(self, now: datetime) -> bool:
        return self.revoked_at is None and self.accepted_at is None and now < self.expires_at

    @classmethod
    def of(cls, token: str) -> "Invitation | None":
        """The invitation of a token, open or not."""
        try:
            found = cls.objects.filter(pk=SIGNER.unsign(token))
        except BadSignature:
            return None
        return found.select_related("project", "invited_by").first()

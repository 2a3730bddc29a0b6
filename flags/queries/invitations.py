"""Invitations as pages show them."""

from datetime import datetime

from django.db.models import QuerySet

from flags.models import Invitation, Project


def open_invitations(project: Project, now: datetime) -> "QuerySet[Invitation]":
    """Those that still let somebody in, the newest first."""
    rows = Invitation.objects.filter(
        project=project, revoked_at=None, accepted_at=None, expires_at__gt=now
    )
    return rows.select_related("invited_by")

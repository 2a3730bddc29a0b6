"""Invitations as pages show them."""

from datetime import datetime

from flags.models import Invitation, Project


def open_invitations(project: Project, now: datetime) -> list[Invitation]:
    """Those that still let somebody in, the newest first."""
    rows = Invitation.objects.filter(
        project=project, revoked_at=None, accepted_at=None, expires_at__gt=now
    )
    return list(rows.select_related("invited_by"))

"""What a person has read: their own matter, and nobody's history."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from flags.models import Notice, Request


def mark_read(
    person_id: str, *, now: datetime, request: Request | None = None, ids: Sequence[UUID] = ()
) -> int:
    """Mark this person's notices as read: of one request, of these ids, else all of them."""
    rows = Notice.objects.filter(person_id=int(person_id), read_at=None)
    if request is not None:
        rows = rows.filter(request=request)
    if ids:
        rows = rows.filter(pk__in=ids)
    return rows.update(read_at=now)

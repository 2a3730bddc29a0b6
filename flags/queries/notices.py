"""What a person was told."""

from flags.models import Notice

MOST_SHOWN = 200


def is_told(notice: str) -> bool:
    return Notice.objects.filter(pk=notice).exists()


def unread_count(person_id: str) -> int:
    return Notice.objects.filter(person_id=int(person_id), read_at=None).count()


def notices_of(person_id: str, *, only_unread: bool) -> list[Notice]:
    """The newest; one query."""
    rows = Notice.objects.filter(person_id=int(person_id)).select_related(
        "project", "request", "about"
    )
    if only_unread:
        rows = rows.filter(read_at=None)
    return list(rows.order_by("-at")[:MOST_SHOWN])

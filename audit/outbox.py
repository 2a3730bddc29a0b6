"""Delivering: each subscriber gets each event of a stream, in order, at least once.

A failing subscriber holds back only its own queue of that one stream; the entry is tried again
with growing pauses for as long as it takes. One that says Later, or meets a lock, is no failure: it
is called again soon.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, OperationalError, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from audit.errors import Later
from audit.models import Event, OutboxEntry

logger = logging.getLogger(__name__)

BATCH = 100
LONGEST_PAUSE = timedelta(minutes=5)
# Somebody's save is over by then.
SHORT_PAUSE = timedelta(seconds=1)
LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED = "55P03", "40P01"


def deliver(queue: str) -> int:
    """Hand every due entry of this queue's subscribers over; how many were delivered."""
    delivered = 0
    names = [name for name, row in settings.EVENT_SUBSCRIBERS.items() if row["queue"] == queue]
    while True:
        batch = sum(_deliver_stream(name, stream) for name, stream in _due(names))
        delivered += batch
        if batch == 0:
            return delivered


def _due(names: list[str]) -> list[tuple[str, str]]:
    """(subscriber, stream) pairs whose oldest entry may be tried now."""
    heads = (
        OutboxEntry.objects.filter(subscriber__in=names)
        .order_by("subscriber", "stream", "version")
        .distinct("subscriber", "stream")
        .values_list("subscriber", "stream", "not_before")
    )
    now = timezone.now()
    return [
        (subscriber, stream)
        for subscriber, stream, not_before in heads
        if not_before is None or not_before <= now
    ]


def _deliver_stream(subscriber: str, stream: str) -> int:
    """Deliver up to a batch of one subscriber's entries of one stream in order of version."""
    call = import_string(settings.EVENT_SUBSCRIBERS[subscriber]["calls"])
    delivered = 0
    while delivered < BATCH and _deliver_oldest(subscriber, stream, call):
        delivered += 1
    return delivered


def _deliver_oldest(subscriber: str, stream: str, call: Callable[[Event], None]) -> bool:
    """Deliver one entry, in a transaction of its own: what it locks is free before the next.

    Whoever holds the oldest entry's row lock is the one who delivers; everybody else leaves.
    """
    try:
        with transaction.atomic():
            entry = (
                OutboxEntry.objects.filter(subscriber=subscriber, stream=stream)
                .order_by("version")
                .select_for_update(nowait=True, of=("self",))
                .select_related("event")
                .first()
            )
            if entry is None or (entry.not_before and entry.not_before > timezone.now()):
                return False
            try:
                with transaction.atomic():
                    call(entry.event)
            except Exception as error:
                if _means_later(error):
                    _put_off(entry, error, now=timezone.now())
                else:
                    _put_back(entry, error, now=timezone.now())
                return False
            entry.delete()
            return True
    except (OperationalError, DatabaseError) as error:
        if _sqlstate(error) == LOCK_NOT_AVAILABLE:
            return False
        raise


def _means_later(error: Exception) -> bool:
    return isinstance(error, Later) or _sqlstate(error) in {LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED}


def _sqlstate(error: Exception) -> str | None:
    return getattr(error.__cause__, "sqlstate", None) if isinstance(error, DatabaseError) else None


def _put_off(entry: OutboxEntry, error: Exception, *, now: datetime) -> None:
    entry.not_before, entry.last_error = now + SHORT_PAUSE, _words(error)
    entry.save(update_fields=["not_before", "last_error"])
    logger.info(
        "outbox.delivery_waits event=%s subscriber=%s why=%s",
        entry.event_id,
        entry.subscriber,
        type(error).__name__,
    )


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:2000]


def _put_back(entry: OutboxEntry, error: Exception, *, now: datetime) -> None:
    entry.attempts += 1
    entry.not_before = now + min(LONGEST_PAUSE, timedelta(seconds=2 ** min(entry.attempts - 1, 10)))
    entry.last_error = _words(error)
    entry.save(update_fields=["attempts", "not_before", "last_error"])
    logger.warning(
        "outbox.delivery_failed",
        extra={
            "event": str(entry.event_id),
            "subscriber": entry.subscriber,
            "attempt": entry.attempts,
        },
        exc_info=error,
    )

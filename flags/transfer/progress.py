"""How far an export is, noted in the cache for the page of whoever started it."""

import logging
from uuid import UUID

from django.core.cache import cache
from redis.exceptions import RedisError

from audit.facts import Actor

logger = logging.getLogger(__name__)
KEPT_SECONDS = 60 * 60


def note_progress(actor: Actor, export: UUID, written: int, total: int) -> None:
    """An export goes on while the cache is away; only nobody sees how far it is."""
    try:
        cache.set(_place(actor, export), (written, total), timeout=KEPT_SECONDS)
    except RedisError as error:
        logger.warning("export.progress_lost error=%s", type(error).__name__)


def progress_of(actor: Actor, export: UUID) -> tuple[int, int] | None:
    """(written, total) of an export of this actor; None while nothing is known of it."""
    try:
        found: tuple[int, int] | None = cache.get(_place(actor, export))
    except RedisError:
        return None
    return found


def _place(actor: Actor, export: UUID) -> str:
    return f"export:{actor.kind}:{actor.id}:{export}"

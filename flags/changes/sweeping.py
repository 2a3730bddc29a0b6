"""The clock: who it is in the log, and the loop in which it looks at one row after another."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from django.db import models

from audit.facts import Actor

logger = logging.getLogger(__name__)

CLOCK = Actor.system("schedule")
# What this process has said at length already: a sweep comes every few seconds.
_told: set[tuple[str, object, str]] = set()
MOST_TOLD = 1_000

M = TypeVar("M", bound=models.Model)


def each(
    sweep: str,
    rows: Iterable[M],
    do: Callable[[M], int],
    *,
    passing_on: tuple[type[Exception], ...] = (),
) -> int:
    """Do this with each row; the sum of what came of it.

    A row that fails in a way nobody foresaw (of a newer release, of a mistake of ours) stops no
    other: it is logged with its id at every sweep that meets it, once with its traceback, and stays
    as it is.
    """
    done = 0
    for row in rows:
        try:
            done += do(row)
        except passing_on:
            raise
        except Exception as error:
            _tell(sweep, row.pk, error)
    return done


def _tell(sweep: str, key: object, error: Exception) -> None:
    failure = (sweep, key, repr(error))
    is_new = failure not in _told
    if len(_told) >= MOST_TOLD:
        _told.clear()
    _told.add(failure)
    logger.error(
        "sweep.row_failed sweep=%s id=%s why=%r",
        sweep,
        key,
        error,
        exc_info=error if is_new else None,
    )

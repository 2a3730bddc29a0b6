"""What the clock does to requests: apply what is due, look again before, expire what waits too long.

Schedules are rows, found again at every sweep, so a worker that comes late applies late and once:
whoever finds a request applied already is refused by its state, under the locks.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from flags import approval
from flags.changes.requests import ApplyRequest, CloseRequest, SettleRequest
from flags.changes.submit import submit
from flags.changes.sweeping import CLOCK, each
from flags.errors import ApprovalNeeded, Busy, Conflicting, FlagsiteError, WrongState
from flags.models import EXPIRING, Request, State

logger = logging.getLogger(__name__)

# A scheduled request is looked at again this long before, so that drift is told while there is time.
LOOK_AGAIN = (timedelta(hours=24), timedelta(hours=1))


def sweep(*, now: datetime, since: datetime) -> int:
    """Do what is due at `now`; `since` is the previous sweep. How many requests were touched."""
    return _expire(now) + _look_again(now, since) + _apply_due(now)


def _apply_due(now: datetime) -> int:
    due = Request.objects.filter(
        Q(apply_at__lte=now) | Q(apply_at=None, is_armed=True),
        state__in=[State.APPROVED, State.SCHEDULED],
    ).select_related("project")
    return each("requests due", due.order_by("apply_at", "number"), lambda row: _apply(row, now))


def _is_closed(request: Request, now: datetime) -> bool:
    """Whether a policy keeps it from being applied at this hour: seen without a lock, as it may last."""
    environments = request.project.environments.filter(key__in=request.environments)
    policies = approval.guards({row.key: row for row in environments})
    return any(approval.closed_until_words(policy, now) for policy in policies.values())


def _apply(request: Request, now: datetime) -> int:
    if _is_closed(request, now):
        return 0
    named: dict[str, Any] = {"project": request.project.key, "request": request.number}
    try:
        submit(ApplyRequest(**named), actor=CLOCK, reason=request.reason, now=now)
    except (ApprovalNeeded, Conflicting):
        return _submit(SettleRequest(**named), now)
    except (Busy, WrongState) as error:
        # Somebody is saving, the hour is closed, or another sweep was first: the next one looks again.
        logger.info("request.waits request=%s why=%s", request.pk, type(error).__name__)
        return 0
    except FlagsiteError as error:
        return _submit(CloseRequest(**named, state="failed", why=str(error)), now)
    return 1


def _look_again(now: datetime, since: datetime) -> int:
    near = Q()
    for before in LOOK_AGAIN:
        near |= Q(apply_at__gt=since + before, apply_at__lte=now + before)
    scheduled = Request.objects.filter(near, state__in=[State.APPROVED, State.SCHEDULED])
    return each(
        "requests near",
        scheduled.select_related("project"),
        lambda row: _submit(SettleRequest(project=row.project.key, request=row.number), now),
    )


def _expire(now: datetime) -> int:
    waiting = Request.objects.filter(expires_at__lte=now, state__in=EXPIRING).select_related(
        "project"
    )
    return each(
        "requests expiring",
        waiting,
        lambda row: _submit(
            CloseRequest(
                project=row.project.key,
                request=row.number,
                state="expired",
                why=f"nobody completed it by {row.expires_at:%Y-%m-%d %H:%M} UTC",
            ),
            now,
        ),
    )


def _submit(change: SettleRequest | CloseRequest, now: datetime) -> int:
    try:
        return int(submit(change, actor=CLOCK, now=now).changed)
    except (Busy, WrongState):
        return 0
    except FlagsiteError as error:
        if isinstance(change, CloseRequest):
            raise
        # What it would change is gone: it can come to nothing as it is, and says so.
        return _submit(
            CloseRequest(
                project=change.project, request=change.request, state="failed", why=str(error)
            ),
            now,
        )

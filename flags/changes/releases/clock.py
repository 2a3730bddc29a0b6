"""What the clock does to releases: take the steps of ramps that are due, and end leases.

Like schedules they are rows, found again at every sweep: a worker that comes late acts late and
once, since whoever finds a step taken already is refused by the ramp's state, under the locks.
What cannot be done is held, with why, for a person to decide; it is not tried again.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flags import approval
from flags.changes.base import Change
from flags.changes.releases.leases import EndLease, HoldLease
from flags.changes.releases.ramps import AdvanceRamp, HoldRamp
from flags.changes.submit import submit
from flags.changes.sweeping import CLOCK, each
from flags.errors import ApprovalNeeded, Busy, FlagsiteError, Unreadable, WrongState
from flags.models import Environment, Lease, LeaseState, Ramp

logger = logging.getLogger(__name__)


def sweep(*, now: datetime) -> int:
    """Do what is due at `now`. How many ramps and leases were touched."""
    return _advance_ramps(now) + _end_leases(now)


def _advance_ramps(now: datetime) -> int:
    due = Ramp.objects.filter(closed_at=None, next_due_at__lte=now)
    rows = due.select_related("project", "environment").order_by("next_due_at", "number")
    return each("ramps", rows, lambda ramp: _advance(ramp, now))


def _advance(ramp: Ramp, now: datetime) -> int:
    # The step itself looks again, under the locks; this spares them for as long as a freeze is.
    if _is_closed(ramp.environment, now):
        return 0
    named: dict[str, Any] = {"project": ramp.project.key, "ramp": ramp.number}
    return _done(AdvanceRamp(**named), or_else=HoldRamp, named=named, now=now)


def _end_leases(now: datetime) -> int:
    due = Lease.objects.filter(state=LeaseState.RUNNING, ends_at__lte=now).select_related("project")
    return each("leases", due.order_by("ends_at", "number"), lambda lease: _end(lease, now))


def _end(lease: Lease, now: datetime) -> int:
    named: dict[str, Any] = {"project": lease.project.key, "lease": lease.number}
    return _done(EndLease(**named), or_else=HoldLease, named=named, now=now)


def _is_closed(environment: Environment, now: datetime) -> bool:
    guarded = approval.guards({environment.key: environment})
    return any(approval.closed_until_words(policy, now) for policy in guarded.values())


def _done(
    change: Change,
    *,
    or_else: type[HoldRamp] | type[HoldLease],
    named: Mapping[str, Any],
    now: datetime,
) -> int:
    try:
        submit(change, actor=CLOCK, now=now)
    except (Busy, WrongState) as error:
        # Somebody is saving, or another clock was first: the next sweep looks again.
        logger.info("release.waits named=%s why=%s", dict(named), type(error).__name__)
        return 0
    except Unreadable:
        # A worker of the release that wrote it will know what to do: nothing is decided here.
        raise
    except ApprovalNeeded as error:
        where = ", ".join(error.environments)
        return _hold(
            or_else, named, now, f"{where} requires approval, which this was begun without"
        )
    except FlagsiteError as error:
        return _hold(or_else, named, now, str(error))
    return 1


def _hold(
    hold: type[HoldRamp] | type[HoldLease], named: Mapping[str, Any], now: datetime, why: str
) -> int:
    try:
        submit(hold(**named, why=why), actor=CLOCK, now=now)
    except (Busy, WrongState):
        return 0
    logger.warning("release.held named=%s", dict(named))
    return 1

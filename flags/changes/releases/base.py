"""What every change of a ramp or a lease starts from: the row it names, and what events say of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Max

from flags.changes.base import Change, Effect, Scope
from flags.errors import Invalid, NotFound, WrongState
from flags.models import Lease, LeaseState, Ramp, RampState, Request, User

LONGEST = timedelta(days=366)


class OnRamp(Change, frozen=True, kw_only=True):
    """A change of one ramp.

    Submitted by itself: what approval of its plan lets through is the ramp's own step, and nothing
    beside it.
    """

    is_alone = True

    ramp: int

    def touches(self) -> Sequence[str]:
        rows = Ramp.objects.filter(project__key=self.project, number=self.ramp)
        return tuple(rows.values_list("environment__key", flat=True))

    def found(self, scope: Scope, *states: RampState) -> Ramp:
        rows = Ramp.objects.filter(project=scope.project, number=self.ramp)
        ramp = rows.select_related("environment", "flag", "request", "started_by").first()
        if ramp is None:
            raise NotFound(f"there is no ramp {self.ramp} in {self.project}")
        if ramp.state not in states:
            raise WrongState(_expected(f"ramp {ramp.number}", ramp.state, states))
        return ramp

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


class OnLease(Change, frozen=True, kw_only=True):
    """A change of one lease, submitted by itself as a ramp's is."""

    is_alone = True

    lease: int

    def touches(self) -> Sequence[str]:
        row = (
            Lease.objects.filter(project__key=self.project, number=self.lease)
            .select_related("project")
            .first()
        )
        if row is None:
            return ()
        # One that was removed meanwhile cannot be locked, and must not hold up giving it up.
        there = set(row.project.environments.values_list("key", flat=True))
        return tuple(key for key in row.environments if key in there)

    def found(self, scope: Scope, *states: LeaseState) -> Lease:
        lease = Lease.objects.filter(project=scope.project, number=self.lease).first()
        if lease is None:
            raise NotFound(f"there is no lease {self.lease} in {self.project}")
        if lease.state not in states:
            raise WrongState(_expected(f"lease {lease.number}", lease.state, states))
        return lease

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


def ramp_facts(ramp: Ramp) -> dict[str, Any]:
    """What the project's stream says of a ramp. `plan` is what approval of it is bound to."""
    return {
        "number": ramp.number,
        "state": str(ramp.state),
        "step": ramp.step,
        "share": ramp.share,
        "why": ramp.why,
        "next_due_at": ramp.next_due_at and ramp.next_due_at.isoformat(),
        "agreed": ramp.is_agreed,
        "plan": {
            "environment": ramp.environment.key,
            "flag": ramp.flag.key,
            "place": ramp.place,
            "variation": ramp.variation,
            "base": ramp.base,
            "steps": ramp.steps,
            "step": ramp.step,
            "was": ramp.was,
            "left": ramp.left,
        },
    }


def lease_facts(lease: Lease) -> dict[str, Any]:
    """What the project's stream says of a lease. `plan` is what approval of it is bound to."""
    ends_at = lease.ends_at.isoformat()
    return {
        "number": lease.number,
        "state": str(lease.state),
        "ends_at": ends_at,
        "why": lease.why,
        "environments": lease.environments,
        "agreed": lease.agreed,
        "plan": {
            "changes": lease.changes,
            # A span counts from when it is granted, so its end is not known before.
            "ends": ends_at if lease.lasts_seconds is None else {"seconds": lease.lasts_seconds},
        },
    }


def on_ramp(kind: str, before: dict[str, Any] | None, ramp: Ramp, **more: Any) -> Effect:
    return Effect(kind, f"ramp:{ramp.number}", before, ramp_facts(ramp) | more)


def on_lease(kind: str, before: dict[str, Any] | None, lease: Lease) -> Effect:
    return Effect(kind, f"lease:{lease.number}", before, lease_facts(lease))


def next_number(scope: Scope, table: "type[Ramp] | type[Lease]") -> int:
    rows: models.QuerySet[Any] = table.objects.filter(project=scope.project)
    return (rows.aggregate(last=Max("number"))["last"] or 0) + 1


def request_of(scope: Scope) -> Request | None:
    """The request that is being applied."""
    if scope.request is None:
        return None
    return Request.objects.filter(project=scope.project, number=scope.request).first()


def author_of(scope: Scope) -> User | None:
    """Whose doing it is: the author of the request that is applied, else who acts."""
    request = request_of(scope)
    return scope.account() if request is None else request.author


def to_come(instant: datetime, scope: Scope) -> datetime:
    """The instant; raises Invalid for one without an offset, that has passed, or is too far."""
    if instant.tzinfo is None:
        raise Invalid.at("ends_at", "expected an instant with its offset, got one without")
    if not scope.now < instant <= scope.now + LONGEST:
        raise Invalid.at("ends_at", f"expected an instant within {LONGEST.days} days to come")
    return instant


def _expected(what: str, state: str, states: Sequence[str]) -> str:
    wanted = " or ".join(row.replace("_", " ") for row in states)
    return f"{what} is {state.replace('_', ' ')}, expected {wanted}"

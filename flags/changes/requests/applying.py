"""Applying a request, and what becomes of one without anybody's doing."""

from typing import Literal

from flags import access, sessions
from flags.access import Action, Rights
from flags.changes import rights
from flags.changes.base import Change, Effect, Scope, change
from flags.changes.releases.leases import GrantLease
from flags.changes.requests.base import OnRequest, effect_on, facts
from flags.changes.requests.kept import require_what_they_need, stored
from flags.changes.requests.standing import (
    Standing,
    asked_of,
    close,
    settle_state,
    standing_of,
    wait_anew,
)
from flags.changes.sweeping import CLOCK
from flags.errors import ApprovalNeeded, Conflicting, Denied, Invalid, WrongState
from flags.models import EXPIRING, OPEN, REVIEWED, Request, State


@change("request.applied")
class ApplyRequest(OnRequest, frozen=True, kw_only=True):
    """Do what a request asks for, all or nothing, if its approvals hold for what that is now.

    `bypass_reason` applies without approval in an emergency: who may, and that it is reviewed
    afterwards, is on record. Who has a second factor proves it afresh. With `lasts_seconds` what
    the request does is taken back after that time.
    """

    bypass_reason: str = ""
    lasts_seconds: int | None = None

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(
            scope, State.IN_REVIEW, State.APPROVED, State.SCHEDULED, State.FAILED,
            *([State.DRAFT, State.CHANGES_REQUESTED] if self.bypass_reason else []),
        )  # fmt: skip
        before = facts(request)
        changes = stored(request.changes)
        require_what_they_need(scope, changes, asking=False)
        standing = standing_of(scope, request)
        if standing.moved:
            raise Conflicting("; ".join(str(row) for row in standing.moved))
        if self.bypass_reason:
            _require_bypass(scope, standing)
        elif lacking := standing.missing or (scope.actor.kind == "system" and standing.lapsed):
            raise ApprovalNeeded(
                sorted({row.environment for row in lacking}), [row.what for row in lacking]
            )
        elif standing.closed:
            raise WrongState("; ".join(standing.closed))
        elif request.apply_at is not None and scope.now < request.apply_at:
            raise WrongState(
                f"request {request.number} was approved for {request.apply_at:%Y-%m-%d %H:%M} UTC, "
                "not before; take its instant away to have it approved for now"
            )
        # Ramps and leases keep whether they were approved, and by which request.
        scope.approved |= {demand.environment for demand in standing.demands}
        scope.request = str(request.number)
        if self.lasts_seconds is not None:
            changes = [self._lease(request)]
        held = _held_by_who_set_it_going(scope, request)
        effects = [effect for inner in changes for effect in _performed(scope, inner, held)]
        request.bypass_reason, request.applied_by = self.bypass_reason, scope.account()
        request.asked = asked_of(request, standing)
        scope.save(request, "bypass_reason", "applied_by", "asked")
        close(scope, request, State.APPLIED, "")
        done = effect_on(
            self.kind, before, request, behaviour=standing.behaviour, bypass=self.bypass_reason
        )
        return [*effects, done]

    def _lease(self, request: Request) -> Change:
        if not self.bypass_reason:
            raise Invalid.at(
                "lasts_seconds", "only a bypass is given an end when it is applied; ask for a lease"
            )
        return GrantLease(project=self.project, changes=request.changes, seconds=self.lasts_seconds)


@change("request.settled")
class SettleRequest(OnRequest, frozen=True, kw_only=True):
    """Look again at where a request stands, since something else may have moved what it would do."""

    needs = Action.ADMINISTER

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope, *REVIEWED)
        before = facts(request)
        settle_state(scope, request)
        return [] if facts(request) == before else [effect_on(self.kind, before, request)]


@change("request.closed")
class CloseRequest(OnRequest, frozen=True, kw_only=True):
    """What becomes of a request without anybody's doing: it expired, or failed and may be retried."""

    needs = Action.ADMINISTER

    state: Literal["expired", "failed"]
    why: str

    def perform(self, scope: Scope) -> list[Effect]:
        # It may have been approved, and be scheduled, since its time was found to be over.
        request = self.found(scope, *(EXPIRING if self.state == "expired" else OPEN))
        before = facts(request)
        if self.state == "expired":
            close(scope, request, State.EXPIRED, self.why)
        else:
            request.state, request.outcome = State.FAILED, self.why
            scope.save(request, "state", "outcome")
            wait_anew(scope, request)
        return [effect_on(self.kind, before, request)]


def _held_by_who_set_it_going(scope: Scope, request: Request) -> Rights | None:
    """What they may do now, when the clock acts for them; None for who acts in person.

    Asked before anything is done: a request must not give the rights that it takes.
    """
    going = request.armed_by or request.author
    if scope.actor != CLOCK or going is None:
        return None
    return access.rights(going.as_actor(), scope.project)


def _performed(scope: Scope, change: Change, held: Rights | None) -> list[Effect]:
    if held is None:
        return rights.performed(scope, change)
    try:
        return rights.performed_for(scope, change, held=held)
    except Denied as error:
        raise Denied(
            f"{change.kind}: {held.actor.name}, who set it going, may not do it any more: {error}; "
            "somebody who may can apply it"
        ) from error


def _require_bypass(scope: Scope, standing: Standing) -> None:
    """In each environment whose approval is passed by; in the project where none asks."""
    if not standing.demands:
        scope.rights.require(Action.BYPASS)
    for demand in standing.demands:
        scope.rights.require(Action.BYPASS, scope.environment(demand.environment))
    sessions.require_fresh_second_factor(scope.actor, now=scope.now)

"""Applying a request, and what becomes of one without anybody's doing."""

from typing import Literal

from flags import sessions
from flags.access import Action
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
)
from flags.errors import ApprovalNeeded, Conflicting, Invalid, WrongState
from flags.models import OPEN, REVIEWED, Request, State


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
        effects = [effect for inner in changes for effect in rights.performed(scope, inner)]
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
        request = self.found(scope, *OPEN)
        before = facts(request)
        if self.state == "expired":
            close(scope, request, State.EXPIRED, self.why)
        else:
            request.state, request.outcome = State.FAILED, self.why
            scope.save(request, "state", "outcome")
        return [effect_on(self.kind, before, request)]


def _require_bypass(scope: Scope, standing: Standing) -> None:
    """In each environment whose approval is passed by; in the project where none asks."""
    if not standing.demands:
        scope.rights.require(Action.BYPASS)
    for demand in standing.demands:
        scope.rights.require(Action.BYPASS, scope.environment(demand.environment))
    sessions.require_fresh_second_factor(scope.actor, now=scope.now)

"""Ramps: a share that grows step by step, each step a change like any other."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import structs

from audit.canonical import canonical_bytes, sha256
from flags import approval
from flags.access import Action
from flags.approval import Demand, Missing
from flags.changes.base import UNSET, Change, Effect, Scope, UnsetType, change
from flags.changes.configurations import configuration_in
from flags.changes.releases.base import (
    OnRamp,
    author_of,
    next_number,
    on_ramp,
    ramp_facts,
    request_of,
)
from flags.changes.releases.plans import (
    DEFAULT_STEPS,
    FALLTHROUGH,
    Serve,
    base_of,
    checked_steps,
    following,
    hold_of,
    serve_at,
    served_at,
    waits_for_approval,
    with_share,
)
from flags.changes.rulesets import entries_of, same, settle
from flags.errors import Conflict, Conflicting, Denied, Invalid, NotFound, StaleChange, WrongState
from flags.models import (
    UNDER_WAY,
    Environment,
    Flag,
    FlagConfiguration,
    Policy,
    Ramp,
    RampState,
    RampTemplate,
    StepApproval,
    User,
    Verdict,
)
from flags.snapshots import flag_entry


@change("ramp.started")
class StartRamp(Change, frozen=True, kw_only=True):
    """Let a variation grow at one place of a flag, beginning with the first step.

    `place` is `fallthrough` or the id of a rule. Without `steps`, those of the template, or a day
    each at 1, 5, 25 and 50 %. A flag that is off is switched on: its off variation is then what the
    fallthrough is taken to serve. `by` and `salt` are of the split that a plain place becomes.
    """

    environment: str
    flag: str
    variation: str
    place: str = FALLTHROUGH
    base: str | None = None
    template: str | None = None
    steps: list[dict[str, Any]] | UnsetType = UNSET
    by: str = "targetingKey"
    salt: str | None = None

    def touches(self) -> Sequence[str]:
        return (self.environment,)

    def perform(self, scope: Scope) -> list[Effect]:
        flag, configuration = configuration_in(scope, self.environment, self.flag)
        steps = self._steps(scope)
        environment = scope.environment(self.environment)
        _refuse_a_second(configuration, self.place)
        before = entries_of(flag, [configuration])
        there = _served(configuration, self.place)
        was = {"enabled": configuration.enabled, "serve": there}
        if not configuration.enabled:
            there = self._served_while_off(configuration)
        base = self.base or base_of(there, self.variation)
        if base is None:
            raise Invalid.at("base", "expected the variation at whose cost it grows")
        grown = with_share(
            there,
            variation=self.variation,
            base=base,
            share=steps[0]["share"],
            by=self.by,
            salt=self.salt,
        )
        serve_at(configuration, self.place, grown)
        configuration.enabled = True
        effects = settle(scope, self.kind, flag, [configuration], before)
        ramp = Ramp(
            project=scope.the_project(),
            number=next_number(scope, Ramp),
            environment=environment,
            flag=flag,
            place=self.place,
            variation=self.variation,
            base=base,
            steps=steps,
            was=was,
            left=_there(flag, configuration, self.place),
            is_agreed=self.environment in scope.approved,
            started_by=author_of(scope),
            request=request_of(scope),
            started_at=scope.now,
        )
        if waits_for_approval(steps[0]):
            ramp.state = RampState.AWAITING_APPROVAL
        else:
            ramp.next_due_at = scope.now + hold_of(steps[0])
        scope.create(ramp)
        return [*effects, on_ramp(self.kind, None, ramp)]

    def kept(self, effects: Sequence[Effect]) -> Change:
        """With its steps and its salt written out: what is approved is these, and no others."""
        plan = next(row.after["plan"] for row in effects if row.environment is None)
        place = plan["left"]["place"]
        serve = place if self.place == FALLTHROUGH else place["serve"]
        return structs.replace(
            self,
            base=plan["base"],
            template=None,
            steps=plan["steps"],
            salt=serve["split"]["salt"],
        )

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            RollBackRamp(project=self.project, ramp=effect.after["number"])
            for effect in effects
            if effect.environment is None
        ]

    def _steps(self, scope: Scope) -> list[dict[str, Any]]:
        if self.steps is not UNSET:
            return checked_steps(self.steps)
        if self.template is None:
            return DEFAULT_STEPS
        row = RampTemplate.objects.filter(project=scope.project, key=self.template).first()
        if row is None:
            raise NotFound(f"there is no ramp template {self.template} in {self.project}")
        return checked_steps(row.steps)

    def _served_while_off(self, configuration: FlagConfiguration) -> dict[str, Any]:
        if self.place != FALLTHROUGH:
            raise Invalid.at(
                "place", f"{self.flag} is off in {self.environment}; switch it on to ramp a rule"
            )
        base = self.base or configuration.off_variation
        if base is None:
            raise Invalid.at("base", "expected the variation at whose cost it grows")
        return {"variation": base}


@change("ramp.advanced")
class AdvanceRamp(OnRamp, frozen=True, kw_only=True):
    """Take the step that is due, and those overdue after it: the clock's doing.

    As the plan's approval agreed to it where that was asked for; but only onto what the ramp itself
    left there.
    """

    needs = Action.ADMINISTER
    can_wait = False

    def perform(self, scope: Scope) -> list[Effect]:
        ramp = self.found(scope, RampState.RUNNING, RampState.AWAITING_APPROVAL)
        if ramp.next_due_at is None or scope.now < ramp.next_due_at:
            raise WrongState(f"ramp {ramp.number} has no step that is due")
        policy = scope.guards.get(ramp.environment.key)
        if policy and (closed := approval.closed_until_words(policy, scope.now)):
            raise WrongState(f"{ramp.environment.key} is {closed}")
        due = ramp.next_due_at
        if ramp.state == RampState.AWAITING_APPROVAL:
            if lacking := missing_approvals(scope, ramp):
                raise WrongState("; ".join(row.what for row in lacking))
            due = scope.now
        to = following(ramp.steps, ramp.step, due, scope.now)
        return _step(scope, self.kind, ramp, to)


@change("ramp.approved")
class ApproveRampStep(OnRamp, frozen=True, kw_only=True):
    """Give one's word for the next step of a ramp that waits for approval.

    With the last word that the environment's policy asks for, the step is taken; in hours in which
    nothing may be applied, as soon as they are over.
    """

    needs = Action.REVIEW
    can_wait = False

    # What the reviewer had on the screen; another step by now is not what they approve.
    step: int | None = None

    def perform(self, scope: Scope) -> list[Effect]:
        ramp = self.found(scope, RampState.AWAITING_APPROVAL)
        if self.step is not None and self.step != ramp.step:
            raise StaleChange(f"ramp {ramp.number} is at step {ramp.step + 1} by now")
        before, reviewer = ramp_facts(ramp), scope.account()
        if reviewer is None:
            raise Denied("approval of a step is a person's to give")
        self._refuse_who_may_not(scope, ramp, reviewer)
        _intact(scope, ramp)
        behaviour = behaviour_of_step(ramp)
        given = ramp.approvals.filter(
            step=ramp.step, reviewer=reviewer, behaviour=behaviour
        ).first()
        # Said by a token it may not count; said again by the person themselves it does.
        is_new = given is None or (bool(given.by_token) and scope.actor.token is None)
        if given is not None and is_new:
            given.by_token, given.at = "", scope.now
            scope.save(given, "by_token", "at")
        elif is_new:
            scope.create(
                StepApproval(
                    ramp=ramp,
                    step=ramp.step,
                    reviewer=reviewer,
                    behaviour=behaviour,
                    by_token=scope.actor.token or "",
                    at=scope.now,
                )
            )
        if missing_approvals(scope, ramp):
            return [on_ramp(self.kind, before, ramp, approved_step=ramp.step)] if is_new else []
        policy = scope.guards.get(ramp.environment.key)
        if policy and approval.closed_until_words(policy, scope.now):
            ramp.next_due_at = scope.now
            scope.save(ramp, "next_due_at")
            return [on_ramp(self.kind, before, ramp, approved_step=ramp.step)]
        to = following(ramp.steps, ramp.step, scope.now, scope.now)
        return _step(scope, self.kind, ramp, to)

    def _refuse_who_may_not(self, scope: Scope, ramp: Ramp, reviewer: User) -> None:
        if reviewer == ramp.started_by:
            raise Denied("nobody approves a step of a ramp of their own")
        if reviewer not in approval.eligible_reviewers(
            _policy(scope, ramp),
            scope.environment(ramp.environment.key),
            author=ramp.started_by,
            contributors=_contributors(ramp),
        ):
            raise Denied(
                f"{reviewer.get_username()} is not among those whose approval "
                f"{ramp.environment.key} asks for"
            )


@change("ramp.paused")
class PauseRamp(OnRamp, frozen=True, kw_only=True):
    """Let a ramp stay where it is; what is left of its hold is kept."""

    def perform(self, scope: Scope) -> list[Effect]:
        ramp = self.found(scope, RampState.RUNNING, RampState.AWAITING_APPROVAL)
        before = ramp_facts(ramp)
        if ramp.next_due_at is not None:
            left = (ramp.next_due_at - scope.now).total_seconds()
            ramp.remaining_seconds = max(0, round(left))
        ramp.state, ramp.next_due_at = RampState.PAUSED, None
        scope.save(ramp, "state", "next_due_at", "remaining_seconds")
        return [on_ramp(self.kind, before, ramp)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [ResumeRamp(project=self.project, ramp=self.ramp)]


@change("ramp.resumed")
class ResumeRamp(OnRamp, frozen=True, kw_only=True):
    """Let a paused ramp go on, or one that is held, from what is served there now.

    What was left of the hold has still to pass, and an approval is still waited for. Continuing a
    held ramp is a plan of its own: where approval is asked for, it asks.
    """

    def perform(self, scope: Scope) -> list[Effect]:
        ramp = self.found(scope, RampState.PAUSED, RampState.HELD)
        before = ramp_facts(ramp)
        if ramp.state == RampState.HELD:
            self._take_in_what_is_there(scope, ramp)
        ramp.why = ""
        if waits_for_approval(ramp.steps[ramp.step]):
            ramp.state = RampState.AWAITING_APPROVAL
            ramp.next_due_at = None if missing_approvals(scope, ramp) else scope.now
        else:
            ramp.state = RampState.RUNNING
            remaining = ramp.remaining_seconds or 0
            ramp.next_due_at = scope.now + hold_of({"hold": {"seconds": remaining}})
        ramp.remaining_seconds = None
        scope.save(ramp, "state", "why", "next_due_at", "remaining_seconds", "left", "is_agreed")
        return [on_ramp(self.kind, before, ramp)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [PauseRamp(project=self.project, ramp=self.ramp)]

    def _take_in_what_is_there(self, scope: Scope, ramp: Ramp) -> None:
        flag, configuration = configuration_in(scope, ramp.environment.key, ramp.flag.key)
        if not configuration.enabled:
            raise Conflict(f"{flag.key} is off in {ramp.environment.key}; switch it on first")
        _grown(ramp, _served(configuration, ramp.place), ramp.step + 1)
        ramp.left = _there(flag, configuration, ramp.place)
        ramp.is_agreed = ramp.environment.key in scope.approved


@change("ramp.skipped")
class SkipRampStep(OnRamp, frozen=True, kw_only=True):
    """Take the next step before its time. One that waits for approval is never skipped.

    That is another schedule than was approved, so it asks for approval where that is asked for.
    """

    step: int | None = None  # what the author saw the ramp at; None skips the check

    def perform(self, scope: Scope) -> list[Effect]:
        ramp = self.found(scope, RampState.RUNNING, RampState.PAUSED, RampState.AWAITING_APPROVAL)
        if self.step is not None and self.step != ramp.step:
            raise StaleChange(f"ramp {ramp.number} is at step {ramp.step + 1} by now")
        if waits_for_approval(ramp.steps[ramp.step]):
            raise WrongState(f"ramp {ramp.number} waits for approval, which is not skipped")
        to = following(ramp.steps, ramp.step, scope.now, scope.now)
        return _step(scope, self.kind, ramp, to, by_plan=False)

    def kept(self, effects: Sequence[Effect]) -> Change:
        return structs.replace(self, step=None)


@change("ramp.rolled_back")
class RollBackRamp(OnRamp, frozen=True, kw_only=True):
    """Serve again what was served before the ramp, and end it.

    The way back belongs to the plan, so what approved the plan lets it through; but only from what
    the ramp itself left there.
    """

    def perform(self, scope: Scope) -> list[Effect]:
        ramp = self.found(scope, *UNDER_WAY)
        before = ramp_facts(ramp)
        flag, configuration = _intact(scope, ramp)
        if ramp.is_agreed:
            scope.approved.add(ramp.environment.key)
        entries = entries_of(flag, [configuration])
        serve_at(configuration, ramp.place, ramp.was["serve"])
        configuration.enabled = ramp.was["enabled"]
        effects = settle(scope, self.kind, flag, [configuration], entries)
        _close(scope, ramp, RampState.ROLLED_BACK)
        return [*effects, on_ramp(self.kind, before, ramp)]


@change("ramp.stopped")
class StopRamp(OnRamp, frozen=True, kw_only=True):
    """End a ramp where it is; what it serves stays."""

    def perform(self, scope: Scope) -> list[Effect]:
        ramp = self.found(scope, *UNDER_WAY)
        before = ramp_facts(ramp)
        _close(scope, ramp, RampState.STOPPED)
        return [on_ramp(self.kind, before, ramp)]


@change("ramp.held")
class HoldRamp(OnRamp, frozen=True, kw_only=True):
    """Stop the clock of a ramp whose step cannot be taken, until a person decides."""

    needs = Action.ADMINISTER
    can_wait = False

    why: str

    def perform(self, scope: Scope) -> list[Effect]:
        ramp = self.found(scope, RampState.RUNNING, RampState.AWAITING_APPROVAL)
        before = ramp_facts(ramp)
        ramp.state, ramp.why, ramp.next_due_at = RampState.HELD, self.why, None
        scope.save(ramp, "state", "why", "next_due_at")
        return [on_ramp(self.kind, before, ramp)]


def missing_approvals(scope: Scope, ramp: Ramp) -> list[Missing]:
    """What the next step still needs, under the locks."""
    return lacking_approvals(ramp, _policy(scope, ramp), scope.environment(ramp.environment.key))


def lacking_approvals(ramp: Ramp, policy: Policy, environment: Environment) -> list[Missing]:
    """What the next step still needs of the people whose approval the policy asks for."""
    given = [
        Verdict(
            reviewer=row.reviewer,
            verdict="approved",
            behaviour=row.behaviour,
            by_token=row.by_token,
        )
        for row in ramp.approvals.filter(step=ramp.step).select_related("reviewer")
    ]
    return approval.missing(
        Demand(environment.key, policy, []),
        given,
        behaviour=behaviour_of_step(ramp),
        author=ramp.started_by,
        contributors=_contributors(ramp),
        environment=environment,
    )


def behaviour_of_step(ramp: Ramp) -> str:
    """A hash of what the next step would do: the plan, and what it begins from."""
    return sha256(canonical_bytes(ramp_facts(ramp)["plan"]))


def _policy(scope: Scope, ramp: Ramp) -> Policy:
    return scope.guards.get(ramp.environment.key, approval.DEFAULT)


def _contributors(ramp: Ramp) -> list[User]:
    return list(ramp.request.contributors.all()) if ramp.request else []


def _step(
    scope: Scope,
    kind: str,
    ramp: Ramp,
    to: tuple[int, RampState, datetime | None],
    *,
    by_plan: bool = True,
) -> list[Effect]:
    """Take the ramp to a step; what approved its plan lets that through when it goes by the plan."""
    before = ramp_facts(ramp)
    flag, configuration = _intact(scope, ramp)
    entries = entries_of(flag, [configuration])
    ramp.is_agreed = ramp.is_agreed or ramp.environment.key in scope.approved
    if by_plan and ramp.is_agreed:
        scope.approved.add(ramp.environment.key)
    ramp.step, ramp.state, ramp.next_due_at = to
    serve_at(configuration, ramp.place, _grown(ramp, _served(configuration, ramp.place), ramp.step))
    effects = settle(scope, kind, flag, [configuration], entries)
    ramp.remaining_seconds, ramp.left = None, _there(flag, configuration, ramp.place)
    if ramp.state == RampState.FINISHED:
        ramp.closed_at = scope.now
    scope.save(
        ramp, "step", "state", "next_due_at", "remaining_seconds", "left", "is_agreed", "closed_at"
    )
    return [*effects, on_ramp(kind, before, ramp)]


def _intact(scope: Scope, ramp: Ramp) -> tuple[Flag, FlagConfiguration]:
    """The flag and what it does there, if that is what the ramp left; raises Conflicting."""
    flag, configuration = configuration_in(scope, ramp.environment.key, ramp.flag.key)
    there = _there(flag, configuration, ramp.place)
    if moved := sorted(name for name in there if not same(there[name], ramp.left[name])):
        what = ", ".join(_named(ramp) if name == "place" else name for name in moved)
        raise Conflicting(
            f"{what} of {flag.key} in {ramp.environment.key} was changed by somebody else"
        )
    return flag, configuration


def _there(flag: Flag, configuration: FlagConfiguration, place: str) -> dict[str, Any]:
    """All that a step's meaning hangs on, as it is now."""
    entry = flag_entry(flag, configuration)
    rules = {rule["id"]: rule for rule in entry["rules"]}
    return {
        "enabled": entry["enabled"],
        "variations": entry["variations"],
        "place": entry["fallthrough"] if place == FALLTHROUGH else rules.get(place),
    }


def _served(configuration: FlagConfiguration, place: str) -> Serve:
    serve = served_at(configuration, place)
    if serve is None:
        raise NotFound(f"there is no rule {place} of {configuration.flag.key} there")
    return serve


def _grown(ramp: Ramp, there: Serve, step: int) -> Serve:
    return with_share(
        there,
        variation=ramp.variation,
        base=ramp.base,
        share=ramp.steps[step]["share"],
        by="targetingKey",
    )


def _named(ramp: Ramp) -> str:
    return ramp.place if ramp.place == FALLTHROUGH else f"rule {ramp.place}"


def _refuse_a_second(configuration: FlagConfiguration, place: str) -> None:
    other = Ramp.objects.filter(
        flag=configuration.flag,
        environment=configuration.environment,
        place=place,
        closed_at=None,
    ).first()
    if other is not None:
        raise Conflict(f"ramp {other.number} is under way here already; one place has one ramp")


def _close(scope: Scope, ramp: Ramp, state: RampState) -> None:
    ramp.state, ramp.next_due_at, ramp.closed_at, ramp.why = state, None, scope.now, ""
    scope.save(ramp, "state", "next_due_at", "closed_at", "why")

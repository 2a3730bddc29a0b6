"""Where a request stands: what it would do now, what that asks for, and the state that follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from flags import approval
from flags.access import Rights
from flags.approval import Demand, Missing
from flags.changes.base import Change, Effect, Scope
from flags.changes.rehearsal import Moved, moved, on_stage
from flags.changes.requests.kept import stored
from flags.changes.requests.merging import as_a_whole
from flags.models import Policy, Request, State, User, Verdict


@dataclass(frozen=True)
class Standing:
    """What changes would do now, and what they still need."""

    effects: list[Effect]
    behaviour: str
    demands: list[Demand]
    # What environments asked before, and ask no more.
    former: list[Demand]
    missing: list[Missing]
    # What the former demands were not given while they were made: it bars the clock, no person.
    lapsed: list[Missing]
    moved: list[Moved]
    closed: list[str]  # why it may not be applied at this instant, an entry an environment


def standing_of(scope: Scope, request: Request) -> Standing:
    """What the request would do as things are, what that asks for and what of it is there.

    Whoever looks: who may do it is asked of who edits and of who applies it, not of who reviews.
    """
    everybodys = Rights(scope.actor, scope.project, is_unlimited=True)
    return foreseen(
        replace(scope, rights=everybodys),
        stored(request.changes),
        author=request.author,
        contributors=list(request.contributors.all()),
        verdicts=list(request.verdicts.select_related("reviewer").filter(undone_at=None)),
        seen=request.seen,
        asked=request.asked,
        terms=[request.is_armed, request.apply_at and request.apply_at.isoformat()],
    )


def foreseen(
    scope: Scope,
    changes: Sequence[Change],
    *,
    author: User | None,
    contributors: Sequence[User] = (),
    verdicts: Sequence[Verdict] = (),
    seen: Sequence[dict[str, Any]] = (),
    asked: Mapping[str, dict[str, Any]] = MappingProxyType({}),
    terms: Sequence[Any] = (),
) -> Standing:
    """What these changes would do and ask for, and which of that these verdicts give.

    `seen` is what the author saw, `asked` the policies that asked before (`Request.asked`), `terms`
    is what else a verdict is bound to.
    """
    with on_stage(scope, changes) as performed:
        effects = [effect for _, done in performed for effect in done]
        # Asked of the rows as they would be, as the gate asks it: a flag may have its tags from here.
        demands = approval.demands(scope.guards, scope.environments, effects)
        former = _no_longer_made(scope, asked, demands, effects)
    in_conflict = as_a_whole(performed, moved(seen, effects))
    behaviour = approval.behaviour_of(effects, *terms)
    missing, lapsed = (
        [
            row
            for demand in rows
            for row in approval.missing(
                demand,
                verdicts,
                behaviour=behaviour,
                author=author,
                contributors=contributors,
                environment=scope.environment(demand.environment),
            )
        ]
        for rows in (demands, former)
    )
    closed = [
        f"{demand.environment} is {words}"
        for demand in demands
        if (words := approval.closed_until_words(demand.policy, scope.now))
    ]
    return Standing(effects, behaviour, demands, former, missing, lapsed, in_conflict, closed)


def _no_longer_made(
    scope: Scope,
    asked: Mapping[str, dict[str, Any]],
    demands: Sequence[Demand],
    effects: Sequence[Effect],
) -> list[Demand]:
    """What environments that the effects still reach asked before, and ask no more.

    Reached is also whose guard, lease or tag is at stake, which alters no ruleset of it.
    """
    asking = {demand.environment for demand in demands}
    policies = {
        key: Policy(**policy)
        for key, policy in sorted(asked.items())
        if key in scope.environments and key not in asking
    }
    reached = {effect.environment for effect in effects}
    reached |= {row.environment for row in approval.demands(policies, scope.environments, effects)}
    return [
        Demand(key, policy, ["it asked for approval before"])
        for key, policy in policies.items()
        if key in reached
    ]


def settle_state(scope: Scope, request: Request, *, set_going_anew: bool = False) -> Standing:
    """Derive the state from the verdicts in force and what they are bound to.

    Who sets a request going anew does so under the policies of now: what others asked before is
    theirs to answer for.
    """
    if set_going_anew:
        request.asked = {}
    standing = standing_of(scope, request)
    request.behaviour = standing.behaviour
    request.asked = asked_of(request, standing)
    scope.save(request, "behaviour", "asked")
    current = [
        verdict
        for verdict in request.verdicts.filter(undone_at=None)
        if verdict.behaviour == standing.behaviour
    ]
    if any(verdict.verdict == "rejected" for verdict in current):
        reasons = "; ".join(row.reason for row in current if row.verdict == "rejected")
        close(scope, request, State.REJECTED, reasons)
        return standing
    was = request.state
    if any(verdict.verdict == "changes_requested" for verdict in current):
        request.state = State.CHANGES_REQUESTED
    elif was == State.FAILED and not set_going_anew:
        # A person applies it, or sets it going anew: else the clock would take it up whenever
        # something moves, long after its time.
        return standing
    elif standing.moved:
        request.state = State.CONFLICTED
    elif standing.missing or standing.lapsed:
        request.state = State.IN_REVIEW
    else:
        request.state = State.SCHEDULED if request.apply_at else State.APPROVED
    request.outcome = "; ".join(str(row) for row in standing.moved)
    if was == State.SCHEDULED and request.state != State.SCHEDULED:
        wait_anew(scope, request)
    scope.save(request, "state", "outcome")
    return standing


def asked_of(request: Request, standing: Standing) -> dict[str, Any]:
    """The policies that asked before, and those that ask now as they are now."""
    asking = {row.environment: approval.policy_facts(row.policy) for row in standing.demands}
    return {**request.asked, **asking}


def wait_anew(scope: Scope, request: Request) -> None:
    """Let a request that waited for its instant wait for people again, as long as it may."""
    if request.submitted_at is not None and request.expires_at is not None:
        given = request.expires_at - request.submitted_at
        request.submitted_at, request.expires_at = scope.now, scope.now + given
        scope.save(request, "submitted_at", "expires_at")


def ask_for_review(scope: Scope, request: Request) -> None:
    """Let its time begin, as the most impatient of its policies has it, and see where it stands."""
    demands = standing_of(scope, request).demands
    days = min((demand.policy.expires_after_days for demand in demands), default=30)
    request.submitted_at = scope.now
    request.expires_at = scope.now + timedelta(days=days)
    scope.save(request, "submitted_at", "expires_at")
    settle_state(scope, request, set_going_anew=True)


def close(scope: Scope, request: Request, state: State, outcome: str) -> None:
    request.state, request.outcome, request.closed_at = state, outcome, scope.now
    scope.save(request, "state", "outcome", "closed_at")

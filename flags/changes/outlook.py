"""What changes would do and what they would need: the one way to ask, for who looks before acting.

Rehearsed under the locks of a write and taken back.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace

from django.db import transaction
from django.utils import timezone

from audit.facts import Actor
from flags import approval
from flags.access import Rights
from flags.changes import rights
from flags.changes.base import ALL_ENVIRONMENTS, Change, Effect, Scope
from flags.changes.locks import locked, waiting_no_longer_than_set
from flags.changes.policies import SetPolicy
from flags.changes.rehearsal import on_stage
from flags.changes.requests import OnRequest, Standing
from flags.changes.requests.kept import happens_by_itself, stored
from flags.changes.requests.standing import foreseen, settle_state, standing_of
from flags.errors import FlagsiteError, Invalid
from flags.models import OPEN, Environment, Policy, Project, Request, State
from flags.queries.requests import open_requests_touching

# How many open requests are rehearsed at once: everybody who saves there waits for it.
MOST_REHEARSED = 50


@dataclass(frozen=True)
class Fate:
    """What would become of an open request: where it stands, where it would, and in which state.

    `why_not` says why it cannot be done at all as things are; then it stands nowhere. `closed` and
    `closed_then` say why it may not be applied when its time comes, now and then.
    """

    request: Request
    state: State
    now: Standing | None = None
    then: Standing | None = None
    closed: tuple[str, ...] = ()
    closed_then: tuple[str, ...] = ()
    why_not: str = ""

    @property
    def is_moved(self) -> bool:
        """Whether it would be another one's to approve, in another state, or applied at other hours."""
        if self.now is None or self.then is None:
            return False
        return (
            self.state != self.request.state
            or self.now.missing != self.then.missing
            or bool(self.now.demands) != bool(self.then.demands)
            or self.closed != self.closed_then
        )


def outlook(*changes: Change, actor: Actor, reason: str = "") -> Standing:
    """What a request of these changes by this actor would do and need.

    Raises what `submit` raises, but for ApprovalNeeded.
    """
    with _on_stage(changes, actor=actor, reason=reason) as scope:
        for change in changes:
            rights.require(scope, change, asking=True)
        return foreseen(scope, changes, author=scope.account())


def standing(project: str, number: int) -> Standing:
    """What an open request would do as things are now, and what it still needs.

    Raises NotFound, WrongState for a closed request, Busy, and what its changes are refused with
    by now.
    """
    named = OnRequest(project=project, request=number)
    with _on_stage((named,), actor=Actor.system("standing"), reason="") as scope:
        return standing_of(scope, named.found(scope, *OPEN))


def under_policy(change: SetPolicy, *, actor: Actor, reason: str = "") -> list[Fate]:
    """What would become of the open requests of an environment by another policy, newest first.

    At most MOST_REHEARSED of them. Raises what `submit` raises, but for ApprovalNeeded.
    """
    with _on_stage((change, *_open_beside(change)), actor=actor, reason=reason) as scope:
        rights.require(scope, change, asking=True)
        place = scope.environment(change.environment)
        stand = [(row, _rehearsed(scope, row)) for row in _newest(scope.the_project(), place)]
        with on_stage(scope, (change,)):
            then = replace(scope, guards=approval.guards(scope.environments))
            return [_fate(scope, then, request, now) for request, now in stand]


def _open_beside(change: SetPolicy) -> list[Change]:
    """The requests of the environment, for what they touch to be locked too."""
    place = Environment.objects.filter(project__key=change.project, key=change.environment)
    found = place.select_related("project").first()
    rows = _newest(found.project, found) if found is not None else []
    return [OnRequest(project=change.project, request=request.number) for request in rows]


def _newest(project: Project, environment: Environment) -> list[Request]:
    return open_requests_touching(project, environment)[:MOST_REHEARSED]


def _rehearsed(scope: Scope, request: Request) -> Standing | str:
    """Where a request stands, or why it cannot be done."""
    try:
        return standing_of(scope, request)
    except FlagsiteError as error:
        return str(error)


def _fate(scope: Scope, then: Scope, request: Request, now: Standing | str) -> Fate:
    if isinstance(now, str):
        return Fate(request, State(request.state), why_not=now)
    settled = copy(request)
    try:
        is_draft = request.state == State.DRAFT
        stands = standing_of(then, settled) if is_draft else settle_state(then, settled)
    except FlagsiteError as error:
        return Fate(request, State(request.state), now=now, why_not=str(error))
    return Fate(
        request,
        State(settled.state),
        now=now,
        then=stands,
        closed=_closed(scope, request, now),
        closed_then=_closed(then, request, stands),
    )


def _closed(scope: Scope, request: Request, standing: Standing) -> tuple[str, ...]:
    """Why it may not be applied when its time comes; the clock waits for every environment of it."""
    policies: dict[str, Policy] = {row.environment: row.policy for row in standing.demands}
    if happens_by_itself(request):
        policies |= {
            key: policy for key, policy in scope.guards.items() if key in request.environments
        }
    at = max(scope.now, request.apply_at or scope.now)
    return tuple(
        f"{key} is {words}"
        for key, policy in sorted(policies.items())
        if (words := approval.closed_until_words(policy, at))
    )


def lacking(
    request: Request,
    effects: Sequence[Effect],
    *,
    held: Rights,
    environments: Mapping[str, Environment],
    asking: bool,
) -> str | None:
    """What these rights lack to apply a request, or with `asking` to edit it; None when nothing.

    `effects` is what it would do.
    """
    try:
        changes = stored(request.changes)
    except Invalid as error:
        return str(error)
    asking = asking and not happens_by_itself(request)
    for change in changes:
        action = rights.action_of(change, asking=asking)
        for place in _places(change, effects):
            if place is not None and place not in environments:
                continue
            words = held.missing(action, environments[place] if place is not None else None)
            if words is not None:
                return words
    return None


def _places(change: Change, effects: Sequence[Effect]) -> list[str | None]:
    """The environments in which a change takes its action; None is the project."""
    reach = change.touches()
    if ALL_ENVIRONMENTS in reach:
        return [None, *rights.reached_by(effects)]
    return [*sorted(set(reach))] or [None]


@contextmanager
def _on_stage(changes: Sequence[Change], *, actor: Actor, reason: str) -> Iterator[Scope]:
    with waiting_no_longer_than_set(), transaction.atomic():
        yield locked(changes, actor=actor, reason=reason, now=timezone.now())
        transaction.set_rollback(True)

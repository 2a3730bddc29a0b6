"""The one transaction: locks, permission, gate, rows, events and outbox, in this order.

Permission and gate are judged here, under the locks; what a page asked earlier was a courtesy.
The gate looks at what would change, not at what the change is called: an environment that requires
approval refuses whatever alters its ruleset, whichever door and whichever change it comes from.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from audit.facts import Actor, Effect
from audit.log import lock_streams, record
from audit.models import Event
from flags import approval
from flags.changes import references, rights
from flags.changes.base import Change, Scope
from flags.changes.locks import locked, waiting_no_longer_than_set
from flags.errors import ApprovalNeeded
from flags.models.projects import SITE_STREAM


@dataclass(frozen=True)
class Outcome:
    """What a submit did, or with a dry run would do."""

    events: list[Event]
    # Each change with what it did, in order; one that found everything as asked did nothing.
    performed: list[tuple[Change, list[Effect]]]
    # Environment key → version, for each environment whose ruleset was altered.
    versions: dict[str, int]

    @property
    def effects(self) -> list[Effect]:
        return [effect for _, done in self.performed for effect in done]

    @property
    def request(self) -> int | None:
        """The number of the request that this submit became, where approval is needed first."""
        for effect in self.effects:
            if effect.kind == "request.opened":
                number: int = effect.after["number"]
                return number
        return None

    @property
    def changed(self) -> bool:
        return bool(self.effects)


def apply(
    changes: Sequence[Change], *, actor: Actor, reason: str, now: datetime, dry_run: bool
) -> Outcome:
    with waiting_no_longer_than_set(), transaction.atomic():
        scope = locked(changes, actor=actor, reason=reason, now=now)
        asking = scope.rights.only_proposes
        for change in changes:
            rights.require(scope, change, asking=asking)
        performed = [(change, rights.performed(scope, change, asking=asking)) for change in changes]
        effects = [effect for _, done in performed for effect in done]
        references.check(scope, effects)
        _refuse_without_approval(scope, effects)
        if effects and asking:
            _refuse_what_is_only_asked(changes)
        events = _recorded(scope, effects)
        if dry_run:
            transaction.set_rollback(True)
    return Outcome(
        events=events,
        performed=performed,
        versions={
            key: event.version
            for key, environment in scope.environments.items()
            for event in events
            if event.stream_id == environment.stream_key
        },
    )


def _refuse_without_approval(scope: Scope, effects: Sequence[Effect]) -> None:
    let_through = scope.exempt_from_approval | scope.approved
    asked = [
        demand
        for demand in approval.demands(scope.guards, scope.environments, effects)
        if demand.environment not in let_through
    ]
    if asked:
        raise ApprovalNeeded(
            [demand.environment for demand in asked],
            [f"{demand.environment}: {'; '.join(demand.because)}" for demand in asked],
        )


def _refuse_what_is_only_asked(changes: Sequence[Change]) -> None:
    if any(rights.action_of(change, asking=True) is not change.needs for change in changes):
        raise ApprovalNeeded(
            [], ["the token has the scope propose and not apply, so this waits as a request"]
        )


def _recorded(scope: Scope, effects: Sequence[Effect]) -> list[Event]:
    """One event per stream touched: each environment's, and the project's (or the site's)."""
    by_environment: dict[str | None, list[Effect]] = defaultdict(list)
    for effect in effects:
        by_environment[effect.environment].append(effect)
    # The project's event comes last, as its lock does; an environment that was just created is
    # known to the scope by now.
    events = []
    for key in sorted(by_environment, key=lambda key: (key is None, key)):
        stream_key = scope.environments[key].stream_key if key is not None else _home(scope)
        events.append(
            record(
                lock_streams([stream_key])[stream_key],
                by_environment[key],
                actor=scope.actor,
                reason=scope.reason,
                now=scope.now,
                submission=scope.submission,
                request=scope.request,
                has_ruleset=key is not None,
            )
        )
    return events


def _home(scope: Scope) -> str:
    return scope.project.stream_key if scope.project is not None else SITE_STREAM

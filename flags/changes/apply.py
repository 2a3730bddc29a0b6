"""The one transaction: locks, permission, gate, rows, events and outbox, in this order.

Permission and gate are judged here, under the locks; what a page asked earlier was a courtesy.
The gate looks at what would change, not at what the change is called: an environment that requires
approval refuses whatever alters its ruleset, whichever door and whichever change it comes from.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from audit.facts import Actor, Effect
from audit.log import lock_streams, open_stream, record
from audit.models import Event
from flags import access, approval
from flags.changes import references
from flags.changes.base import ALL_ENVIRONMENTS, Change, Scope
from flags.changes.requests import OPEN, OnRequest, Standing, standing_of
from flags.errors import ApprovalNeeded, Busy, NotFound
from flags.models import Environment, Project

SITE_STREAM = "site"


@dataclass(frozen=True)
class Outcome:
    """What a submit did, or with a dry run would do."""

    events: list[Event]
    effects: list[Effect]
    # Environment key → version, for each environment whose ruleset was altered.
    versions: dict[str, int]

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
    with _waiting_for_locks_no_longer_than_set(), transaction.atomic():
        scope = _locked(changes, actor=actor, reason=reason, now=now)
        for change in changes:
            access.require(actor, change.needs, None if change.on_site else scope.project)
        effects = [effect for change in changes for effect in change.perform(scope)]
        references.check(scope, effects)
        _refuse_without_approval(scope, effects)
        events = _recorded(scope, effects)
        if dry_run:
            transaction.set_rollback(True)
    return Outcome(
        events=events,
        effects=effects,
        versions={
            key: event.version
            for key, environment in scope.environments.items()
            for event in events
            if event.stream_id == environment.stream_key
        },
    )


def standing(project: str, number: int) -> Standing:
    """What an open request would do as things are now and what it still needs, for who looks at it.

    Rehearsed under the locks of a write and taken back. Raises NotFound, WrongState for a closed
    request, Busy, and what its changes are refused with by now.
    """
    named = OnRequest(project=project, request=number)
    with _waiting_for_locks_no_longer_than_set(), transaction.atomic():
        actor = Actor.system("standing")
        scope = _locked((named,), actor=actor, reason="", now=timezone.now())
        found = standing_of(scope, named.found(scope, *OPEN))
        transaction.set_rollback(True)
    return found


@contextmanager
def _waiting_for_locks_no_longer_than_set() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) == "55P03":  # lock_not_available
            raise Busy("somebody else is saving here at this moment; try again") from error
        raise


def _locked(changes: Sequence[Change], *, actor: Actor, reason: str, now: datetime) -> Scope:
    """Lock the touched environments in the order of their ids, the project last."""
    with connection.cursor() as cursor:
        milliseconds = int(settings.LOCK_TIMEOUT.total_seconds() * 1000)
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{milliseconds}ms"])
    if changes[0].on_site:
        open_stream(SITE_STREAM)
        lock_streams([SITE_STREAM])
        return Scope(project=None, environments={}, actor=actor, reason=reason, now=now)
    key = changes[0].project
    project = Project.objects.filter(key=key).first()
    if project is None:
        raise NotFound(f"there is no project {key}")
    seen = _touched(changes, project)
    lock_streams(environment.stream_key for environment in seen.values())
    lock_streams([project.stream_key])
    # Read again now that nobody can change them: whether an environment requires approval counts
    # as it stands under the locks.
    project.refresh_from_db()
    environments = _touched(changes, project)
    if environments != seen:
        raise Busy("an environment was added or removed at this moment; try again")
    return Scope(
        project=project,
        environments=environments,
        actor=actor,
        reason=reason,
        now=now,
        guards=approval.guards(environments),
    )


def _touched(changes: Sequence[Change], project: Project) -> dict[str, Environment]:
    there = {environment.key: environment for environment in project.environments.all()}
    wanted = {key for change in changes for key in change.touches()}
    if ALL_ENVIRONMENTS in wanted:
        return there
    for key in sorted(wanted - there.keys()):
        raise NotFound(f"there is no environment {key} in {project.key}")
    return {key: environment for key, environment in there.items() if key in wanted}


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

"""What changes would do and what they would need: the one way to ask, for who looks before acting.

Rehearsed under the locks of a write and taken back.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from django.db import transaction
from django.utils import timezone

from audit.facts import Actor
from flags.access import Rights
from flags.changes import rights
from flags.changes.base import ALL_ENVIRONMENTS, Change, Effect, Scope
from flags.changes.locks import locked, waiting_no_longer_than_set
from flags.changes.requests import OnRequest, Standing
from flags.changes.requests.kept import happens_by_itself, stored
from flags.changes.requests.standing import foreseen, standing_of
from flags.errors import Invalid
from flags.models import OPEN, Environment, Request


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

"""What changes would do and what they would need: the one way to ask, for who looks before acting.

Rehearsed under the locks of a write and taken back.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import transaction
from django.utils import timezone

from audit.facts import Actor
from flags.changes import rights
from flags.changes.base import Change, Scope
from flags.changes.locks import locked, waiting_no_longer_than_set
from flags.changes.requests import OnRequest, Standing
from flags.changes.requests.standing import foreseen, standing_of
from flags.models import OPEN


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


@contextmanager
def _on_stage(changes: Sequence[Change], *, actor: Actor, reason: str) -> Iterator[Scope]:
    with waiting_no_longer_than_set(), transaction.atomic():
        yield locked(changes, actor=actor, reason=reason, now=timezone.now())
        transaction.set_rollback(True)

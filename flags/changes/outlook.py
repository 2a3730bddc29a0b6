"""What changes would do and ask for, before anybody sends them."""

from django.db import transaction
from django.utils import timezone

from audit.facts import Actor
from flags import access, approval
from flags.changes.apply import _locked, _waiting_for_locks_no_longer_than_set
from flags.changes.base import Change
from flags.changes.rehearsal import rehearse
from flags.changes.requests import Standing
from flags.models import User


def outlook(*changes: Change, actor: Actor, reason: str = "") -> Standing:
    """What a request of these changes by this person would do and need; nothing of it stays.

    Raises what `submit` raises, but for ApprovalNeeded.
    """
    with _waiting_for_locks_no_longer_than_set(), transaction.atomic():
        scope = _locked(changes, actor=actor, reason=reason, now=timezone.now())
        for change in changes:
            access.require(actor, change.needs, scope.project)
        effects = [effect for _, done in rehearse(scope, changes) for effect in done]
        demands = approval.demands(scope.guards, scope.environments, effects)
        author = User.objects.filter(pk=actor.id).first() if actor.kind == "person" else None
        missing = [
            row
            for demand in demands
            for row in approval.missing(
                demand,
                [],
                behaviour="",
                author=author,
                contributors=[],
                environment=scope.environment(demand.environment),
            )
        ]
        transaction.set_rollback(True)
    return Standing(effects, "", demands, missing, [], [])

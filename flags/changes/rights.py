"""Whether who acts may make a change, judged by the environments that it names and reaches.

A change that names environments needs its action in each of them. One that may reach every
environment needs it in the project, and in each environment where it alters what was there already:
making a flag is the project's matter, archiving one that production serves is production's too.
"""

from collections.abc import Sequence

from flags import approval
from flags.access import Action, Rights, refuse_who_only_reads
from flags.changes.base import ALL_ENVIRONMENTS, Change, Effect, Scope


def action_of(change: Change, *, asking: bool) -> Action:
    """What making the change takes, or asking for it: who asks need not be able to apply."""
    if asking and change.can_wait and change.needs is Action.EDIT:
        return Action.PROPOSE
    return change.needs


def require(scope: Scope, change: Change, *, asking: bool = False) -> None:
    """What can be said before it is performed. Raises Denied."""
    refuse_who_only_reads(scope.actor)
    reach, action = change.touches(), action_of(change, asking=asking)
    if not reach or ALL_ENVIRONMENTS in reach:
        scope.rights.require(action)
        return
    for key in sorted(set(reach)):
        scope.rights.require(action, scope.environment(key))


def require_reached(
    scope: Scope, change: Change, effects: Sequence[Effect], *, asking: bool = False
) -> None:
    """What only its effects say. Raises Denied."""
    if ALL_ENVIRONMENTS in change.touches():
        _require_in_each(scope, action_of(change, asking=asking), effects)


def performed(scope: Scope, change: Change, *, asking: bool = False) -> list[Effect]:
    """Perform a change, and judge what it reached. Raises Denied."""
    # Asked before, since what a request touches may be another thing after.
    may_reach_all = ALL_ENVIRONMENTS in change.touches()
    effects = change.perform(scope)
    if may_reach_all:
        _require_in_each(scope, action_of(change, asking=asking), effects)
    return effects


def performed_for(scope: Scope, change: Change, *, held: Rights) -> list[Effect]:
    """Perform what the clock does in the place of who set it going, who holds these rights now.

    They are asked for nothing where a policy asks for approval and this submit carries it. Whoever
    has left stands in no plain edit's way either: what they asked for while they might is the
    project's by now. What takes more than editing is done for nobody who could not do it.
    Raises Denied.
    """
    reach, own = change.touches(), scope.rights
    scope.rights = held
    effects = change.perform(scope)
    scope.rights = own
    if held.has_left and change.needs is Action.EDIT:
        return effects
    asked = approval.demands(scope.guards, scope.environments, effects)
    approved = {demand.environment for demand in asked} & scope.approved
    may_reach_all = ALL_ENVIRONMENTS in reach
    places = reached_by(effects) if may_reach_all else sorted(set(reach))
    for key in places:
        if key not in approved:
            held.require(change.needs, scope.environments[key])
    if (may_reach_all or not reach) and not (places and approved.issuperset(places)):
        held.require(change.needs)
    return effects


def reached_by(effects: Sequence[Effect]) -> list[str]:
    """The environments in which what was there is altered."""
    new = {row.subject for row in effects if row.environment is None and row.before is None}
    reached = {row.environment for row in effects if row.subject not in new}
    return sorted(key for key in reached if key is not None)


def _require_in_each(scope: Scope, action: Action, effects: Sequence[Effect]) -> None:
    for key in reached_by(effects):
        scope.rights.require(action, scope.environment(key))

"""The changes that a request keeps, and what it remembers of what its author saw."""

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from flags import approval
from flags.changes import rights
from flags.changes.base import ALL_ENVIRONMENTS, Change, Scope, from_json
from flags.changes.rehearsal import as_seen, on_stage, rehearse
from flags.changes.releases import GrantLease, StartRamp
from flags.changes.rulesets import same
from flags.errors import Invalid
from flags.models import Request, User


def stored(rows: Sequence[dict[str, Any]]) -> list[Change]:
    changes = [from_json(row) for row in rows]
    if not changes:
        raise Invalid.at("changes", "expected at least one change, got none")
    for index, row in enumerate(changes):
        if not row.can_wait or row.on_site:
            raise Invalid.at(f"changes[{index}].kind", f"{row.kind} cannot wait in a request")
    return changes


def touched_by(changes: Sequence[Change]) -> tuple[str, ...]:
    keys = {key for row in changes for key in row.touches()}
    return (ALL_ENVIRONMENTS,) if ALL_ENVIRONMENTS in keys else tuple(sorted(keys))


def parts_of(row: Change) -> list[Change]:
    """The changes that a lease makes for a time; of every other change, itself."""
    return [from_json(part) for part in row.changes] if isinstance(row, GrantLease) else [row]


def subject_of(row: Change) -> str:
    """What a change is of, as events name it: `flag:checkout`."""
    noun = row.kind.partition(".")[0].removesuffix("_ids")
    if noun == "member":
        user = User.objects.filter(username=getattr(row, "username", "")).first()
        return f"member:{user.pk if user else ''}"
    if isinstance(row, StartRamp):
        return f"flag:{row.flag}"
    named = {"policy": "environment"}.get(noun, noun)
    return f"{noun}:{getattr(row, 'key', None) or getattr(row, named, '')}"


def subjects_of(row: Change) -> set[str]:
    """The same of all that it holds: a lease is of several things."""
    return {subject_of(part) for part in parts_of(row)}


def without(row: Change, subject: str) -> Change | None:
    """The change with nothing of this subject; None where nothing is left of it."""
    left = [part for part in parts_of(row) if subject_of(part) != subject]
    if not left:
        return None
    return holding(row, left)


def holding(row: Change, parts: Sequence[Change]) -> Change:
    """The change with these in place of its parts."""
    if not isinstance(row, GrantLease):
        return parts[0]
    return structs.replace(row, changes=[part.as_json() for part in parts])


def take_in(
    scope: Scope,
    request: Request,
    changes: Sequence[Change],
    *,
    seen_before: Sequence[dict[str, Any]] = (),
) -> None:
    """Keep what the changes do to what is there now, and remember what that was.

    Of what was altered of the subjects in `seen_before` their author keeps having seen what they saw
    then; the rest was altered by nobody before, and is altered now in sight of what is there.
    """
    if any(row.project != request.project.key for row in changes):
        raise Invalid.at("changes", f"expected changes to {request.project.key} alone")
    asking = not happens_by_itself(request)
    require_what_they_need(scope, changes, asking=asking)
    with on_stage(scope, changes) as performed:
        effects = [effect for _, effects in performed for effect in effects]
        asked = {
            row.environment for row in approval.demands(scope.guards, scope.environments, effects)
        }
    for row, done in performed:
        rights.require_reached(scope, row, done, asking=asking)
    if not effects:
        raise Invalid.at("changes", "everything is as these changes would make it already")
    request.changes = [row.kept(done).as_json() for row, done in performed if done]
    then = {(row["environment"], row["subject"]): row for row in seen_before}
    request.seen = [
        row | {"before": _still_seen(row, then.get((row["environment"], row["subject"])))}
        for row in as_seen(effects)
    ]
    # What loosens a guard alters no ruleset, and is the environment's matter all the same.
    request.environments = sorted(
        asked | {effect.environment for effect in effects if effect.environment is not None}
    )


def _still_seen(now: dict[str, Any], then: dict[str, Any] | None) -> Any:
    if then is None:
        return now["before"]
    before, after = then["before"], then["after"]
    if not all(isinstance(entry, dict) for entry in (before, after, now["before"])):
        return before
    altered = {
        name for name in before.keys() | after.keys() if not same(before.get(name), after.get(name))
    }
    there = {name: value for name, value in now["before"].items() if name not in altered}
    return there | {name: value for name, value in before.items() if name in altered}


def require_what_they_need(scope: Scope, changes: Sequence[Change], *, asking: bool) -> None:
    """Nobody asks for what they may not do: once approved, it may be done in their place."""
    for row in changes:
        rights.require(scope, row, asking=asking)


def require_what_it_does(scope: Scope, request: Request) -> None:
    """The same of all that the request would do as things are."""
    asking, changes = not happens_by_itself(request), stored(request.changes)
    require_what_they_need(scope, changes, asking=asking)
    for row, done in rehearse(scope, changes):
        rights.require_reached(scope, row, done, asking=asking)


def happens_by_itself(request: Request) -> bool:
    """Whether the clock applies it: then asking for it, or touching it, is letting it happen."""
    return request.is_armed or request.apply_at is not None


def set_going(request: Request, by: User | None) -> None:
    """Whoever makes of a request that the clock applies what it is answers for it from now on."""
    if happens_by_itself(request):
        request.armed_by = by

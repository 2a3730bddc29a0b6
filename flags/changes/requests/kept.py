"""The changes that a request keeps, and what it remembers of what its author saw."""

from collections.abc import Sequence
from typing import Any

from flags.changes import rights
from flags.changes.base import ALL_ENVIRONMENTS, Change, Scope, from_json
from flags.changes.rehearsal import as_seen, rehearse
from flags.errors import Invalid
from flags.models import Request


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


def take_in(scope: Scope, request: Request, changes: Sequence[Change]) -> None:
    """Keep what the changes do to what is there now, and remember what that was."""
    if any(row.project != request.project.key for row in changes):
        raise Invalid.at("changes", f"expected changes to {request.project.key} alone")
    require_what_they_need(scope, changes)
    performed = rehearse(scope, changes)
    for row, done in performed:
        rights.require_reached(scope, row, done)
    effects = [effect for _, effects in performed for effect in effects]
    if not effects:
        raise Invalid.at("changes", "everything is as these changes would make it already")
    request.changes = [row.kept(done).as_json() for row, done in performed if done]
    request.seen = as_seen(effects)
    request.environments = sorted(
        {effect.environment for effect in effects if effect.environment is not None}
    )


def require_what_they_need(scope: Scope, changes: Sequence[Change]) -> None:
    """Nobody asks for what they may not do: once approved, the clock may do it in their place."""
    for row in changes:
        rights.require(scope, row)


def require_what_they_do(scope: Scope, changes: Sequence[Change]) -> None:
    """The same, judged by what they would reach as things are too."""
    require_what_they_need(scope, changes)
    for row, done in rehearse(scope, changes):
        rights.require_reached(scope, row, done)

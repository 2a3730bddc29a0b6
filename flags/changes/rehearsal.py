"""Performing changes to see what they would do, and leaving nothing of it.

What a request does is never remembered, always rehearsed against what is there now: so that
verdicts can be bound to it, and a moved target is noticed by its effect rather than its version.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction

from audit.facts import Effect
from flags.changes import references
from flags.changes.base import Change, Scope


@dataclass(frozen=True)
class Moved:
    """A member that the request changes and that somebody else changed meanwhile."""

    environment: str | None
    subject: str
    member: str
    was: Any
    theirs: Any
    yours: Any
    # Whether a change that is made as a whole or not at all alters it, such as the start of a ramp:
    # there are no pieces of it that could be left to them.
    is_whole: bool = False

    def __str__(self) -> str:
        where = f" in {self.environment}" if self.environment else ""
        return (
            f"{self.member} of {self.subject.replace(':', ' ')}{where} was changed by somebody else"
        )


def rehearse(scope: Scope, changes: Sequence[Change]) -> list[tuple[Change, list[Effect]]]:
    """Each change with what it would do, in order. Inside `apply`, under its locks."""
    with on_stage(scope, changes) as performed:
        return performed


@contextmanager
def on_stage(
    scope: Scope, changes: Sequence[Change]
) -> Iterator[list[tuple[Change, list[Effect]]]]:
    """The same, while the rows are as the changes leave them; taken back at the end."""
    # Copies, since Django marks an instance whose row was deleted, and the row will be back; and
    # since what a rehearsal is let through with must not count for what is done in earnest.
    staged = replace(
        scope,
        environments={key: copy(row) for key, row in scope.environments.items()},
        exempt_from_approval=set(scope.exempt_from_approval),
        approved=set(scope.approved),
        removed=set(scope.removed),
    )
    with transaction.atomic():
        performed = [(change, change.perform(staged)) for change in changes]
        references.check(staged, [effect for _, effects in performed for effect in effects])
        yield performed
        transaction.set_rollback(True)


def moved(seen: Sequence[dict[str, Any]], effects: Sequence[Effect]) -> list[Moved]:
    """Where what the author saw and what is there now differ in something the request changes."""
    then = {(row["environment"], row["subject"]): row for row in seen}
    found = []
    for now in as_seen(effects):
        row = then.get((now["environment"], now["subject"]))
        if row is None:
            continue
        was, yours, theirs = (
            _members(row["before"]),
            _members(row["after"]),
            _members(now["before"]),
        )
        found += [
            Moved(
                now["environment"],
                now["subject"],
                member,
                was.get(member),
                theirs.get(member),
                yours.get(member),
            )
            for member in sorted(was.keys() | yours.keys())
            if was.get(member) != yours.get(member)
            and was.get(member) != theirs.get(member)
            and theirs.get(member) != yours.get(member)
        ]
    return found


def as_seen(effects: Sequence[Effect]) -> list[dict[str, Any]]:
    """What a request remembers of what its author saw: each subject, before and after all of it."""
    rows: dict[tuple[str | None, str], dict[str, Any]] = {}
    for effect in effects:
        place = effect.environment, effect.subject
        row = rows.setdefault(
            place,
            {
                "environment": effect.environment,
                "subject": effect.subject,
                "before": effect.before,
                "after": effect.after,
            },
        )
        # What is said of a segment's ids has other members than its entry; both are remembered.
        row["before"] = _together(effect.before, row["before"])
        row["after"] = _together(row["after"], effect.after)
    return list(rows.values())


def _together(one: Any, over: Any) -> Any:
    return {**one, **over} if isinstance(one, dict) and isinstance(over, dict) else over


def _members(entry: Any) -> dict[str, Any]:
    """An entry's members without its version; that it is there at all counts as one."""
    if not isinstance(entry, dict):
        return {}
    return {name: value for name, value in entry.items() if name != "version"} | {"exists": True}

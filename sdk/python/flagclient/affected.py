"""Which flags may answer differently after a change of the ruleset."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def flags_affected(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> frozenset[str]:
    """Return the keys of flags that may answer differently with `after` than with `before`.

    That is flags that were added, removed or redefined, those that use a segment of which this is
    true, and those that have such a flag as a prerequisite, however far away.
    """
    old_flags = _table(before, "flags")
    new_flags = _table(after, "flags")
    flags = _different(old_flags, new_flags)
    segments = _different(_table(before, "segments"), _table(after, "segments"))
    if segments:
        segments = _with_users(segments, _table(after, "segments"), _segments_in)
        flags |= {
            key for key, flag in new_flags.items() if not segments.isdisjoint(_segments_in(flag))
        }
    return frozenset(_with_users(flags, new_flags, _prerequisites_of))


def _table(document: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    table = None if document is None else document.get(name)
    return table if isinstance(table, Mapping) else {}


def _different(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    # What a delta left alone is the same object in both: "is" spares most of the comparing.
    changed = {
        key
        for key, entry in after.items()
        if (old := before.get(key)) is not entry and old != entry
    }
    return changed | (before.keys() - after.keys())


def _with_users(
    keys: set[str], table: Mapping[str, Any], uses: Callable[[Any], Iterator[str]]
) -> set[str]:
    """Return `keys` and all entries of `table` that use one of them, directly or through others."""
    users: dict[str, list[str]] = {}
    for key, entry in table.items():
        for used in uses(entry):
            users.setdefault(used, []).append(key)
    found = set(keys)
    waiting = list(keys)
    while waiting:
        fresh = set(users.get(waiting.pop(), ())) - found
        found |= fresh
        waiting += fresh
    return found


def _prerequisites_of(flag: Any) -> Iterator[str]:
    prerequisites = flag.get("prerequisites") if isinstance(flag, Mapping) else None
    for prerequisite in prerequisites if isinstance(prerequisites, list) else ():
        if isinstance(prerequisite, Mapping) and isinstance(prerequisite.get("flag"), str):
            yield prerequisite["flag"]


def _segments_in(entry: Any) -> Iterator[str]:
    """Yield the segments that the conditions of a flag or a segment name."""
    if not isinstance(entry, Mapping):
        return
    rules = entry.get("rules")
    waiting = [entry.get("when"), *(rules if isinstance(rules, list) else ())]
    while waiting:
        condition = waiting.pop()
        if isinstance(condition, list):
            waiting += condition
        elif isinstance(condition, Mapping):
            if isinstance(condition.get("segment"), str):
                yield condition["segment"]
            waiting += [condition.get(name) for name in ("when", "all", "any", "not")]

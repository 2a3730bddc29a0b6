"""Lists of ids in words."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flags.differences.conditions import were
from flags.differences.wording import listed


def ids_changed(change: Mapping[str, Any]) -> Iterator[str]:
    where = f"the {change['list']} ids"
    if change.get("by", "targetingKey") != "targetingKey":
        where += f" by {change['by']}"
    if "digest" in change:
        yield f"A large batch of ids was added to or taken from {where}"
    for member, verb, preposition in (("add", "added", "to"), ("remove", "taken", "from")):
        ids = change.get(member) or []
        if ids:
            yield f"{listed(ids)} {were(ids)} {verb} {preposition} {where}"


def listed_ids_changed(what: str) -> Callable[[Any, Any], list[str]]:
    def said(old: Any, new: Any) -> list[str]:
        before = {row["by"]: set(row["keys"]) for row in old or []}
        after = {row["by"]: set(row["keys"]) for row in new or []}
        return [
            sentence
            for by in sorted(before.keys() | after.keys())
            for sentence in ids_changed(
                {
                    "list": what,
                    "by": by,
                    "add": sorted(after.get(by, set()) - before.get(by, set())),
                    "remove": sorted(before.get(by, set()) - after.get(by, set())),
                }
            )
        ]

    return said

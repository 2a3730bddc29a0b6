"""Two edits of one thing brought together: theirs, which is there now, and the request's own.

Lists whose elements have a name are merged element by element, everything else as a whole. Where
both changed the same piece, theirs stays and the piece is named.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from msgspec import structs

from flags.changes.base import UNSET, Change, Effect
from flags.changes.rehearsal import Moved, as_seen
from flags.changes.requests.kept import parts_of
from flags.changes.rulesets import same

# What an element of each list is known by.
KNOWN_BY: dict[str, Callable[[Any], Any]] = {
    "rules": lambda rule: rule["id"],
    "variations": lambda variation: variation["key"],
    "prerequisites": lambda prerequisite: prerequisite["flag"],
    "targets": lambda target: (target["variation"], target.get("by")),
    "keys": lambda key: key,
    "tags": lambda tag: tag,
}


def brought_together(row: Change, moved: Sequence[Moved]) -> tuple[Change, list[str]]:
    """The change with both edits of what moved, and the pieces in which both cannot be kept."""
    values: dict[str, Any] = {}
    overlaps = []
    for one in moved:
        if _sets(row, one):
            value, both = merged(one.member, one.was, one.theirs, one.yours)
            # What is there already is left out, since events may say it in another form.
            values[one.member] = (
                UNSET if _may_be_left_out(row, one.member) and same(value, one.theirs) else value
            )
            overlaps += both
    return structs.replace(row, **values), overlaps


def as_a_whole(
    performed: Sequence[tuple[Change, Sequence[Effect]]], moved: Sequence[Moved]
) -> list[Moved]:
    """What moved, each saying whether some change alters it without setting it piece by piece."""
    return [
        replace(one, is_whole=any(_alters_as_a_whole(row, done, one) for row, done in performed))
        for one in moved
    ]


def _alters_as_a_whole(row: Change, done: Sequence[Effect], moved: Moved) -> bool:
    for seen in as_seen(done):
        if (seen["environment"], seen["subject"]) != (moved.environment, moved.subject):
            continue
        before, after = (seen[side] or {} for side in ("before", "after"))
        if not _alike(before.get(moved.member, UNSET), after.get(moved.member, UNSET)):
            return not any(_sets(part, moved) for part in parts_of(row))
    return False


def overlaps_in(moved: Sequence[Moved]) -> list[str]:
    """The pieces in which both edits cannot be kept."""
    return [
        piece for one in moved for piece in merged(one.member, one.was, one.theirs, one.yours)[1]
    ]


def on_top(row: Change, earlier: Sequence[dict[str, Any]], own: Sequence[dict[str, Any]]) -> Change:
    """The change with what an earlier one did elsewhere in the same lists; both as `as_seen` has them.

    Both were written in sight of what is there now, so the later would undo the earlier otherwise.
    """
    first = {(seen["environment"], seen["subject"]): seen for seen in earlier}
    values: dict[str, Any] = {}
    for later in own:
        then = first.get((later["environment"], later["subject"]))
        if then is None or not then["after"] or not later["after"] or not later["before"]:
            continue
        for member in KNOWN_BY.keys() & later["after"].keys() & then["after"].keys():
            was, here, there = (
                entry[member] for entry in (later["before"], then["after"], later["after"])
            )
            both = Moved(later["environment"], later["subject"], member, was, there, here)
            if _sets(row, both):
                values[member], _ = merged(member, was, there, here)
    return structs.replace(row, **values)


def _sets(row: Change, moved: Moved) -> bool:
    """Whether it is this change that sets the member, in this place."""
    is_given = getattr(row, moved.member, UNSET) is not UNSET
    return is_given and moved.environment in (None, getattr(row, "environment", None))


def _may_be_left_out(row: Change, member: str) -> bool:
    return any(
        field.name == member and field.default is UNSET for field in structs.fields(type(row))
    )


def merged(name: str, was: Any, theirs: Any, yours: Any) -> tuple[Any, list[str]]:
    """What both made of it, and the pieces that both changed, in which theirs stays."""
    if _alike(yours, was):
        return theirs, []
    if _alike(theirs, was) or _alike(theirs, yours):
        return yours, []
    if name in KNOWN_BY and all(isinstance(value, list) for value in (was, theirs, yours)):
        return _merged_lists(name, was, theirs, yours)
    return theirs, [name]


def _alike(one: Any, other: Any) -> bool:
    return one is other if UNSET in (one, other) else same(one, other)


def _merged_lists(name: str, *lists: list[Any]) -> tuple[list[Any], list[str]]:
    was, theirs, yours = ({KNOWN_BY[name](one): one for one in rows} for rows in lists)
    order, overlaps = _order(name, list(was), list(theirs), list(yours))
    found = []
    for known_as in order:
        one, both = _merged_element(
            f"{name} {known_as}", was.get(known_as), theirs.get(known_as), yours.get(known_as)
        )
        overlaps += both
        if one is not None:
            found.append(one)
    return found, overlaps


def _merged_element(where: str, was: Any, theirs: Any, yours: Any) -> tuple[Any, list[str]]:
    """An element of a list; one that is not there is None."""
    rows = (was, theirs, yours)
    if not all(isinstance(row, dict) for row in rows):
        return merged(where, was, theirs, yours)
    element, overlaps = {}, []
    for name in dict.fromkeys(name for row in (theirs, yours) for name in row):
        value, both = merged(name, *(row.get(name, UNSET) for row in rows))
        overlaps += [f"{where}: {piece}" for piece in both]
        if value is not UNSET:
            element[name] = value
    return element, overlaps


def _order(
    name: str, was: list[Any], theirs: list[Any], yours: list[Any]
) -> tuple[list[Any], list[str]]:
    """All elements in theirs' order, or in yours where only you moved them about."""
    common = set(was) & set(theirs) & set(yours)
    before, there, here = ([one for one in rows if one in common] for rows in (was, theirs, yours))
    if here == before or there == here:
        return _woven(theirs, yours), []
    if there == before:
        return _woven(yours, theirs), []
    return _woven(theirs, yours), [f"the order of {name}"]


def _woven(first: list[Any], second: list[Any]) -> list[Any]:
    """`first`, and what `second` alone has behind the element that it follows there."""
    woven = list(first)
    place = 0
    for one in second:
        if one in woven:
            place = woven.index(one) + 1
            continue
        while place < len(woven) and woven[place] not in second:
            place += 1
        woven.insert(place, one)
        place += 1
    return woven

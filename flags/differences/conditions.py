"""Conditions in words, and what is different between two."""

from collections.abc import Mapping, Sequence
from typing import Any

from flags.differences.wording import listed, same, written

OPERATORS = {
    "in": ("is", "is one of"),
    "contains": ("contains", "contains any of"),
    "starts_with": ("starts with", "starts with any of"),
    "ends_with": ("ends with", "ends with any of"),
    "matches": ("matches", "matches any of"),
    "lt": ("is less than", "is less than any of"),
    "lte": ("is at most", "is at most any of"),
    "gt": ("is greater than", "is greater than any of"),
    "gte": ("is at least", "is at least any of"),
    "semver_eq": ("is version", "is any of the versions"),
    "semver_lt": ("is a version before", "is a version before any of"),
    "semver_lte": ("is a version up to", "is a version up to any of"),
    "semver_gt": ("is a version after", "is a version after any of"),
    "semver_gte": ("is a version from", "is a version from any of"),
    "before": ("is before", "is before any of"),
    "after": ("is after", "is after any of"),
    "in_cidr": ("is in the network", "is in any of the networks"),
    "exists": ("is given", "is given"),
}


def condition_in_words(condition: Any) -> str:
    """A `when` as a person would say it: `country is one of DE, FR and in segment beta`."""
    return _condition(condition, inside=False)


def condition_changed(named: str, old: Any, new: Any) -> list[str]:
    """What was added to and taken from the values, where only those differ; else both in words."""
    changed = _leaves_that_differ(old, new)
    if changed is None:
        before, after = condition_in_words(old), condition_in_words(new)
        if before == after:
            return [f"{named} is written differently"]
        return [f"{named} now applies when {after}; before when {before}"]
    said = []
    for was, now in changed:
        added = [value for value in now["values"] if not _holds(was["values"], value)]
        taken = [value for value in was["values"] if not _holds(now["values"], value)]
        reads = condition_in_words(now)
        if added:
            said.append(f"{named}: {listed(added)} {were(added)} added, so that {reads}")
        if taken:
            said.append(f"{named}: {listed(taken)} {were(taken)} taken out, so that {reads}")
    return said or [f"{named} is written differently and means the same"]


def _leaves_that_differ(old: Any, new: Any) -> list[tuple[Any, Any]] | None:
    """Pairs of leaves that differ in their values alone; None when anything else differs."""
    if same(old, new):
        return []
    if not isinstance(old, Mapping) or not isinstance(new, Mapping) or old.keys() != new.keys():
        return None
    if "values" in old:
        alike = all(same(old[name], new[name]) for name in old if name != "values")
        return [(old, new)] if alike else None
    if "not" in old:
        return _leaves_that_differ(old["not"], new["not"])
    pairs = []
    for name in ("all", "any"):
        if name in old:
            if len(old[name]) != len(new[name]):
                return None
            for was, now in zip(old[name], new[name], strict=True):
                found = _leaves_that_differ(was, now)
                if found is None:
                    return None
                pairs += found
            return pairs
    return None


def were(values: Sequence[Any]) -> str:
    return "were" if len(values) > 1 else "was"


def _holds(values: Sequence[Any], value: Any) -> bool:
    return any(same(value, other) for other in values)


def _condition(condition: Any, *, inside: bool) -> str:
    if not isinstance(condition, Mapping):
        return written(condition)
    if "segment" in condition:
        return f"in segment {condition['segment']}"
    if "not" in condition:
        return f"not ({_condition(condition['not'], inside=False)})"
    if "all" in condition:
        return _joined(condition["all"], " and ", inside=inside) or "always"
    if "any" in condition:
        return _joined(condition["any"], " or ", inside=inside) or "never"
    return _leaf(condition)


def _joined(conditions: Sequence[Any], word: str, *, inside: bool) -> str:
    text = word.join(_condition(one, inside=True) for one in conditions)
    return f"({text})" if inside and len(conditions) > 1 else text


def _leaf(leaf: Mapping[str, Any]) -> str:
    op, values = leaf.get("op", ""), leaf.get("values") or []
    one, several = OPERATORS.get(op, (op, f"{op} any of"))
    words = [written(leaf.get("attribute")), one if len(values) <= 1 else several]
    if op != "exists":
        words.append(listed(values, last="") or "nothing")
    text = " ".join(words)
    return f"{text} (upper or lower case)" if leaf.get("ignore_case") else text

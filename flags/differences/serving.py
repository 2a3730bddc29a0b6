"""What a flag serves to whom, in words: prerequisites, targets, rules, splits."""

import difflib
from collections.abc import Mapping
from typing import Any

from flags.differences.conditions import condition_changed, condition_in_words
from flags.differences.wording import listed, percentage, reordered, replaced, same, written


def serve_in_words(serve: Any) -> str:
    """What a rule or the fallthrough serves: `on`, or `on 25 %, off 75 %`."""
    if not isinstance(serve, Mapping):
        return written(serve)
    if "split" not in serve:
        return written(serve.get("variation"))
    split = serve["split"]
    shares = ", ".join(f"{key} {percentage(weight)}" for key, weight in split.get("shares", ()))
    by = split.get("by", "targetingKey")
    return (shares or "nothing") + ("" if by == "targetingKey" else f" by {by}")


def off_variation_changed(old: Any, new: Any) -> list[str]:
    def named(key: Any) -> str:
        return "the app's own default" if key is None else written(key)

    return [f"When off it serves {named(new)} instead of {named(old)}"]


def prerequisites_changed(old: Any, new: Any) -> list[str]:
    before = {row["flag"]: row.get("variations") for row in old or []}
    after = {row["flag"]: row.get("variations") for row in new or []}
    said = [
        f"Now requires {flag} to serve {listed(after[flag], last='or')}"
        for flag in after
        if flag not in before
    ]
    said += [f"No longer requires {flag}" for flag in before if flag not in after]
    said += [
        f"Requires {flag} to serve {listed(after[flag], last='or')}, "
        f"before {listed(before[flag], last='or')}"
        for flag in after
        if flag in before and before[flag] != after[flag]
    ]
    return said + reordered("the prerequisites", list(before), list(after))


def targets_changed(old: Any, new: Any) -> list[str]:
    before, after = _targeted(old), _targeted(new)
    moves: dict[tuple[Any, Any, str], list[str]] = {}
    for by, key in [*after, *(one for one in before if one not in after)]:
        was, now = before.get((by, key)), after.get((by, key))
        if was != now:
            moves.setdefault((was, now, by), []).append(key)
    said = []
    for (was, now, by), keys in moves.items():
        who, several = listed(keys), len(keys) > 1
        if by != "targetingKey":
            who = f"{by} {who}"
        if now is None:
            said.append(f"{who} {'are' if several else 'is'} no longer targeted; got {was}")
        elif was is None:
            said.append(f"{who} now {'get' if several else 'gets'} {now}")
        else:
            said.append(f"{who} {'get' if several else 'gets'} {now} instead of {was}")
    return said or ["The individual targets are written differently and mean the same"]


def _targeted(targets: Any) -> dict[tuple[str, str], str]:
    return {
        (target.get("by", "targetingKey"), key): target["variation"]
        for target in reversed(targets or [])
        for key in target["keys"]
    }


def fallthrough_changed(old: Any, new: Any) -> list[str]:
    return _serve_changed("Everyone else", old, new)


def rules_changed(old: Any, new: Any) -> list[str]:
    before, after = _by_id(old), _by_id(new)
    said = []
    for place, (id_, rule) in enumerate(after.items(), start=1):
        if id_ not in before:
            said.append(
                f"{_named(rule, place)} was added: serves {serve_in_words(rule.get('serve'))} "
                f"when {condition_in_words(rule.get('when'))}"
            )
    for place, (id_, rule) in enumerate(before.items(), start=1):
        if id_ not in after:
            said.append(
                f"{_named(rule, place)} was removed: served {serve_in_words(rule.get('serve'))} "
                f"when {condition_in_words(rule.get('when'))}"
            )
    for place, (id_, rule) in enumerate(after.items(), start=1):
        if id_ in before:
            said += _rule_changed(_named(rule, place), before[id_], rule)
    return said + _rules_moved(before, after)


def _by_id(rules: Any) -> dict[Any, Mapping[str, Any]]:
    """The rules by id, those without one by their place."""
    return {rule.get("id") or place: rule for place, rule in enumerate(rules or [])}


def _named(rule: Mapping[str, Any], place: int) -> str:
    return f"Rule {rule['name']}" if rule.get("name") else f"Rule {place}"


def _rule_changed(named: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    said = []
    if not same(old.get("name"), new.get("name")):
        said.append(
            f"{named} was {written(old['name'])}" if old.get("name") else f"{named} got its name"
        )
    if not same(old.get("when"), new.get("when")):
        said += condition_changed(named, old.get("when"), new.get("when"))
    if not same(old.get("serve"), new.get("serve")):
        said += _serve_changed(named, old.get("serve"), new.get("serve"))
    return said or ([] if same(old, new) else [f"{named} is written differently"])


def _rules_moved(before: dict[Any, Any], after: dict[Any, Any]) -> list[str]:
    """Of the rules that stayed, the few that must have been moved to give the new order."""
    old = [id_ for id_ in before if id_ in after]
    new = [id_ for id_ in after if id_ in before]
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    still = {id_ for block in matcher.get_matching_blocks() for id_ in new[block.b :][: block.size]}
    places_before = {id_: place for place, id_ in enumerate(before, start=1)}
    places_after = {id_: place for place, id_ in enumerate(after, start=1)}
    return [
        f"{_named(after[id_], places_after[id_])} moved from place {places_before[id_]} "
        f"to {places_after[id_]}"
        for id_ in new
        if id_ not in still
    ]


def _serve_changed(named: str, old: Any, new: Any) -> list[str]:
    if not _is_split(old) or not _is_split(new):
        verb = "gets" if named == "Everyone else" else "serves"
        return [f"{named} {verb} {serve_in_words(new)} instead of {serve_in_words(old)}"]
    before, after = old["split"], new["split"]
    said = []
    if not same(before.get("shares"), after.get("shares")):
        said.append(f"{named}: {_shares_changed(before.get('shares'), after.get('shares'))}")
    if before.get("by", "targetingKey") != after.get("by", "targetingKey"):
        said.append(
            f"{named} is split by {after.get('by', 'targetingKey')} instead of {before.get('by', 'targetingKey')}"
        )
    if before.get("salt") != after.get("salt"):
        said.append(f"{named} is shuffled anew: the split has another salt")
    if before.get("hash") != after.get("hash"):
        said.append(
            replaced(f"{named}: the way of bucketing", before.get("hash"), after.get("hash"))
        )
    return said or [f"{named} is split differently"]


def _is_split(serve: Any) -> bool:
    return isinstance(serve, Mapping) and isinstance(serve.get("split"), Mapping)


def _shares_changed(old: Any, new: Any) -> str:
    before, after = dict(old or []), dict(new or [])
    said = []
    for key in after:
        was, now = before.get(key), after[key]
        if was is None:
            said.append(f"{key} gets {percentage(now)}")
        elif was != now:
            verb = "grew" if now > was else "shrank"
            said.append(f"{key} {verb} from {percentage(was)} to {percentage(now)}")
    said += [f"{key} lost its {percentage(before[key])}" for key in before if key not in after]
    if not said and list(before) != list(after):
        said.append(f"the order is now {listed(list(after))}")
    return ", ".join(said) or "the split is written differently"

"""What is different between two states of a subject: in words, and line by line as JSON.

A state is what an event's effect holds as `before` and `after`: a flag's or a segment's entry in a
ruleset, the facts of a flag, an environment, a key, a member; or None where there was nothing.
"""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flags.release_words import sentences_of_release, speaks_of_release

State = Mapping[str, Any] | None

NO_BREAK = "\u00a0"  # a number and its sign stay on one line
LONGEST_VALUE = 80
MOST_NAMED = 8
LINES_AROUND = 3
UNSPOKEN = ("version", "behaviour")

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


def sentences(before: State, after: State) -> list[str]:
    """Every difference, one sentence each; empty only when the two are the same JSON.

    The version that counts the changes of an entry is mentioned only when nothing else differs, and
    the hash of what a request does is for programs.
    """
    if _same(before, after):
        return []
    if speaks_of_release(before, after):
        return sentences_of_release(before, after) or ["Looked at again"]
    if before is None or after is None:
        return _appeared(after) if after is not None else _vanished(before or {})
    if not before and "list" in after:
        return list(_ids_changed(after))
    said = [
        sentence
        for member in _differing(before, after)
        if member not in UNSPOKEN
        for sentence in _member_changed(member, before, after)
    ]
    if said or _same(before.get("version"), after.get("version")):
        return said or ["It was looked at as it does something else by now"]
    return [f"Version {_value(before.get('version'))} became {_value(after.get('version'))}"]


def condition_in_words(condition: Any) -> str:
    """A `when` as a person would say it: `country is one of DE, FR and in segment beta`."""
    return _condition(condition, inside=False)


def serve_in_words(serve: Any) -> str:
    """What a rule or the fallthrough serves: `on`, or `on 25 %, off 75 %`."""
    if not isinstance(serve, Mapping):
        return _value(serve)
    if "split" not in serve:
        return _value(serve.get("variation"))
    split = serve["split"]
    shares = ", ".join(f"{key} {percentage(weight)}" for key, weight in split.get("shares", ()))
    by = split.get("by", "targetingKey")
    return (shares or "nothing") + ("" if by == "targetingKey" else f" by {by}")


def percentage(weight: Any) -> str:
    """A weight in thousandths of a percent, as `12.5 %`, the two kept together."""
    if not isinstance(weight, int):
        return _value(weight)
    return f"{f'{weight / 1000:.3f}'.rstrip('0').rstrip('.')}{NO_BREAK}%"


@dataclass(frozen=True)
class Line:
    """One line of a difference. `mark` is `same`, `added`, `removed` or `skipped`."""

    mark: str
    text: str
    old_number: int | None = None
    new_number: int | None = None


def json_lines(before: State, after: State) -> list[Line]:
    """The two states written as indented JSON and compared by line.

    Long runs of equal lines are folded into one `skipped` line, whose text says how many.
    """
    old, new = _written(before), _written(after)
    lines: list[Line] = []
    seen = 0
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for group in matcher.get_grouped_opcodes(LINES_AROUND):
        if skipped := group[0][1] - seen:
            lines.append(_skipped(skipped))
        for tag, old_from, old_to, new_from, new_to in group:
            if tag == "equal":
                lines += [
                    Line(
                        "same", old[old_from + offset], old_from + offset + 1, new_from + offset + 1
                    )
                    for offset in range(old_to - old_from)
                ]
                continue
            lines += [Line("removed", old[at], old_number=at + 1) for at in range(old_from, old_to)]
            lines += [Line("added", new[at], new_number=at + 1) for at in range(new_from, new_to)]
        seen = group[-1][2]
    if lines and (skipped := len(old) - seen):
        lines.append(_skipped(skipped))
    return lines


def _written(state: State) -> list[str]:
    if state is None:
        return []
    return json.dumps(state, indent=2, ensure_ascii=False, sort_keys=True).split("\n")


def _skipped(count: int) -> Line:
    return Line("skipped", f"{count} equal {'line' if count == 1 else 'lines'}")


# A subject comes and goes


def _appeared(state: Mapping[str, Any]) -> list[str]:
    if "fallthrough" in state:
        return _flag_appeared(state)
    if "role" in state:
        said = [f"Became a member as {state['role']}"]
        return said + _exceptions_changed({}, state.get("environments"))
    if "file_sha256" in state:
        return [f"Events {state['first']} to {state['last']} were archived as {state['file']}"]
    if "kind" in state and "environment" in state:
        named = f" named {state['name']}" if state.get("name") else ""
        return [f"Created as a {state['kind']} key of {state['environment']}{named}"]
    if "scopes" in state:
        return [f"Created with the scopes {_listed(state['scopes'])}"]
    if "comment" in state:
        return ["Was commented on" + (f", at {state['line']}" if state.get("line") else "")]
    if "type" in state:
        return [f"Created as a {state['type']} flag with the variations {_keys_of(state)}"]
    if state.get("when") is not None:
        return [f"Created, for contexts where {condition_in_words(state['when'])}"]
    if state.get("requires_approval") is True:
        return ["Created, requiring approval"]
    return ["Created"]


def _flag_appeared(entry: Mapping[str, Any]) -> list[str]:
    said = [f"Added, turned {'on' if entry.get('enabled') else 'off'}"]
    for member in ("prerequisites", "targets", "rules"):
        if there := entry.get(member):
            said += MEMBERS[member]([], there)
    said.append(f"Serves {serve_in_words(entry['fallthrough'])} when on and nothing else decides")
    return said


def _vanished(state: Mapping[str, Any]) -> list[str]:
    if "fallthrough" in state:
        return [f"Taken out while turned {'on' if state.get('enabled') else 'off'}"]
    if "role" in state:
        return [f"Is no longer a member; was {state['role']}"]
    if ("kind" in state and "environment" in state) or "scopes" in state:
        return ["Revoked"]
    return ["Removed"]


def _keys_of(state: Mapping[str, Any]) -> str:
    return _listed([variation.get("key") for variation in state.get("variations") or []])


# Members


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The members that differ, those with a place in the order of MEMBERS first."""
    members = [*MEMBERS, *sorted((before.keys() | after.keys()) - MEMBERS.keys())]
    return [
        member
        for member in members
        if (member in before) != (member in after)
        or not _same(before.get(member), after.get(member))
    ]


def _member_changed(
    member: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Sequence[str]:
    old, new = before.get(member), after.get(member)
    said = list(MEMBERS[member](old, new)) if member in MEMBERS else []
    return said or [_replaced(member.replace("_", " ").capitalize(), old, new)]


def _replaced(what: str, old: Any, new: Any) -> str:
    old_text, new_text = _value(old), _value(new)
    if old_text == new_text:
        return f"{what} changed"
    return f"{what} changed from {old_text} to {new_text}"


def _statement(when_true: str, when_false: str) -> Callable[[Any, Any], list[str]]:
    def said(old: Any, new: Any) -> list[str]:
        return [when_true if new else when_false] if bool(new) != bool(old) else []

    return said


def _text_changed(what: str) -> Callable[[Any, Any], list[str]]:
    def said(old: Any, new: Any) -> list[str]:
        if not old:
            return [f"{what} was set to {_quoted(new)}"]
        if not new:
            return [f"{what} {_quoted(old)} was taken away"]
        return [f"{what} changed from {_quoted(old)} to {_quoted(new)}"]

    return said


def _tags_changed(old: Any, new: Any) -> list[str]:
    old, new = old or [], new or []
    return [
        *(f"Tag {_value(tag)} was added" for tag in new if tag not in old),
        *(f"Tag {_value(tag)} was taken away" for tag in old if tag not in new),
    ]


def _owner_changed(old: Any, new: Any) -> list[str]:
    # Events hold the account's number and no name, so that a person can be forgotten.
    if old is None:
        return ["An owner was set"]
    return ["Has no owner any more" if new is None else "The owner changed"]


def _off_variation_changed(old: Any, new: Any) -> list[str]:
    def named(key: Any) -> str:
        return "the app's own default" if key is None else _value(key)

    return [f"When off it serves {named(new)} instead of {named(old)}"]


def _role_changed(old: Any, new: Any) -> list[str]:
    return [f"Is {new} instead of {old}"]


def _exceptions_changed(old: Any, new: Any) -> list[str]:
    """Roles in single environments, `{"production": "viewer"}`; a request's is a list of keys."""
    before, after = old or {}, new or {}
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return []
    said = [
        f"Is {after[key]} in {key}" + (f" instead of {before[key]}" if key in before else "")
        for key in after
        if after[key] != before.get(key)
    ]
    return said + [
        f"Is no longer {before[key]} in {key}: the role in the project holds there"
        for key in before
        if key not in after
    ]


def _variations_changed(old: Any, new: Any) -> list[str]:
    before = {variation.get("key"): variation for variation in old or []}
    after = {variation.get("key"): variation for variation in new or []}
    said = [
        f"Variation {_value(key)} was added with the value {_value(after[key].get('value'))}"
        for key in after
        if key not in before
    ]
    said += [f"Variation {_value(key)} was removed" for key in before if key not in after]
    for key in after:
        if key in before:
            said += _variation_changed(_value(key), before[key], after[key])
    return said + _reordered("the variations", list(before), list(after))


def _variation_changed(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for member in sorted((old.keys() | new.keys()) - {"key"}):
        if (member in old) != (member in new) or not _same(old.get(member), new.get(member)):
            what = member[:1].upper() + member[1:]
            yield _replaced(f"{what} of variation {key}", old.get(member), new.get(member))


def _prerequisites_changed(old: Any, new: Any) -> list[str]:
    before = {row["flag"]: row.get("variations") for row in old or []}
    after = {row["flag"]: row.get("variations") for row in new or []}
    said = [
        f"Now requires {flag} to serve {_listed(after[flag], last='or')}"
        for flag in after
        if flag not in before
    ]
    said += [f"No longer requires {flag}" for flag in before if flag not in after]
    said += [
        f"Requires {flag} to serve {_listed(after[flag], last='or')}, "
        f"before {_listed(before[flag], last='or')}"
        for flag in after
        if flag in before and before[flag] != after[flag]
    ]
    return said + _reordered("the prerequisites", list(before), list(after))


def _targets_changed(old: Any, new: Any) -> list[str]:
    before, after = _targeted(old), _targeted(new)
    moves: dict[tuple[Any, Any, str], list[str]] = {}
    for by, key in [*after, *(one for one in before if one not in after)]:
        was, now = before.get((by, key)), after.get((by, key))
        if was != now:
            moves.setdefault((was, now, by), []).append(key)
    said = []
    for (was, now, by), keys in moves.items():
        who, several = _listed(keys), len(keys) > 1
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


def _fallthrough_changed(old: Any, new: Any) -> list[str]:
    return _serve_changed("Everyone else", old, new)


def _when_changed(old: Any, new: Any) -> list[str]:
    if old is None:
        return [f"Now holds contexts where {condition_in_words(new)}"]
    if new is None:
        return [f"No longer holds contexts where {condition_in_words(old)}"]
    return _condition_changed("Condition", old, new)


def _state_changed(old: Any, new: Any) -> list[str]:
    return [f"Is {_spaced(new)}" + (f"; was {_spaced(old)}" if old else "")]


def _bypass_changed(old: Any, new: Any) -> list[str]:
    return [f"Without approval: {_quoted(new)}"] if new else []


def _policies_changed(old: Any, new: Any) -> list[str]:
    return ["The policies as they then were are in the JSON"] if new else []


def _spaced(text: Any) -> str:
    return str(text).replace("_", " ")


def _approval_changed(old: Any, new: Any) -> list[str]:
    return _statement("Changes now require approval", "Changes no longer require approval")(
        old, new
    )


# Rules


def _rules_changed(old: Any, new: Any) -> list[str]:
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
    if not _same(old.get("name"), new.get("name")):
        said.append(
            f"{named} was {_value(old['name'])}" if old.get("name") else f"{named} got its name"
        )
    if not _same(old.get("when"), new.get("when")):
        said += _condition_changed(named, old.get("when"), new.get("when"))
    if not _same(old.get("serve"), new.get("serve")):
        said += _serve_changed(named, old.get("serve"), new.get("serve"))
    return said or ([] if _same(old, new) else [f"{named} is written differently"])


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
    if not _same(before.get("shares"), after.get("shares")):
        said.append(f"{named}: {_shares_changed(before.get('shares'), after.get('shares'))}")
    if before.get("by", "targetingKey") != after.get("by", "targetingKey"):
        said.append(
            f"{named} is split by {after.get('by', 'targetingKey')} instead of {before.get('by', 'targetingKey')}"
        )
    if before.get("salt") != after.get("salt"):
        said.append(f"{named} is shuffled anew: the split has another salt")
    if before.get("hash") != after.get("hash"):
        said.append(
            _replaced(f"{named}: the way of bucketing", before.get("hash"), after.get("hash"))
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
        said.append(f"the order is now {_listed(list(after))}")
    return ", ".join(said) or "the split is written differently"


# Conditions


def _condition_changed(named: str, old: Any, new: Any) -> list[str]:
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
            said.append(f"{named}: {_listed(added)} {_was(added)} added, so that {reads}")
        if taken:
            said.append(f"{named}: {_listed(taken)} {_was(taken)} taken out, so that {reads}")
    return said or [f"{named} is written differently and means the same"]


def _leaves_that_differ(old: Any, new: Any) -> list[tuple[Any, Any]] | None:
    """Pairs of leaves that differ in their values alone; None when anything else differs."""
    if _same(old, new):
        return []
    if not isinstance(old, Mapping) or not isinstance(new, Mapping) or old.keys() != new.keys():
        return None
    if "values" in old:
        alike = all(_same(old[name], new[name]) for name in old if name != "values")
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


def _was(values: Sequence[Any]) -> str:
    return "were" if len(values) > 1 else "was"


def _holds(values: Sequence[Any], value: Any) -> bool:
    return any(_same(value, other) for other in values)


def _condition(condition: Any, *, inside: bool) -> str:
    if not isinstance(condition, Mapping):
        return _value(condition)
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
    words = [_value(leaf.get("attribute")), one if len(values) <= 1 else several]
    if op != "exists":
        words.append(_listed(values, last="") or "nothing")
    text = " ".join(words)
    return f"{text} (upper or lower case)" if leaf.get("ignore_case") else text


# Id lists


def _ids_changed(change: Mapping[str, Any]) -> Iterator[str]:
    where = f"the {change['list']} ids"
    if change.get("by", "targetingKey") != "targetingKey":
        where += f" by {change['by']}"
    if "digest" in change:
        yield f"A large batch of ids was added to or taken from {where}"
    for member, verb, preposition in (("add", "added", "to"), ("remove", "taken", "from")):
        ids = change.get(member) or []
        if ids:
            yield f"{_listed(ids)} {_was(ids)} {verb} {preposition} {where}"


def _listed_ids_changed(what: str) -> Callable[[Any, Any], list[str]]:
    def said(old: Any, new: Any) -> list[str]:
        before = {row["by"]: set(row["keys"]) for row in old or []}
        after = {row["by"]: set(row["keys"]) for row in new or []}
        return [
            sentence
            for by in sorted(before.keys() | after.keys())
            for sentence in _ids_changed(
                {
                    "list": what,
                    "by": by,
                    "add": sorted(after.get(by, set()) - before.get(by, set())),
                    "remove": sorted(before.get(by, set()) - after.get(by, set())),
                }
            )
        ]

    return said


# Words


def _reordered(what: str, before: list[Any], after: list[Any]) -> list[str]:
    old = [key for key in before if key in after]
    new = [key for key in after if key in before]
    if old == new:
        return []
    return [f"The order of {what} is now {_listed(after)}"]


def _listed(values: Sequence[Any] | None, last: str = "and") -> str:
    """`DE, FR and 3 more`; with an empty `last` only commas."""
    texts = [_value(value) for value in values or []]
    if len(texts) > MOST_NAMED + 1:
        return f"{', '.join(texts[:MOST_NAMED])} and {len(texts) - MOST_NAMED} more"
    if last and len(texts) > 1:
        return f"{', '.join(texts[:-1])} {last} {texts[-1]}"
    return ", ".join(texts)


def _value(value: Any) -> str:
    """A value for a sentence: text bare where that cannot be misread, all else as JSON, shortened."""
    if value is None:
        return "nothing"
    text = value if _reads_as_text(value) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _quoted(value: Any) -> str:
    """A person's own words; those of two long texts that differ late are told apart by the JSON."""
    text = value if isinstance(value, str) else _value(value)
    return f"“{text}”" if len(text) <= LONGEST_VALUE else f"“{text[: LONGEST_VALUE - 1]}…”"


def _reads_as_text(value: Any) -> bool:
    if not isinstance(value, str) or not value or value != value.strip():
        return False
    if any(character in value for character in ',"\n\r\t'):
        return False
    return not (value in ("true", "false", "null", "nothing") or _is_number(value))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: Python holds 1 == 1.0 == True, a ruleset does not."""
    if one is other:
        return True
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


MEMBERS: dict[str, Callable[[Any, Any], Sequence[str]]] = {
    "enabled": _statement("Turned on", "Turned off"),
    "is_archived": _statement("Archived", "Restored from the archive"),
    "prerequisites": _prerequisites_changed,
    "targets": _targets_changed,
    "rules": _rules_changed,
    "fallthrough": _fallthrough_changed,
    "off_variation": _off_variation_changed,
    "when": _when_changed,
    "included": _listed_ids_changed("included"),
    "excluded": _listed_ids_changed("excluded"),
    "variations": _variations_changed,
    "name": _text_changed("Name"),
    "description": _text_changed("Description"),
    "tags": _tags_changed,
    "owner": _owner_changed,
    "is_permanent": _statement("Is now permanent", "Is now temporary"),
    "client_visible": _statement(
        "Client keys may now evaluate it", "Client keys may no longer evaluate it"
    ),
    "role": _role_changed,
    "environments": _exceptions_changed,
    "state": _state_changed,
    "bypass": _bypass_changed,
    "policies": _policies_changed,
    "requires_approval": _approval_changed,
    "is_active": _statement("The account may sign in", "The account may no longer sign in"),
    "is_superuser": _statement("Became a site administrator", "Is no longer a site administrator"),
}

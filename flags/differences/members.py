"""How each member of a state is said to differ, and how a subject comes and goes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from flags.differences.conditions import condition_changed, condition_in_words
from flags.differences.id_lists import listed_ids_changed
from flags.differences.policies import (
    approvals_changed,
    conditions_changed,
    expiry_changed,
    freezes_changed,
    from_whom_changed,
    is_policy,
    minimum_role_changed,
    policy_in_words,
    time_zone_changed,
    windows_changed,
)
from flags.differences.releases import steps_in_words
from flags.differences.serving import (
    fallthrough_changed,
    off_variation_changed,
    prerequisites_changed,
    rules_changed,
    serve_in_words,
    targets_changed,
)
from flags.differences.wording import (
    instant_in_words,
    listed,
    quoted,
    reordered,
    replaced,
    same,
    spaced,
    with_article,
    written,
)


def appeared(state: Mapping[str, Any]) -> list[str]:
    if "fallthrough" in state:
        return _flag_appeared(state)
    if "role" in state:
        said = [f"Became a member as {state['role']}"]
        return said + _exceptions_changed({}, state.get("environments"))
    if is_policy(state):
        return policy_in_words(state)
    if "steps" in state:
        return [f"Created with the steps {steps_in_words(state['steps'])}"]
    if "file_sha256" in state:
        return [f"Events {state['first']} to {state['last']} were archived as {state['file']}"]
    if "kind" in state and "environment" in state:
        named = f" named {state['name']}" if state.get("name") else ""
        return [f"Created as a {state['kind']} key of {state['environment']}{named}"]
    if "scopes" in state:
        return [f"Created with the scopes {listed(state['scopes'])}"]
    if "comment" in state:
        return ["Was commented on" + (f", at {state['line']}" if state.get("line") else "")]
    if "type" in state:
        return [
            f"Created as {with_article(state['type'])} flag with the variations {_keys_of(state)}"
        ]
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


def vanished(state: Mapping[str, Any]) -> list[str]:
    if "fallthrough" in state:
        return [f"Taken out while turned {'on' if state.get('enabled') else 'off'}"]
    if "role" in state:
        return [f"Is no longer a member; was {state['role']}"]
    if ("kind" in state and "environment" in state) or "scopes" in state:
        return ["Revoked"]
    return ["Removed"]


def _keys_of(state: Mapping[str, Any]) -> str:
    return listed([variation.get("key") for variation in state.get("variations") or []])


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The members that differ, those with a place in the order of MEMBERS first."""
    members = [*MEMBERS, *sorted((before.keys() | after.keys()) - MEMBERS.keys())]
    return [
        member
        for member in members
        if (member in before) != (member in after)
        or not same(before.get(member), after.get(member))
    ]


def member_changed(
    member: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Sequence[str]:
    old, new = before.get(member), after.get(member)
    said = list(MEMBERS[member](old, new)) if member in MEMBERS else []
    return said or [replaced(member.replace("_", " ").capitalize(), old, new)]


def _statement(when_true: str, when_false: str) -> Callable[[Any, Any], list[str]]:
    def said(old: Any, new: Any) -> list[str]:
        return [when_true if new else when_false] if bool(new) != bool(old) else []

    return said


def _text_changed(what: str) -> Callable[[Any, Any], list[str]]:
    def said(old: Any, new: Any) -> list[str]:
        if not old:
            return [f"{what} was set to {quoted(new)}"]
        if not new:
            return [f"{what} {quoted(old)} was taken away"]
        return [f"{what} changed from {quoted(old)} to {quoted(new)}"]

    return said


def _tags_changed(old: Any, new: Any) -> list[str]:
    old, new = old or [], new or []
    return [
        *(f"Tag {written(tag)} was added" for tag in new if tag not in old),
        *(f"Tag {written(tag)} was taken away" for tag in old if tag not in new),
    ]


def _owner_changed(old: Any, new: Any) -> list[str]:
    # Events hold the account's number and no name, so that a person can be forgotten.
    if old is None:
        return ["An owner was set"]
    return ["Has no owner any more" if new is None else "The owner changed"]


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
        f"Variation {written(key)} was added with the value {written(after[key].get('value'))}"
        for key in after
        if key not in before
    ]
    said += [f"Variation {written(key)} was removed" for key in before if key not in after]
    for key in after:
        if key in before:
            said += _variation_changed(written(key), before[key], after[key])
    return said + reordered("the variations", list(before), list(after))


def _variation_changed(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for member in sorted((old.keys() | new.keys()) - {"key"}):
        if (member in old) != (member in new) or not same(old.get(member), new.get(member)):
            what = member[:1].upper() + member[1:]
            yield replaced(f"{what} of variation {key}", old.get(member), new.get(member))


def _when_changed(old: Any, new: Any) -> list[str]:
    if old is None:
        return [f"Now holds contexts where {condition_in_words(new)}"]
    if new is None:
        return [f"No longer holds contexts where {condition_in_words(old)}"]
    return condition_changed("Condition", old, new)


def _state_changed(old: Any, new: Any) -> list[str]:
    return [f"Is {spaced(new)}" + (f"; was {spaced(old)}" if old else "")]


def _armed_changed(old: Any, new: Any) -> list[str]:
    return _statement("Is applied by itself once approved", "Waits for somebody to apply it")(
        old, new
    )


def _schedule_changed(old: Any, new: Any) -> list[str]:
    if new is None:
        return ["Has no time set any more"]
    instead = f" instead of {instant_in_words(old)}" if old else ""
    return [f"Is set for {instant_in_words(new)}{instead}"]


def _outcome_changed(old: Any, new: Any) -> list[str]:
    return [f"Why: {new}"] if new else [f"No longer: {old}"]


def _changes_changed(old: Any, new: Any) -> list[str]:
    """Of a request: the kinds of what it holds."""
    if not isinstance(new, list) or not all(isinstance(kind, str) for kind in new):
        return []
    held = listed([kind.replace("_", " ").replace(".", " ") for kind in new]) or "nothing"
    return [f"Holds now: {held}"]


def _bypass_changed(old: Any, new: Any) -> list[str]:
    return [f"Without approval: {quoted(new)}"] if new else []


def _policies_changed(old: Any, new: Any) -> list[str]:
    return ["The policies as they then were are in the JSON"] if new else []


def _members_changed(old: Any, new: Any) -> list[str]:
    """Of a team. Events hold the accounts' ids and no names, so that a person can be forgotten."""
    joined, left = (
        len(set(one or []) - set(other or [])) for one, other in ((new, old), (old, new))
    )
    return [
        f"{number} {'person' if number == 1 else 'people'} {verb}"
        for number, verb in ((joined, "joined"), (left, "left"))
        if number
    ]


def _steps_changed(old: Any, new: Any) -> list[str]:
    """Of a template of ramps."""
    return [f"Its steps are {steps_in_words(new)}; before {steps_in_words(old or [])}"]


def _approval_changed(old: Any, new: Any) -> list[str]:
    return _statement("Changes now require approval", "Changes no longer require approval")(
        old, new
    )


MEMBERS: dict[str, Callable[[Any, Any], Sequence[str]]] = {
    "enabled": _statement("Turned on", "Turned off"),
    "is_archived": _statement("Archived", "Restored from the archive"),
    "prerequisites": prerequisites_changed,
    "targets": targets_changed,
    "rules": rules_changed,
    "fallthrough": fallthrough_changed,
    "off_variation": off_variation_changed,
    "when": _when_changed,
    "included": listed_ids_changed("included"),
    "excluded": listed_ids_changed("excluded"),
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
    "members": _members_changed,
    "environments": _exceptions_changed,
    "title": _text_changed("Title"),
    "state": _state_changed,
    "outcome": _outcome_changed,
    "armed": _armed_changed,
    "apply_at": _schedule_changed,
    "changes": _changes_changed,
    "bypass": _bypass_changed,
    "policies": _policies_changed,
    "requires_approval": _approval_changed,
    "approvals": approvals_changed,
    "from_whom": from_whom_changed,
    "minimum_role": minimum_role_changed,
    "exclude_contributors": _statement(
        "Whoever edited a request may no longer approve it",
        "Whoever edited a request may approve it too",
    ),
    "tokens_may_review": _statement(
        "Verdicts given with an API token count now",
        "Verdicts given with an API token no longer count",
    ),
    "conditions": conditions_changed,
    "windows": windows_changed,
    "freezes": freezes_changed,
    "time_zone": time_zone_changed,
    "expires_after_days": expiry_changed,
    "steps": _steps_changed,
    "is_active": _statement("The account may sign in", "The account may no longer sign in"),
    "is_superuser": _statement("Became a site administrator", "Is no longer a site administrator"),
}

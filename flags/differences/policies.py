"""A policy in words: who approves, what asks for it, and when it may be applied."""

from collections.abc import Mapping, Sequence
from typing import Any

from flags.differences.wording import counted, instant_in_words, listed, with_article

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
FIELD_NAMES = {
    "enabled": "the switch",
    "off_variation": "the off variation",
    "prerequisites": "prerequisites",
    "targets": "individual targets",
    "rules": "rules",
    "fallthrough": "what everyone else is served",
    "variations": "variations",
    "client_visible": "visibility to client keys",
    "when": "the condition of a segment",
    "add": "ids added to a segment",
    "remove": "ids taken from a segment",
}


def is_policy(state: Mapping[str, Any]) -> bool:
    return state.keys() >= {"minimum_role", "windows", "freezes"}


def policy_in_words(state: Mapping[str, Any]) -> list[str]:
    """The whole of a policy; what it leaves open is not mentioned."""
    return [
        f"Asks for {counted(state['approvals'], 'approval')} by {with_article(state['minimum_role'])} or above",
        *from_whom_changed([], state["from_whom"]),
        *conditions_changed(None, state["conditions"]),
        *([_hours(state)] if state["windows"] else []),
        *freezes_changed([], state["freezes"]),
        f"A request expires after {counted(state['expires_after_days'], 'day')}",
    ]


def hours_in_words(windows: Sequence[Mapping[str, Any]]) -> str:
    """As `Mon–Fri 09:00–17:00, Sat 10:00–12:00`."""
    return ", ".join(f"{days_in_words(row['days'])} {row['from']}–{row['to']}" for row in windows)


def days_in_words(days: Sequence[int]) -> str:
    """As `Mon–Fri`, or `Mon, Wed` where they do not follow each other."""
    days = sorted(set(days))
    follow = days == list(range(days[0], days[0] + len(days)))
    if follow and len(days) > 2:
        return f"{DAYS[days[0]]}–{DAYS[days[-1]]}"
    return ", ".join(DAYS[day] for day in days)


def approvals_changed(old: Any, new: Any) -> list[str]:
    return [f"Asks for {counted(new, 'approval')} instead of {old}"]


def minimum_role_changed(old: Any, new: Any) -> list[str]:
    return [f"An approval counts from {new} up instead of {old}"]


def from_whom_changed(old: Any, new: Any) -> list[str]:
    before, after = _by_whom(old), _by_whom(new)
    said = []
    for whom, approvals in after.items():
        if whom not in before:
            said.append(f"Among them {approvals} {whom}")
        elif before[whom] != approvals:
            said.append(f"Among them {approvals} {whom} instead of {before[whom]}")
    return said + [
        f"No longer asks for {before[whom]} {whom}" for whom in before if whom not in after
    ]


def conditions_changed(old: Any, new: Any) -> list[str]:
    if new:
        cases = "; or when ".join(_condition(row) for row in new)
        return [f"Asks for approval only when {cases}"]
    return ["Asks for approval of every change"]


def windows_changed(old: Any, new: Any) -> list[str]:
    before, then = (hours_in_words(rows or []) or "at every hour" for rows in (old, new))
    return [f"Changes may be applied {then}; before {before}"]


def freezes_changed(old: Any, new: Any) -> list[str]:
    before, after = old or [], new or []
    return [
        *(f"Frozen {_freeze(row)}" for row in after if row not in before),
        *(f"No longer frozen {_freeze(row)}" for row in before if row not in after),
    ]


def time_zone_changed(old: Any, new: Any) -> list[str]:
    return [f"Its hours are those of {new} instead of {old}"]


def expiry_changed(old: Any, new: Any) -> list[str]:
    return [f"A request expires after {counted(new, 'day')} instead of {old}"]


def _hours(state: Mapping[str, Any]) -> str:
    return f"Changes may be applied {hours_in_words(state['windows'])} ({state['time_zone']})"


def _by_whom(rows: Any) -> dict[str, int]:
    return {
        f"of team {row['team']}" if "team" in row else f"by {row['person']}": row.get(
            "approvals", 1
        )
        for row in rows or []
    }


def _condition(row: Mapping[str, Any]) -> str:
    match row["kind"]:
        case "fields":
            named = [FIELD_NAMES.get(name, name) for name in row["fields"]]
            return f"{listed(named, last='or')} would change"
        case "rollout_grows":
            return f"a share grows by more than {row['points']:g} points"
        case "tagged":
            return f"a flag tagged {listed(row['tags'], last='or')} is reached"
        case _:
            return "a segment would change"


def _freeze(row: Mapping[str, Any]) -> str:
    why = f": {row['why']}" if row.get("why") else ""
    return f"from {instant_in_words(row['from'])} to {instant_in_words(row['to'])}{why}"

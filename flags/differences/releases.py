"""Ramps and leases in words: what a plan is, and what became of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from flags.differences.wording import counted, instant_in_words

SPANS = (("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
# What is said when a ramp or a lease came to a state.
BECAME = {
    "running": "Goes on",
    "paused": "Paused",
    "awaiting_approval": "Waits for approval of its next step",
    "held": "Stopped until somebody decides",
    "finished": "Finished",
    "rolled_back": "Rolled back: what was served before is served again",
    "stopped": "Stopped where it is",
    "ended": "Ended: what it changed goes back",
    "kept": "Stays for good",
}


def speaks_of_release(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> bool:
    """Whether these are facts of a ramp or a lease."""
    facts = after or before or {}
    return facts.keys() >= {"number", "state"} and isinstance(facts.get("plan"), Mapping)


def sentences_of_release(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> list[str]:
    """What is planned, of one that begins; else what became of it."""
    if after is None:
        return ["Removed"]
    if before is None:
        plan = after["plan"]
        return _ramp_planned(plan) if "steps" in plan else [_end(plan["ends"], after)]
    return [*_became(before, after), *_moved(before, after)]


def span_in_words(seconds: int) -> str:
    """As `2 days`, `1 hour`, `90 minutes`: in the largest unit that says it whole."""
    unit, size = next(row for row in SPANS if seconds % row[1] == 0)
    return counted(seconds // size, unit)


def steps_in_words(steps: Sequence[Mapping[str, Any]]) -> str:
    """As `1 % for 1 hour → 5 % until approved → 100 %`."""
    return " → ".join(_step(step) for step in steps)


def _ramp_planned(plan: Mapping[str, Any]) -> list[str]:
    steps = steps_in_words(plan["steps"])
    return [
        f"{plan['variation']} grows for {_place(plan['place'])} at the cost of {plan['base']}: {steps}",
        "Approval covers each of these steps, and serving again what was served before",
    ]


def _step(step: Mapping[str, Any]) -> str:
    share, hold = f"{step['share'] / 1000:g} %", step.get("hold")
    if not hold:
        return share
    if "approval" in hold:
        return f"{share} until approved"
    return f"{share} for {span_in_words(hold['seconds'])}"


def _place(place: str) -> str:
    return "everyone else" if place == "fallthrough" else f"rule {place}"


def _end(ends: Any, after: Mapping[str, Any]) -> str:
    if isinstance(ends, Mapping):
        return f"Made for {span_in_words(ends['seconds'])}, then taken back"
    return f"Made until {instant_in_words(after['ends_at'])}, then taken back"


def lent_in_words(effect: Mapping[str, Any]) -> str | None:
    """Of what a lease changed, that it did: `For 2 hours, as lease #3`; None of anything else."""
    after = effect["after"]
    match effect["kind"]:
        case "lease.granted":
            ends = after["plan"]["ends"]
            span = (
                f"For {span_in_words(ends['seconds'])}"
                if isinstance(ends, Mapping)
                else f"Until {instant_in_words(after['ends_at'])}"
            )
            return f"{span}, as lease #{after['number']}"
        case "lease.ended":
            return f"Back, at the end of lease #{after['number']}"
    return None


def _became(before: Mapping[str, Any], after: Mapping[str, Any]) -> Sequence[str]:
    said = []
    if before["state"] != after["state"]:
        why = f": {after['why']}" if after["why"] else ""
        said.append(BECAME[after["state"]] + why)
    if after.get("step", 0) > before.get("step", 0):
        said.append(f"Taken from {before['share'] / 1000:g} % to {after['share'] / 1000:g} %")
    if "approved_step" in after:
        said.append(f"Its step {after['approved_step'] + 1} was approved by one person more")
    return said


def _moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> Sequence[str]:
    if before.get("ends_at") == after.get("ends_at"):
        return []
    return [
        f"Ends at {instant_in_words(after['ends_at'])} instead of {instant_in_words(before['ends_at'])}",
    ]

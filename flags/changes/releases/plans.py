"""What a ramp plans: its steps, and the split that each of them leaves.

Buckets of a split lie in the order of its shares, so a share at an end grows without anybody
leaving it: with the same salt, subjects only ever join.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from flagengine import Problem
from flags.errors import Invalid
from flags.models import FlagConfiguration, RampState

EVERYBODY = 100_000  # thousandths of a percent
FALLTHROUGH = "fallthrough"
MOST_STEPS = 50
LONGEST_HOLD_SECONDS = 366 * 24 * 60 * 60
DEFAULT_STEPS: list[dict[str, Any]] = [
    *({"share": share, "hold": {"seconds": 24 * 60 * 60}} for share in (1_000, 5_000, 25_000, 50_000)),
    {"share": EVERYBODY},
]  # fmt: skip

Serve = dict[str, Any]


def checked_steps(steps: Sequence[Any]) -> list[dict[str, Any]]:
    """The steps as they are stored; raises Invalid with the place of each fault."""
    if not 2 <= len(steps) <= MOST_STEPS:
        raise Invalid.at("steps", f"expected 2 to {MOST_STEPS} steps, got {len(steps)}")
    problems: list[Problem] = []
    before = 0
    for index, step in enumerate(steps):
        where = f"steps[{index}]"
        if not isinstance(step, dict) or step.keys() - {"share", "hold"}:
            problems.append(Problem(where, "expected a share and a hold"))
            continue
        share = step.get("share")
        if type(share) is not int or not before < share <= EVERYBODY:
            problems.append(
                Problem(
                    f"{where}.share",
                    f"expected a whole number of thousandths of a percent, more than {before} "
                    f"and at most {EVERYBODY}, got {share!r}",
                )
            )
        else:
            before = share
        problems += _problems_in_hold(step, where, is_last=index == len(steps) - 1)
    if problems:
        raise Invalid(problems)
    return [dict(step) for step in steps]


def _problems_in_hold(step: Mapping[str, Any], where: str, *, is_last: bool) -> list[Problem]:
    if is_last:
        there = step.get("hold") is not None
        return [Problem(f"{where}.hold", "nothing follows the last step")] if there else []
    match step.get("hold"):
        case {"approval": True, **rest} if not rest:
            return []
        case {"seconds": int() as seconds, **rest} if not rest and type(seconds) is int:
            if 1 <= seconds <= LONGEST_HOLD_SECONDS:
                return []
            return [
                Problem(
                    f"{where}.hold.seconds", f"expected 1 to {LONGEST_HOLD_SECONDS}, got {seconds}"
                )
            ]
        case other:
            return [
                Problem(
                    f"{where}.hold",
                    f'expected {{"seconds": n}} or {{"approval": true}}, got {other!r}',
                )
            ]


def waits_for_approval(step: Mapping[str, Any]) -> bool:
    return "approval" in (step.get("hold") or {})


def hold_of(step: Mapping[str, Any]) -> timedelta:
    """How long the step holds; nothing for one that waits for approval, or the last."""
    return timedelta(seconds=(step.get("hold") or {}).get("seconds", 0))


def following(
    steps: Sequence[Mapping[str, Any]], step: int, due: datetime, now: datetime
) -> tuple[int, RampState, datetime | None]:
    """Where a ramp is at `now` whose step has held until `due`: step, state, when the next is due.

    Steps that are overdue fold into one, up to one that waits for approval; due times follow from
    the plan, so a late clock delays nothing after it.
    """
    while True:
        step += 1
        if step == len(steps) - 1:
            return step, RampState.FINISHED, None
        if waits_for_approval(steps[step]):
            return step, RampState.AWAITING_APPROVAL, None
        due += hold_of(steps[step])
        if due > now:
            return step, RampState.RUNNING, due


def served_at(configuration: FlagConfiguration, place: str) -> Serve | None:
    """What is served at a place; None for a rule that is not there."""
    if place == FALLTHROUGH:
        serve: Serve = configuration.fallthrough
        return serve
    return next((rule["serve"] for rule in configuration.rules if rule["id"] == place), None)


def serve_at(configuration: FlagConfiguration, place: str, serve: Serve) -> None:
    """Serve this at the place; the row is for the caller to save."""
    if place == FALLTHROUGH:
        configuration.fallthrough = serve
    else:
        configuration.rules = [
            {**rule, "serve": serve} if rule["id"] == place else rule
            for rule in configuration.rules
        ]


def base_of(serve: Serve, variation: str) -> str | None:
    """At whose cost the variation grows where that is plain to see; None where it is not."""
    if "variation" in serve:
        only: str = serve["variation"]
        return only
    others = [key for key, _ in serve["split"]["shares"] if key != variation]
    return others[0] if len(others) == 1 else None


def with_share(
    serve: Serve, *, variation: str, base: str, share: int, by: str, salt: str | None = None
) -> Serve:
    """The split in which the variation has this share, and the base all others.

    What was served plainly becomes a split, by `by`, with this salt or one of its own. Raises
    Invalid where subjects could not only join: other variations, a part served nothing, a share
    that would shrink.
    """
    if serve.get("variation") == variation:
        raise Invalid.at("variation", f"{variation} is served to everybody here already")
    if variation == base:
        raise Invalid.at("base", f"expected another variation than {variation}, which is to grow")
    if "split" not in serve:
        if serve["variation"] != base:
            raise Invalid.at(
                "base", f"expected {serve['variation']}, which is served here, got {base}"
            )
        salt = secrets.token_hex(8) if salt is None else salt
        return _split(by, salt, [(variation, share), (base, EVERYBODY - share)])
    split = serve["split"]
    shares = [(key, part) for key, part in split["shares"]]
    keys = [key for key, _ in shares]
    if len(set(keys)) != len(keys) or not set(keys) <= {variation, base}:
        raise Invalid.at(
            "place",
            f"expected a split of {variation} and {base} alone, got {', '.join(keys)}; between "
            "others, subjects would leave what they are served",
        )
    if sum(part for _, part in shares) != EVERYBODY:
        raise Invalid.at("place", "expected a split whose shares add up to 100 %")
    there = dict(shares).get(variation, 0)
    if share < there:
        raise Invalid.at(
            "steps",
            f"{variation} has {there / 1000:g} % here already; a first step of {share / 1000:g} % "
            "would take it from subjects who have it",
        )
    parts = [(variation, share), (base, EVERYBODY - share)]
    if keys[0] == base and len(keys) == 2:
        parts.reverse()
    return _split(split.get("by", "targetingKey"), split["salt"], parts)


def _split(by: str, salt: str, parts: Sequence[tuple[str, int]]) -> Serve:
    shares = [[key, part] for key, part in parts if part]
    return {"split": {"by": by, "salt": salt, "shares": shares}}

"""One moment of the demo, its people and places, and the words its parts are written in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flags.changes import (
    Change,
    ConfigureFlag,
    SwitchFlag,
)

PROJECT = "demo"
PEOPLE = {
    "product-manager": "editor",
    "engineer": "editor",
    "release-manager": "admin",
    "reviewer": "reviewer",
    "auditor": "viewer",
}
ENVIRONMENTS = ("development", "staging", "production")


@dataclass(frozen=True)
class Moment:
    """What one person (None: the operator) submitted, how long before now, and why."""

    ago: timedelta
    who: str | None
    reason: str
    changes: Sequence[Change]


def leaf(attribute: str, op: str, *values: Any) -> dict[str, Any]:
    return {"attribute": attribute, "op": op, "values": list(values)}


def values_of(**values: Any) -> list[dict[str, Any]]:
    return [
        {"key": key.replace("_", "-"), "value": value, "name": key.replace("_", " ").capitalize()}
        for key, value in values.items()
    ]


def switched(days: float, who: str, reason: str, flag: str, on: bool, *environments: str) -> Moment:
    return Moment(
        timedelta(days=days),
        who,
        reason,
        [
            SwitchFlag(project=PROJECT, environment=environment, flag=flag, on=on)
            for environment in environments
        ],
    )


def configured(
    days: float, who: str, reason: str, flag: str, *environments: str, **parts: Any
) -> Moment:
    return Moment(
        timedelta(days=days),
        who,
        reason,
        [
            ConfigureFlag(project=PROJECT, environment=environment, flag=flag, **parts)
            for environment in environments
        ],
    )


def split(salt: str, **shares: float) -> dict[str, Any]:
    """A split over percentages; the salt is fixed so that every demo buckets alike."""
    return {
        "split": {
            "by": "targetingKey",
            "salt": salt,
            "shares": [[key, round(percent * 1000)] for key, percent in shares.items()],
        }
    }


def rule(id_: str, name: str, when: dict[str, Any], serve: dict[str, Any]) -> dict[str, Any]:
    return {"id": id_, "name": name, "when": when, "serve": serve}

"""The five workloads, as rulesets of our own; contenders translate them.

W1 a boolean flag without rules · W2 five rules of two conditions (equals, in a list of 20, semver,
prefix, number), the last one matches · W3 a three-way split over 1,000 different keys · W4 a
segment of three conditions with 10,000 included ids, matched by condition · W5 all of 200 mixed
flags for one context.
"""

from dataclasses import dataclass
from typing import Any

COUNTRIES = [f"C{number}" for number in range(19)] + ["DE"]
PERSON = {
    "targetingKey": "user-1",
    "country": "DE",
    "plan": "pro",
    "version": "2.3.4",
    "age": 33,
    "email": "jane@example.org",
}
SEGMENT_IDS = [f"member-{number}" for number in range(10_000)]


def leaf(attribute: str, op: str, *values: object) -> dict[str, Any]:
    return {"attribute": attribute, "op": op, "values": list(values)}


# Of each pair the first holds for PERSON and the second does not, but for the last rule.
RULES = [
    (leaf("country", "in", *COUNTRIES), leaf("plan", "in", "enterprise")),
    (leaf("plan", "in", "pro"), leaf("version", "semver_gte", "9.0.0")),
    (leaf("country", "in", "DE"), leaf("email", "starts_with", "admin@")),
    (leaf("plan", "in", "pro"), leaf("age", "gt", 65)),
    (leaf("country", "in", *COUNTRIES), leaf("version", "semver_gte", "2.1.0")),
]
SEGMENT = [leaf("plan", "in", "pro"), leaf("age", "gte", 18), leaf("country", "in", "DE", "FR")]
SHARES = [("a", 33_333), ("b", 33_333), ("c", 33_334)]


@dataclass(frozen=True)
class Workload:
    """Flags to evaluate for contexts, and what must come out."""

    name: str
    flags: list[str]
    contexts: list[dict[str, object]]
    evaluates_all: bool = False


def _flag(key: str, **members: object) -> dict[str, Any]:
    return {
        "key": key,
        "type": "boolean",
        "version": 1,
        "variations": [{"key": "on", "value": True}, {"key": "off", "value": False}],
        "enabled": True,
        "off_variation": "off",
        "prerequisites": [],
        "targets": [],
        "rules": [],
        "fallthrough": {"variation": "off"},
        "client_visible": True,
        **members,
    }


def flag_of_kind(kind: int, key: str) -> dict[str, Any]:
    """A flag as W1, W2, W3 or W4 needs it, by its number."""
    if kind == 1:
        return _flag(key, fallthrough={"variation": "on"})
    if kind == 2:
        rules = [
            {"id": f"r{number}", "when": {"all": list(pair)}, "serve": {"variation": "on"}}
            for number, pair in enumerate(RULES)
        ]
        return _flag(key, rules=rules)
    if kind == 3:
        return _flag(
            key,
            type="string",
            variations=[{"key": name, "value": name} for name, _ in SHARES],
            off_variation="a",
            fallthrough={"split": {"salt": key, "shares": [list(share) for share in SHARES]}},
        )
    rule = {"id": "r0", "when": {"segment": "members"}, "serve": {"variation": "on"}}
    return _flag(key, rules=[rule])


def document() -> dict[str, Any]:
    """The ruleset of all workloads."""
    flags = [flag_of_kind(kind, f"w{kind}") for kind in (1, 2, 3, 4)]
    mixed = [flag_of_kind(number % 4 + 1, f"mixed-{number}") for number in range(200)]
    segment = {
        "key": "members",
        "included": [{"by": "targetingKey", "keys": SEGMENT_IDS}],
        "excluded": [],
        "when": {"all": SEGMENT},
    }
    return {
        "environment": "bench",
        "version": 1,
        "digest": "0",
        "flags": {flag["key"]: flag for flag in flags + mixed},
        "segments": {"members": segment},
    }


MIXED = [f"mixed-{number}" for number in range(200)]
WORKLOADS = [
    Workload("W1", ["w1"], [PERSON]),
    Workload("W2", ["w2"], [PERSON]),
    Workload("W3", ["w3"], [{**PERSON, "targetingKey": f"user-{n}"} for n in range(1000)]),
    Workload("W4", ["w4"], [PERSON]),
    Workload("W5", MIXED, [PERSON], evaluates_all=True),
]


def is_split(flag_key: str) -> bool:
    return flag_key == "w3" or (flag_key.startswith("mixed-") and int(flag_key[6:]) % 4 == 2)

"""From saved rows to effects on rulesets: the same steps for every change that alters a flag."""

import json
from collections.abc import Sequence
from typing import Any

from audit.facts import Effect
from flagengine import Problem, problems_in_flag
from flags.changes.base import Scope
from flags.changes.schemas import problems_by_schema
from flags.errors import Invalid
from flags.models import Flag, FlagConfiguration
from flags.snapshots import Entry, flag_entry, typed


def entries_of(flag: Flag, configurations: Sequence[FlagConfiguration]) -> dict[str, Entry]:
    """Environment key → the flag's entry in that ruleset, before a change touches anything."""
    return {
        configuration.environment.key: flag_entry(flag, configuration)
        for configuration in configurations
    }


def settle(
    scope: Scope,
    kind: str,
    flag: Flag,
    configurations: Sequence[FlagConfiguration],
    before: dict[str, Entry],
) -> list[Effect]:
    """Save each configuration whose entry is another one now, with its version grown by one.

    Refuses an entry that breaks the contract. A configuration whose entry is what it was is not
    written and has no effect.
    """
    effects = []
    for configuration in configurations:
        environment = configuration.environment.key
        old = before[environment]
        new = flag_entry(flag, configuration)
        if same(new, old):
            continue
        if problems := problems_in_flag(new):
            raise Invalid(problems)
        configuration.version += 1
        configuration.changed_at = scope.now
        scope.save(
            configuration,
            "version",
            "enabled",
            "off_variation",
            "prerequisites",
            "targets",
            "rules",
            "fallthrough",
            "changed_at",
        )
        after = flag_entry(flag, configuration)
        effects.append(flag_effect(kind, environment, flag, old, after))
    return effects


def same(new: Any, old: Any) -> bool:
    """Whether a ruleset would be written alike: 1, 1.0 and true differ, the order of members is nothing."""
    return json.dumps(new, sort_keys=True) == json.dumps(old, sort_keys=True)


def flag_effect(
    kind: str, environment: str, flag: Flag, before: Entry | None, after: Entry | None
) -> Effect:
    return Effect(
        kind=kind,
        subject=f"flag:{flag.key}",
        before=before,
        after=after,
        environment=environment,
        delta=({"kind": "flag", "key": flag.key, "value": after},),
    )


def checked_variations(
    variations: Sequence[dict[str, Any]], type_: str, json_schema: Any
) -> list[dict[str, Any]]:
    """The variations as they are stored; raises Invalid with the place of each fault.

    The engine judges keys and values, here already: a project that has no environment yet has no
    ruleset in which it could. What a ruleset does not carry comes beside: names, the JSON Schema.
    """
    problems: list[Problem] = []
    for index, variation in enumerate(variations):
        where = f"variations[{index}]"
        if not isinstance(variation, dict):
            problems.append(Problem(where, f"expected an object, got {type(variation).__name__}"))
            continue
        problems += [
            Problem(f"{where}.{member}", "is not a member of a variation")
            for member in sorted(variation.keys() - {"key", "value", "name", "description"})
        ]
        problems += [
            Problem(f"{where}.{member}", "is missing")
            for member in ("key", "value")
            if member not in variation
        ]
        problems += [
            Problem(f"{where}.{member}", "expected text")
            for member in ("name", "description")
            if not isinstance(variation.get(member, ""), str)
        ]
    problems = problems or _problems_by_type(variations, type_)
    if json_schema is not None and not problems:
        problems += problems_by_schema(variations, type_, json_schema)
    if problems:
        raise Invalid(problems)
    return [{**variation, "value": typed(variation["value"], type_)} for variation in variations]


def _problems_by_type(variations: Sequence[dict[str, Any]], type_: str) -> list[Problem]:
    served = [{"key": row["key"], "value": typed(row["value"], type_)} for row in variations]
    flag = {
        "key": "flag",
        "type": type_,
        "version": 1,
        "variations": served,
        "enabled": False,
        "off_variation": None,
        "prerequisites": [],
        "targets": [],
        "rules": [],
        "fallthrough": {"split": {"by": "targetingKey", "salt": "0", "shares": []}},
        "client_visible": False,
    }
    return [row for row in problems_in_flag(flag) if row.path.startswith("variations")]

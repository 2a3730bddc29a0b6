"""That rulesets hold together after a submit: what is named exists, and nothing goes in circles.

Judged once, when all changes of a submit have been performed, so their order among themselves does
not matter; and from their effects, so that no kind of change can forget it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from audit.facts import Effect
from flagengine import Problem
from flags.changes.base import Scope
from flags.errors import InUse, Invalid
from flags.models import Environment, Flag, FlagConfiguration, Segment, SegmentDefinition
from flags.queries.releases import ramp_under_way
from flags.queries.usage import flags_requiring, flags_using_segment, segments_using_segment


def check(scope: Scope, effects: Sequence[Effect]) -> None:
    """Raises Invalid for a reference to nothing or a circle, InUse for removing what is needed."""
    for key, environment in scope.environments.items():
        altered = [effect for effect in effects if effect.environment == key]
        if altered:
            _refuse_removing_what_is_needed(environment, altered)
            problems = [*_problems(scope, environment, altered)]
            if problems:
                raise Invalid(problems)


def segments_named(when: Any) -> Iterator[str]:
    """Keys of the segments that a condition refers to."""
    if isinstance(when, dict):
        if isinstance(when.get("segment"), str):
            yield when["segment"]
        for part in (*_listed(when.get("all")), *_listed(when.get("any")), when.get("not")):
            yield from segments_named(part)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _refuse_removing_what_is_needed(environment: Environment, effects: Sequence[Effect]) -> None:
    for effect in effects:
        kind, _, key = effect.subject.partition(":")
        if effect.after is not None:
            if kind == "flag":
                _refuse_removing_required_variations(environment, key, effect)
            continue
        if kind == "flag" and (ramp := ramp_under_way(environment, key)):
            raise InUse(
                f"flag {key} is ramping in {environment.key}; roll ramp {ramp.number} back, or stop it"
            )
        if kind == "flag" and (users := flags_requiring(environment, key)):
            raise InUse(f"flag {key} is a prerequisite of {_some(users)} in {environment.key}")
        if kind == "segment":
            users = flags_using_segment(environment, key) + segments_using_segment(environment, key)
            if users:
                raise InUse(f"segment {key} is used by {_some(users)} in {environment.key}")


def _refuse_removing_required_variations(
    environment: Environment, key: str, effect: Effect
) -> None:
    before, after = (
        {variation["key"] for variation in (entry or {}).get("variations", ())}
        for entry in (effect.before, effect.after)
    )
    for variation in sorted(before - after):
        if users := flags_requiring(environment, key, variation):
            raise InUse(
                f"variation {variation} of flag {key} is required by {_some(users)} in {environment.key}"
            )


def _problems(
    scope: Scope, environment: Environment, effects: Sequence[Effect]
) -> Iterator[Problem]:
    entries = {effect.subject: effect.after for effect in effects if isinstance(effect.after, dict)}
    flags = {s.partition(":")[2]: e for s, e in entries.items() if s.startswith("flag:")}
    segments = {s.partition(":")[2]: e for s, e in entries.items() if s.startswith("segment:")}
    yield from _missing_prerequisites(scope, flags)
    yield from _missing_segments(scope, flags, segments)
    if any(entry.get("prerequisites") for entry in flags.values()):
        graph = {
            key: [row["flag"] for row in prerequisites]
            for key, prerequisites in FlagConfiguration.objects.filter(
                environment=environment, flag__archived_at=None
            )
            .exclude(prerequisites=[])
            .values_list("flag__key", "prerequisites")
        }
        yield from _circles(graph, flags, "prerequisites")
    if any("when" in entry for entry in segments.values()):
        graph = {
            key: list(segments_named(when))
            for key, when in SegmentDefinition.objects.filter(
                environment=environment, when__isnull=False
            ).values_list("segment__key", "when")
        }
        yield from _circles(graph, segments, "when")


def _missing_prerequisites(scope: Scope, flags: dict[str, Any]) -> Iterator[Problem]:
    wanted = {
        row["flag"]: None for entry in flags.values() for row in entry.get("prerequisites", [])
    }
    if not wanted:
        return
    there = {
        flag.key: {variation["key"] for variation in flag.variations}
        for flag in Flag.objects.filter(project=scope.project, key__in=wanted, archived_at=None)
    }
    for entry in flags.values():
        for index, row in enumerate(entry["prerequisites"]):
            where = f"prerequisites[{index}]"
            if row["flag"] not in there:
                yield Problem(f"{where}.flag", f"there is no flag {row['flag']}")
                continue
            for number, variation in enumerate(row["variations"]):
                if variation not in there[row["flag"]]:
                    yield Problem(
                        f"{where}.variations[{number}]",
                        f"flag {row['flag']} has no variation {variation}",
                    )


def _missing_segments(
    scope: Scope, flags: dict[str, Any], segments: dict[str, Any]
) -> Iterator[Problem]:
    named = [
        (f"rules[{index}].when", segment)
        for entry in flags.values()
        for index, rule in enumerate(entry.get("rules", []))
        for segment in segments_named(rule.get("when"))
    ]
    named += [
        ("when", segment)
        for entry in segments.values()
        for segment in segments_named(entry.get("when"))
    ]
    if not named:
        return
    there = set(
        Segment.objects.filter(
            project=scope.project, key__in={segment for _, segment in named}
        ).values_list("key", flat=True)
    )
    for where, segment in named:
        if segment not in there:
            yield Problem(where, f"there is no segment {segment}")


def _circles(graph: dict[str, list[str]], starts: Iterable[str], where: str) -> Iterator[Problem]:
    for start in starts:
        if path := _way_back(graph, start):
            yield Problem(where, f"leads in a circle: {' → '.join(path)}")


def _way_back(graph: dict[str, list[str]], start: str) -> list[str] | None:
    """A path from `start` to itself, if there is one."""
    paths, seen = [[start]], set()
    while paths:
        path = paths.pop()
        for following in graph.get(path[-1], ()):
            if following == start:
                return [*path, start]
            if following not in seen:
                seen.add(following)
                paths.append([*path, following])
    return None


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"

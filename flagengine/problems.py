"""Why a definition may not be saved: everything evaluation.md asks of one."""

import math
from collections.abc import Callable, Iterable, Iterator

from .binding import references_in_order
from .context import DEEPEST
from .definitions import FlagDefinition, SegmentDefinition
from .errors import Problem
from .reading import Notes, Path, read_flag, read_id_lists, read_segment


def problems_in_flag(flag: object, *, where: str = "") -> list[Problem]:
    """What is wrong with a flag as a ruleset holds it, looked at alone."""
    notes = Notes(where)
    read_flag(flag, notes)
    _note_unstorable(flag, notes)
    return notes.broken + notes.odd


def problems_in_segment(segment: object, *, where: str = "") -> list[Problem]:
    """What is wrong with a segment as a ruleset holds it, looked at alone."""
    notes = Notes(where)
    read_segment(segment, notes)
    if isinstance(segment, dict):
        for name in ("included", "excluded"):
            read_id_lists(segment.get(name), (name,), notes)
    _note_unstorable(segment, notes)
    return notes.broken + notes.odd


def problems_in_ruleset(document: object) -> list[Problem]:
    """What is wrong with a ruleset: in every flag and segment, and between them."""
    notes = Notes()
    tables: list[dict[str, object]] = []
    for member in ("flags", "segments"):
        table = document.get(member) if isinstance(document, dict) else None
        if not isinstance(table, dict):
            notes.broke((member,), f"expected an object of {member} by key")
            table = {}
        tables.append(table)
    raw_flags, raw_segments = tables
    problems = notes.broken
    for key, raw in raw_flags.items():
        problems += problems_in_flag(raw, where=f"flags.{key}")
        problems += _misnamed(raw, key, where=f"flags.{key}")
    for key, raw in raw_segments.items():
        problems += problems_in_segment(raw, where=f"segments.{key}")
        problems += _misnamed(raw, key, where=f"segments.{key}")
    flags = {key: FlagDefinition(key, raw) for key, raw in raw_flags.items()}
    segments = {key: SegmentDefinition(key, raw) for key, raw in raw_segments.items()}
    problems += _problems_in_prerequisites(flags)
    for key, flag in flags.items():
        problems += _missing_segments(flag.segments, segments, where=f"flags.{key}")
    for key, segment in segments.items():
        problems += _missing_segments(segment.segments, segments, where=f"segments.{key}")
    problems += _cycles(
        flags, lambda key: flags[key].prerequisites, where="flags", what="prerequisites"
    )
    problems += _cycles(
        segments, lambda key: segments[key].segments, where="segments", what="segments"
    )
    return problems


def _misnamed(raw: object, key: str, *, where: str) -> list[Problem]:
    if isinstance(raw, dict) and raw.get("key") != key:
        return [Problem(f"{where}.key", f"expected {key!r}, the key it is filed under")]
    return []


def _problems_in_prerequisites(flags: dict[str, FlagDefinition]) -> Iterator[Problem]:
    for key, definition in flags.items():
        prerequisites = definition.flag.prerequisites if definition.flag is not None else ()
        for index, prerequisite in enumerate(prerequisites):
            where = f"flags.{key}.prerequisites[{index}]"
            if prerequisite.flag not in flags:
                yield Problem(f"{where}.flag", f"there is no flag {prerequisite.flag!r}")
                continue
            raw = flags[prerequisite.flag].flag
            known = _variations_of(flags[prerequisite.flag].raw)
            for place, variation in enumerate(prerequisite.variations):
                if raw is not None and variation not in known:
                    yield Problem(
                        f"{where}.variations[{place}]",
                        f"expected a variation of {prerequisite.flag!r} "
                        f"({', '.join(sorted(known))}), got {variation!r}",
                    )


def _variations_of(raw: object) -> set[str]:
    variations = raw.get("variations") if isinstance(raw, dict) else None
    return {variation["key"] for variation in variations or ()}


def _missing_segments(
    keys: Iterable[str], segments: dict[str, SegmentDefinition], *, where: str
) -> Iterator[Problem]:
    for key in keys:
        if key not in segments:
            yield Problem(where, f"there is no segment {key!r}")


def _cycles(
    table: Iterable[str],
    references_of: Callable[[str], Iterable[str]],
    *,
    where: str,
    what: str,
) -> Iterator[Problem]:
    """One problem for each cycle, under the first key of it."""
    known = set(table)
    told: set[str] = set()
    for key in table:
        if key in told:
            continue
        _, cycle = references_in_order(
            key, lambda name: [other for other in references_of(name) if other in known]
        )
        if cycle is not None and not told.intersection(cycle):
            told.update(cycle)
            yield Problem(f"{where}.{cycle[0]}", f"{what} lead into a cycle: {' → '.join(cycle)}")


def _note_unstorable(raw: object, notes: Notes) -> None:
    """Note what JSON or the database cannot hold, anywhere inside."""
    waiting: list[tuple[object, Path]] = [(raw, ())]
    while waiting:
        value, path = waiting.pop()
        if isinstance(value, str):
            if "\0" in value:
                notes.noted(path, "expected text without NUL")
            if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
                notes.noted(path, "expected text without lone surrogates")
        elif isinstance(value, float):
            if not math.isfinite(value):
                notes.noted(path, f"expected a finite number, got {value}")
        elif isinstance(value, dict | list):
            if len(path) >= DEEPEST:
                notes.noted(path, f"expected nesting of at most {DEEPEST}")
                continue
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            for name, item in inner:
                if not isinstance(name, str | int):
                    notes.noted(path, f"expected names that are texts, got {name!r}")
                    continue
                if isinstance(value, dict):
                    waiting.append((name, path))
                waiting.append((item, (*path, name)))
        elif value is not None and not isinstance(value, bool | int):
            notes.noted(path, f"expected JSON, got a {type(value).__name__}")

"""The flags and segments of a ruleset, read and compiled when first asked for.

A definition is immutable and shared by all rulesets that hold it: advancing a ruleset makes new
definitions for what changed and keeps the others with everything they have worked out so far.
"""

from collections.abc import Callable, Iterator
from typing import Any as Anything
from typing import Generic, TypeVar, overload

from .compiling import Piece, compile_flag, compile_segment, conditions_in
from .context import TARGETING_KEY
from .id_lists import IdList
from .reading import (
    NOW,
    Condition,
    Flag,
    InSegment,
    Leaf,
    Notes,
    Segment,
    Split,
    read_flag,
    read_id_lists,
    read_segment,
    whole_number,
)

IdLists = dict[str, IdList]  # by attribute

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801 - used as a decorator, as property is
    """A property worked out when first asked for.

    Unlike functools.cached_property of Python 3.11 it takes no lock, which a process forked at the
    wrong moment would inherit locked. Two threads may work out the same value; either will do.
    """

    def __init__(self, work_out: Callable[[Anything], T]) -> None:
        self.work_out = work_out
        self.name = work_out.__name__
        self.__doc__ = work_out.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "once[T]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> "once[T] | T":
        if instance is None:
            return self
        value = self.work_out(instance)
        # An entry in the instance comes before a descriptor without __set__: next time is direct.
        instance.__dict__[self.name] = value
        return value


class FlagDefinition:
    """One flag as its ruleset says it."""

    def __init__(self, key: str, raw: object) -> None:
        self.key = key
        self.raw = raw
        said = raw if isinstance(raw, dict) else {}
        flag_type = said.get("type")
        self.type: str | None = flag_type if isinstance(flag_type, str) else None
        self.client_visible: bool = said.get("client_visible") is True
        self.version: int | None = whole_number(said.get("version"))

    @once
    def _read(self) -> tuple[Flag | None, Notes]:
        notes = Notes()
        return read_flag(self.raw, notes), notes

    @property
    def flag(self) -> Flag | None:
        """What the flag says; None when it is broken."""
        return self._read[0]

    @property
    def fault(self) -> str | None:
        """What makes the flag unusable; None when nothing does."""
        flag, notes = self._read
        return None if flag is not None else str(notes.broken[0])

    @once
    def piece(self) -> Piece | None:
        return None if self.flag is None else compile_flag(self.flag)

    @once
    def prerequisites(self) -> tuple[str, ...]:
        if self.flag is None:
            return ()
        return tuple(prerequisite.flag for prerequisite in self.flag.prerequisites)

    @once
    def segments(self) -> tuple[str, ...]:
        return _segments_in(self._conditions())

    @once
    def flips(self) -> tuple[float, ...]:
        return _flips_in(self._conditions()) if _mentions_now(self.raw) else ()

    @once
    def needs_targeting_key(self) -> bool:
        """Whether a split of the flag itself hashes the targeting key."""
        if self.flag is None:
            return False
        serves = [rule.serve for rule in self.flag.rules] + [self.flag.fallthrough]
        return any(isinstance(serve, Split) and serve.by == TARGETING_KEY for serve in serves)

    def _conditions(self) -> Iterator[Condition]:
        for rule in self.flag.rules if self.flag is not None else ():
            yield from conditions_in(rule.when)


class SegmentDefinition:
    """One segment as its ruleset says it, with its id lists."""

    def __init__(self, key: str, raw: object, lists: dict[str, IdLists] | None = None) -> None:
        self.key = key
        self._raw = raw
        self._is_as_written = lists is None
        self._list_notes = Notes()
        if lists is None:
            # Here and not on first use: hashing a million ids must not meet an evaluation.
            said = raw if isinstance(raw, dict) else {}
            lists = {
                name: {
                    by: IdList(ids)
                    for by, ids in read_id_lists(said.get(name), (name,), self._list_notes).items()
                }
                for name in ("included", "excluded")
            }
        self.lists = lists

    def redefined(self, raw: dict[str, object]) -> "SegmentDefinition":
        """The segment with another definition and the same id lists."""
        return SegmentDefinition(self.key, raw, self.lists)

    def with_ids(
        self, name: str, by: str, *, add: list[str], remove: list[str]
    ) -> "SegmentDefinition":
        """The segment with ids added to and removed from one of its lists."""
        of_name = self.lists[name]
        if by == TARGETING_KEY:
            add = [each for each in add if each]  # an empty one counts as missing
        changed = of_name.get(by, IdList()).changed(add, remove)
        lists = {**self.lists, name: {**of_name, by: changed}}
        return SegmentDefinition(self.key, self._raw, lists)

    @once
    def raw(self) -> object:
        """The segment as JSON, with its ids in order."""
        if self._is_as_written or not isinstance(self._raw, dict):
            return self._raw
        written: dict[str, Anything] = {"key": self.key}
        for name in ("included", "excluded"):
            written[name] = [
                {"by": by, "keys": sorted(ids)}
                for by, ids in sorted(self.lists[name].items())
                if ids
            ]
        rest = {member: value for member, value in self._raw.items() if member not in written}
        return {**written, **rest}

    @once
    def _read(self) -> tuple[Segment | None, Notes]:
        notes = Notes()
        segment = read_segment(self._raw, notes)
        notes.broken.extend(self._list_notes.broken)
        return (None if notes.broken else segment), notes

    @property
    def segment(self) -> Segment | None:
        """What the segment says; None when it is broken."""
        return self._read[0]

    @property
    def fault(self) -> str | None:
        """What makes the segment unusable; None when nothing does."""
        segment, notes = self._read
        return None if segment is not None else str(notes.broken[0])

    @once
    def piece(self) -> Piece | None:
        if self.segment is None:
            return None
        return compile_segment(self.segment, self.lists["included"], self.lists["excluded"])

    @once
    def segments(self) -> tuple[str, ...]:
        return _segments_in(self._conditions())

    @once
    def flips(self) -> tuple[float, ...]:
        return _flips_in(self._conditions()) if _mentions_now(self._raw) else ()

    def _conditions(self) -> Iterator[Condition]:
        if self.segment is not None and self.segment.when is not None:
            yield from conditions_in(self.segment.when)


def _segments_in(conditions: Iterator[Condition]) -> tuple[str, ...]:
    keys = (condition.key for condition in conditions if isinstance(condition, InSegment))
    return tuple(dict.fromkeys(keys))


def _mentions_now(raw: object) -> bool:
    """Whether a definition may ask for the time, without reading it properly."""
    waiting = [raw.get("rules"), raw.get("when")] if isinstance(raw, dict) else []
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if value.get("attribute") == NOW:
                return True
            waiting += [value.get(name) for name in ("when", "all", "any", "not") if name in value]
        elif isinstance(value, list):
            waiting += value
    return False


def _flips_in(conditions: Iterator[Condition]) -> tuple[float, ...]:
    return tuple(
        instant
        for condition in conditions
        if isinstance(condition, Leaf) and condition.attribute == NOW
        for instant in condition.test.flips
    )

"""The ids of a segment: membership by hash, changes without copying what is large."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# A change copies what changed before it. When that has grown to a 32nd of the list, everything is
# put together again: each id then costs 32 copies at most over its life, and for a million ids the
# copy of a change stays below a millisecond.
FOLD_AT_ONE_IN = 32
SMALLEST_FOLD = 1024


@dataclass(frozen=True, slots=True)
class IdList:
    """An immutable set of ids: `base` less `removed` plus `added`.

    `removed` is part of `base`; `added` shares nothing with it.
    """

    base: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    added: frozenset[str] = frozenset()

    def changed(self, add: Iterable[str], remove: Iterable[str]) -> "IdList":
        """The list with ids added and then others removed; in neither is an id twice."""
        adding, removing = frozenset(add), frozenset(remove)
        adding -= removing
        in_base = frozenset(each for each in removing if each in self.base)
        back = frozenset(each for each in adding if each in self.base)
        removed = (self.removed - back) | in_base
        added = (self.added - removing) | (adding - back)
        if len(removed) + len(added) > max(SMALLEST_FOLD, len(self.base) // FOLD_AT_ONE_IN):
            return IdList((self.base - removed) | added)
        return IdList(self.base, removed, added)

    def holds(self, value: object) -> bool:
        """Whether any value of a context is one of the ids."""
        return isinstance(value, str) and value in self

    def __contains__(self, value: object) -> bool:
        return (value in self.base and value not in self.removed) or value in self.added

    def __iter__(self) -> Iterator[str]:
        yield from (each for each in self.base if each not in self.removed)
        yield from self.added

    def __len__(self) -> int:
        return len(self.base) - len(self.removed) + len(self.added)

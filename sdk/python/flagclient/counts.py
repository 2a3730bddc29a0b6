"""How often each answer was given, counted in memory without a lock."""

import itertools
import sys
import threading
import time
from dataclasses import dataclass
from operator import length_hint
from typing import NamedTuple, TypeVar

Key = TypeVar("Key")

# Different answers counted one by one. An environment of 10,000 flags with five answers each fits;
# what comes on top is counted in one sum, so that memory stays bounded whatever the app asks.
LIMIT = 50_000
# Names of flags that do not exist are the app's own text, perhaps made up at every call.
UNKNOWN_LIMIT = 1_000


@dataclass(frozen=True, slots=True)
class Count:
    """Evaluations of one flag with one answer that were not reported yet.

    `reason` is ERROR when the caller got its default because of `error_code`.
    """

    flag: str
    variation: str | None
    rule: str | None
    reason: str
    error_code: str | None
    count: int


class Answered(NamedTuple):
    """What is counted together."""

    flag: str
    variation: str | None
    rule: str | None
    reason: str
    error_code: str | None


class Tally:
    """One counter. `next(counter)` adds one, safe from any thread: it is a single call into C."""

    __slots__ = ("_reported", "counter")

    def __init__(self) -> None:
        # It counts down what is left to repeat, which makes no integer, and can be read in passing.
        self.counter = itertools.repeat(None, sys.maxsize)
        self._reported = 0

    def unreported(self) -> int:
        """Return what was counted since the last report."""
        return sys.maxsize - length_hint(self.counter) - self._reported

    def mark_reported(self, count: int) -> None:
        self._reported += count


class Counts:
    """All tallies of one client."""

    def __init__(self) -> None:
        self.since = time.time()
        self._tallies: dict[Answered, Tally] = {}
        self._unknown: dict[str, Tally] = {}
        self._beyond_limit = Tally()
        self._reading = threading.Lock()

    def tally(self, answered: Answered) -> Tally:
        """Return the counter of this answer, the same one to everybody who asks."""
        return self._bounded(self._tallies, answered, LIMIT)

    def unknown(self, flag: str) -> Tally:
        """Return the counter of a flag that was asked for and does not exist."""
        return self._bounded(self._unknown, flag, UNKNOWN_LIMIT)

    def unreported(self) -> list[Count]:
        """Return what was counted since the last report, unknown flags among it."""
        with self._reading:
            found = [
                Count(*answered, count)
                for answered, tally in list(self._tallies.items())
                if (count := tally.unreported())
            ]
            found += [
                Count(flag, None, None, "ERROR", "FLAG_NOT_FOUND", count)
                for flag, tally in list(self._unknown.items())
                if (count := tally.unreported())
            ]
            beyond = self._beyond_limit.unreported()
        if beyond:
            found.append(Count("", None, None, "UNKNOWN", None, beyond))
        return found

    def mark_reported(self, reported: list[Count], *, at: float) -> None:
        """Take what the server has accepted off the books; `at` is when it was counted."""
        with self._reading:
            for row in reported:
                answered = Answered(row.flag, row.variation, row.rule, row.reason, row.error_code)
                tally = self._tallies.get(answered) or self._unknown.get(row.flag)
                (tally or self._beyond_limit).mark_reported(row.count)
            self.since = at
            if len(self._unknown) >= UNKNOWN_LIMIT:
                self._unknown.clear()

    def _bounded(self, tallies: dict[Key, Tally], key: Key, limit: int) -> Tally:
        tally = tallies.get(key)
        if tally is None:
            if len(tallies) >= limit:
                return self._beyond_limit
            # Two threads may come here at once: setdefault gives both the same counter.
            tally = tallies.setdefault(key, Tally())
        return tally

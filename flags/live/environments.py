"""One environment as a process knows it: its ruleset, the newest deltas, who listens."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from flags.live.outbox import Frame
from flags.live.rulesets import Advance, Delta, LoadedRuleset

# Deltas kept to resume from without the database, whichever bound is met first.
MOST_RECENT = 500
MOST_RECENT_CHARACTERS = 4 * 1024 * 1024
# What is larger travels over HTTP, where it is compressed and does not hold up a socket.
LARGEST_FRAME = 64 * 1024
# A wall clock can be set; looking again now and then keeps a far timer honest.
LONGEST_TIMER_SECONDS = 60


class RulesetReader(Protocol):
    """An open socket that is told of each new ruleset; both calls return at once."""

    def advance(self, environment: "LiveEnvironment", advance: Advance) -> None: ...

    def flip(self, environment: "LiveEnvironment") -> None: ...


class LiveEnvironment:
    """The newest ruleset this process knows of an environment."""

    def __init__(self, id_: str, loaded: LoadedRuleset, *, confirmed_at: float) -> None:
        self.id = id_
        self.loaded = loaded
        # When, in Unix seconds, this was last compared with the database.
        self.confirmed_at = confirmed_at
        self.readers: set[RulesetReader] = set()
        self.is_kept = False
        self._recent: deque[Delta] = deque()
        self._recent_size = 0
        self._flip_timer: asyncio.TimerHandle | None = None

    def take(self, advance: Advance) -> None:
        """Answer with the new ruleset from now on, and tell whoever listens."""
        self.loaded = advance.loaded
        self.confirmed_at = time.time()
        self.is_kept = False
        if not advance.deltas:
            self._recent.clear()
            self._recent_size = 0
        for delta in advance.deltas:
            self._recent.append(delta)
            self._recent_size += len(delta.text)
        while len(self._recent) > MOST_RECENT or self._recent_size > MOST_RECENT_CHARACTERS:
            self._recent_size -= len(self._recent.popleft().text)
        for reader in tuple(self.readers):
            reader.advance(self, advance)
        if self._flip_timer is not None:
            self.watch_the_clock()

    def watch_the_clock(self) -> None:
        """From now on, tell whoever listens each time that a time condition can flip."""
        if self._flip_timer is not None:
            self._flip_timer.cancel()
        now = time.time()
        flip = self.loaded.ruleset.next_flip(now)
        wait = LONGEST_TIMER_SECONDS if flip is None else min(flip - now, LONGEST_TIMER_SECONDS)
        self._flip_timer = asyncio.get_running_loop().call_later(wait + 0.001, self._flipped, flip)

    def _flipped(self, flip: float | None) -> None:
        self._flip_timer = None
        if not self.readers:
            return
        if flip is not None and time.time() >= flip:
            for reader in tuple(self.readers):
                reader.flip(self)
        self.watch_the_clock()

    def recent_since(self, state: str | None) -> list[Delta] | None:
        """The deltas from a state to the newest; None when memory does not reach back to it."""
        if state == self.loaded.state:
            return []
        found: list[Delta] = []
        for delta in reversed(self._recent):
            found.append(delta)
            if delta.previous == state:
                return found[::-1]
        return None

    def frame_after(self, state: str | None, earlier: Iterable[Delta] = ()) -> Frame | None:
        """What brings a reader at `state` to the newest; None when it is there.

        `earlier` leads from `state` to where memory begins. A reader at an unknown state gets
        the whole.
        """
        known = list(earlier)
        rest = self.recent_since(known[-1].state if known else state)
        if rest is None:
            return self.whole_frame()
        deltas = known + rest
        if not deltas:
            return None
        if sum(len(delta.text) for delta in deltas) > LARGEST_FRAME:
            return self.fetch_frame()
        listed = ",".join(delta.text for delta in deltas)
        return Frame(f'{{"type":"deltas","deltas":[{listed}]}}', self.loaded.state)

    def whole_frame(self) -> Frame:
        """The ruleset itself if it is small and encoded already, else where to get it."""
        if not self.loaded.is_encoded or len(body := self.loaded.body()) > LARGEST_FRAME:
            return self.fetch_frame()
        return Frame(f'{{"type":"ruleset","ruleset":{body.decode()}}}', self.loaded.state)

    def fetch_frame(self) -> Frame:
        return Frame(f'{{"type":"fetch","version":{self.loaded.version}}}')

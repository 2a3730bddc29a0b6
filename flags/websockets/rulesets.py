"""/ws/v1/ruleset: server keys follow their environment's ruleset, delta by delta."""

import contextlib
import re
from typing import Any

from flags.live.database import UNREACHABLE
from flags.live.environments import LARGEST_FRAME, LiveEnvironment
from flags.live.outbox import Frame
from flags.live.process import live
from flags.live.receipts import Connection
from flags.live.rulesets import Advance, Delta, read_deltas
from flags.websockets.sockets import (
    Close,
    Closing,
    LiveSocket,
    environment_of,
    instance_in,
    key_in,
    refuse_what_is_gone,
    text_in,
    version_in,
)

_DIGEST = re.compile(r"[0-9a-f]{16}\Z")


class RulesetSocket(LiveSocket):
    """One SDK that evaluates for itself."""

    environment: LiveEnvironment | None = None
    connection: Connection | None = None
    # The state its reader will be at when all that was queued has been sent.
    state: str | None = None
    # It was told to fetch over HTTP; it says hello again when it has.
    is_fetching = False

    async def hear(self, kind: str, said: dict[str, Any]) -> None:
        if kind == "hello":
            await self._hello(said)
        elif kind == "receipt" and self.connection is not None:
            live.receipts.received(self.connection, version_in(said))
        else:
            raise Closing(Close.MALFORMED, "expected a hello, then receipts")

    async def _hello(self, said: dict[str, Any]) -> None:
        state, instance = state_in(said), instance_in(said)
        key = await key_in(said)
        if not key.is_server:
            raise Closing(Close.WRONG_KIND, "expected a server key")
        if self.key not in (None, key):
            raise Closing(Close.MALFORMED, "key: expected the one of the first hello")
        environment = await environment_of(key)
        earlier = await self._leading_to_memory(environment, state)
        if self.is_closing:
            return
        refuse_what_is_gone(key, environment)
        self.key, self.is_greeted = key, True
        self._join(environment, state, earlier)
        if self.connection is None:
            self.connection = live.receipts.connected(
                environment=environment.id,
                instance=instance,
                kind=key.kind,
                name=text_in(said, "name"),
                sdk=text_in(said, "sdk"),
            )

    async def _leading_to_memory(
        self, environment: LiveEnvironment, state: str | None
    ) -> list[Delta]:
        """The deltas from `state` to where this process's memory begins, as far as they are needed."""
        if state is not None and environment.recent_since(state) is not None:
            return []
        if state is not None:
            # It is older than memory, or newer than this process, or from another history.
            await live.refreshed(environment.id)
            if environment.recent_since(state) is not None:
                return []
            with contextlib.suppress(*UNREACHABLE):
                earlier: list[Delta] | None
                earlier = await live.in_database(read_deltas, environment.id, state)
                if earlier:
                    return earlier
        # It will be given the whole: encode that here, in a worker.
        await live.encode(environment.loaded)
        return []

    def _join(self, environment: LiveEnvironment, state: str | None, earlier: list[Delta]) -> None:
        """Answer the hello and listen from here on: no await between, so that nothing is missed."""
        self.environment = environment
        environment.readers.add(self)
        self.outbox.sent = state
        if state is not None and not earlier and self._is_ahead(environment, state):
            # During an outage it knows more than this process does: leave it what it has.
            version, _, _ = state.partition("-")
            self._put(Frame(f'{{"type":"current","version":{version}}}', state))
            return
        frame = environment.frame_after(state, earlier)
        if frame is None:
            frame = Frame(
                f'{{"type":"current","version":{environment.loaded.version}}}',
                environment.loaded.state,
            )
        self._put(frame)

    def _is_ahead(self, environment: LiveEnvironment, state: str) -> bool:
        version = int(state.partition("-")[0])
        return version > environment.loaded.version and not live.is_in_touch

    def advance(self, environment: LiveEnvironment, advance: Advance) -> None:
        if self.is_fetching:
            return
        for delta in advance.deltas:
            if delta.previous == self.state:
                is_large = len(delta.frame.text) > LARGEST_FRAME
                self._put(environment.fetch_frame() if is_large else delta.frame, delta)
                if is_large:
                    return
        if self.state != environment.loaded.state:
            # A whole ruleset took the place of the old, or the reader is not where it was thought.
            self._put(environment.frame_after(self.state) or environment.whole_frame())

    def flip(self, environment: LiveEnvironment) -> None:
        """Its SDK has a clock of its own."""

    def catch_up(self, state: str | None) -> Frame | None:
        assert self.environment is not None
        frame = self.environment.frame_after(state)
        self._follow(frame)
        return frame

    def _put(self, frame: Frame, delta: Delta | None = None) -> None:
        self._follow(frame)
        self.outbox.put(frame)
        if delta is not None and self.connection is not None:
            live.receipts.pushed(self.connection, delta.version, delta.committed_at)

    def _follow(self, frame: Frame | None) -> None:
        if frame is not None:
            self.is_fetching = frame.state is None
            self.state = frame.state or self.state

    def left(self) -> None:
        if self.environment is not None:
            self.environment.readers.discard(self)
        if self.connection is not None:
            live.receipts.disconnected(self.connection)
            self.connection = None


def state_in(said: dict[str, Any]) -> str | None:
    """The state a hello names by version and digest; None when it names neither."""
    if said.get("version") is None and said.get("digest") is None:
        return None
    digest = said.get("digest")
    if not isinstance(digest, str) or not _DIGEST.match(digest):
        raise Closing(Close.MALFORMED, "digest: expected 16 hexadecimal digits beside version")
    return f"{version_in(said)}-{digest}"

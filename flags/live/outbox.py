"""What waits to be written to one socket: bounded, so that a slow reader holds back nobody.

A frame that can be written is written at once by a task that lives only as long as there is
something to write: an idle socket costs no task. Past its bounds the backlog is dropped, and the
reader is given the newest state once it reads again.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

MOST_FRAMES = 64
MOST_CHARACTERS = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """A text frame; `state` is what its reader is at when it has it, None when that is no matter."""

    text: str
    state: str | None = None


class Outbox:
    """Frames for one reader. `catch_up(state)` makes the frame for a reader that fell behind."""

    __slots__ = (
        "_catch_up", "_frames", "_is_behind", "_is_stopped", "_send", "_size", "_task", "sent", "since",
    )  # fmt: skip

    def __init__(
        self,
        send: Callable[[str], Awaitable[None]],
        catch_up: Callable[[str | None], Frame | None],
    ) -> None:
        self._send = send
        self._catch_up = catch_up
        self._frames: deque[Frame] = deque()
        self._size = 0
        self._is_behind = False
        self._is_stopped = False
        self._task: asyncio.Task[None] | None = None
        # The state of the newest frame that was written, and since when one is being written.
        self.sent: str | None = None
        self.since: float | None = None

    def put(self, frame: Frame) -> None:
        if self._is_behind or self._is_stopped:
            return
        if len(self._frames) >= MOST_FRAMES or self._size > MOST_CHARACTERS:
            self._frames.clear()
            self._size = 0
            self._is_behind = True
        else:
            self._frames.append(frame)
            self._size += len(frame.text)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        try:
            while (frame := self._next()) is not None:
                self.since = time.monotonic()
                await self._send(frame.text)
                if frame.state is not None:
                    self.sent = frame.state
        except OSError:
            # The peer is gone; the consumer hears of it by its own receive.
            self._frames.clear()
            self._size = 0
        finally:
            self.since = None
            self._task = None

    def _next(self) -> Frame | None:
        if self._is_behind:
            self._is_behind = False
            if (frame := self._catch_up(self.sent)) is not None:
                return frame
        if not self._frames:
            return None
        frame = self._frames.popleft()
        self._size -= len(frame.text)
        return frame

    async def drained(self) -> None:
        """Wait until nothing is being written."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def stop(self) -> None:
        """Write nothing more: what is put from now on is for a connection that is being closed."""
        self._is_stopped = True
        if self._task is not None:
            self._task.cancel()

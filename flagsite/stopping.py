"""Saying goodbye to open sockets before the server closes them.

uvicorn closes every websocket as soon as it stops, before the lifespan hears of it. So the first
TERM or INT is answered here, and handed on to uvicorn when the goodbyes are out.
"""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any


class FirstSignal:
    """Puts `farewell` before what TERM and INT did so far; a second signal goes straight through."""

    def __init__(self, farewell: Callable[[], Awaitable[None]]) -> None:
        self._farewell = farewell
        self._before: dict[int, Any] = {}
        self._task: asyncio.Task[None] | None = None

    def install(self) -> None:
        """Call it on the event loop. Elsewhere than in the main thread there are no signals."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._heard)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        for each, before in self._before.items():
            signal.signal(each, before)
        self._loop.call_soon_threadsafe(self._begin, number)

    def _begin(self, number: int) -> None:
        self._task = self._loop.create_task(self._say(number))

    async def _say(self, number: int) -> None:
        try:
            await self._farewell()
        finally:
            signal.raise_signal(number)

"""The hint listener: one receive per process on the channel layer's group of hints.

A hint says "stream X is at version N" and may be lost; what it leads to is a read of the log, and
the truth check finds what no hint told.
"""

import asyncio
import contextlib
import logging
import os
import random
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)

GROUP = "hints"
# The group is joined again and again: a store that was restarted has forgotten its members.
REJOIN_SECONDS = 5
TIMEOUT_SECONDS = 3
LONGEST_PAUSE_SECONDS = 10
SEND_WITHIN_SECONDS = 2


class HintListener:
    """Calls `on_hint(stream, version)` for each hint, and `on_joined` whenever it (re)connects."""

    def __init__(
        self, *, on_hint: Callable[[str, int], None], on_joined: Callable[[], None]
    ) -> None:
        self._on_hint = on_hint
        self._on_joined = on_joined
        self.is_connected = False

    async def run(self) -> None:
        """Listen until cancelled."""
        failures = 0
        while True:
            try:
                await self._listen()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                # Whatever a store or its client can raise: listening is tried again, for ever.
                if self.is_connected or failures == 0:
                    logger.warning("hints.lost error=%s", type(error).__name__)
                failures = 0 if self.is_connected else failures + 1
                self.is_connected = False
                longest = min(LONGEST_PAUSE_SECONDS, 0.2 * 2 ** min(failures, 10))
                await asyncio.sleep(random.uniform(0.05, longest))  # noqa: S311

    async def _listen(self) -> None:
        layer: Any = get_channel_layer()
        channel = await layer.new_channel("live")
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await layer.group_add(GROUP, channel)
        self.is_connected = True
        self._on_joined()
        receiving = asyncio.create_task(self._receive(layer, channel))
        try:
            while True:
                done, _ = await asyncio.wait({receiving}, timeout=REJOIN_SECONDS)
                if done:
                    receiving.result()
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    await layer.group_add(GROUP, channel)
        finally:
            receiving.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await receiving
            with contextlib.suppress(Exception):
                async with asyncio.timeout(0.5):
                    await layer.group_discard(GROUP, channel)

    async def _receive(self, layer: Any, channel: str) -> None:
        while True:
            message = await layer.receive(channel)
            self._on_hint(message["stream"], message["version"])


def send_hint(stream: str, version: int) -> None:
    """Send one hint to the group; raises when the channel layer is away."""
    message = {"type": "hint", "stream": stream, "version": version}
    sending = asyncio.run_coroutine_threadsafe(_send(message), _loop())
    sending.result(SEND_WITHIN_SECONDS + 1)


async def _send(message: dict[str, Any]) -> None:
    layer: Any = get_channel_layer()
    async with asyncio.timeout(SEND_WITHIN_SECONDS):
        await layer.group_send(GROUP, message)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """An event loop of a thread's own, whose connection to the channel layer stays open.

    A loop made for each hint would connect anew each time, while people wait for the hint.
    """
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="hints", daemon=True).start()
    return loop


os.register_at_fork(after_in_child=_loop.cache_clear)

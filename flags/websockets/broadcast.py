"""The `broadcast` subscriber: tells every web process that a stream moved."""

import asyncio
import os
import threading
from functools import cache
from typing import Any

from channels.layers import get_channel_layer

from audit.models import Event
from flags.live.hints import GROUP

TIMEOUT_SECONDS = 2


def send_hint(event: Event) -> None:
    """Send one hint to the group; raises when the channel layer is away, and is called again."""
    message = {"type": "hint", "stream": event.stream_id, "version": event.version}
    sending = asyncio.run_coroutine_threadsafe(_send(message), _loop())
    sending.result(TIMEOUT_SECONDS + 1)


async def _send(message: dict[str, Any]) -> None:
    layer: Any = get_channel_layer()
    async with asyncio.timeout(TIMEOUT_SECONDS):
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

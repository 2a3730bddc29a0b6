"""The `broadcast` subscriber: tells every web process that a stream moved."""

import asyncio

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from audit.models import Event
from flags.live.hints import GROUP

TIMEOUT_SECONDS = 2


def send_hint(event: Event) -> None:
    """Send one hint to the group; raises when the channel layer is away, and is called again."""
    async_to_sync(_send)({"type": "hint", "stream": event.stream_id, "version": event.version})


async def _send(message: dict[str, object]) -> None:
    layer = get_channel_layer()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await layer.group_send(GROUP, message)

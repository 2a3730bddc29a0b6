"""What every websocket of ours has in common: a greeting in time, bounded output, a clean end."""

import asyncio
import contextlib
import time
import uuid
from enum import IntEnum
from typing import Any

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from flags.live.decoding import NotJson, decoded
from flags.live.environments import LiveEnvironment
from flags.live.keys import KnownKey
from flags.live.outbox import Frame, Outbox
from flags.live.process import live

HELLO_WITHIN_SECONDS = 5
# A peer that takes nothing for so long is closed; its kernel's and our buffers are full by then.
STUCK_SECONDS = 30


class Close(IntEnum):
    """Close codes, as docs/protocol.md lists them."""

    RESTARTING = 1012
    MALFORMED = 4400
    UNKNOWN_KEY = 4401
    WRONG_KIND = 4403
    TOO_SLOW = 4408
    REVOKED = 4409
    TOO_MANY = 4429


class Closing(Exception):
    """A frame after which the connection is closed: with which code, and why."""

    def __init__(self, code: Close, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class LiveSocket(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels brings no types
    """A consumer fed by this process's own state.

    It joins no group and opens no receive of its own on the channel layer: ten thousand of them
    would be ten thousand polls of the store for what one listener hears already.
    """

    channel_layer_alias = ""
    key: KnownKey | None = None

    async def dispatch(self, message: dict[str, Any]) -> None:
        # Channels' own first closes stale database connections, in a thread, for each message:
        # nothing here uses one.
        handler = getattr(self, message["type"].replace(".", "_"))
        await handler(message)

    def __init__(self) -> None:
        super().__init__()
        self.opened_at = time.monotonic()
        self.is_greeted = False
        self.is_closing = False
        self.outbox = Outbox(self._write, self.catch_up)

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        await self.accept()
        if live.is_stopping:
            await self.end(Close.RESTARTING)
        elif len(live.sockets) >= settings.MOST_SOCKETS:
            await self.end(Close.TOO_MANY)
        else:
            live.sockets.add(self)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        self.is_closing = True
        live.sockets.discard(self)
        self.outbox.stop()
        self.left()
        raise StopConsumer()

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        if self.is_closing:
            return
        try:
            said = _frame_in(message)
            await self.hear(said["type"], said)
        except Closing as closing:
            await self.end(closing.code, closing.reason)

    # What a kind of socket says for itself

    async def hear(self, kind: str, said: dict[str, Any]) -> None:
        """A frame came in. Raises Closing when it is not one for this kind of socket."""
        raise NotImplementedError

    def catch_up(self, state: str | None) -> Frame | None:
        """The frame for a reader that fell behind at `state`."""
        raise NotImplementedError

    def left(self) -> None:
        """The connection is no more."""

    # What the process asks of it

    def revoke(self) -> None:
        self._end_soon(Close.REVOKED)

    def sweep(self, now: float) -> None:
        if not self.is_greeted and now - self.opened_at > HELLO_WITHIN_SECONDS:
            self._end_soon(Close.MALFORMED, "expected a hello")
        elif self.outbox.since is not None and now - self.outbox.since > STUCK_SECONDS:
            self._end_soon(Close.TOO_SLOW)

    async def say_goodbye(self, retry_after_ms: int) -> None:
        if self.is_closing:
            # Told already; a peer that is slow to take it stays in the list until it has.
            return
        self.outbox.put(Frame(f'{{"type":"goodbye","retry_after_ms":{retry_after_ms}}}'))
        await self.outbox.drained()
        await self.end(Close.RESTARTING)

    async def end(self, code: Close, reason: str = "") -> None:
        """Close with a code, once. A peer that takes nothing any more cannot be told."""
        if self.is_closing:
            return
        self.is_closing = True
        self.left()
        self.outbox.stop()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self.close(code=int(code), reason=reason)

    def _end_soon(self, code: Close, reason: str = "") -> None:
        if not self.is_closing:
            live.spawn(self.end(code, reason))

    async def _write(self, text: str) -> None:
        await self.base_send({"type": "websocket.send", "text": text})


def _frame_in(message: dict[str, Any]) -> dict[str, Any]:
    try:
        said = decoded(message.get("text") or "")
    except NotJson:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("type"), str):
        raise Closing(Close.MALFORMED, "expected a JSON object with a type")
    return said


async def key_in(said: dict[str, Any]) -> KnownKey:
    """The key a hello names. Raises Closing."""
    secret = said.get("key")
    if not isinstance(secret, str):
        raise Closing(Close.MALFORMED, "key: expected a text")
    key = await live.key_of(secret.encode("utf-8", "replace"))
    if key is not None:
        return key
    if not live.is_in_touch:
        raise Closing(Close.RESTARTING, "the keys cannot be read at this moment")
    raise Closing(Close.UNKNOWN_KEY, "this SDK key is unknown or revoked")


async def environment_of(key: KnownKey) -> LiveEnvironment:
    """The environment a key belongs to. Raises Closing."""
    environment = await live.environment(key.environment)
    if environment is None:
        raise Closing(Close.RESTARTING, "the ruleset cannot be had at this moment")
    return environment


def refuse_what_is_gone(key: KnownKey, environment: LiveEnvironment) -> None:
    """Raises Closing for what was good when a hello began to wait for something, and is no more.

    The socket was not known by its key while it waited, so no revocation has reached it.
    """
    if not live.keys.holds(key):
        raise Closing(Close.REVOKED, "this SDK key was revoked")
    if live.environments.get(environment.id) is not environment:
        raise Closing(Close.RESTARTING, "the ruleset had to make room; come again")


def instance_in(said: dict[str, Any]) -> uuid.UUID:
    try:
        return uuid.UUID(said["instance"])
    except (KeyError, ValueError, AttributeError, TypeError):
        raise Closing(Close.MALFORMED, "instance: expected a UUID") from None


def version_in(said: dict[str, Any]) -> int:
    version = said.get("version")
    if type(version) is not int or not 0 < version < 2**63:
        raise Closing(Close.MALFORMED, "version: expected a positive integer")
    return version


def text_in(said: dict[str, Any], name: str) -> str:
    """A name as it may be stored: PostgreSQL refuses NUL, and lone surrogates cannot be UTF-8."""
    value = said.get(name)
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "").encode("utf-8", "replace").decode()

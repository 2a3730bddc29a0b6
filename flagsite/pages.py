"""Django's pages and management API behind the ASGI server: WSGI, in threads.

Django's own ASGI handler costs several times the processor time (docs/adr/0005). What WSGI itself
does not see is settled before a thread is taken: a body is read whole on the event loop, so that
a slow upload holds no thread, and one that breaks off never reaches a view as if it were complete.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from a2wsgi import WSGIMiddleware
from django.conf import settings

from flagsite.wsgi import application as django

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Form fields and JSON beside what Django itself allows: the limit of a view is hit first.
LARGEST_BODY = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1024 * 1024
# Bodies that all requests of this process together may have in memory.
MOST_BODIES = 16 * LARGEST_BODY
# Bodies that never end would otherwise hold that memory, and with it every upload, for ever.
BODY_WITHIN_SECONDS = 60
# Chunks a view may be ahead of its reader: an ordinary page never waits for a slow one.
CHUNKS_AHEAD = 1024


class Pages:
    """The ASGI application for everything that Django serves."""

    def __init__(self) -> None:
        wsgi: Any = django
        self._bridge: Any = WSGIMiddleware(
            wsgi, workers=settings.WEB_THREADS, send_queue_size=CHUNKS_AHEAD
        )
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held = 0
        parts = []
        until = asyncio.get_running_loop().time() + BODY_WITHIN_SECONDS
        try:
            while True:
                try:
                    async with asyncio.timeout_at(until):
                        message = await receive()
                except TimeoutError:
                    await _refuse(send, 408, f"the body took over {BODY_WITHIN_SECONDS} seconds")
                    return
                if message["type"] == "http.disconnect":
                    return
                parts.append(message.get("body", b""))
                held += len(parts[-1])
                self._held += len(parts[-1])
                if held > LARGEST_BODY:
                    await _refuse(send, 413, f"expected at most {LARGEST_BODY} bytes of body")
                    return
                # Uploads make room for each other; what brings no body is never turned away.
                if held and self._held > MOST_BODIES:
                    await _refuse(
                        send, 503, "too many uploads at this moment", (b"retry-after", b"5")
                    )
                    return
                if not message.get("more_body", False):
                    break
            await self._bridge(_cleaned(scope), _giving(b"".join(parts)), send)
        finally:
            self._held -= held


def _cleaned(scope: Scope) -> Scope:
    """Without headers that have an underscore: WSGI could not tell them from ones with a hyphen,
    and a client could so say what only a proxy may (X_Forwarded_Proto).
    """
    headers = [(name, value) for name, value in scope["headers"] if b"_" not in name]
    return {**scope, "headers": headers}


def _giving(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _refuse(send: Send, status: int, detail: str, *headers: tuple[bytes, bytes]) -> None:
    body = detail.encode()
    said = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": said})
    await send({"type": "http.response.body", "body": body})

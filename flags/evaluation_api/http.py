"""Requests and responses as ASGI has them, no more than is needed here."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

LARGEST_BODY = 1024 * 1024
# For what is left of a body that did not come in one piece.
BODY_WITHIN_SECONDS = 30

JSON: Header = (b"content-type", b"application/json")
PROBLEM: Header = (b"content-type", b"application/problem+json")
PRIVATE: Header = (b"cache-control", b"private")
CLOSE: Header = (b"connection", b"close")


class Response:
    """A response made once and sent as often as it is the answer: the messages are ready."""

    __slots__ = ("body", "headers", "messages", "status")

    def __init__(self, status: int, body: bytes, headers: Iterable[Header]) -> None:
        self.status = status
        self.body = body
        self.headers = [*headers]
        if status not in (204, 304):
            self.headers.append((b"content-length", b"%d" % len(body)))
        self.messages = (
            {"type": "http.response.start", "status": status, "headers": self.headers},
            {"type": "http.response.body", "body": body},
        )

    async def send(self, send: Send, more: Iterable[Header] = ()) -> None:
        start, body = self.messages
        await send({**start, "headers": [*self.headers, *more]} if more else start)
        await send(body)

    def without_body(self) -> "Response":
        """As HEAD is answered: the length is that of what GET would send."""
        response = Response(self.status, b"", ())
        response.headers[:] = self.headers
        return response


class ClientGone(Exception):
    """The client went away before its request was whole; there is nobody to answer."""


class BodyTooLarge(Exception):
    """More than LARGEST_BODY."""


async def body_of(receive: Receive) -> bytes:
    """The request's body. Raises BodyTooLarge, ClientGone, or TimeoutError when it does not come."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        async with asyncio.timeout(BODY_WITHIN_SECONDS):
            body = await _rest_of(body, receive)
    if len(body) > LARGEST_BODY:
        raise BodyTooLarge
    return body


async def _rest_of(first: bytes, receive: Receive) -> bytes:
    parts, size = [first], len(first)
    while size <= LARGEST_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body", False):
            return b"".join(parts)
    raise BodyTooLarge


def json_bytes(value: Any) -> bytes:
    """Compact JSON; a lone surrogate that came in goes out as an escape, so this never raises."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def problem(status: int, title: str, detail: str, headers: Iterable[Header] = ()) -> Response:
    """An RFC 9457 problem document."""
    said = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return Response(status, json_bytes(said), [PROBLEM, PRIVATE, *headers])


def header(scope: Scope, name: bytes) -> bytes | None:
    for found, value in scope["headers"]:
        if found == name:
            return bytes(value)
    return None


def names_etag(if_none_match: bytes | None, etag: bytes) -> bool:
    """Whether an If-None-Match names the tag; lists, weak tags and tags without quotes included."""
    if if_none_match is None:
        return False
    if if_none_match == etag:
        return True
    bare = etag.strip(b'"')
    return any(
        part == b"*" or part.removeprefix(b"W/").strip(b'"') == bare
        for part in (part.strip() for part in if_none_match.split(b","))
    )

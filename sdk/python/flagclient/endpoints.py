"""The server's addresses, and HTTP to them by the standard library.

ServerUnusable      away, slow, or answering nonsense: try again later
└─ KeyRefused       the server does not take the key
"""

import hashlib
import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from typing import IO, Any, NamedTuple
from urllib.parse import quote, urlsplit

from flagclient.decoding import decode_ruleset
from flagclient.pace import Pace

CHUNK = 64 * 1024
# Far above any ruleset; a server that sends without end must not fill the app's memory.
LARGEST_ANSWER = 512 * 1024 * 1024


class ServerUnusable(Exception):
    """The server cannot be reached or does not speak the protocol."""


class KeyRefused(ServerUnusable):
    """The server does not take the key."""


class Answer(NamedTuple):
    """An HTTP answer that the protocol knows: `status` is one of those the caller expects."""

    status: int
    text: str


class Endpoints:
    """One server and one key."""

    def __init__(
        self, url: str, key: str, *, user_agent: str, pace: Pace, tls: ssl.SSLContext | None
    ) -> None:
        self._base = base_address(url)
        self._key = checked_key(key)
        self._user_agent = user_agent
        self._pace = pace
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        if tls is not None:
            handlers.append(urllib.request.HTTPSHandler(context=tls))
        self._opener = urllib.request.build_opener(*handlers)

    @property
    def key(self) -> str:
        return self._key

    @property
    def websocket(self) -> str:
        """The address of the websocket for rulesets; the key is not part of it."""
        # http → ws, https → wss
        return f"ws{self._base.removeprefix('http')}/ws/v1/ruleset"

    def ruleset(self, *, known: str | None) -> dict[str, Any] | None:
        """Fetch the whole ruleset; None when its state is still `known`."""
        headers = {} if known is None else {"If-None-Match": f'"{known}"'}
        answer = self._ask("/sdk/v1/ruleset", headers=headers, expected=(200, 304))
        if answer.status == 304:
            return None
        return _parsed(answer, decode_ruleset)

    def since(self, state: str) -> list[Any] | None:
        """Fetch the deltas that follow `state`; None when the server's log does not have it."""
        path = f"/sdk/v1/ruleset/since/{quote(state, safe='')}"
        answer = self._ask(path, expected=(200, 410))
        if answer.status == 410:
            return None
        body = _parsed(answer, json.loads)
        deltas = body.get("deltas")
        if not isinstance(deltas, list):
            raise ServerUnusable(f"{path}: expected a list `deltas`, got {type(deltas).__name__}")
        return deltas

    def segment_ids(self, digest: str) -> dict[str, Any]:
        """Fetch the ids of a change that was too long for its delta: `add` and `remove`."""
        path = f"/sdk/v1/segment-ids/{quote(digest, safe='')}"
        answer = self._ask(path, expected=(200,))
        if hashlib.sha256(answer.text.encode()).hexdigest() != digest:
            raise ServerUnusable(f"{path}: the ids do not match their digest")
        body = _parsed(answer, json.loads)
        return {"add": body.get("add"), "remove": body.get("remove")}

    def send_counts(self, body: dict[str, object]) -> bool:
        """Report counts; False when this server does not collect them."""
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        expected = (200, 201, 202, 204, 404, 405)
        answer = self._ask("/sdk/v1/counts", headers=headers, data=data, expected=expected)
        return answer.status < 400

    def _ask(
        self,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
        expected: tuple[int, ...],
    ) -> Answer:
        request = urllib.request.Request(  # noqa: S310  base_address() lets http and https in only
            self._base + path,
            data=data,
            headers={
                "Authorization": f"Bearer {self._key}",
                "User-Agent": self._user_agent,
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                **(headers or {}),
            },
        )
        deadline = time.monotonic() + self._pace.answer_timeout
        try:
            try:
                answer = self._opener.open(request, timeout=self._pace.connect_timeout)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                status = answer.status
                if status in (401, 403):
                    raise KeyRefused(f"{path}: the server answered {status}")
                if status not in expected:
                    raise ServerUnusable(f"{path}: the server answered {status}")
                return Answer(status, _text(answer, deadline) if status == 200 else "")
        except (OSError, http.client.HTTPException, zlib.error, UnicodeDecodeError) as error:
            raise ServerUnusable(f"{path}: {error or type(error).__name__}") from error


def base_address(url: str) -> str:
    """Return `url` without a trailing slash; ValueError unless it is plain http or https."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"url: expected http://… or https://…, got {url!r}")
    if parts.username or parts.query or parts.fragment:
        raise ValueError("url: expected an address without user, query and fragment")
    return url.rstrip("/")


def checked_key(key: str) -> str:
    """Return `key`; ValueError, which does not repeat it, unless it can travel in a header."""
    if not isinstance(key, str) or not key or not key.isascii() or not key.isprintable():
        raise ValueError("key: expected the SDK key as printable ASCII text")
    if " " in key:
        raise ValueError("key: expected the SDK key without spaces")
    return key


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to wherever it points; it is an error answer here."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:
        return None


def _text(answer: Any, deadline: float) -> str:
    unpacked = bytearray()
    packed = answer.headers.get("Content-Encoding", "") == "gzip"
    # 16 + MAX_WBITS: the gzip format.
    unzip = zlib.decompressobj(16 + zlib.MAX_WBITS) if packed else None
    while chunk := answer.read1(CHUNK):
        if unzip is None:
            unpacked += chunk
        else:
            unpacked += unzip.decompress(chunk, LARGEST_ANSWER)
        if len(unpacked) > LARGEST_ANSWER:
            raise ServerUnusable(f"the answer is longer than {LARGEST_ANSWER} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("the answer did not end in time")
    if unzip is not None and not unzip.eof:
        raise ServerUnusable("the answer ended early")
    return unpacked.decode()


def _parsed(answer: Answer, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        body = parse(answer.text)
    except (ValueError, RecursionError) as error:
        raise ServerUnusable(f"the server's answer is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ServerUnusable(f"expected a JSON object, got {type(body).__name__}")
    return body

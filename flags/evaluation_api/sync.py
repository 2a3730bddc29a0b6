"""What SDKs download that evaluate for themselves: rulesets, deltas, long lists of ids."""

import re

from flags.evaluation_api.callers import SOON, Refused, age_headers, caller_of
from flags.evaluation_api.http import (
    JSON,
    PRIVATE,
    Header,
    Response,
    Scope,
    Send,
    header,
    names_etag,
    problem,
)
from flags.live.database import UNREACHABLE
from flags.live.environments import LiveEnvironment
from flags.live.process import live
from flags.live.rulesets import read_deltas, read_id_batch

VARY: Header = (b"vary", b"accept-encoding")
# Smaller bodies gain nothing by compression.
WORTH_COMPRESSING = 1024

_STATE = re.compile(r"([1-9][0-9]{0,17})-([0-9a-f]{16})\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


async def answer(scope: Scope, send: Send) -> None:
    """Answer a request under /sdk/."""
    try:
        response = await _answered(scope)
    except Refused as refused:
        response = problem(refused.status, refused.title, refused.detail, refused.headers)
    if scope["method"] == "HEAD":
        response = response.without_body()
    await response.send(send, age_headers())


async def _answered(scope: Scope) -> Response:
    path: str = scope["path"]
    parts = path.removeprefix("/sdk/v1/").split("/")
    if not path.startswith("/sdk/v1/") or (parts[0], len(parts)) not in (
        ("ruleset", 1),
        ("ruleset", 3),
        ("segment-ids", 2),
    ):
        return _nothing_at(path)
    if scope["method"] not in ("GET", "HEAD"):
        return problem(405, "Method not allowed", "expected GET", [(b"allow", b"GET, HEAD")])
    key, environment = await caller_of(scope)
    if not key.is_server:
        return problem(
            403, "Forbidden", "expected a server key: a client key may only evaluate flags"
        )
    if len(parts) == 1:
        return await _ruleset(scope, environment)
    if parts[0] == "segment-ids":
        return await _segment_ids(environment, parts[1])
    if parts[1] == "since":
        return await _deltas(environment, parts[2])
    return _nothing_at(path)


async def _ruleset(scope: Scope, environment: LiveEnvironment) -> Response:
    loaded = environment.loaded
    headers = [JSON, PRIVATE, VARY, (b"etag", loaded.etag)]
    if names_etag(header(scope, b"if-none-match"), loaded.etag):
        return Response(304, b"", headers[1:])
    body = await live.encode(loaded)
    if len(body) >= WORTH_COMPRESSING and _takes_gzip(scope):
        body = await live.encode(loaded, gzipped=True)
        headers.append((b"content-encoding", b"gzip"))
    return Response(200, body, headers)


def _takes_gzip(scope: Scope) -> bool:
    for part in (header(scope, b"accept-encoding") or b"").lower().split(b","):
        name, _, quality = part.strip().partition(b";")
        if name.strip() == b"gzip":
            return not re.fullmatch(rb"\s*q=0(\.0*)?\s*", quality)
    return False


async def _deltas(environment: LiveEnvironment, state: str) -> Response:
    if not _STATE.match(state):
        return problem(
            400, "Bad request", "expected /sdk/v1/ruleset/since/{version}-{digest}, as in an ETag"
        )
    deltas = environment.recent_since(state)
    if deltas is None:
        await live.refreshed(environment.id)
        deltas = environment.recent_since(state)
    if deltas is None:
        try:
            deltas = await live.in_database(read_deltas, environment.id, state)
        except UNREACHABLE:
            return problem(503, "Not ready", "the log cannot be read at this moment", [SOON])
    if deltas is None:
        return problem(410, "Gone", f"{state} is not in the log: fetch the whole ruleset")
    version = deltas[-1].version if deltas else int(state.partition("-")[0])
    listed = ",".join(delta.text for delta in deltas)
    body = f'{{"version":{version},"deltas":[{listed}]}}'.encode()
    return Response(200, body, [JSON, PRIVATE])


async def _segment_ids(environment: LiveEnvironment, digest: str) -> Response:
    body = None
    if _DIGEST.match(digest):
        try:
            body = await live.in_database(read_id_batch, environment.id, digest)
        except UNREACHABLE:
            return problem(503, "Not ready", "the ids cannot be read at this moment", [SOON])
    if body is None:
        return problem(404, "Not found", "no change of this environment carried these ids")
    return Response(200, body, [JSON, PRIVATE])


def _nothing_at(path: str) -> Response:
    return problem(404, "Not found", f"there is nothing at {path}")

"""OpenFeature's Remote Evaluation Protocol: one flag, or all of them.

The OpenAPI file and what real clients need are in docs/protocol.md.
"""

import time
from hashlib import blake2b
from typing import Any

from flagengine import now_in
from flags.evaluation_api.answers import HEADERS, answer_for, not_found
from flags.evaluation_api.callers import Refused, age_headers, caller_of
from flags.evaluation_api.contexts import BadRequest, context_in
from flags.evaluation_api.http import (
    CLOSE,
    BodyTooLarge,
    Receive,
    Response,
    Scope,
    Send,
    body_of,
    header,
    json_bytes,
    names_etag,
)
from flags.live.keys import KnownKey
from flags.live.process import live
from flags.live.rulesets import LoadedRuleset

BULK = "/ofrep/v1/evaluate/flags"
SINGLE = BULK + "/"

PREFLIGHT = Response(
    204,
    b"",
    [
        HEADERS[2],
        (b"access-control-allow-methods", b"POST, OPTIONS"),
        (b"access-control-allow-headers", b"authorization, x-api-key, content-type, if-none-match"),
        (b"access-control-max-age", b"86400"),
    ],
)


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request under /ofrep/."""
    path: str = scope["path"]
    if not (path.startswith(SINGLE) and len(path) > len(SINGLE)) and path.rstrip("/") != BULK:
        response = failure(404, "GENERAL", f"there is nothing at {path}")
    elif scope["method"] == "OPTIONS":
        response = PREFLIGHT
    elif scope["method"] != "POST":
        response = failure(405, "GENERAL", "expected POST", [(b"allow", b"POST, OPTIONS")])
    else:
        response = await evaluated(scope, receive, path[len(SINGLE) :])
    await response.send(send, () if live.is_in_touch else age_headers())


async def evaluated(scope: Scope, receive: Receive, key: str) -> Response:
    """The answer for one flag, or for all when `key` is empty."""
    named = {"key": key} if key else {}
    try:
        caller, environment = await caller_of(scope)
        body = await body_of(receive)
        context = context_in(body)
    except Refused as refused:
        code = "PROVIDER_NOT_READY" if refused.status == 503 else "GENERAL"
        return failure(refused.status, code, refused.detail, refused.headers, **named)
    except BadRequest as bad:
        return failure(400, bad.code, bad.message, **named)
    except BodyTooLarge:
        return failure(413, "PARSE_ERROR", "expected at most 1 MiB of body", [CLOSE], **named)
    except TimeoutError:
        return failure(408, "PARSE_ERROR", "the body did not come in time", [CLOSE], **named)
    if key:
        return one(environment.loaded, caller, key, context)
    return everything(environment.loaded, caller, context, body, header(scope, b"if-none-match"))


def one(loaded: LoadedRuleset, caller: KnownKey, key: str, context: dict[str, Any]) -> Response:
    ruleset = loaded.ruleset
    if caller.is_server:
        now = now_in(context) if "now" in context else None
        return answer_for(loaded, "server", key, ruleset.evaluate(key, context, now=now)).response
    flag = ruleset.flags.get(key)
    if flag is None or not flag.client_visible:
        return not_found(key)
    return answer_for(loaded, "client", key, ruleset.evaluate(key, context)).response


def everything(
    loaded: LoadedRuleset,
    caller: KnownKey,
    context: dict[str, Any],
    body: bytes,
    if_none_match: bytes | None,
) -> Response:
    ruleset = loaded.ruleset
    now = time.time()
    if caller.is_server and "now" in context:
        asked = now_in(context)
        now = now if asked is None else asked
    etag = _etag(loaded, caller, body, ruleset.last_flip(now))
    if names_etag(if_none_match, etag):
        return Response(304, b"", [*HEADERS[1:], (b"etag", etag)])
    results = ruleset.evaluate_all(context, client_visible_only=not caller.is_server, now=now)
    if not results and (invalid := ruleset.evaluate("", context)).error_code == "INVALID_CONTEXT":
        return failure(400, "INVALID_CONTEXT", invalid.error_message or "")
    items = []
    for key, result in results.items():
        if result.error_code == "INVALID_CONTEXT":
            return failure(400, "INVALID_CONTEXT", result.error_message or "")
        items.append(answer_for(loaded, caller.kind, key, result).item)
    said = b'{"flags":[%b],"metadata":{"environmentVersion":%d}}' % (
        b",".join(items),
        ruleset.version,
    )
    return Response(200, said, [*HEADERS, (b"etag", etag)])


def _etag(loaded: LoadedRuleset, caller: KnownKey, body: bytes, flip: float | None) -> bytes:
    """Changes when an answer could: with the context, the ruleset, a time condition that flipped."""
    digest = blake2b(body, digest_size=16)
    digest.update(f"|{caller.environment}|{caller.kind}|{loaded.state}|{flip}".encode())
    return f'"{digest.hexdigest()}"'.encode()


def failure(status: int, code: str, details: str, headers: Any = (), **named: str) -> Response:
    said = {**named, "errorCode": code, "errorDetails": details}
    return Response(status, json_bytes(said), [*HEADERS, *headers])

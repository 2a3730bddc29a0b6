"""`Idempotency-Key` on creates: the same request sent twice creates once.

The answer of the first is kept for a day in the cache, secrets left out, and given again to each
repeat. A key names one request: with another body or address it is refused.
"""

import hashlib
import logging
import re
from collections.abc import Callable
from typing import Any

from django.core.cache import caches
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.response import Response

from flags.management_api.errors import TryAgain, Unprocessable, problem

logger = logging.getLogger(__name__)
cache = caches["exact"]
KEPT_SECONDS = 24 * 60 * 60
# A create that has not come to an end after this died; a repeat then tries anew.
RUNNING_SECONDS = 60
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
# Members that are given once: what is kept in the cache opens no door.
GIVEN_ONCE = ("secret", "link")


def once(request: Request, body: Any, create: Callable[[], Response]) -> Response:
    """What `create` answers, or what it answered to the same request before.

    `body` is what was sent, as parsed. Only what succeeded is kept: after a refusal the same key may
    be used again.
    """
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return create()
    if not _KEY.fullmatch(given):
        raise Unprocessable("Idempotency-Key: expected 1 to 255 visible ASCII characters")
    place = _place(request, given)
    fingerprint = hashlib.sha256(repr((request.get_full_path(), body)).encode("utf-8")).hexdigest()
    try:
        is_first = cache.add(place, {"of": fingerprint}, timeout=RUNNING_SECONDS)
        kept = None if is_first else cache.get(place)
    except RedisError as error:
        raise TryAgain("what is needed to honour Idempotency-Key is away; try again") from error
    if not is_first:
        return _repeated(kept, fingerprint)
    try:
        response = create()
    except BaseException:
        _forget(place)
        raise
    _keep(place, fingerprint, response)
    return response


def _place(request: Request, key: str) -> str:
    # Keys of different callers never meet: a token's are its own, as are a person's.
    caller = getattr(request.auth, "public_id", None) or f"user:{request.user.pk}"
    return "idempotency:" + hashlib.sha256(f"{caller}\n{key}".encode()).hexdigest()


def _repeated(kept: Any, fingerprint: str) -> Response:
    if kept is not None and kept["of"] != fingerprint:
        raise Unprocessable("Idempotency-Key: this key was used for another request")
    if kept is None or "status" not in kept:
        return problem(
            409,
            "still-running",
            "the first request of this Idempotency-Key is being handled",
            headers={"Retry-After": "1"},
        )
    headers = {**kept["headers"], "Idempotency-Replayed": "true"}
    return Response(kept["data"], status=kept["status"], headers=headers)


def _keep(place: str, fingerprint: str, response: Response) -> None:
    data = {name: None if name in GIVEN_ONCE else value for name, value in response.data.items()}
    headers = {name: response[name] for name in ("Location", "ETag") if name in response}
    answer = {"of": fingerprint, "status": response.status_code, "headers": headers, "data": data}
    try:
        cache.set(place, answer, timeout=KEPT_SECONDS)
    except RedisError:
        # It is created and said so; a repeat within a minute is refused, a later one meets what
        # the first one made.
        logger.warning("idempotency.not_kept", exc_info=True)


def _forget(place: str) -> None:
    try:
        cache.delete(place)
    except RedisError:
        logger.warning("idempotency.not_forgotten", exc_info=True)

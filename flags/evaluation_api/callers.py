"""Who is asking: the SDK key of a request, and whether it may ask again already."""

import math
from dataclasses import dataclass

from django.conf import settings

from flags.evaluation_api.http import Header, Scope
from flags.live.environments import LiveEnvironment
from flags.live.keys import KnownKey, within_rate
from flags.live.process import live

CHALLENGE: Header = (b"www-authenticate", b"Bearer")
SOON: Header = (b"retry-after", b"1")


@dataclass(frozen=True)
class Refused(Exception):
    """Why a request is not answered, for each door to put into its own form."""

    status: int
    title: str
    detail: str
    headers: tuple[Header, ...] = ()


def key_in_memory(scope: Scope) -> KnownKey | None:
    """The caller's key if this process knows it: what nearly every request has."""
    secret = secret_of(scope)
    return None if secret is None else live.keys.find(secret)


def secret_of(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            if value[:7].lower() == b"bearer ":
                return bytes(value[7:].strip())
        elif name == b"x-api-key":
            return bytes(value)
    return None


async def caller_of(scope: Scope) -> tuple[KnownKey, LiveEnvironment]:
    """The caller's key and its environment; raises Refused."""
    key = key_in_memory(scope) or await _key_of(scope)
    if settings.RATE_LIMIT_PER_KEY and (wait := within_rate(key, settings.RATE_LIMIT_PER_KEY)):
        raise Refused(
            429,
            "Too many requests",
            f"this key may ask {settings.RATE_LIMIT_PER_KEY} times a second",
            ((b"retry-after", b"%d" % math.ceil(wait)),),
        )
    environment = live.environments.get(key.environment)
    if environment is None:
        environment = await live.environment(key.environment)
    if environment is None:
        raise _not_ready("the ruleset of this key's environment cannot be had at this moment")
    return key, environment


async def _key_of(scope: Scope) -> KnownKey:
    secret = secret_of(scope)
    if secret is None:
        raise Refused(
            401,
            "Unauthorized",
            "expected an SDK key in Authorization: Bearer … or in X-API-Key",
            (CHALLENGE,),
        )
    if key := await live.key_of(secret):
        return key
    if not live.is_in_touch:
        # Perhaps it was made since this process last read the keys.
        raise _not_ready("the keys cannot be read at this moment")
    raise Refused(401, "Unauthorized", "this SDK key is unknown or revoked", (CHALLENGE,))


def _not_ready(detail: str) -> Refused:
    return Refused(503, "Not ready", detail, (SOON,))


def age_headers() -> tuple[Header, ...]:
    """How old an answer may be, in seconds; nothing when what is held was confirmed just now."""
    if live.is_in_touch:
        return ()
    return ((b"flagsite-age", b"%d" % live.age()),)

"""Whether this process lives, and whether it can answer."""

import time

from flags.evaluation_api.http import JSON, Response, Send, json_bytes
from flags.live.process import live

NO_STORE = (b"cache-control", b"no-store")


async def answer_health(send: Send) -> None:
    """The process lives: its event loop answers."""
    await Response(200, b'{"status":"ok"}', [JSON, NO_STORE]).send(send)


async def answer_readiness(send: Send) -> None:
    """200 when evaluations can be answered, from memory that may be old; 503 before and at a stop."""
    said = {
        "status": _status(),
        "age_seconds": round(live.age(), 1),
        "database": "reachable" if live.is_in_touch else "unreachable",
        "channel_layer": "connected" if live.hears_hints else "disconnected",
        "keys": {"age_seconds": round(max(0.0, time.time() - live.keys_confirmed_at), 1)},
        "rulesets": {"loaded": len(live.environments)},
        "sockets": len(live.sockets),
    }
    status = 200 if live.is_ready else 503
    await Response(status, json_bytes(said), [JSON, NO_STORE]).send(send)


def _status() -> str:
    if live.is_stopping:
        return "stopping"
    if not live.is_loaded:
        return "starting"
    return "ready" if live.is_in_touch else "ready, with what was known"

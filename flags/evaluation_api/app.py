"""The ASGI application beside Django: what is asked most, answered without it."""

import logging

from flags.evaluation_api import health, ofrep, sync
from flags.evaluation_api.http import ClientGone, Receive, Scope, Send

logger = logging.getLogger(__name__)

PREFIXES = ("/ofrep/", "/sdk/", "/healthz", "/readyz")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    path: str = scope["path"]
    try:
        if path.startswith("/ofrep/"):
            await ofrep.answer(scope, receive, send)
        elif path.startswith("/sdk/"):
            await sync.answer(scope, send)
        elif path == "/healthz":
            await health.answer_health(send)
        elif path == "/readyz":
            await health.answer_readiness(send)
        else:
            await ofrep.failure(404, "GENERAL", f"there is nothing at {path}").send(send)
    except ClientGone:
        pass
    except Exception:
        # The edge: whatever went wrong, the client hears so in the form it reads.
        logger.exception("evaluation.failed path=%s", path)
        await ofrep.failure(500, "GENERAL", "an internal error; the server's log has it").send(send)

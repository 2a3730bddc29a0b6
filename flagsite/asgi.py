"""The one ASGI application: evaluation, websockets, and everything else through Django.

uvicorn flagsite.asgi:application
"""

from typing import Any

# Sets Django up, which what follows needs.
from flagsite.pages import Pages

from channels.routing import URLRouter  # isort: skip

from flags.evaluation_api.app import PREFIXES
from flags.evaluation_api.app import application as evaluation
from flags.live.process import live
from flags.websockets.routing import urlpatterns
from flagsite.stopping import FirstSignal

pages = Pages()
websockets = URLRouter(urlpatterns)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        if scope["path"].startswith(PREFIXES):
            await evaluation(scope, receive, send)
        else:
            await pages(scope, receive, send)
    elif scope["type"] == "websocket":
        await websocket(scope, receive, send)
    else:
        await lifespan(receive, send)


async def websocket(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Only addresses that exist: the router raises for others, which is no error of ours."""
    if any(pattern.resolve(scope["path"].removeprefix("/")) for pattern in urlpatterns):
        await websockets(scope, receive, send)
    else:
        await receive()
        await send({"type": "websocket.close", "code": 4404})


async def lifespan(receive: Any, send: Any) -> None:
    """The process's own state begins and ends with the server."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await live.start()
            FirstSignal(live.say_goodbye).install()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await live.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return

"""The floor: what the server costs when the application does nothing but answer a constant."""

from typing import Any

BODY = b'{"key":"new-checkout","reason":"SPLIT","variant":"on","metadata":{"environmentVersion":55,"flagVersion":6},"value":true}'
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(BODY)).encode()),
    ],
}
REST = {"type": "http.response.body", "body": BODY}


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await receive()
    await send(START)
    await send(REST)

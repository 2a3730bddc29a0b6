"""What waits to be written to one socket."""

import asyncio

from flags.live.outbox import Frame, Outbox


async def test_frames_are_written_in_order_and_none_once_it_is_stopped():
    written: list[str] = []
    hurry = asyncio.Event()

    async def send(text: str) -> None:
        written.append(text)
        await hurry.wait()

    outbox = Outbox(send, catch_up=lambda state: None)
    outbox.put(Frame("first", "1-a"))
    outbox.put(Frame("second"))
    hurry.set()
    await outbox.drained()
    assert (written, outbox.sent) == (["first", "second"], "1-a")

    outbox.stop()
    outbox.put(Frame("after the close"))
    await outbox.drained()

    assert written == ["first", "second"]

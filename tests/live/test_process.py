"""What one process does when things happen at the same moment, or fail unforeseen."""

import asyncio
import uuid
from typing import Any

import pytest

from flagengine import Ruleset
from flags.live import process, receipts
from flags.live.environments import LiveEnvironment
from flags.live.process import Live, live
from flags.live.rulesets import LoadedRuleset
from flags.websockets.sockets import Close, Closing, refuse_what_is_gone
from flagsite import pages


def test_a_hint_that_comes_as_a_refresh_ends_is_not_lost() -> None:
    async def scenario() -> None:
        alive = Live()
        first = alive.refresh("an environment")
        later: list[asyncio.Task[None]] = []
        # Runs after the refresh's last step and before its callbacks.
        asyncio.get_running_loop().call_soon(lambda: later.append(alive.refresh("an environment")))
        await first
        await asyncio.wait(later)

        assert later[0] is not first

    asyncio.run(scenario())


def test_a_loop_that_failed_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOOP_AGAIN_SECONDS", 0)

    async def scenario() -> None:
        began: list[int] = []
        is_running = asyncio.Event()

        async def loop() -> None:
            began.append(len(began))
            if len(began) == 1:
                raise LookupError("nobody foresaw this")
            is_running.set()

        alive = Live()
        alive._keep_running(loop)
        async with asyncio.timeout(5):
            await is_running.wait()

        assert began == [0, 1]

    asyncio.run(scenario())


@pytest.fixture
def environment() -> Any:
    id_ = str(uuid.uuid4())
    document = {"environment": id_, "version": 1, "digest": "0" * 16, "flags": {}, "segments": {}}
    ruleset = Ruleset.compile(document, clock=lambda: 0.0)
    live.environments[id_] = LiveEnvironment(id_, LoadedRuleset(ruleset), confirmed_at=0.0)
    hash_ = "9" * 64
    live.keys.replace([(hash_, "fsk_1", "server", id_)])
    yield live.environments[id_]
    live.environments.pop(id_, None)
    live.keys.replace([])


def test_a_key_revoked_during_its_hello_is_refused(environment: LiveEnvironment) -> None:
    key = next(iter(live.keys._known.values()))
    refuse_what_is_gone(key, environment)

    live.keys.replace([])

    with pytest.raises(Closing) as closing:
        refuse_what_is_gone(key, environment)
    assert closing.value.code is Close.REVOKED


def test_an_environment_forgotten_during_a_hello_is_not_listened_to(
    environment: LiveEnvironment,
) -> None:
    key = next(iter(live.keys._known.values()))
    del live.environments[environment.id]

    with pytest.raises(Closing) as closing:
        refuse_what_is_gone(key, environment)
    assert closing.value.code is Close.RESTARTING


def test_a_body_that_never_ends_gives_its_memory_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "BODY_WITHIN_SECONDS", 0.05)
    sent: list[dict[str, Any]] = []

    async def scenario() -> None:
        messages = iter([{"type": "http.request", "body": b"half", "more_body": True}])

        async def receive() -> dict[str, Any]:
            for message in messages:
                return message
            return await asyncio.Future()

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        bridge = pages.Pages()
        await bridge({"type": "http", "headers": []}, receive, send)
        assert bridge._held == 0

    asyncio.run(scenario())

    assert sent[0]["status"] == 408


def test_ends_that_cannot_be_written_are_kept_in_a_bounded_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(receipts, "MOST_ENDED", 2)
    gathered = receipts.Receipts()
    written: dict[str, Any] = {}

    async def fails(*_: Any, **__: Any) -> None:
        raise ConnectionError

    async def writes(_: Any, **rows: Any) -> None:
        written.update(rows)

    come_and_go(gathered, 3)
    with pytest.raises(ConnectionError):
        asyncio.run(gathered.flush(fails))
    come_and_go(gathered, 3)
    asyncio.run(gathered.flush(writes))

    assert len(written["ended"]) == 2
    assert len(written["connected"]) == 2


def come_and_go(gathered: receipts.Receipts, times: int) -> None:
    for _ in range(times):
        gathered.disconnected(
            gathered.connected(
                environment="an environment", instance=uuid.uuid4(), kind="client", name="", sdk=""
            )
        )

"""Nothing is lost, and nobody waits, when a part of the stack is gone: each is taken away in turn."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from flagclient import FlagClient, Pace

from tests.e2e.whole_site import BROADCAST_WORKER, WEB_PROCESS, WORKER, WholeSite, whole_site
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.timeout(600)

# What a save may wait for the broker, whatever state that is in.
WAIT_FOR_BROKER_SECONDS = 0.25
SAVES = 6
SAVING_AT_ONCE = 5


@pytest.fixture(scope="module")
def site() -> Iterator[WholeSite]:
    with whole_site() as started:
        yield started


@pytest.fixture
def sdk(site: WholeSite) -> Iterator[FlagClient]:
    """An app that follows production and comes back soon."""
    pace = Pace(first_retry=0.1, longest_retry=1.0, poll_interval=2.0)
    with FlagClient(site.url, site.key, pace=pace) as client:
        assert client.wait_until_ready(60)
        yield client


@contextlib.contextmanager
def refusing(site: WholeSite) -> Iterator[None]:
    site.to_valkey.cut()
    try:
        yield
    finally:
        site.to_valkey.restore()


@contextlib.contextmanager
def accepting_and_never_answering(site: WholeSite) -> Iterator[None]:
    site.to_valkey.fall_silent()
    try:
        yield
    finally:
        site.to_valkey.restore()


@contextlib.contextmanager
def gone_with_all_it_held(site: WholeSite) -> Iterator[None]:
    with refusing(site):
        yield
        site.stores.forget_all_that_valkey_held()


@pytest.mark.parametrize("outage", [refusing, accepting_and_never_answering, gone_with_all_it_held])
def test_a_save_never_waits_for_valkey_and_takes_effect_when_it_is_back(
    site: WholeSite, sdk: FlagClient, outage: Callable[..., contextlib.AbstractContextManager[None]]
):
    flag = site.make_flag(outage.__name__.replace("_", "-"))
    site.until_all_is_delivered()
    when_well = quickest_save(site, flag)
    site.until_all_is_delivered()

    with outage(site):
        when_away = quickest_save(site, flag)
        assert site.save(flag, True).status_code == 200
        assert site.undelivered() > 0

    assert when_away < when_well + WAIT_FOR_BROKER_SECONDS
    site.until_all_is_delivered()
    wait_until(lambda: sdk.boolean(flag, False), what="the app has the save")


def quickest_save(site: WholeSite, flag: str) -> float:
    """How long a save takes on a machine that is busy with other things now and then."""
    return min(site.seconds_of_save(flag, on) for on in (True, False) * (SAVES // 2))


@pytest.mark.parametrize("worker", [BROADCAST_WORKER, WORKER])
def test_a_save_takes_effect_when_its_worker_was_killed_before(
    site: WholeSite, sdk: FlagClient, worker: str
):
    flag = site.make_flag(f"killed-{worker.strip('@')}")
    site.until_all_is_delivered()

    killed = site.kill_every(worker)
    assert site.save(flag, True).status_code == 200
    assert site.undelivered() > 0

    wait_until(lambda: sdk.boolean(flag, False), what="the app has the save")
    wait_until(lambda: site.processes(worker) - killed, what="the worker is back")
    site.until_all_is_delivered()


@dataclass
class Editor:
    """Somebody who changes one flag again and again; `acknowledged` are the saves answered."""

    site: WholeSite
    flag: str
    acknowledged: list[str] = field(default_factory=list)

    def edit(self, enough: threading.Event) -> None:
        attempt = 0
        while not enough.is_set():
            attempt += 1
            reason = f"{self.flag} edit {attempt}"
            # What nobody asked for before, so that each is a change, whatever became of the last.
            target = {"variation": "on", "by": "targetingKey", "keys": [reason]}
            # A connection that broke says nothing of its save: only what was answered counts.
            with contextlib.suppress(httpx.TransportError):
                answer = self.site.save(
                    self.flag, attempt % 2 == 1, reason=reason, targets=[target]
                )
                if answer.status_code == 200:
                    self.acknowledged.append(reason)


def test_no_acknowledged_save_is_lost_when_processes_are_killed_among_many(
    site: WholeSite, sdk: FlagClient
):
    editors = [Editor(site, site.make_flag(f"edited-{number}")) for number in range(SAVING_AT_ONCE)]
    enough = threading.Event()
    threads = [threading.Thread(target=editor.edit, args=[enough]) for editor in editors]
    for thread in threads:
        thread.start()

    try:
        for process in (WEB_PROCESS, BROADCAST_WORKER, WEB_PROCESS, WORKER):
            until_more_is_saved(editors)
            site.kill_one(process)
        until_more_is_saved(editors)
    finally:
        enough.set()
        for thread in threads:
            thread.join(timeout=60)

    acknowledged = {reason for editor in editors for reason in editor.acknowledged}
    recorded = [reason for (reason,) in site.rows("SELECT reason FROM audit_event")]
    assert acknowledged <= set(recorded)
    assert all(recorded.count(reason) == 1 for reason in acknowledged)
    site.up.manage("verify_events")
    assert (
        site.rows("SELECT 1 FROM audit_event GROUP BY stream_id HAVING count(*) <> max(version)")
        == []
    )
    site.until_all_is_delivered()
    until_it_has_the_newest(sdk, site)


def until_more_is_saved(editors: list[Editor]) -> None:
    """Wait until everybody was answered a few times more."""
    seen = [len(editor.acknowledged) for editor in editors]
    wait_until(
        lambda: all(
            len(editor.acknowledged) > before + 2
            for editor, before in zip(editors, seen, strict=True)
        ),
        what="everybody saved a few times",
        otherwise=lambda: f": {[editor.acknowledged[-1:] for editor in editors]}",
    )


def until_it_has_the_newest(sdk: FlagClient, site: WholeSite) -> None:
    """Wait until the app is at the environment's version and serves what the rows say."""
    newest = site.version()
    wait_until(lambda: sdk.state.version == newest, what=f"the app is at {newest}")
    for flag, enabled in site.switches().items():
        assert sdk.boolean(flag, False) is enabled


def test_apps_go_on_without_postgresql_and_web_processes_start_without_it(
    site: WholeSite, sdk: FlagClient
):
    flag = site.make_flag("during-an-outage")
    assert site.save(flag, True).status_code == 200
    wait_until(lambda: sdk.boolean(flag, False), what="the app has the save")
    wait_until(lambda: site.kept_switch(flag), what="the ruleset is on disk")

    with site.stores.postgres_stopped():
        assert site.save(flag, False).status_code >= 500
        assert site.served(flag).json()["value"] is True
        assert sdk.boolean(flag, False) is True
        killed = site.kill_every(WEB_PROCESS)
        wait_until(lambda: answers(site, flag), what="new web processes answer")
        assert not killed & site.processes(WEB_PROCESS)
        assert site.served(flag).json()["value"] is True
        assert sdk.boolean(flag, False) is True

    wait_until(lambda: site.save(flag, False).status_code == 200, what="saves are taken again")
    wait_until(lambda: not sdk.boolean(flag, True), what="the app has the save")
    wait_until(lambda: site.served(flag).json()["value"] is False, what="OFREP answers it")
    until_it_has_the_newest(sdk, site)


def answers(site: WholeSite, flag: str) -> bool:
    try:
        return site.served(flag).status_code == 200
    except httpx.TransportError:
        return False

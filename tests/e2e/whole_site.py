"""Two web processes, workers and beat on stores that a test can cut off, silence, stop and kill."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg

from flagsite.embedded.postgres import start_postgres
from flagsite.embedded.valkey import start_valkey
from tests.served import Proxy
from tests.stack.running import RunningUp, an_open_folder
from tests.stack.waiting import wait_until

WEB_PROCESSES = 2
# What a web process under uvicorn's supervisor is called.
WEB_PROCESS = "spawn_main"
BROADCAST_WORKER, WORKER = "broadcast@", "default@"
PATIENCE = 60


class Stores:
    """A PostgreSQL and a Valkey that can be stopped and started again where they were."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = start_postgres(folder, throwaway=True)
        self.valkey = start_valkey(folder)

    def stop(self) -> None:
        self.valkey.stop()
        self.postgres.stop()

    @contextlib.contextmanager
    def postgres_stopped(self) -> Iterator[None]:
        self.postgres.stop()
        try:
            yield
        finally:
            self.postgres = start_postgres(self.folder, throwaway=True)

    def forget_all_that_valkey_held(self) -> None:
        self.valkey.stop()
        self.valkey = start_valkey(self.folder)


@dataclass
class WholeSite:
    """A running Flagsite with the project `shop`, its environment `production`, and its stores."""

    up: RunningUp
    stores: Stores
    to_valkey: Proxy
    api: httpx.Client = field(init=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        token = self.up.manage("create_api_token", "--user", "admin").strip()
        self.api = httpx.Client(
            base_url=f"{self.url}/api/v1/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=PATIENCE,
        )
        self.make("projects", key="shop")
        self.make("projects/shop/environments", key="production")
        made = self.make("projects/shop/environments/production/sdk-keys", kind="server")
        self.key = made["secret"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.up.port}"

    def make(self, path: str, **what: object) -> dict[str, str]:
        answer = self.api.post(path, json=what)
        assert answer.status_code == 201, answer.text
        made: dict[str, str] = answer.json()
        return made

    def make_flag(self, key: str) -> str:
        """A new boolean flag, switched off."""
        return self.make("projects/shop/flags", key=key)["key"]

    def save(
        self, flag: str, on: bool, *, reason: str = "", **configured: object
    ) -> httpx.Response:
        """Switch the flag, and configure it, through the management API as anybody would."""
        return self.api.patch(
            f"projects/shop/flags/{flag}/environments/production",
            json={"enabled": on, "reason": reason, **configured},
        )

    def seconds_of_save(self, flag: str, on: bool) -> float:
        started = time.monotonic()
        answer = self.save(flag, on)
        assert answer.status_code == 200, answer.text
        return time.monotonic() - started

    def served(self, flag: str) -> httpx.Response:
        """The flag over OFREP."""
        return httpx.post(
            f"{self.url}/ofrep/v1/evaluate/flags/{flag}",
            json={"context": {"targetingKey": "customer-1"}},
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=PATIENCE,
        )

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        """What PostgreSQL has, asked past everything that may be broken."""
        with psycopg.connect(self.stores.postgres.url) as connection:
            return connection.execute(statement).fetchall()

    def undelivered(self) -> int:
        return len(self.rows("SELECT 1 FROM audit_outboxentry"))

    def until_all_is_delivered(self) -> None:
        wait_until(lambda: self.undelivered() == 0, what="the outbox was empty")

    def processes(self, words: str) -> set[int]:
        """Those whose command line has these words, without what would start them again."""
        return set(self.up.pids(words)) - set(self.up.pids("keeper.py"))

    def kill_one(self, words: str) -> None:
        """Kill one of these processes without a warning."""
        os.kill(min(self.processes(words)), signal.SIGKILL)

    def kill_every(self, words: str) -> set[int]:
        """Kill all of these processes without a warning; which they were."""
        killed = self.processes(words)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        return killed

    def version(self) -> int:
        """The version that production is at."""
        environment = self.api.get("projects/shop/environments/production").json()
        version: int = environment["version"]
        return version

    def switches(self) -> dict[str, bool]:
        """Each flag, and whether it is on in production."""
        answer = self.api.get("projects/shop/environments/production/flags?page_size=200").json()
        return {row["flag"]: row["enabled"] for row in answer["results"]}

    def kept_switch(self, flag: str) -> bool | None:
        """Whether the flag is on in the ruleset on disk; None when it is not in it."""
        for file in (self.up.home / "rulesets").glob("*.json"):
            if file.name != "keys.json":
                kept = json.loads(file.read_text())["flags"]
                return kept[flag]["enabled"] if flag in kept else None
        return None


@contextlib.contextmanager
def whole_site() -> Iterator[WholeSite]:
    """An empty Flagsite whose Valkey is reached through a proxy."""
    with contextlib.ExitStack() as until_the_end:
        home = until_the_end.enter_context(an_open_folder())
        stores = Stores(until_the_end.enter_context(an_open_folder()))
        until_the_end.callback(stores.stop)
        to_valkey, redis_url = Proxy.of(stores.valkey.url)
        until_the_end.callback(to_valkey.close)
        up = RunningUp(
            home,
            DATABASE_URL=stores.postgres.url,
            REDIS_URL=redis_url,
            FLAGSITE_DEMO="0",
            WEB_CONCURRENCY=str(WEB_PROCESSES),
        )
        until_the_end.callback(up.stop)
        yield WholeSite(up.until_ready(), stores, to_valkey)

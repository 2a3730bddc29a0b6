"""The state of one web process, and the loops that keep it true.

Hints say where to look, the truth check looks anyway, keys are read every second. Every answer is
given from memory; nothing here is awaited by an evaluation of an environment that is loaded.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from django.conf import settings

from flags.live.announcements import Announcements
from flags.live.database import UNREACHABLE, DatabaseThread
from flags.live.environments import LiveEnvironment
from flags.live.hints import HintListener
from flags.live.kept import Kept
from flags.live.keys import KeyTable, KnownKey, good_keys
from flags.live.receipts import Receipts
from flags.live.rulesets import (
    Advance,
    EnvironmentGone,
    LoadedRuleset,
    compiled,
    read_newer,
    read_whole,
)
from flags.queries.notices import is_told
from flags.queries.streams import states_of

logger = logging.getLogger(__name__)

# How long a start waits for the database before the process begins to answer without it.
START_WITHIN_SECONDS = 10
# An unknown key asks the database at most this often, however many unknown keys there are.
ASK_AGAIN_SECONDS = 0.1
# How long a request waits for a ruleset or a key table that is not there yet.
FIRST_NEED_SECONDS = 5
# What is older than this is said to be so; a few truth checks may fail without a word.
IN_TOUCH_SECONDS = 10
# How long a hello waits for the log, when it names a state this process does not know.
REFRESH_WITHIN_SECONDS = 2
# How often rulesets and keys that changed are written to disk; `confirmed_at` of the keys moves on
# at the slower pace.
KEEP_SECONDS = 2
KEEP_KEYS_SECONDS = 30
SWEEP_SECONDS = 2
NOTICES_SEEN_WITHIN_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
# How long a loop that failed unforeseen rests, so that failing again and again costs little.
LOOP_AGAIN_SECONDS = 1


class Socket(Protocol):
    """An open connection: closed when its key is revoked, swept now and then, told of a stop."""

    key: KnownKey | None

    def revoke(self) -> None: ...

    def sweep(self, now: float) -> None: ...

    async def say_goodbye(self, retry_after_ms: int) -> None: ...


class Live:
    """Everything one process knows. `start` and `stop` belong to the ASGI lifespan."""

    def __init__(self) -> None:
        self.keys = KeyTable()
        self.environments: dict[str, LiveEnvironment] = {}
        self.sockets: set[Socket] = set()
        self.receipts = Receipts()
        self.announcements = Announcements()
        self.is_stopping = False
        self.is_loaded = False
        self.keys_confirmed_at = 0.0
        self.truth_confirmed_at = 0.0
        self._hints = HintListener(on_hint=self._hinted, on_joined=self._joined)
        self._kept = Kept(settings.FLAGSITE_HOME / "rulesets")
        self._kept_keys: tuple[float, int] = (0.0, 0)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loading: dict[str, asyncio.Task[LiveEnvironment | None]] = {}
        self._refreshing: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._keys_task: asyncio.Task[bool] | None = None
        self._keys_asked_at = 0.0
        self._troubled: set[str] = set()

    # Starting and stopping

    async def start(self) -> None:
        """Load what there is, from the database or from disk, and begin to keep it true."""
        self._key_thread = DatabaseThread("keys")
        self._ruleset_thread = DatabaseThread("rulesets")
        self._receipt_thread = DatabaseThread("receipts")
        self._page_thread = DatabaseThread("pages")
        # Compressing, encoding and writing files: work that must not meet the event loop.
        self._workers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="live-work")
        for loop in (
            self._load_all,
            self._keys_loop,
            self._truth_loop,
            self._hints.run,
            self._receipts_loop,
            self._keep_loop,
            self._sweep_loop,
        ):
            self._keep_running(loop)
        deadline = time.monotonic() + START_WITHIN_SECONDS
        while not self.is_loaded and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self.is_stopping = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(*UNREACHABLE, TimeoutError):
            async with asyncio.timeout(1):
                await self._flush_receipts()
        for thread in (
            self._key_thread,
            self._ruleset_thread,
            self._receipt_thread,
            self._page_thread,
        ):
            thread.close()
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def say_goodbye(self) -> None:
        """Tell every open socket to come back a while later, each at another moment."""
        self.is_stopping = True
        sockets = list(self.sockets)
        spread_ms = min(60_000, max(2_000, 2 * len(sockets)))
        random.shuffle(sockets)
        goodbyes = [
            asyncio.create_task(socket.say_goodbye(250 + spread_ms * place // len(sockets)))
            for place, socket in enumerate(sockets)
        ]
        if goodbyes:
            await asyncio.wait(goodbyes, timeout=1)

    def _keep_running(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a loop until the process stops; should it fail in a way nobody foresaw, begin it anew."""

        def begin() -> None:
            if not self.is_stopping:
                self.spawn(loop()).add_done_callback(ended)

        def ended(task: asyncio.Task[Any]) -> None:
            if task.cancelled() or self.is_stopping or (error := task.exception()) is None:
                return
            logger.error("live.loop_failed loop=%s", loop.__name__, exc_info=error)
            asyncio.get_running_loop().call_later(LOOP_AGAIN_SECONDS, begin)

        begin()

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run beside everything else, until it ends or the process stops."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # How true it is

    @property
    def is_ready(self) -> bool:
        return self.is_loaded and not self.is_stopping

    @property
    def hears_hints(self) -> bool:
        return self._hints.is_connected

    def age(self) -> float:
        """Seconds since everything held was last known to be what the database has."""
        return max(0.0, time.time() - min(self.keys_confirmed_at, self.truth_confirmed_at))

    @property
    def is_in_touch(self) -> bool:
        """Whether what is held was compared with the database a moment ago."""
        return self.age() < IN_TOUCH_SECONDS

    # Keys

    async def key_of(self, secret: bytes) -> KnownKey | None:
        """Whose key it is; one that was made a moment ago is found as well."""
        if found := self.keys.find(secret):
            return found
        if self.keys.is_remembered_as_unknown(secret):
            return None
        if await self._asked_for_keys():
            if found := self.keys.find(secret):
                return found
            self.keys.remember_as_unknown(secret)
        return self.keys.find(secret)

    async def _asked_for_keys(self) -> bool:
        """Read the keys anew, together with whoever else asks; False when that fails or lasts."""
        if self._keys_task is None or self._keys_task.done():
            wait = self._keys_asked_at + ASK_AGAIN_SECONDS - time.monotonic()
            self._keys_task = self.spawn(self._read_keys(after=max(0.0, wait)))
        else:
            # One that is under way may have looked before the key was made.
            running = self._keys_task
            await asyncio.wait({running}, timeout=1)
            if self._keys_task is running and running.done():
                self._keys_task = self.spawn(self._read_keys(after=ASK_AGAIN_SECONDS))
        reading = self._keys_task
        await asyncio.wait({reading}, timeout=1)
        return reading.done() and not reading.cancelled() and reading.result()

    async def _read_keys(self, *, after: float = 0.0) -> bool:
        if after:
            await asyncio.sleep(after)
        self._keys_asked_at = time.monotonic()
        asked_at = time.time()
        try:
            rows = await self._key_thread.run(good_keys)
        except UNREACHABLE as error:
            self._unreachable("keys", error)
            return False
        self._reached("keys")
        gone = set(self.keys.replace(rows))
        self.keys_confirmed_at = asked_at
        if gone:
            for socket in tuple(self.sockets):
                if socket.key in gone:
                    socket.revoke()
        return True

    async def _keys_loop(self) -> None:
        while True:
            if self._keys_task is None or self._keys_task.done():
                self._keys_task = self.spawn(self._read_keys())
            await asyncio.wait({self._keys_task})
            await asyncio.sleep(settings.KEY_REFRESH.total_seconds())

    # Rulesets

    async def environment(self, id_: str) -> LiveEnvironment | None:
        """The environment, loaded on first need; None when it cannot be had now."""
        if there := self.environments.get(id_):
            return there
        loading = self._loading.get(id_)
        if loading is None:
            loading = self._loading[id_] = self.spawn(self._load(id_))
            loading.add_done_callback(lambda _: self._loading.pop(id_, None))
        await asyncio.wait({loading}, timeout=FIRST_NEED_SECONDS)
        return self.environments.get(id_)

    async def _load(self, id_: str) -> LiveEnvironment | None:
        confirmed_at = time.time()
        try:
            loaded = await self._ruleset_thread.run(read_whole, id_)
        except UNREACHABLE as error:
            self._unreachable("rulesets", error)
            loaded, confirmed_at = await self._in_worker(self._from_disk, id_), 0.0
        if loaded is None:
            return None
        self._make_room()
        made = LiveEnvironment(id_, loaded, confirmed_at=confirmed_at)
        made.is_kept = confirmed_at == 0.0
        self.environments[id_] = made
        return made

    def _from_disk(self, id_: str) -> LoadedRuleset | None:
        body = self._kept.ruleset(id_)
        try:
            return None if body is None else compiled(body)
        except ValueError as error:
            logger.warning("kept.unreadable environment=%s error=%s", id_, error)
            return None

    def _make_room(self) -> None:
        """Forget the environments loaded longest ago that nobody listens to."""
        surplus = len(self.environments) + 1 - settings.RULESETS_IN_MEMORY
        if surplus <= 0:
            return
        idle = [id_ for id_, held in self.environments.items() if not held.readers]
        for id_ in idle[:surplus]:
            del self.environments[id_]

    async def _load_all(self) -> None:
        """Every environment that a key can read, up to the bound; the database first, then disk."""
        reading = self._keys_task = self.spawn(self._read_keys())
        if not await reading and (kept := self._kept.keys()) and not self.keys.is_loaded:
            rows, self.keys_confirmed_at = kept
            self.keys.replace(rows)
            self.truth_confirmed_at = self.keys_confirmed_at
        while not self.keys.is_loaded:
            await asyncio.sleep(0.1)
        for id_ in self.keys.environments()[: settings.RULESETS_IN_MEMORY]:
            await self.environment(id_)
        if self.truth_confirmed_at == 0.0:
            self.truth_confirmed_at = min(
                (held.confirmed_at for held in self.environments.values()), default=time.time()
            )
        self.is_loaded = True

    def refresh(self, id_: str) -> asyncio.Task[None]:
        """Read what the environment has become; one read at a time, and one more if asked meanwhile."""
        running = self._refreshing.get(id_)
        # One that is done has looked for the last time, even if its callbacks have not run yet.
        if running is not None and not running.done():
            self._again.add(id_)
            return running
        task = self._refreshing[id_] = self.spawn(self._refresh(id_))
        task.add_done_callback(lambda _: self._forget_refresh(id_, task))
        return task

    def _forget_refresh(self, id_: str, task: asyncio.Task[None]) -> None:
        if self._refreshing.get(id_) is task:
            del self._refreshing[id_]

    async def refreshed(self, id_: str) -> None:
        """Wait until the environment was read again, but not for a database that does not answer."""
        await asyncio.wait({self.refresh(id_)}, timeout=REFRESH_WITHIN_SECONDS)

    async def _refresh(self, id_: str) -> None:
        while True:
            self._again.discard(id_)
            held = self.environments.get(id_)
            if held is None:
                return
            try:
                advance = await self._ruleset_thread.run(read_newer, id_, held.loaded)
            except UNREACHABLE as error:
                self._unreachable("rulesets", error)
                return
            except EnvironmentGone:
                self.environments.pop(id_, None)
                await self._in_worker(self._kept.forget_ruleset, id_)
                return
            self._reached("rulesets")
            if advance is not None:
                await self._take(held, advance)
            if id_ not in self._again:
                return

    async def _take(self, held: LiveEnvironment, advance: Advance) -> None:
        if not advance.deltas:
            # Whoever listens needs the whole: encode it before they ask all at once.
            await self._in_worker(advance.loaded.body)
        held.take(advance)

    async def _truth_loop(self) -> None:
        every = settings.TRUTH_CHECK.total_seconds()
        while True:
            await asyncio.sleep(every * random.uniform(0.75, 1.25))  # noqa: S311
            await self._check_truth()

    async def _check_truth(self) -> None:
        asked_at = time.time()
        held = dict(self.environments)
        streams = [f"environment:{id_}" for id_ in held]
        pages = self.announcements.streams()
        try:
            states = await self._page_thread.run(states_of, [*streams, *pages])
        except UNREACHABLE as error:
            self._unreachable("truth", error)
            return
        self._reached("truth")
        moved = [
            id_
            for id_, environment in held.items()
            if states.get(f"environment:{id_}") != environment.loaded.state
        ]
        if moved:
            await asyncio.wait([self.refresh(id_) for id_ in moved])
        for id_, environment in held.items():
            if states.get(f"environment:{id_}") == environment.loaded.state:
                environment.confirmed_at = asked_at
        if all(environment.confirmed_at >= asked_at for environment in self.environments.values()):
            self.truth_confirmed_at = asked_at
        for stream in pages:
            self._announce(stream)

    # Hints

    def _hinted(self, stream: str, version: int) -> None:
        kind, _, id_ = stream.partition(":")
        if kind == "environment":
            held = self.environments.get(id_)
            if held is not None and held.loaded.version < version:
                self.refresh(id_)
        elif kind == "project" and (self._keys_task is None or self._keys_task.done()):
            self._keys_task = self.spawn(self._read_keys())
        elif kind == "notices":
            self.spawn(self._say_notices(*id_.split(":")))
        self._announce(stream)

    def _joined(self) -> None:
        """Hints may have been missed while nobody listened."""
        self.spawn(self._check_truth())

    def _announce(self, stream: str) -> None:
        if self.announcements.wants(stream):
            self.spawn(self._read_announcements(stream))

    async def _say_notices(self, project: str, newest: str) -> None:
        """Let the pages of a project count their notices anew, once these can be seen.

        Their hint is sent from within the transaction that writes them.
        """
        try:
            for pause in NOTICES_SEEN_WITHIN_SECONDS:
                if await self._page_thread.run(is_told, newest):
                    break
                await asyncio.sleep(pause)
        except UNREACHABLE as error:
            self._unreachable("notices", error)
            return
        self._reached("notices")
        self.announcements.say(project, "notice:new")

    async def _read_announcements(self, stream: str) -> None:
        try:
            await self.announcements.catch_up(stream, self._page_thread.run)
        except UNREACHABLE as error:
            self._unreachable("announcements", error)
        else:
            self._reached("announcements")

    # Work beside the event loop

    async def encode(self, loaded: LoadedRuleset, *, gzipped: bool = False) -> bytes:
        """The ruleset's bytes, made in a worker the first time."""
        if gzipped:
            return loaded.gzipped() if loaded.is_gzipped else await self._in_worker(loaded.gzipped)
        return loaded.body() if loaded.is_encoded else await self._in_worker(loaded.body)

    async def in_database(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """For doors that need a row now and then: reads for a socket's hello, for a page."""
        return await self._page_thread.run(call, *arguments)

    async def _in_worker(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._workers, call, *arguments)

    # Receipts, files, open sockets

    async def _receipts_loop(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            try:
                await self._flush_receipts()
            except UNREACHABLE as error:
                self._unreachable("receipts", error)
                await asyncio.sleep(2)
            else:
                self._reached("receipts")

    async def _flush_receipts(self) -> None:
        await self.receipts.flush(self._receipt_thread.run)

    async def _keep_loop(self) -> None:
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            for id_, held in tuple(self.environments.items()):
                if not held.is_kept:
                    held.is_kept = True
                    body = await self.encode(held.loaded)
                    await self._in_worker(self._kept.keep_ruleset, id_, body)
            await self._keep_keys()

    async def _keep_keys(self) -> None:
        at, count = self._kept_keys
        rows = self.keys.rows()
        is_due = self.keys_confirmed_at - at >= KEEP_KEYS_SECONDS or len(rows) != count
        if not is_due or self.keys_confirmed_at == at or not self.keys.is_loaded:
            return
        self._kept_keys = (self.keys_confirmed_at, len(rows))

        def keep() -> None:
            self._kept.keep_keys(rows, confirmed_at=self.keys_confirmed_at)

        await self._in_worker(keep)

    async def _sweep_loop(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            for socket in tuple(self.sockets):
                socket.sweep(now)

    def _unreachable(self, what: str, error: Exception) -> None:
        """Said once per outage and kind of work, not at each of its many attempts."""
        if what not in self._troubled:
            self._troubled.add(what)
            logger.warning("live.database_lost reading=%s error=%s", what, type(error).__name__)

    def _reached(self, what: str) -> None:
        if what in self._troubled:
            self._troubled.discard(what)
            logger.warning("live.database_back reading=%s", what)


live = Live()

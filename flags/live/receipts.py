"""Who is connected to this process and what they acknowledged, gathered and written four times a
second: one row an instance, one histogram a version.
"""

import uuid
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from flags.live import deliveries

Run = Callable[..., Awaitable[Any]]

# How often an open connection's `seen_at` moves on; deliveries.GONE_AFTER is a multiple of it.
SEEN_EVERY = timedelta(seconds=20)
# Browsers are many and their key is public: rows for this many of an environment's, per process.
MOST_CLIENT_INSTANCES = 5_000
# Versions pushed to one connection that it may still acknowledge.
MOST_UNACKNOWLEDGED = 1_000
# Ends that wait to be written while the database is away.
MOST_ENDED = 50_000


@dataclass(eq=False)
class Connection:
    """One open connection of an SDK, from its hello to its end."""

    environment: str
    instance: uuid.UUID
    kind: str
    name: str
    sdk: str
    connected_at: datetime
    version: int | None = None
    receipt_at: datetime | None = None
    seen_at: datetime = field(init=False)
    # Versions pushed to it and not acknowledged yet, with the instant of their commit.
    pushed: dict[int, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.seen_at = self.connected_at


class Receipts:
    def __init__(self) -> None:
        self._open: dict[tuple[str, uuid.UUID], Connection] = {}
        self._clients: Counter[str] = Counter()
        self._changed: dict[tuple[str, uuid.UUID], Connection] = {}
        self._ended: dict[tuple[str, uuid.UUID], Connection] = {}
        self._counted: dict[tuple[str, int], deliveries.Counts] = defaultdict(deliveries.Counts)
        self._commits: dict[tuple[str, int], datetime] = {}

    def connected(
        self, *, environment: str, instance: uuid.UUID, kind: str, name: str, sdk: str
    ) -> Connection:
        connection = Connection(environment, instance, kind, name[:200], sdk[:100], timezone.now())
        if kind == "client":
            if self._clients[environment] >= MOST_CLIENT_INSTANCES:
                return connection
            self._clients[environment] += 1
        key = (environment, instance)
        self._open[key] = self._changed[key] = connection
        self._ended.pop(key, None)
        return connection

    def pushed(self, connection: Connection, version: int, committed_at: datetime) -> None:
        """A version was sent on its way to the connection when it was made."""
        if len(connection.pushed) < MOST_UNACKNOWLEDGED:
            connection.pushed[version] = committed_at

    def received(self, connection: Connection, version: int) -> None:
        """The instance evaluates with this version now; it stands for all before it."""
        now = timezone.now()
        connection.version, connection.receipt_at = version, now
        key = (connection.environment, connection.instance)
        if self._open.get(key) is connection:
            self._changed[key] = connection
        for pushed in [number for number in connection.pushed if number <= version]:
            committed_at = connection.pushed.pop(pushed)
            self._commits[connection.environment, pushed] = committed_at
            counts = self._counted[connection.environment, pushed]
            counts.add(connection.kind, now - committed_at)

    def disconnected(self, connection: Connection) -> None:
        key = (connection.environment, connection.instance)
        if self._open.get(key) is not connection:
            return
        del self._open[key]
        if connection.kind == "client":
            self._clients[connection.environment] -= 1
        if len(self._ended) < MOST_ENDED:
            self._ended[key] = connection
        else:
            # It is taken for gone all the same, as its `seen_at` moves on no more.
            self._changed.pop(key, None)

    async def flush(self, run: Run) -> None:
        """Write what was gathered; on an error it stays gathered, for the next time."""
        now = timezone.now()
        for key, connection in self._open.items():
            if now - connection.seen_at >= SEEN_EVERY:
                self._changed[key] = connection
        if not (self._changed or self._ended or self._counted):
            return
        changed, self._changed = self._changed, {}
        ended, self._ended = self._ended, {}
        counted, self._counted = self._counted, defaultdict(deliveries.Counts)
        commits, self._commits = self._commits, {}
        for connection in changed.values():
            connection.seen_at = now
        try:
            await run(
                deliveries.write,
                connected=[deliveries.InstanceRow.of(found) for found in changed.values()],
                ended=[deliveries.InstanceRow.of(found) for found in ended.values()],
                counted=[
                    (environment, version, commits[environment, version], counts)
                    for (environment, version), counts in sorted(counted.items())
                ],
                now=now,
            )
        except BaseException:
            self._put_back(changed, ended, counted, commits)
            raise

    def _put_back(
        self,
        changed: dict[tuple[str, uuid.UUID], Connection],
        ended: dict[tuple[str, uuid.UUID], Connection],
        counted: dict[tuple[str, int], "deliveries.Counts"],
        commits: dict[tuple[str, int], datetime],
    ) -> None:
        self._changed = {
            key: found for key, found in changed.items() if key not in self._changed
        } | self._changed
        self._ended = {
            key: found for key, found in ended.items() if key not in self._open
        } | self._ended
        for key, counts in counted.items():
            self._counted[key].merge(counts)
        self._commits = commits | self._commits

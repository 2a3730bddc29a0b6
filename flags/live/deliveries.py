"""How versions travel, written down: who is connected, and how many have a version how soon.

Telemetry, not part of any ruleset: rows here are written without an event, by receipts alone.
"""

import uuid
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from django.db import transaction
from django.db.models import Q

from audit.models import Event
from flags.models import Delivery, Environment, Instance

# Upper bounds of the histogram's classes, in milliseconds; what took longer is under "more".
BOUNDS_MS = (5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000)
MORE = "more"
# An instance not seen for so long was on a process that died.
GONE_AFTER = timedelta(seconds=60)
FORGOTTEN_AFTER = timedelta(days=7)


@dataclass
class Counts:
    """Receipts of one version, by class of time since its commit."""

    receipts: int = 0
    client_receipts: int = 0
    histogram: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, took: timedelta) -> None:
        """Browsers are counted apart: a public key can invent them."""
        if kind == "client":
            self.client_receipts += 1
            return
        self.receipts += 1
        place = bisect_left(BOUNDS_MS, took.total_seconds() * 1000)
        self.histogram[str(BOUNDS_MS[place]) if place < len(BOUNDS_MS) else MORE] += 1

    def merge(self, other: "Counts") -> None:
        self.receipts += other.receipts
        self.client_receipts += other.client_receipts
        self.histogram += other.histogram


class Connected(Protocol):
    environment: str
    instance: uuid.UUID
    kind: str
    name: str
    sdk: str
    version: int | None
    receipt_at: datetime | None
    connected_at: datetime


@dataclass(frozen=True)
class InstanceRow:
    """What is known of an instance at one moment, to be handed to another thread."""

    environment: str
    instance: uuid.UUID
    kind: str
    name: str
    sdk: str
    version: int | None
    receipt_at: datetime | None
    connected_at: datetime

    @classmethod
    def of(cls, found: Connected) -> "InstanceRow":
        return cls(
            found.environment,
            found.instance,
            found.kind,
            found.name,
            found.sdk,
            found.version,
            found.receipt_at,
            found.connected_at,
        )

    def row(self, *, seen_at: datetime) -> Instance:
        return Instance(
            environment_id=self.environment,
            instance=self.instance,
            kind=self.kind,
            name=self.name,
            sdk=self.sdk,
            version=self.version,
            receipt_at=self.receipt_at,
            connected_at=self.connected_at,
            seen_at=seen_at,
            disconnected_at=None,
        )


def open_delivery(event: Event) -> None:
    """Begin to count who has this event's version; called once for each committed event.

    Expected are the server-key instances that were connected when it was committed.
    """
    kind, _, environment = event.stream_id.partition(":")
    if kind != "environment" or not Environment.objects.filter(pk=environment).exists():
        return
    Instance.objects.filter(seen_at__lt=event.at - FORGOTTEN_AFTER).delete()
    expected = Instance.objects.filter(
        Q(disconnected_at=None) | Q(disconnected_at__gt=event.at),
        environment_id=environment,
        kind="server",
        connected_at__lte=event.at,
        seen_at__gt=event.at - GONE_AFTER,
    ).count()
    Delivery.objects.update_or_create(
        environment_id=environment,
        version=event.version,
        defaults={"committed_at": event.at, "expected": expected},
    )


def write(
    *,
    connected: Sequence[InstanceRow],
    ended: Sequence[InstanceRow],
    counted: Sequence[tuple[str, int, datetime, Counts]],
    now: datetime,
) -> None:
    """Write what a process gathered, all or nothing."""
    with transaction.atomic():
        there = _environments(connected, ended, counted)
        _write_instances([row.row(seen_at=now) for row in connected if row.environment in there])
        _end(ended, now=now)
        for environment, version, committed_at, counts in counted:
            if environment in there:
                _count(environment, version, committed_at, counts)


def _environments(
    *rows: Sequence[InstanceRow] | Sequence[tuple[str, int, datetime, Counts]],
) -> set[str]:
    """Those named that still exist: one that was deleted takes its telemetry with it."""
    named = {
        row.environment if isinstance(row, InstanceRow) else row[0] for part in rows for row in part
    }
    return {
        str(found)
        for found in Environment.objects.filter(pk__in=named).values_list("pk", flat=True)
    }


def _write_instances(rows: list[Instance]) -> None:
    # In one order everywhere: two processes writing the same rows would otherwise deadlock.
    rows.sort(key=lambda row: (str(row.environment_id), row.instance))
    Instance.objects.bulk_create(
        rows,
        batch_size=1_000,
        update_conflicts=True,
        unique_fields=["environment", "instance"],
        update_fields=[
            "kind",
            "name",
            "sdk",
            "version",
            "receipt_at",
            "connected_at",
            "seen_at",
            "disconnected_at",
        ],
    )


def _end(ended: Sequence[InstanceRow], *, now: datetime) -> None:
    """Mark who is gone: a server's row stays for a while, a browser's goes at once.

    A row whose `connected_at` is another one belongs to a newer connection of the same instance,
    perhaps to another process.
    """
    by_place: dict[tuple[str, str], list[InstanceRow]] = defaultdict(list)
    for row in ended:
        by_place[row.environment, row.kind].append(row)
    for (environment, kind), rows in sorted(by_place.items()):
        found = Instance.objects.filter(
            environment_id=environment,
            instance__in=[row.instance for row in rows],
            connected_at__in=[row.connected_at for row in rows],
        )
        if kind == "client":
            found.delete()
        else:
            found.update(disconnected_at=now, seen_at=now)


def _count(environment: str, version: int, committed_at: datetime, counts: Counts) -> None:
    """Add to the delivery's row, which a receipt may reach before `open_delivery` does."""
    Delivery.objects.bulk_create(
        [Delivery(environment_id=environment, version=version, committed_at=committed_at)],
        ignore_conflicts=True,
    )
    delivery = Delivery.objects.select_for_update().get(environment_id=environment, version=version)
    delivery.receipts += counts.receipts
    delivery.client_receipts += counts.client_receipts
    delivery.histogram = dict(Counter(delivery.histogram) + counts.histogram)
    delivery.save(update_fields=["receipts", "client_receipts", "histogram"])

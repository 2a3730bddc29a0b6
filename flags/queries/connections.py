"""Who is connected to an environment, at which version, and how its versions travelled."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from audit.models import Event, Stream
from flags.models import Delivery, Environment, Instance, SdkKey

# An instance whose process died without a goodbye counts as gone after this.
SILENT_AFTER = timedelta(seconds=60)
# What a page shows at most; the counts beside it are of all.
MOST_SHOWN = 200


@dataclass(frozen=True)
class Connections:
    """The instances of one environment: those that are connected first, then who was here last."""

    version: int
    instances: list[Instance]
    connected: int
    current: int

    @property
    def behind(self) -> int:
        return self.connected - self.current


def connections_of(environment: Environment, *, now: datetime) -> Connections:
    """Three queries whatever the number of instances."""
    version = Stream.objects.values_list("version", flat=True).get(key=environment.stream_key)
    connected = Instance.objects.filter(
        environment=environment, disconnected_at=None, seen_at__gte=now - SILENT_AFTER
    )
    counted: dict[Any, int] = {}
    for row in connected.values_list("version"):
        counted[row[0]] = counted.get(row[0], 0) + 1
    recent = Instance.objects.filter(environment=environment).order_by("-seen_at")[:MOST_SHOWN]
    instances = sorted(recent, key=lambda row: (not is_connected(row, now=now), row.name))
    return Connections(
        version=version,
        instances=instances,
        connected=sum(counted.values()),
        current=counted.get(version, 0),
    )


def is_connected(instance: Instance, *, now: datetime) -> bool:
    return instance.disconnected_at is None and instance.seen_at >= now - SILENT_AFTER


@dataclass(frozen=True)
class Travelled:
    """How one version reached the instances that were connected when it was committed."""

    delivery: Delivery
    event: Event | None

    @property
    def is_complete(self) -> bool:
        return self.delivery.receipts >= self.delivery.expected

    @property
    def median(self) -> str | None:
        return within(self.delivery.histogram, 0.5)

    @property
    def p99(self) -> str | None:
        return within(self.delivery.histogram, 0.99)


def deliveries_in(environment: Environment, *, limit: int = 10) -> list[Travelled]:
    """The newest versions and their receipts; two queries."""
    deliveries = list(Delivery.objects.filter(environment=environment).order_by("-version")[:limit])
    events = Event.objects.filter(
        stream=environment.stream_key, version__in=[delivery.version for delivery in deliveries]
    )
    by_version = {
        event.version: event for event in events.select_related("actor").defer("canonical", "delta")
    }
    return [Travelled(delivery, by_version.get(delivery.version)) for delivery in deliveries]


def within(histogram: dict[str, int], part: float) -> str | None:
    """How soon this part of the receipts was there, as `≤ 50 ms`; None without any receipt.

    A histogram counts by the upper bound in milliseconds; what lies past the last has no number.
    """
    bounds = sorted(int(text) for text in histogram if text.isdigit())
    total = sum(histogram.values())
    reached = 0
    for bound in bounds:
        reached += histogram[str(bound)]
        if reached >= part * total:
            return f"≤ {_duration(bound)}"
    return "later than measured" if total else None


def _duration(milliseconds: int) -> str:
    return f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds / 1000:g} s"


def keys_of(environment: Environment) -> list[SdkKey]:
    """The environment's SDK keys, those that work first. One query."""
    return sorted(
        environment.sdk_keys.all(), key=lambda key: (key.revoked_at is not None, key.created_at)
    )

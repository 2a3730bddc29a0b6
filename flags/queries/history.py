"""What happened in a project: its events, newest first, and what they said of one subject."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from audit.models import Event, Person
from flags.models import Delivery, Environment, Project

PAGE = 40


@dataclass(frozen=True)
class Streams:
    """A project's streams by key: each environment's, removed ones too, and its own (None)."""

    environments: dict[str, "NamedEnvironment | None"]

    def environment(self, event: Event) -> "NamedEnvironment | None":
        return self.environments[event.stream_id]

    def of_environment(self, key: str) -> list[str]:
        return [stream for stream, named in self.environments.items() if named and named.key == key]


@dataclass(frozen=True)
class NamedEnvironment:
    """An environment as history knows it; `is_removed` when it is there no more."""

    id: UUID
    key: str
    name: str
    position: int
    is_removed: bool


@dataclass(frozen=True)
class Page:
    """Some events, newest first, and the cursor after which the older ones come."""

    events: list[Event]
    older: str | None


@dataclass(frozen=True)
class Filters:
    """Which events are wanted; what is None is not asked about.

    `actor` is `<kind>:<id>` as `actors_in` gives it. `since` is the first instant, `until` the first
    one that is too late.
    """

    environment: str | None = None
    kind: str | None = None
    subject: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def streams_of(project: Project) -> Streams:
    """One query: the copies that simple-history keeps know removed environments too."""
    copies = (
        Environment.history.filter(project_id=project.pk)
        .order_by("id", "-history_date", "-history_id")
        .distinct("id")
        .values_list("id", "key", "name", "position", "history_type")
    )
    environments: dict[str, NamedEnvironment | None] = {
        f"environment:{id_}": NamedEnvironment(id_, key, name, position, type_ == "-")
        for id_, key, name, position, type_ in copies
    }
    return Streams({**environments, project.stream_key: None})


def events_in(
    streams: Streams, filters: Filters, *, after: str | None = None, limit: int = PAGE
) -> Page:
    """Events of the project, newest first; two queries. Raises ValueError for a broken cursor."""
    events = _filtered(streams, filters)
    if after:
        events = events.filter(_older_than(after))
    found = list(
        events.select_related("actor")
        .defer("canonical", "delta")
        .order_by("-at", "stream_id", "-version")[: limit + 1]
    )
    older = _cursor(found[limit - 1]) if len(found) > limit else None
    return Page(found[:limit], older)


def event_in(streams: Streams, event: UUID) -> Event | None:
    """One event of the project."""
    rows = Event.objects.filter(pk=event, stream__in=streams.environments)
    return rows.select_related("actor").defer("canonical", "delta").first()


def submitted_with(streams: Streams, event: Event) -> list[Event]:
    """The events of the same submit, this one among them, environments first."""
    rows = Event.objects.filter(submission=event.submission, stream__in=streams.environments)
    return list(rows.select_related("actor").defer("canonical", "delta").order_by("stream_id"))


def effects_on(event: Event, subject: str | None) -> list[dict[str, Any]]:
    """The event's effects, only those on the subject when one is given."""
    return [effect for effect in event.effects if subject is None or effect["subject"] == subject]


def actors_in(streams: Streams) -> list[tuple[str, str]]:
    """Who ever acted here, as (`<kind>:<id>`, name), by name. One query."""
    acted = Event.objects.filter(actor=OuterRef("pk"), stream__in=streams.environments)
    people = Person.objects.filter(Exists(acted), identity__isnull=False)
    named = {
        f"{identity['kind']}:{identity['id']}": str(identity["name"])
        for identity in people.values_list("identity", flat=True)
        if identity
    }
    return sorted(named.items(), key=lambda one: one[1].lower())


def deliveries_of(events: Iterable[Event], streams: Streams) -> dict[tuple[str, int], Delivery]:
    """How each of these versions travelled, by (stream, version). One query."""
    wanted = Q(pk__in=[])
    for event in events:
        environment = streams.environment(event)
        if environment is not None:
            wanted |= Q(environment_id=environment.id, version=event.version)
    return {
        (f"environment:{delivery.environment_id}", delivery.version): delivery
        for delivery in Delivery.objects.filter(wanted)
    }


def _filtered(streams: Streams, filters: Filters) -> Any:
    wanted: Sequence[str] = list(streams.environments)
    if filters.environment is not None:
        wanted = streams.of_environment(filters.environment)
    events = Event.objects.filter(stream__in=wanted)
    effect = {
        name: value
        for name, value in (("kind", filters.kind), ("subject", filters.subject))
        if value is not None
    }
    if effect:
        events = events.filter(effects__contains=[effect])
    if filters.actor is not None:
        kind, _, id_ = filters.actor.partition(":")
        events = events.filter(actor__identity__kind=kind, actor__identity__id=id_)
    if filters.since is not None:
        events = events.filter(at__gte=filters.since)
    if filters.until is not None:
        events = events.filter(at__lt=filters.until)
    return events


def _cursor(event: Event) -> str:
    return f"{event.at.isoformat()}~{event.stream_id}~{event.version}"


def _older_than(cursor: str) -> Q:
    try:
        at_text, stream, version_text = cursor.split("~")
        at, version = datetime.fromisoformat(at_text), int(version_text)
        if at.tzinfo is None:
            raise ValueError("expected an instant with its offset")
    except ValueError as error:
        raise ValueError(f"expected a cursor that an earlier page gave, got {cursor!r}") from error
    same_instant = Q(at=at)
    return (
        Q(at__lt=at)
        | same_instant & Q(stream_id__gt=stream)
        | same_instant & Q(stream_id=stream, version__lt=version)
    )

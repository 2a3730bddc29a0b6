"""What happened in a project: its events, newest first, and what they said of one subject."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum

from audit.models import Archive, Event, Person
from flags.differences import actor_in_words
from flags.models import Delivery, Environment, Project
from flags.models.projects import SITE_STREAM

PAGE = 40


@dataclass(frozen=True)
class Streams:
    """Streams by key: each environment's, removed ones too, a project's own and the site's (None).

    `projects` says whose they are, by the project's key; the site's is nobody's. `are_all` that
    no stream is left out, so that none has to be asked for.
    """

    environments: dict[str, "NamedEnvironment | None"]
    projects: dict[str, str] = field(default_factory=dict)
    are_all: bool = False

    def environment(self, event: Event) -> "NamedEnvironment | None":
        return self.environments.get(event.stream_id)

    def project(self, event: Event) -> str | None:
        return self.projects.get(event.stream_id)

    def of_environment(self, key: str) -> list[str]:
        return [stream for stream, named in self.environments.items() if named and named.key == key]

    def of_project(self, key: str) -> list[str]:
        return [stream for stream, project in self.projects.items() if project == key]


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

    `actor` is `<kind>:<id>` as `actors_in` gives it. `request` is a request's number: what was done
    to it and what it did. `subjects` are some of which any will do. `is_bypass` wants those alone by
    which a request was applied without approval. `since` is the first instant, `until` the first
    one that is too late.
    """

    stream: str | None = None
    project: str | None = None
    environment: str | None = None
    kind: str | None = None
    subject: str | None = None
    subjects: tuple[str, ...] = ()
    is_bypass: bool = False
    actor: str | None = None
    request: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def streams_of(project: Project) -> Streams:
    """The streams of one project. One query."""
    return _streams([project])


def all_streams() -> Streams:
    """Those of every project, and the site's. Two queries."""
    found = _streams(list(Project.objects.all()))
    return replace(found, environments={**found.environments, SITE_STREAM: None}, are_all=True)


def _streams(projects: Sequence[Project]) -> Streams:
    """The copies that simple-history keeps know removed environments too."""
    keys = {project.pk: project.key for project in projects}
    copies = (
        Environment.history.filter(project_id__in=keys)
        .order_by("id", "-history_date", "-history_id")
        .distinct("id")
        .values_list("id", "key", "name", "position", "history_type", "project_id")
    )
    environments: dict[str, NamedEnvironment | None] = {}
    named: dict[str, str] = {}
    for id_, key, name, position, type_, project_id in copies:
        stream = f"environment:{id_}"
        environments[stream] = NamedEnvironment(id_, key, name, position, type_ == "-")
        named[stream] = keys[project_id]
    own = {project.stream_key: project.key for project in projects}
    return Streams({**environments, **dict.fromkeys(own)}, {**named, **own})


def events_in(
    streams: Streams, filters: Filters, *, after: str | None = None, limit: int = PAGE
) -> Page:
    """Events of the streams, newest first; two queries. Raises ValueError for a broken cursor."""
    events = filtered(streams, filters)
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


def leases_with(streams: Streams, events: Iterable[Event]) -> dict[UUID, list[dict[str, Any]]]:
    """What leases began or ended in the submits of these events, by submission. One query."""
    begun_or_ended = Q(effects__contains=[{"kind": "lease.granted"}]) | Q(
        effects__contains=[{"kind": "lease.ended"}]
    )
    rows = Event.objects.filter(
        begun_or_ended,
        submission__in={event.submission for event in events},
        stream__in=streams.environments,
    )
    found: dict[UUID, list[dict[str, Any]]] = {}
    for submission, effects in rows.values_list("submission", "effects"):
        found.setdefault(submission, []).extend(
            effect for effect in effects if effect["kind"] in ("lease.granted", "lease.ended")
        )
    return found


def effects_on(event: Event, subject: str | None) -> list[dict[str, Any]]:
    """The event's effects, only those on the subject when one is given."""
    return [effect for effect in event.effects if subject is None or effect["subject"] == subject]


def actors_in(streams: Streams) -> list[tuple[str, str]]:
    """Who ever acted here, as (`<kind>:<id>`, name), by name. One query."""
    people = Person.objects.filter(identity__isnull=False)
    if not streams.are_all:
        acted = Event.objects.filter(actor=OuterRef("pk"), stream__in=streams.environments)
        people = people.filter(Exists(acted))
    # A person has a row for each place and token that they acted from.
    apart = people.values_list("identity__kind", "identity__id", "identity__name").distinct()
    named = {
        f"{kind}:{id_}": actor_in_words({"kind": kind, "name": str(name)})
        for kind, id_, name in apart
    }
    return sorted(named.items(), key=lambda one: one[1].lower())


def archived_in(streams: Streams) -> int:
    """How many events of these streams are in the archive and no longer here. One query."""
    spans = Archive.objects.all()
    if not streams.are_all:
        spans = spans.filter(stream__in=streams.environments)
    found: int | None = spans.aggregate(events=Sum(F("last") - F("first") + 1))["events"]
    return found or 0


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


def filtered(streams: Streams, filters: Filters) -> "QuerySet[Event]":
    """The events that are wanted, in no order; at most one query is made at once, for the actor."""
    events = Event.objects.all()
    if (wanted := _wanted(streams, filters)) is not None:
        events = events.filter(stream__in=wanted)
    effect = {
        name: value
        for name, value in (("kind", filters.kind), ("subject", filters.subject))
        if value is not None
    }
    if effect:
        events = events.filter(effects__contains=[effect])
    if filters.subjects:
        wanted_subjects = Q()
        for subject in filters.subjects:
            wanted_subjects |= Q(effects__contains=[{"subject": subject}])
        events = events.filter(wanted_subjects)
    if filters.is_bypass:
        applied = {"kind": "request.applied"}
        # The reason of a bypass is any text but none.
        events = events.filter(effects__contains=[applied]).exclude(
            effects__contains=[{**applied, "after": {"bypass": ""}}]
        )
    if filters.actor is not None:
        kind, _, id_ = filters.actor.partition(":")
        # Asked for first: by their digests the events come out of an index.
        people = Person.objects.filter(identity__kind=kind, identity__id=id_)
        events = events.filter(actor__in=list(people.values_list("pk", flat=True)))
    if filters.request is not None:
        subject = f"request:{filters.request}"
        events = events.filter(
            Q(request=filters.request) | Q(effects__contains=[{"subject": subject}])
        )
    if filters.since is not None:
        events = events.filter(at__gte=filters.since)
    if filters.until is not None:
        events = events.filter(at__lt=filters.until)
    return events


def _wanted(streams: Streams, filters: Filters) -> list[str] | None:
    """The keys of the streams to look in; None for every one there is."""
    wanted = None if streams.are_all else set(streams.environments)
    narrowed = [
        keys
        for keys in (
            None if filters.stream is None else [filters.stream],
            None if filters.project is None else streams.of_project(filters.project),
            None if filters.environment is None else streams.of_environment(filters.environment),
        )
        if keys is not None
    ]
    for keys in narrowed:
        wanted = set(keys) if wanted is None else wanted & set(keys)
    return None if wanted is None else sorted(wanted)


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
    # The first condition says nothing new, but it is the one that an index answers.
    return Q(at__lte=at) & (
        Q(at__lt=at)
        | same_instant & Q(stream_id__gt=stream)
        | same_instant & Q(stream_id=stream, version__lt=version)
    )

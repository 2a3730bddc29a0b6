"""Two states of something beside each other: of an environment, of an instant, of an event.

A state of an environment is the entries of its ruleset by subject (`flag:checkout`), without lists
of ids, which may be millions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from audit.models import Event
from flags.errors import NotFound
from flags.models import Environment, FlagConfiguration, SegmentDefinition
from flags.queries.history import Streams, effects_on, event_in
from flags.snapshots import Entry, flag_entry, segment_entry

# An event's effect that says this is about a list of ids, not about an entry.
ID_LIST = "list"


@dataclass(frozen=True)
class Difference:
    """One subject that is not the same in both states; None where it is not there."""

    subject: str
    before: Entry | None
    after: Entry | None

    @property
    def noun(self) -> str:
        return self.subject.partition(":")[0]

    @property
    def key(self) -> str:
        return self.subject.partition(":")[2]


@dataclass(frozen=True)
class StateAfter:
    """What an event left of a subject: an entry in an environment, or facts of the project."""

    event: Event
    environment: str | None
    state: dict[str, Any] | None


def entries_now(environment: Environment) -> dict[str, Entry]:
    """What the environment's ruleset says of each flag and segment. Two queries."""
    configurations = FlagConfiguration.objects.filter(
        environment=environment, flag__archived_at=None
    ).select_related("flag")
    definitions = SegmentDefinition.objects.filter(environment=environment)
    return {
        f"flag:{row.flag.key}": flag_entry(row.flag, row)
        for row in configurations.order_by("flag__key")
    } | {
        f"segment:{row.segment.key}": segment_entry(row.segment, row)
        for row in definitions.select_related("segment").order_by("segment__key")
    }


def entries_at(environment: Environment, instant: datetime) -> dict[str, Entry]:
    """The same as it was at an instant: what is there now, with what came since taken back.

    Four queries; the longer ago, the more events are read. Raises NotFound for an instant whose
    events are archived.
    """
    _refuse_what_is_archived(environment, instant)
    since = Event.objects.filter(stream=environment.stream_key, at__gt=instant)
    first: dict[str, Any] = {}
    for effects in since.order_by("version").values_list("effects", flat=True).iterator(500):
        for effect in effects:
            if not _is_about_ids(effect):
                first.setdefault(effect["subject"], effect["before"])
    then = entries_now(environment) | first
    return {subject: entry for subject, entry in sorted(then.items()) if entry is not None}


def _refuse_what_is_archived(environment: Environment, instant: datetime) -> None:
    oldest = Event.objects.filter(stream=environment.stream_key).order_by("version").first()
    if oldest is not None and oldest.version > 1 and instant < oldest.at:
        raise NotFound(
            f"what happened in {environment.key} before {oldest.at:%Y-%m-%d %H:%M} UTC is archived"
        )


def ids_changed_between(
    environment: Environment, since: datetime, until: datetime
) -> list[tuple[str, dict[str, Any]]]:
    """(subject, what was added and removed) of each change of a list of ids, oldest first."""
    events = Event.objects.filter(stream=environment.stream_key, at__gt=since, at__lte=until)
    return [
        (effect["subject"], effect["after"])
        for effects in events.order_by("version").values_list("effects", flat=True)
        for effect in effects
        if _is_about_ids(effect)
    ]


def differences_of(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> list[Difference]:
    """What is not the same, in order of subjects.

    The versions that count an entry's changes are no difference: each environment has its own.
    """
    return [
        Difference(subject, _plain(before.get(subject)), _plain(after.get(subject)))
        for subject in sorted(before.keys() | after.keys())
        if _plain(before.get(subject)) != _plain(after.get(subject))
    ]


def state_after(streams: Streams, event: UUID, subject: str) -> StateAfter:
    """What the event left of the subject. Raises NotFound when it says nothing of it."""
    found = event_in(streams, event)
    states = [] if found is None else [
        effect["after"] for effect in effects_on(found, subject) if not _is_about_ids(effect)
    ]  # fmt: skip
    if found is None or not states:
        raise NotFound(f"event {event} holds no state of {subject}")
    named = streams.environment(found)
    return StateAfter(found, named.key if named else None, states[-1])


def _is_about_ids(effect: Mapping[str, Any]) -> bool:
    return effect["after"] is not None and ID_LIST in effect["after"]


def _plain(entry: Entry | None) -> Entry | None:
    if entry is None:
        return None
    return {name: value for name, value in entry.items() if name != "version"}

"""Events as pages show them: one entry a submit, its effects in words, where and at which version."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.urls import reverse

from audit.models import Event
from flags.differences import actor_in_words, done, kind_in_words, lent_in_words, noun_of, told
from flags.models import Delivery, User
from flags.queries.connections import Travelled
from flags.queries.history import NamedEnvironment, Streams, effects_on
from flags.queries.requests import request_authors

# How many subjects of one submit a list shows; the event's own page shows them all.
MOST_BLOCKS = 8

NOUNS = {
    "flag": "Flag",
    "segment": "Segment",
    "environment": "Environment",
    "project": "Project",
    "sdk_key": "SDK key",
    "member": "Member",
    "service": "Service",
    "invitation": "Invitation",
    "api_token": "API token",
    "user": "Account",
    "request": "Request",
    "policy": "The policy of",
    "team": "Team",
    "ramp": "Ramp",
    "ramp_template": "Template of ramps",
    "lease": "Lease",
    "stream": "Stream",
}
# What has but a number is called by it.
NUMBERED = {"request", "ramp", "lease"}


@dataclass(frozen=True)
class Subject:
    """What an effect speaks of, with the page where it is at home."""

    noun: str
    name: str
    address: str | None


@dataclass(frozen=True)
class Deed:
    """What was done to a subject, as the words around it: `signed for the bypass of`, ``."""

    before: str
    after: str

    @classmethod
    def of(cls, effect: Mapping[str, Any]) -> "Deed":
        words = done(effect["kind"], effect["subject"], effect["after"])
        lead, _, tail = words.partition("{}")
        return cls(lead.strip(), tail.strip())


@dataclass(frozen=True)
class Place:
    """Where an effect took place: an environment at a version, or the project itself (None)."""

    environment: NamedEnvironment | None
    event: Event
    version: int | None  # the flag's own, in that environment
    delivery: Travelled | None
    restore_address: str | None = None
    # Whether it left a state that can be held against another.
    is_comparable: bool = False


@dataclass
class Block:
    """One subject and what became of it, the same in each of the places."""

    subject: Subject
    subject_key: str
    deed: Deed
    words: list[str]
    places: list[Place] = field(default_factory=list)

    @property
    def environments(self) -> list[Place]:
        return [place for place in self.places if place.environment is not None]

    @property
    def own_place(self) -> Place | None:
        """The project's own event, where it says something too."""
        return next((place for place in self.places if place.environment is None), None)


@dataclass
class Submission:
    """What one person did at one moment, and why. `asked_by` is whose request it applied."""

    id: UUID
    event: Event
    at: datetime
    actor: str
    token: str | None
    reason: str
    blocks: list[Block]
    left_out: int = 0
    asked_by: str = ""


@dataclass(frozen=True)
class Telling:
    """What is needed to put a project's events in words."""

    project: str
    streams: Streams
    deliveries: dict[tuple[str, int], Delivery]
    # What leases did in the same submit, by the submission.
    leases: dict[UUID, list[dict[str, Any]]] = field(default_factory=dict)
    subject: str | None = None
    # Where a person may bring back what an event left, by the event; absent where they may not.
    restore_address: dict[UUID, str] = field(default_factory=dict)
    most_blocks: int | None = MOST_BLOCKS

    def submissions(self, events: Iterable[Event]) -> list[Submission]:
        """Events that follow each other and came of one submit are told together."""
        together: list[list[Event]] = []
        for event in events:
            if together and together[-1][0].submission == event.submission:
                together[-1].append(event)
            else:
                together.append([event])
        names = member_names(events_ for group in together for events_ in group)
        authors = authors_of([group[0] for group in together], self.streams)
        return [self._submission(group, names, authors) for group in together]

    def _submission(
        self, events: Sequence[Event], names: dict[str, str], authors: dict[tuple[str, str], str]
    ) -> Submission:
        blocks = _merged([block for event in events for block in self._blocks(event, names)])
        for block in blocks:
            block.places.sort(key=_position)
        most = len(blocks) if self.most_blocks is None else self.most_blocks
        first = events[0]
        return Submission(
            id=first.submission,
            event=first,
            at=first.at,
            actor=actor_in_words(first.actor.identity),
            token=(first.actor.identity or {}).get("token"),
            reason=first.reason,
            blocks=blocks[:most],
            left_out=max(0, len(blocks) - most),
            asked_by=authors.get((self.project, first.request or ""), ""),
        )

    def _lent(self, event: Event, environment: NamedEnvironment | None, subject: str) -> list[str]:
        """That it was changed for a time, or back again, which only the lease's own event says."""
        if environment is None:
            return []
        leases = self.leases.get(event.submission, [])
        said = [lent_in_words(lease) for lease in leases if _is_of(lease, environment, subject)]
        return [words for words in said if words is not None]

    def _blocks(self, event: Event, names: dict[str, str]) -> list[Block]:
        environment = self.streams.environment(event)
        delivery = self.deliveries.get((event.stream_id, event.version))
        return [
            Block(
                subject=subject_of(about(effect, event), self.project, names),
                subject_key=effect["subject"],
                deed=Deed.of(effect),
                words=[
                    *told(effect["kind"], effect["before"], effect["after"]),
                    *self._lent(event, environment, effect["subject"]),
                ],
                places=[
                    Place(
                        environment=environment,
                        event=event,
                        version=(effect["after"] or {}).get("version"),
                        delivery=Travelled(delivery, event) if delivery else None,
                        restore_address=self.restore_address.get(event.pk),
                        is_comparable="list" not in (effect["after"] or {"list": None}),
                    )
                ],
            )
            for effect in loudest_first(effects_on(event, self.subject))
        ]


def _is_of(lease: Mapping[str, Any], environment: NamedEnvironment, subject: str) -> bool:
    """Whether a lease changes this subject there."""
    noun, _, key = subject.partition(":")
    return any(
        change["environment"] == environment.key and change.get(noun) == key
        for change in lease["after"]["plan"]["changes"]
    )


def loudest_first(effects: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The effects as they came, but that approval was bypassed is said before what came of it."""
    return sorted(effects, key=lambda effect: not (effect["after"] or {}).get("bypass"))


def about(effect: Mapping[str, Any], event: Event) -> str:
    """The subject to name: who was let in, rather than the number of the invitation it was by."""
    if effect["kind"] == "invitation.accepted":
        for other in event.effects:
            if other["kind"] == "member.set":
                return str(other["subject"])
    return str(effect["subject"])


def subject_of(subject: str, project: str | None, names: dict[str, str]) -> Subject:
    """What `flag:checkout` names, with its page in the project, if it belongs to one."""
    kind, _, key = subject.partition(":")
    pages = {"flag": "flag-history", "segment": "segment-history", "request": "request"}
    is_there = project is not None and kind in pages
    address = reverse(pages[kind], args=[project, key]) if is_there else None
    name = f"#{key}" if kind in NUMBERED else names.get(subject, key)
    noun = NOUNS.get(kind, kind)
    # In the middle of a sentence; an abbreviation stays as it is.
    noun = noun if noun[:2].isupper() else noun[:1].lower() + noun[1:]
    return Subject(noun, name, address)


def _merged(blocks: Iterable[Block]) -> list[Block]:
    """Blocks that say the same of the same subject made one, with all their places.

    What an environment says is also left out where the project's own event says it and more.
    """
    merged: list[Block] = []
    for block in sorted(blocks, key=lambda block: bool(block.environments)):
        for other in merged:
            says_more = set(block.words) <= set(other.words)
            is_told = bool(block.words) or block.deed == other.deed
            if other.subject_key == block.subject_key and says_more and is_told:
                other.places += block.places
                break
        else:
            merged.append(block)
    return merged


def _position(place: Place) -> tuple[bool, int]:
    return place.environment is None, place.environment.position if place.environment else 0


def authors_of(events: Iterable[Event], streams: Streams) -> dict[tuple[str, str], str]:
    """Who asked for what these events applied, by project and number. At most one query."""
    return request_authors(
        {(streams.project(event) or "", event.request) for event in events if event.request}
    )


def kinds_by_noun(kinds: Iterable[str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Kinds to choose from, in words, under what they are of."""
    named = sorted((noun_of(kind), kind) for kind in kinds)
    return [
        (noun[:1].upper() + noun[1:], [(kind, kind_in_words(kind)) for _, kind in group])
        for noun, group in groupby(named, key=lambda one: one[0])
    ]


def member_names(events: Iterable[Event]) -> dict[str, str]:
    """Usernames of the accounts and members that these events speak of, by subject.

    At most one query.
    """
    subjects = {
        effect["subject"]
        for event in events
        for effect in event.effects
        if effect["subject"].startswith(("member:", "user:"))
    }
    if not subjects:
        return {}
    accounts = User.objects.filter(pk__in={subject.partition(":")[2] for subject in subjects})
    named = {str(pk): name for pk, name in accounts.values_list("pk", "username")}
    return {
        subject: named.get(subject.partition(":")[2], "a former account") for subject in subjects
    }

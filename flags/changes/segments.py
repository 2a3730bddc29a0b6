"""Segments: created, edited, defined per environment, their id lists grown and shrunk."""

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import structs

from audit.canonical import canonical_bytes, sha256
from flagengine import problems_in_segment
from flags.changes.base import ALL_ENVIRONMENTS, UNSET, Change, Effect, Scope, UnsetType, change
from flags.changes.rulesets import same
from flags.errors import AlreadyExists, Invalid, NotFound, StaleChange
from flags.models import Segment, SegmentDefinition, SegmentId, SegmentIdBatch
from flags.models.keys import KEY_MEANS, is_key
from flags.snapshots import Entry, segment_entry

# Ids that take more than this travel as an address: a delta stays small enough to push to everyone.
LARGEST_BATCH_INLINE = 64 * 1024
LONGEST_ID = 500
LONGEST_BY = 200


def facts(segment: Segment) -> dict[str, Any]:
    return {"name": segment.name, "description": segment.description, "tags": segment.tags}


def segment_effect(
    kind: str, environment: str, segment: Segment, before: Entry | None, after: Entry | None
) -> Effect:
    return Effect(
        kind=kind,
        subject=f"segment:{segment.key}",
        before=before,
        after=after,
        environment=environment,
        delta=({"kind": "segment", "key": segment.key, "value": after},),
    )


@change("segment.created")
class CreateSegment(Change, frozen=True, kw_only=True):
    """Make a segment that nobody is in yet, in every environment."""

    key: str
    name: str = ""
    description: str = ""
    tags: list[str] = []

    def touches(self) -> Sequence[str]:
        return (ALL_ENVIRONMENTS,)

    def perform(self, scope: Scope) -> list[Effect]:
        if not is_key(self.key):
            raise Invalid.at("key", f"expected {KEY_MEANS}, got {self.key!r}")
        if Segment.objects.filter(project=scope.project, key=self.key).exists():
            raise AlreadyExists(f"there is a segment {self.key} in {self.project} already")
        segment = Segment(
            project=scope.the_project(),
            key=self.key,
            name=self.name or self.key,
            description=self.description,
            tags=sorted(set(self.tags)),
            created_at=scope.now,
            changed_at=scope.now,
        )
        scope.create(segment)
        effects = []
        for key, environment in scope.environments.items():
            definition = SegmentDefinition(
                segment=segment, environment=environment, changed_at=scope.now
            )
            scope.create(definition)
            effects.append(
                segment_effect(self.kind, key, segment, None, segment_entry(segment, definition))
            )
        return [*effects, Effect(self.kind, f"segment:{segment.key}", None, facts(segment))]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [DeleteSegment(project=self.project, segment=self.key)]


@change("segment.edited")
class EditSegment(Change, frozen=True, kw_only=True):
    """Name or describe a segment differently; what is not given stays."""

    segment: str
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    expected_revision: int | None = None

    def perform(self, scope: Scope) -> list[Effect]:
        segment = scope.segment(self.segment)
        before = facts(segment)
        values = {
            "name": self.name,
            "description": self.description,
            "tags": self.tags if self.tags is UNSET else sorted(set(self.tags)),
        }
        if not scope.edit(segment, values, expected_revision=self.expected_revision):
            return []
        return [Effect(self.kind, f"segment:{segment.key}", before, facts(segment))]

    def kept(self, effects: Sequence[Effect]) -> Change:
        return structs.replace(self.only_altered(effects), expected_revision=None)

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            EditSegment(project=self.project, segment=self.segment, **effect.before)
            for effect in effects
        ]


@change("segment.defined")
class DefineSegment(Change, frozen=True, kw_only=True):
    """Say by which condition a context is in the segment in one environment; null is by none."""

    environment: str
    segment: str
    when: dict[str, Any] | None
    expected_version: int | None = None

    def touches(self) -> Sequence[str]:
        return (self.environment,)

    def perform(self, scope: Scope) -> list[Effect]:
        segment, definition = definition_in(scope, self.environment, self.segment)
        if self.expected_version is not None and definition.version != self.expected_version:
            raise StaleChange(
                f"segment {segment.key} is at version {definition.version} in {self.environment}, "
                f"expected {self.expected_version}: somebody changed it meanwhile"
            )
        before = segment_entry(segment, definition)
        definition.when = self.when
        after = segment_entry(segment, definition)
        if same(after, before):
            return []
        if problems := problems_in_segment(after):
            raise Invalid(problems)
        definition.version += 1
        definition.changed_at = scope.now
        scope.save(definition, "when", "version", "changed_at")
        return [segment_effect(self.kind, self.environment, segment, before, after)]

    def kept(self, effects: Sequence[Effect]) -> Change:
        return structs.replace(self, expected_version=None)

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            DefineSegment(
                project=self.project,
                environment=self.environment,
                segment=self.segment,
                when=effect.before.get("when"),
            )
            for effect in effects
        ]


@change("segment_ids.changed")
class ChangeSegmentIds(Change, frozen=True, kw_only=True):
    """Put ids on one list of a segment in one environment, and take others off."""

    environment: str
    segment: str
    by: str = "targetingKey"
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    id_list: Literal["included", "excluded"] = "included"

    def touches(self) -> Sequence[str]:
        return (self.environment,)

    def perform(self, scope: Scope) -> list[Effect]:
        segment, definition = definition_in(scope, self.environment, self.segment)
        self._refuse_what_is_no_id()
        there = definition.listed_ids.filter(list=self.id_list, by=self.by)
        removed = sorted(listed_among(there, self.remove))
        there.filter(value__in=removed).delete()
        add = set(self.add) - set(self.remove)
        added = sorted(add - listed_among(there, sorted(add)))
        SegmentId.objects.bulk_create(
            (
                SegmentId(definition=definition, list=self.id_list, by=self.by, value=value)
                for value in added
            ),
            batch_size=10_000,
        )
        if not added and not removed:
            return []
        definition.version += 1
        definition.changed_at = scope.now
        scope.save(definition, "version", "changed_at")
        entry = {"list": self.id_list, "by": self.by, **_carried(added, removed)}
        return [
            Effect(
                kind=self.kind,
                subject=f"segment:{segment.key}",
                before={},
                after=entry,
                environment=self.environment,
                delta=({"kind": "segment_ids", "key": segment.key, **entry},),
            )
        ]

    def _refuse_what_is_no_id(self) -> None:
        if not 0 < len(self.by) <= LONGEST_BY or "\0" in self.by or _has_surrogate(self.by):
            raise Invalid.at("by", f"expected an attribute's name, 1 to {LONGEST_BY} characters")
        for name in ("add", "remove"):
            for index, value in enumerate(getattr(self, name)):
                if not 0 < len(value) <= LONGEST_ID:
                    raise Invalid.at(
                        f"{name}[{index}]",
                        f"expected 1 to {LONGEST_ID} characters, got {len(value)}",
                    )
                if "\0" in value or _has_surrogate(value):
                    raise Invalid.at(f"{name}[{index}]", "holds NUL or a lone surrogate")

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            ChangeSegmentIds(
                project=self.project,
                environment=self.environment,
                segment=self.segment,
                id_list=self.id_list,
                by=self.by,
                **_reversed(effect.after),
            )
            for effect in effects
        ]


@change("segment.deleted")
class DeleteSegment(Change, frozen=True, kw_only=True):
    """Remove a segment that no flag and no segment uses; its events stay. There is no way back."""

    segment: str

    def touches(self) -> Sequence[str]:
        return (ALL_ENVIRONMENTS,)

    def perform(self, scope: Scope) -> list[Effect]:
        segment = scope.segment(self.segment)
        before, effects = facts(segment), []
        for definition in segment.definitions.select_related("environment"):
            entry = segment_entry(segment, definition)
            environment = definition.environment.key
            effects.append(segment_effect(self.kind, environment, segment, entry, None))
            definition.listed_ids.all().delete()
            scope.delete(definition)
        scope.delete(segment)
        return [*effects, Effect(self.kind, f"segment:{self.segment}", before, None)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


def definition_in(scope: Scope, environment: str, key: str) -> tuple[Segment, SegmentDefinition]:
    """The segment and what it is there; raises NotFound."""
    segment = scope.segment(key)
    definition = segment.definitions.filter(environment=scope.environment(environment)).first()
    if definition is None:
        raise NotFound(f"segment {key} has no definition in {environment}")
    return segment, definition


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def listed_among(rows: Any, values: Sequence[str]) -> set[str]:
    """Those of `values` that are on the list, asked for in portions a query can carry."""
    found: set[str] = set()
    for start in range(0, len(values), 10_000):
        found |= set(
            rows.filter(value__in=values[start : start + 10_000]).values_list("value", flat=True)
        )
    return found


def _carried(added: list[str], removed: list[str]) -> dict[str, Any]:
    """The ids themselves, or past LARGEST_BATCH_INLINE their digest and where to fetch them."""
    body = canonical_bytes({"add": added, "remove": removed})
    if len(body) <= LARGEST_BATCH_INLINE:
        return {"add": added, "remove": removed}
    digest = sha256(body)
    SegmentIdBatch.objects.get_or_create(digest=digest, defaults={"body": body})
    return {"digest": digest, "url": f"/sdk/v1/segment-ids/{digest}"}


def _reversed(carried: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    if "digest" in carried:
        carried = SegmentIdBatch.objects.get(digest=carried["digest"]).ids
    return {"add": tuple(carried["remove"]), "remove": tuple(carried["add"])}

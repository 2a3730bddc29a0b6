"""Segments and their lists of ids: who is in them, how many, and what uses them."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, F, Func, JSONField, Value

from flags.models import (
    Environment,
    FlagConfiguration,
    Project,
    Segment,
    SegmentDefinition,
    SegmentId,
)

IDS_SHOWN = 100


@dataclass(frozen=True)
class SegmentUse:
    """What refers to a segment, in whichever environment."""

    flags: list[str] = field(default_factory=list)
    segments: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.flags) + len(self.segments)


@dataclass(frozen=True)
class SegmentRow:
    """One segment of the list; `ids` counts those listed, in all environments together."""

    segment: Segment
    ids: int
    conditions: int
    use: SegmentUse


@dataclass(frozen=True)
class IdList:
    """One list of a definition: how many ids are on it, and those that are shown."""

    name: str  # included or excluded
    by: str
    count: int
    matching: int
    shown: list[str]


@dataclass(frozen=True)
class SegmentInEnvironment:
    environment: Environment
    definition: SegmentDefinition
    ids: int


def segment_list(project: Project, text: str) -> list[SegmentRow]:
    """Five queries, whatever the number of segments; by key."""
    segments = Segment.objects.filter(project=project)
    for word in text.split():
        segments = segments.filter(key__icontains=word) | segments.filter(name__icontains=word)
    counts: dict[Any, int] = dict(
        SegmentId.objects.filter(definition__segment__project=project)
        .values_list("definition__segment")
        .annotate(ids=Count("pk"))
    )
    conditions: dict[Any, int] = dict(
        SegmentDefinition.objects.filter(segment__project=project, when__isnull=False)
        .values_list("segment")
        .annotate(conditions=Count("pk"))
    )
    uses = segment_uses(project)
    return [
        SegmentRow(
            segment=segment,
            ids=counts.get(segment.pk, 0),
            conditions=conditions.get(segment.pk, 0),
            use=uses.get(segment.key, SegmentUse()),
        )
        for segment in segments.distinct().order_by("key")
    ]


def segment_uses(project: Project) -> dict[str, SegmentUse]:
    """Segment key → what refers to it. Two queries."""
    flags, segments = defaultdict(set), defaultdict(set)
    for key, segment in (
        FlagConfiguration.objects.filter(flag__project=project, flag__archived_at=None)
        .exclude(rules=[])
        .annotate(named=_SegmentsNamed("rules"))
        .values_list("flag__key", "named")
    ):
        flags[segment].add(key)
    for key, segment in (
        SegmentDefinition.objects.filter(segment__project=project, when__isnull=False)
        .annotate(named=_SegmentsNamed("when"))
        .values_list("segment__key", "named")
    ):
        segments[segment].add(key)
    return {
        segment: SegmentUse(sorted(flags[segment]), sorted(segments[segment]))
        for segment in {*flags, *segments}
    }


def segment_in_environments(segment: Segment) -> list[SegmentInEnvironment]:
    """Its definition in each environment, in the project's order. Two queries."""
    counts: dict[Any, int] = dict(
        SegmentId.objects.filter(definition__segment=segment)
        .values_list("definition")
        .annotate(ids=Count("pk"))
    )
    definitions = segment.definitions.select_related("environment").order_by(
        "environment__position", "environment__key"
    )
    return [
        SegmentInEnvironment(definition.environment, definition, counts.get(definition.pk, 0))
        for definition in definitions
    ]


def id_lists(definition: SegmentDefinition, text: str) -> list[IdList]:
    """The lists of a definition, narrowed to ids that contain `text`; two queries and one a list.

    The two lists by targeting key are always there, though they may be empty.
    """
    rows = SegmentId.objects.filter(definition=definition)
    grouped = ("list", "by")
    counts = {(name, by): n for name, by, n in _counted(rows, *grouped)}
    matching = counts
    if text:
        rows = rows.filter(value__icontains=text)
        matching = {(name, by): n for name, by, n in _counted(rows, *grouped)}
    always = {(name, "targetingKey") for name in ("included", "excluded")}
    return [
        IdList(
            name=name,
            by=by,
            count=counts.get((name, by), 0),
            matching=matching.get((name, by), 0),
            shown=list(
                rows.filter(list=name, by=by)
                .order_by("value")
                .values_list("value", flat=True)[:IDS_SHOWN]
            ),
        )
        for name, by in sorted(
            {*counts, *always}, key=lambda pair: (pair[0] != "included", pair[1])
        )
    ]


def id_lists_of(definition: SegmentDefinition) -> list[dict[str, Any]]:
    """`{"list", "by", "count"}` of each list that holds an id; one query."""
    return list(
        definition.listed_ids.values("list", "by")
        .annotate(count=Count("pk"))
        .order_by("list", "by")
    )


def _counted(rows: Any, *grouped: str) -> Any:
    return rows.order_by().values_list(*grouped).annotate(ids=Count("pk"))


class _SegmentsNamed(Func):
    """Each segment that a condition anywhere inside a JSON column refers to: a row a segment."""

    function = "jsonb_path_query"
    output_field = JSONField()
    set_returning = True

    def __init__(self, column: str) -> None:
        super().__init__(
            F(column),
            Func(Value("$.**.segment"), function="", template="(%(expressions)s)::jsonpath"),
        )

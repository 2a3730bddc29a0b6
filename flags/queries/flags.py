"""Flags as the pages show them: a list with a state per environment, and one flag whole."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import DateTimeField, Exists, F, Func, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Greatest

from flags.models import Environment, Flag, FlagConfiguration, Project, Segment, User

PAGE_SIZE = 50


@dataclass(frozen=True)
class FlagFilter:
    """What a list of flags is narrowed to; an empty value narrows nothing."""

    text: str = ""
    state: str = ""  # "on:production" or "off:production"
    type: str = ""
    tag: str = ""
    owner: str = ""  # a username
    archived: bool = False

    @property
    def is_narrow(self) -> bool:
        return self != FlagFilter(archived=self.archived)


@dataclass(frozen=True)
class FlagState:
    """A flag in one environment."""

    environment: Environment
    configuration: FlagConfiguration

    @property
    def enabled(self) -> bool:
        return self.configuration.enabled

    @property
    def serves(self) -> str:
        """What most contexts get, as briefly as a row has room for."""
        if not self.enabled:
            return self.configuration.off_variation or "app's default"
        split = self.configuration.fallthrough.get("split")
        if split is None:
            return str(self.configuration.fallthrough.get("variation", ""))
        variation, share = split["shares"][0] if split["shares"] else ("", 0)
        return f"{variation} {share / 1000:g} %"

    @property
    def rule_count(self) -> int:
        """Rules and individual targets: what stands before the default."""
        return len(self.configuration.rules) + len(self.configuration.targets)


@dataclass(frozen=True)
class FlagRow:
    """One flag of a list, with its state in each environment in the project's order."""

    flag: Flag
    states: list[FlagState]
    changed_at: datetime


@dataclass(frozen=True)
class FlagList:
    """One page of flags, the most recently changed first."""

    rows: list[FlagRow]
    total: int
    page: int
    pages: int

    @property
    def first(self) -> int:
        return (self.page - 1) * PAGE_SIZE + 1 if self.total else 0

    @property
    def last(self) -> int:
        return min(self.page * PAGE_SIZE, self.total)


@dataclass(frozen=True)
class FilterChoices:
    """What the flags of a project can be narrowed by."""

    tags: list[str] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    has_archived: bool = False


def flag_list(
    project: Project, environments: list[Environment], wanted: FlagFilter, *, page: int
) -> FlagList:
    """Three queries, whatever the number of flags."""
    found = _narrowed(Flag.objects.filter(project=project), wanted)
    total = found.count()
    pages = max(1, -(-total // PAGE_SIZE))
    page = min(max(1, page), pages)
    ordered = _with_last_change(found).order_by("-last_change", "key").select_related("owner")
    flags = list(ordered[(page - 1) * PAGE_SIZE : page * PAGE_SIZE])
    return FlagList(rows=_rows(flags, environments), total=total, page=page, pages=pages)


def flag_row(project: Project, environments: list[Environment], key: str) -> FlagRow | None:
    """Two queries."""
    flags = list(
        _with_last_change(Flag.objects.filter(project=project, key=key)).select_related("owner")
    )
    return _rows(flags, environments)[0] if flags else None


def flags_called(project: Project, keys: Sequence[str]) -> dict[str, Flag]:
    """The flags of these keys, by key; one query."""
    return {flag.key: flag for flag in Flag.objects.filter(project=project, key__in=keys)}


def flags_on(environment: Environment, keys: Sequence[str]) -> set[str]:
    """Which of the flags of these keys are on there; one query."""
    rows = FlagConfiguration.objects.filter(
        environment=environment, enabled=True, flag__key__in=keys
    )
    return set(rows.values_list("flag__key", flat=True))


def filter_choices(project: Project) -> FilterChoices:
    """Three queries."""
    flags = Flag.objects.filter(project=project)
    tags = flags.annotate(tag=Func(F("tags"), function="unnest")).values_list("tag", flat=True)
    owners = User.objects.filter(
        Exists(Flag.objects.filter(project=project, owner=OuterRef("pk")))
    ).values_list("username", flat=True)
    return FilterChoices(
        tags=sorted(set(tags)),
        owners=sorted(owners),
        has_archived=flags.exclude(archived_at=None).exists(),
    )


@dataclass(frozen=True)
class NamedFlag:
    """A flag as another one can name it: a prerequisite, and which answers it may require."""

    key: str
    variations: list[str]


def flags_to_require(project: Project, besides: str) -> list[NamedFlag]:
    """Every other flag that is not archived. One query."""
    rows = (
        Flag.objects.filter(project=project, archived_at=None)
        .exclude(key=besides)
        .order_by("key")
        .values_list("key", "variations")
    )
    return [
        NamedFlag(key, [variation["key"] for variation in variations]) for key, variations in rows
    ]


def members_of(project: Project) -> list[str]:
    """Usernames of those who can own a flag. One query."""
    members = User.objects.filter(memberships__project=project, is_active=True)
    return list(members.order_by("username").values_list("username", flat=True))


def segment_keys(project: Project) -> list[str]:
    """One query."""
    return list(
        Segment.objects.filter(project=project).order_by("key").values_list("key", flat=True)
    )


def attributes_in_use(project: Project) -> list[str]:
    """Names of the attributes that rules and segments of the project look at. Two queries."""
    names: set[str] = set()
    for conditions in (
        FlagConfiguration.objects.filter(flag__project=project, flag__archived_at=None)
        .exclude(rules=[])
        .values_list("rules", flat=True)
    ):
        names |= set(_attributes(conditions))
    for condition in Segment.objects.filter(
        project=project, definitions__when__isnull=False
    ).values_list("definitions__when", flat=True):
        names |= set(_attributes(condition))
    return sorted(names)


def _attributes(value: Any) -> list[str]:
    if isinstance(value, list):
        return [name for part in value for name in _attributes(part)]
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("attribute"), str):
        return [value["attribute"]]
    return [name for part in value.values() for name in _attributes(part)]


def _narrowed(flags: "QuerySet[Flag]", wanted: FlagFilter) -> "QuerySet[Flag]":
    flags = flags.exclude(archived_at=None) if wanted.archived else flags.filter(archived_at=None)
    for word in wanted.text.split():
        flags = flags.filter(
            Q(key__icontains=word)
            | Q(name__icontains=word)
            | Q(description__icontains=word)
            | Q(tags__icontains=word)
        )
    if wanted.type:
        flags = flags.filter(type=wanted.type)
    if wanted.tag:
        flags = flags.filter(tags__contains=[wanted.tag])
    if wanted.owner:
        flags = flags.filter(owner__username=wanted.owner)
    state, _, environment = wanted.state.partition(":")
    if state in ("on", "off"):
        flags = flags.filter(
            Exists(
                FlagConfiguration.objects.filter(
                    flag=OuterRef("pk"), environment__key=environment, enabled=state == "on"
                )
            )
        )
    return flags


def _with_last_change(flags: "QuerySet[Flag]") -> "QuerySet[Any]":
    newest = (
        FlagConfiguration.objects.filter(flag=OuterRef("pk"))
        .order_by("-changed_at")
        .values("changed_at")[:1]
    )
    return flags.annotate(
        last_change=Greatest("changed_at", Subquery(newest, output_field=DateTimeField()))
    )


def _rows(flags: list[Any], environments: list[Environment]) -> list[FlagRow]:
    by_flag: dict[Any, dict[Any, FlagConfiguration]] = defaultdict(dict)
    for configuration in FlagConfiguration.objects.filter(flag__in=flags):
        by_flag[configuration.flag_id][configuration.environment_id] = configuration
    return [
        FlagRow(
            flag=flag,
            states=[
                FlagState(environment, by_flag[flag.pk][environment.pk])
                for environment in environments
                if environment.pk in by_flag[flag.pk]
            ],
            changed_at=flag.last_change,
        )
        for flag in flags
    ]

"""Rows → ruleset: the JSON of docs/evaluation.md, at the version its stream is at.

`flag_entry` and `segment_entry` are the only places that turn a row into a ruleset's entry, so a
delta recorded by a change and a ruleset built fresh cannot differ in form.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from audit.models import Event, Stream
from flags.models import Environment, Flag, FlagConfiguration, Segment, SegmentDefinition, SegmentId

Entry = dict[str, Any]

# Somebody who was away for more changes than this is given the whole ruleset instead.
MOST_DELTAS = 1000


def flag_entry(flag: Flag, configuration: FlagConfiguration) -> Entry:
    """The flag as the ruleset of the configuration's environment has it."""
    return {
        "key": flag.key,
        "type": flag.type,
        "version": configuration.version,
        "variations": [
            {"key": variation["key"], "value": typed(variation["value"], flag.type)}
            for variation in flag.variations
        ],
        "enabled": configuration.enabled,
        "off_variation": configuration.off_variation,
        "prerequisites": configuration.prerequisites,
        "targets": configuration.targets,
        "rules": configuration.rules,
        "fallthrough": configuration.fallthrough,
        "client_visible": flag.client_visible,
    }


def typed(value: Any, type_: str) -> Any:
    """A number written as its flag's type says, whatever the store made of it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if type_ == "float":
        return float(value)
    if type_ == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def segment_entry(segment: Segment, definition: SegmentDefinition) -> Entry:
    """The segment without its id lists, as a delta carries it."""
    entry: Entry = {"key": segment.key}
    if definition.when is not None:
        entry["when"] = definition.when
    return entry


def ruleset_document(environment: Environment) -> dict[str, Any]:
    """The whole ruleset, read at one instant; five queries whatever its size."""
    with one_instant():
        stream = Stream.objects.get(key=environment.stream_key)
        configurations = FlagConfiguration.objects.filter(
            environment=environment, flag__archived_at=None
        ).select_related("flag")
        definitions = list(
            SegmentDefinition.objects.filter(environment=environment).select_related("segment")
        )
        listed = _listed_ids(environment)
        return {
            "environment": str(environment.id),
            "version": stream.version,
            "digest": stream.digest,
            "flags": {
                configuration.flag.key: flag_entry(configuration.flag, configuration)
                for configuration in configurations.order_by("flag__key")
            },
            "segments": {
                definition.segment.key: segment_entry(definition.segment, definition)
                | listed.get(definition.pk, {})
                for definition in sorted(definitions, key=lambda row: row.segment.key)
            },
        }


def deltas_since(environment: Environment, version: int, digest: str) -> list[bytes] | None:
    """The stored deltas after a state, oldest first; None when that state is not in the log.

    None as well when more than MOST_DELTAS came since: the whole ruleset is the shorter way then.
    """
    stream_key = environment.stream_key
    named = Event.objects.filter(stream_id=stream_key, version=version).values_list(
        "hash", flat=True
    )
    if [found[:16] for found in named] != [digest]:
        return None
    later = Event.objects.filter(stream_id=stream_key, version__gt=version, delta__isnull=False)
    deltas = [
        bytes(event.delta)
        for event in later.order_by("version").only("delta")[: MOST_DELTAS + 1]
        if event.delta
    ]
    return deltas if len(deltas) <= MOST_DELTAS else None


def encoded(document: dict[str, Any]) -> bytes:
    """JSON as apps download it. The standard library's encoder: integers of any length are meant."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


@contextmanager
def one_instant() -> Iterator[None]:
    """All queries inside see the database as it was at the first of them.

    Inside a transaction that is already open (a change being applied, which holds the locks, or a
    test) its own view is taken as it is.
    """
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _listed_ids(environment: Environment) -> dict[Any, dict[str, list[Entry]]]:
    """definition's id → {"included": [{"by", "keys"}], "excluded": […]}, lists in order of `by`."""
    lists: dict[Any, dict[str, dict[str, list[str]]]] = defaultdict(lambda: defaultdict(dict))
    rows = (
        SegmentId.objects.filter(definition__environment=environment)
        .order_by("definition_id", "list", "by", "value")
        .values_list("definition_id", "list", "by", "value")
    )
    for definition, list_, by, value in rows.iterator(chunk_size=20_000):
        lists[definition][list_].setdefault(by, []).append(value)
    return {
        definition: {
            list_: [{"by": by, "keys": keys} for by, keys in by_attribute.items()]
            for list_, by_attribute in by_list.items()
        }
        for definition, by_list in lists.items()
    }

"""Segments and their lists of ids."""

from typing import Any

from django.db.models import Count

from flags.models import SegmentDefinition


def id_lists_of(definition: SegmentDefinition) -> list[dict[str, Any]]:
    """`{"list", "by", "count"}` of each list that holds an id; one query."""
    return list(
        definition.listed_ids.values("list", "by").annotate(count=Count("pk")).order_by("list", "by")
    )

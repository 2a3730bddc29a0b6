"""Lists of ids of a segment."""

from typing import Any

from django.db.models import Count

from flags.models import SegmentDefinition


def id_lists_of(definition: SegmentDefinition) -> list[dict[str, Any]]:
    """`{"list", "by", "count"}` of each list that holds an id. One query."""
    rows = definition.listed_ids.values("list", "by").annotate(count=Count("pk"))
    return list(rows.order_by("list", "by"))

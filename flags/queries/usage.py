"""Where a flag or a segment is needed. One query each."""

from django.db.models import BooleanField, F, Func, JSONField, Value

from flags.models import Environment, FlagConfiguration, SegmentDefinition


class _NamesSegment(Func):
    """Whether a condition anywhere inside a JSON column refers to the segment."""

    function = "jsonb_path_exists"
    output_field = BooleanField()

    def __init__(self, column: str, segment: str) -> None:
        super().__init__(
            F(column),
            Func(
                Value("$.**.segment ? (@ == $key)"),
                function="",
                template="(%(expressions)s)::jsonpath",
            ),
            Value({"key": segment}, output_field=JSONField()),
        )


def flags_requiring(environment: Environment, flag: str, variation: str | None = None) -> list[str]:
    """Keys of the flags that name this one (and this variation of it) as a prerequisite."""
    named = {"flag": flag} | ({"variations": [variation]} if variation is not None else {})
    return list(
        FlagConfiguration.objects.filter(
            environment=environment,
            flag__archived_at=None,
            prerequisites__contains=[named],
        )
        .order_by("flag__key")
        .values_list("flag__key", flat=True)
    )


def flags_using_segment(environment: Environment, segment: str) -> list[str]:
    """Keys of the flags with a rule that refers to the segment."""
    return list(
        FlagConfiguration.objects.filter(
            _NamesSegment("rules", segment), environment=environment, flag__archived_at=None
        )
        .order_by("flag__key")
        .values_list("flag__key", flat=True)
    )


def segments_using_segment(environment: Environment, segment: str) -> list[str]:
    """Keys of the segments whose condition refers to the segment."""
    return list(
        SegmentDefinition.objects.filter(
            _NamesSegment("when", segment), environment=environment, when__isnull=False
        )
        .order_by("segment__key")
        .values_list("segment__key", flat=True)
    )

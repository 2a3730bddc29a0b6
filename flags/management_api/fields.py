"""Serializers that take what they are given as it is: no conversion of types, no unknown members."""

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from flags.management_api.errors import BadQuery, problems_in

JSON_TYPES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def shown(value: object) -> str:
    """What came, for a message: its JSON type."""
    return JSON_TYPES.get(type(value), type(value).__name__)


class Text(serializers.CharField):
    """A text, taken as it is."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("allow_blank", True)
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError(f"expected a text, got {shown(data)}")
        return data


class Truth(serializers.BooleanField):
    """True or false, and nothing that could be taken for it."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError(f"expected true or false, got {shown(data)}")
        return data


class Whole(serializers.IntegerField):
    """A whole number."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("min_value", 0)
        options.setdefault("max_value", 2**31 - 1)
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError(f"expected a whole number, got {shown(data)}")
        return data


class Instant(serializers.DateTimeField):
    """An instant as it was written: one without its offset is for the change to refuse."""

    def enforce_timezone(self, value: datetime) -> datetime:
        return value


class Choice(serializers.ChoiceField):
    """One of a few texts."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str) or data not in self.choices:
            known = ", ".join(map(str, self.choices))
            got = repr(data) if isinstance(data, str) else shown(data)
            raise serializers.ValidationError(f"expected one of {known}, got {got}")
        return data


class Texts(serializers.ListField):
    """A list of texts."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=Text(), **options)

    def to_internal_value(self, data: Any) -> list[str]:
        if not isinstance(data, list):
            raise serializers.ValidationError(f"expected a list, got {shown(data)}")
        wrong = [index for index, value in enumerate(data) if not isinstance(value, str)]
        if wrong:
            raise serializers.ValidationError(
                {index: [f"expected a text, got {shown(data[index])}"] for index in wrong[:20]}
            )
        return data


@extend_schema_field({})
class AnyJson(serializers.JSONField):
    """Any JSON, null too, which the engine judges."""

    # Not `allow_null`: in the schema that would be "any JSON or else null", which null breaks.
    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        return (True, None) if data is None else super().validate_empty_values(data)


@extend_schema_field({"type": "object", "additionalProperties": True})
class JsonObject(serializers.JSONField):
    """A JSON object, whose members the engine judges."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError(f"expected an object, got {shown(data)}")
        return data


@extend_schema_field({"type": "array", "items": {"type": "object", "additionalProperties": True}})
class JsonObjects(serializers.JSONField):
    """A list of JSON objects, whose members the engine judges."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, list):
            raise serializers.ValidationError(f"expected a list, got {shown(data)}")
        wrong = {
            index: [f"expected an object, got {shown(value)}"]
            for index, value in enumerate(data)
            if not isinstance(value, dict)
        }
        if wrong:
            raise serializers.ValidationError(wrong)
        return data


class Strict(serializers.Serializer[Any]):
    """The root of all bodies: an object whose members are all known."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError(
                {"non_field_errors": [f"expected an object, got {shown(data)}"]}
            )
        writable = {name for name, field in self.fields.items() if not field.read_only}
        if unknown := sorted(data.keys() - writable):
            known = ", ".join(sorted(writable))
            raise serializers.ValidationError(
                {name: [f"is not a member here; {known} are"] for name in unknown}
            )
        return super().to_internal_value(data)


class Body(Strict):
    """A body that changes something; `reason` goes into the event."""

    reason = Text(required=False, max_length=2000, write_only=True)


class Reason(Body):
    """Nothing but why."""


class Query(serializers.Serializer[Any]):
    """Parameters of an address; unknown ones are refused, so that a misspelt filter is noticed."""

    # What pages and changes understand everywhere.
    EVERYWHERE = frozenset({"cursor", "page_size", "dry_run", "reason"})

    @classmethod
    def of(cls, parameters: Any) -> dict[str, Any]:
        """The parameters that were given; raises BadQuery."""
        query = cls(data={name: parameters.get(name) for name in parameters})
        unknown = sorted(parameters.keys() - query.fields.keys() - cls.EVERYWHERE)
        if unknown:
            raise BadQuery(
                [{"path": name, "message": "is no parameter of this address"} for name in unknown]
            )
        if any("\0" in value for value in parameters.values()):
            raise BadQuery([{"path": "", "message": "a parameter holds NUL"}])
        if not query.is_valid():
            raise BadQuery(problems_in(query.errors))
        found: dict[str, Any] = dict(query.validated_data)
        return found


def written_out(project: str, changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The changes with what the address says already: their project, and their only schema."""
    return [{"schema": 1, "project": project, **change} for change in changes]

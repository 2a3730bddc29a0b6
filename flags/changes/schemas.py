"""Values held against a flag's JSON Schema, whatever that schema says.

A schema is written by people, so it is not trusted: it refers to its own parts alone and nothing is
fetched, and its regular expressions are executed by RE2, since the library's own (Python's `re`)
take exponential time for some.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jsonschema
import re2
from jsonschema import ValidationError, validators
from referencing import Registry
from referencing.exceptions import Unresolvable

from flagengine import Problem

# References followed while one value is looked at; a few that each name the next twice would
# otherwise take for ever.
MOST_REFERENCES = 10_000

# RE2 says what it refuses in the exception; its own log would say it again on standard error.
_QUIET = re2.Options()
_QUIET.log_errors = False
# The library's types leave this one out.
_extend: Any = validators.extend
# Holds nothing and retrieves nothing.
_NOTHING_ELSE: Registry[Any] = Registry()
_FORMATS = jsonschema.FormatChecker(formats=())


class _TooManyReferences(ValueError):
    """The schema's references lead on and on."""


def problems_by_schema(variations: Sequence[Any], type_: str, json_schema: Any) -> list[Problem]:
    """What is wrong with the schema itself, else with each variation's value by it."""
    if type_ == "boolean":
        return [Problem("json_schema", "a boolean flag takes no schema")]
    try:
        jsonschema.Draft202012Validator.check_schema(json_schema, format_checker=_FORMATS)
    except jsonschema.SchemaError as error:
        return [Problem("json_schema", f"is not a JSON Schema: {error.message}")]
    if {"unevaluatedProperties", "patternProperties"} <= set(_members_in(json_schema)):
        # The library matches the patterns of this pair by `re`, out of our reach.
        return [
            Problem("json_schema", "has patternProperties and unevaluatedProperties: expected one")
        ]
    try:
        return [
            Problem(f"variations[{index}].value{_path(error)}", error.message)
            for index, variation in enumerate(variations)
            if isinstance(variation, dict) and "value" in variation
            for error in _validator(json_schema).iter_errors(variation["value"])
        ]
    except Unresolvable as error:
        return [Problem("json_schema", f"$ref: expected a part of this schema, got {error.ref!r}")]
    except (RecursionError, _TooManyReferences):
        return [Problem("json_schema", "$ref: the references lead on and on")]


@_FORMATS.checks("regex", raises=re2.error)
def _is_expression(value: object) -> bool:
    if isinstance(value, str):
        re2.compile(value, _QUIET)
    return True


def _members_in(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _members_in(part)


def _validator(json_schema: Any) -> Any:
    """Draft 2020-12, with its regular expressions by RE2 and its references counted."""
    followed = 0

    def counted(keyword: str) -> Any:
        original = jsonschema.Draft202012Validator.VALIDATORS[keyword]

        def follow(validator: Any, ref: Any, instance: Any, schema: Any) -> Any:
            nonlocal followed
            followed += 1
            if followed > MOST_REFERENCES:
                raise _TooManyReferences
            return original(validator, ref, instance, schema)

        return follow

    keywords = {
        "$ref": counted("$ref"),
        "$dynamicRef": counted("$dynamicRef"),
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    }
    kind = _extend(jsonschema.Draft202012Validator, keywords)
    return kind(json_schema, registry=_NOTHING_ELSE)


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not re2.search(pattern, instance, _QUIET):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, part in patterns.items():
        for name, value in instance.items():
            if re2.search(pattern, name, _QUIET):
                yield from validator.descend(value, part, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, allowed: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, value in instance.items():
        if name in named or any(re2.search(pattern, name, _QUIET) for pattern in patterns):
            continue
        if allowed is False:
            yield ValidationError(f"{name!r} is not a member that the schema allows")
        else:
            yield from validator.descend(value, allowed, path=name)


def _path(error: ValidationError) -> str:
    return "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path
    )

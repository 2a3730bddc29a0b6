"""What an evaluation answers."""

from typing import Any, NamedTuple

STATIC = "STATIC"
DEFAULT = "DEFAULT"
DISABLED = "DISABLED"
TARGETING_MATCH = "TARGETING_MATCH"
SPLIT = "SPLIT"
PREREQUISITE_FAILED = "PREREQUISITE_FAILED"
ERROR = "ERROR"

FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
TARGETING_KEY_MISSING = "TARGETING_KEY_MISSING"
INVALID_CONTEXT = "INVALID_CONTEXT"
GENERAL = "GENERAL"


class Result(NamedTuple):
    """The answer of one evaluation.

    Results are made when a ruleset is compiled and shared by all evaluations that end alike: the
    same answer of the same ruleset is the same object, and `value` must not be changed in place.
    `variation` is None when the flag has no answer of its own (an error, or an off variation that
    is null): the caller then uses its own default.
    """

    value: Any
    variation: str | None
    reason: str
    rule: str | None
    flag_version: int | None
    environment_version: int
    error_code: str | None = None
    error_message: str | None = None
    prerequisite: str | None = None  # the key of the prerequisite that failed

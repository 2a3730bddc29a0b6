"""What an evaluation answers."""

from typing import Generic, NamedTuple, TypeVar

Value = TypeVar("Value")


class Details(NamedTuple, Generic[Value]):
    """The value of a flag for one context, and where it comes from.

    `value` is the caller's default when `error_code` is set, and when the flag is off without an
    off variation. `rule` is the id of the rule that decided, if one did. The versions say which
    edition of the flag and of its environment answered; they are None when none could.
    """

    value: Value
    variation: str | None
    reason: str
    rule: str | None
    flag_version: int | None
    environment_version: int | None
    error_code: str | None
    error_message: str | None

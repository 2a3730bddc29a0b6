"""How a client stands with its server."""

from enum import StrEnum
from typing import NamedTuple


class Status(StrEnum):
    """What evaluations are answered from."""

    STARTING = "starting"  # nothing yet: every call answers its default
    READY = "ready"  # what the server says is the newest
    STALE = "stale"  # the last known ruleset; the server is away
    REFUSED = "refused"  # the last known ruleset, if any; the server does not take the key
    CLOSED = "closed"  # the last known ruleset, if any; the client was closed


class State(NamedTuple):
    """`age_seconds` is the time since the server last said that `version` is the newest."""

    status: Status
    version: int | None
    environment: str | None
    age_seconds: float | None
    connected: bool
    problem: str | None

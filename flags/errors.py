"""What can go wrong when something is read or changed; each door translates these once.

FlagsiteError
├── Denied            the actor may not do this                                  403
│   └── SecondFactorNeeded  … before they have proved a second factor afresh
├── ApprovalNeeded    an environment touched accepts only approved changes       403
├── NotFound          the project, environment, flag … does not exist            404
├── Conflict          what is there forbids it                                   409
│   ├── AlreadyExists a thing of this key exists
│   ├── InUse         something else needs what would be removed
│   ├── StaleChange   the target is no longer what the author saw
│   ├── Conflicting   what a request would change was changed by others meanwhile
│   └── WrongState    a request does not allow this in the state it is in
├── Invalid           the value itself is wrong; carries every problem found     422
│   └── Unreadable    a stored change of a kind that this release does not know
└── Busy              a lock was not free in time; trying again helps            503
"""

from collections.abc import Sequence

from audit.errors import Later
from flagengine import Problem


class FlagsiteError(Exception):
    """The root: a message for a person, in one sentence."""


class Denied(FlagsiteError):
    """The actor may not do this."""


class SecondFactorNeeded(Denied):
    """The actor may do this once they have proved their second factor afresh."""


class ApprovalNeeded(FlagsiteError):
    """An environment that would change accepts only approved changes."""

    def __init__(self, environments: list[str], lacking: Sequence[str] = ()) -> None:
        self.environments = environments
        self.lacking = list(lacking)
        needs = "; ".join(lacking) or "no direct change is made to what its flags evaluate to"
        where = ", ".join(environments)
        super().__init__(f"{where} requires approval: {needs}" if where else needs)


class NotFound(FlagsiteError):
    """The project, environment, flag or other thing that was named does not exist."""


class Conflict(FlagsiteError):
    """What is there forbids the change."""


class AlreadyExists(Conflict):
    """A thing of this key exists."""


class InUse(Conflict):
    """Something else needs what would be removed."""


class StaleChange(Conflict):
    """The target is no longer what the author saw."""


class Conflicting(Conflict):
    """What a request would change was changed by others meanwhile."""


class WrongState(Conflict):
    """A request does not allow this in the state it is in, or at this hour."""


class Invalid(FlagsiteError):
    """The value is wrong; `problems` says everything that is, each with its place."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))

    @classmethod
    def at(cls, path: str, message: str) -> "Invalid":
        return cls([Problem(path, message)])


class Unreadable(Invalid):
    """A stored change of a kind or a schema that this release does not know: a newer one may."""


class Busy(FlagsiteError, Later):
    """A lock was not free in time; trying again helps."""

"""What can go wrong when something is read or changed; each door translates these once.

FlagsiteError
├── Denied            the actor may not do this                                  403
├── ApprovalNeeded    an environment touched accepts only approved changes       403
├── NotFound          the project, environment, flag … does not exist            404
├── Conflict          what is there forbids it                                   409
│   ├── AlreadyExists a thing of this key exists
│   ├── InUse         something else needs what would be removed
│   └── StaleChange   the target is no longer what the author saw
├── Invalid           the value itself is wrong; carries every problem found     422
└── Busy              a lock was not free in time; trying again helps            503
"""

from flagengine import Problem


class FlagsiteError(Exception):
    """The root: a message for a person, in one sentence."""


class Denied(FlagsiteError):
    """The actor may not do this."""


class ApprovalNeeded(FlagsiteError):
    """An environment that would change accepts only approved changes."""

    def __init__(self, environments: list[str]) -> None:
        self.environments = environments
        named = ", ".join(environments)
        super().__init__(
            f"{named} requires approval: it accepts no direct change to what its flags evaluate to"
        )


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


class Invalid(FlagsiteError):
    """The value is wrong; `problems` says everything that is, each with its place."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))

    @classmethod
    def at(cls, path: str, message: str) -> "Invalid":
        return cls([Problem(path, message)])


class Busy(FlagsiteError):
    """A lock was not free in time; trying again helps."""

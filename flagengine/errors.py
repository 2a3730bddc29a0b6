"""Everything the engine raises, and what it reports instead of raising.

ValueError
├── InvalidRuleset   the document is no ruleset at all
└── DeltaMismatch    the delta cannot be applied to this ruleset: fetch the whole
"""

from dataclasses import dataclass


class InvalidRuleset(ValueError):
    """The document given to `Ruleset.compile` has not the shape of a ruleset."""


class DeltaMismatch(ValueError):
    """The delta does not follow this ruleset, or says something this engine does not know.

    The only answer is to fetch the whole ruleset.
    """


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a definition may not be saved: `path` names the place, `message` what was expected."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message

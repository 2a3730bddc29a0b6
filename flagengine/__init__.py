"""Flag evaluation: a ruleset in, results out; no clock, no I/O, no framework.

    ruleset = Ruleset.compile(document, clock=time.time)
    ruleset.evaluate("new-checkout", {"targetingKey": "user-1"}).value

What a flag evaluates to is said in docs/evaluation.md.
"""

from .buckets import bucket_of
from .errors import DeltaMismatch, InvalidRuleset, Problem
from .explanation import Explanation
from .instants import now_in
from .problems import problems_in_flag, problems_in_ruleset, problems_in_segment
from .result import Result
from .ruleset import Ruleset

__all__ = [
    "DeltaMismatch",
    "Explanation",
    "InvalidRuleset",
    "Problem",
    "Result",
    "Ruleset",
    "bucket_of",
    "now_in",
    "problems_in_flag",
    "problems_in_ruleset",
    "problems_in_segment",
]

"""The demo project: what a team might have done with it over the last five weeks.

A list of moments, oldest first, each with who did what and why. `flags/management/commands/seed_demo.py`
submits them, so the demo's history is made the way everybody's is.
"""

from collections.abc import Iterator
from datetime import datetime

from flags.transfer.demo.approvals import approvals
from flags.transfer.demo.beginning import audiences, the_beginning
from flags.transfer.demo.flags import flags
from flags.transfer.demo.moment import PROJECT, Moment
from flags.transfer.demo.weeks import weeks_of_work

__all__ = ["PROJECT", "Moment", "moments"]


def moments(now: datetime) -> Iterator[Moment]:
    """All of it, for a demo that is made at this instant."""
    yield from the_beginning()
    yield from audiences()
    yield from flags()
    yield from weeks_of_work()
    yield from approvals(now)

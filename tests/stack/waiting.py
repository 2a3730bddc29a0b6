"""Waiting for a condition of the outer world, up to a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LONGEST_SECONDS = 240  # a machine may be busy; a condition that holds is noticed at once


def wait_until(condition: Callable[[], T], *, what: str, otherwise: Callable[[], str] = str) -> T:
    """What the condition gave when it held; `otherwise` tells more where it never did."""
    until = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {LONGEST_SECONDS} s in vain until {what} {otherwise()}")

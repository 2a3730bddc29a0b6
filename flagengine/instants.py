"""Instants, to the millisecond, as evaluation.md reads them."""

import math
import re
from datetime import date
from functools import lru_cache

_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))?",
    re.ASCII,
)
_EPOCH = date(1970, 1, 1).toordinal()
LATEST = 8.64e12  # seconds either side of 1970 that a JavaScript Date can hold


def instant_of(value: object) -> int | None:
    """Milliseconds since 1970 of a string or a number of seconds; None when it is no instant."""
    if isinstance(value, str):
        # Only short texts are remembered, so that the memory a caller can claim is bounded.
        return _remembered(value) if len(value) <= 40 else parsed(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not -LATEST <= value <= LATEST:  # NaN, too
        return None
    # A double cannot hold thousandths exactly: 1700000000.123 * 1000 may fall short of …123.
    # Microseconds are rounded first, so that cutting to milliseconds sees what was written.
    return math.floor(math.floor(value * 1e6 + 0.5) / 1000)


def parsed(text: str) -> int | None:
    """Milliseconds since 1970 of a written instant; None when it is none."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.group(1, 2, 3, 4, 5, 6))
    fraction, _, sign, offset_hours, offset_minutes = match.group(7, 8, 9, 10, 11)
    if hour > 23 or minute > 59 or second > 59:
        return None
    try:
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    if sign:
        if int(offset_hours) > 23 or int(offset_minutes) > 59:
            return None
        offset = (int(offset_hours) * 60 + int(offset_minutes)) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds * 1000 + int((fraction or "")[:3].ljust(3, "0"))


_remembered = lru_cache(maxsize=4096)(parsed)


def now_in(context: object) -> float | None:
    """The instant, in Unix seconds, that a context asks to be evaluated at; None when it does not.

    Only for callers that may choose the time: server keys and the playground.
    """
    value = context.get("now") if isinstance(context, dict) else None
    instant = instant_of(value)
    if instant is None:
        return None
    return float(value) if isinstance(value, int | float) else instant / 1000

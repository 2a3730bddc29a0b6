"""When policies let changes be applied, as spans of time.

The rule itself is `closed_until_words`: it is asked at every instant at which its answer can be
another one.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from flags.approval import closed_until_words
from flags.models import Policy

# How far ahead is looked for an hour that is open.
FORESEEN = timedelta(days=92)
QUARTER = timedelta(minutes=15)

Span = tuple[datetime, datetime]


def open_spans(policies: Sequence[Policy], begins: datetime, ends: datetime) -> list[Span]:
    """The spans, in UTC, in which none of the policies is closed, earliest first."""
    first, last = begins.astimezone(UTC), ends.astimezone(UTC)
    edges = {edge for policy in policies for edge in _edges(policy, first, last)}
    spans: list[Span] = []
    for since, until in pairwise(sorted({first, last, *edges})):
        if any(closed_until_words(policy, since) for policy in policies):
            continue
        if spans and spans[-1][1] == since:
            spans[-1] = (spans[-1][0], until)
        else:
            spans.append((since, until))
    return spans


def opens_at(policies: Sequence[Policy], instant: datetime) -> datetime | None:
    """The first instant from this one on at which none is closed; None when that is too far."""
    spans = open_spans(policies, instant, instant + FORESEEN)
    return spans[0][0] if spans else None


def _edges(policy: Policy, first: datetime, last: datetime) -> Iterator[datetime]:
    """The instants between these two at which it may open or close."""
    found = [
        datetime.fromisoformat(freeze[name]).astimezone(UTC)
        for freeze in policy.freezes
        for name in ("from", "to")
    ]
    zone = ZoneInfo(policy.time_zone)
    day, end = first.astimezone(zone).date(), last.astimezone(zone).date()
    while policy.windows and day <= end:
        found += _edges_of_day(policy, day, zone)
        day += timedelta(days=1)
    yield from (edge for edge in found if first < edge < last)


def _edges_of_day(policy: Policy, day: date, zone: ZoneInfo) -> Iterator[datetime]:
    midnight = datetime.combine(day, time(), zone)
    following = datetime.combine(day + timedelta(days=1), time(), zone)
    yield midnight.astimezone(UTC)
    for window in policy.windows:
        for name in ("from", "to"):
            yield datetime.combine(day, time.fromisoformat(window[name]), zone).astimezone(UTC)
    if midnight.utcoffset() != following.utcoffset():
        # The clocks are changed, at some quarter of an hour: an hour may come twice, or not at all.
        edge = midnight.astimezone(UTC)
        while edge < following.astimezone(UTC):
            yield edge
            edge += QUARTER

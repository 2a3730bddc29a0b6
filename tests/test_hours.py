"""Spans in which changes may be applied: they say of every instant what the rule says."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.approval import closed_until_words
from flags.hours import open_spans, opens_at
from flags.models import Policy

WINDOWS = st.builds(
    lambda days, clocks: {"days": sorted(days), "from": min(clocks), "to": max(clocks)},
    st.sets(st.integers(0, 6), min_size=1),
    st.sets(
        st.integers(0, 95).map(lambda q: f"{q // 4:02}:{q % 4 * 15:02}"), min_size=2, max_size=2
    ),
)
# Weeks in which the clocks are changed, and one in which they are not.
WEEKS = st.sampled_from([(2031, 3, 27), (2031, 10, 23), (2031, 7, 1)])
FREEZE = {"from": "2031-10-25T12:00:00+02:00", "to": "2031-10-27T08:30:00+00:00"}


def policy(**facts):
    return Policy(**{"time_zone": "Europe/Berlin", **facts})


@given(
    windows=st.lists(WINDOWS, min_size=1, max_size=3),
    zone=st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/New_York", "UTC"]),
    week=WEEKS,
)
def test_the_spans_are_where_the_rule_says_open(windows, zone, week):
    of = policy(windows=windows, freezes=[FREEZE], time_zone=zone)
    begins = datetime(*week, tzinfo=UTC)

    spans = open_spans([of], begins, begins + timedelta(days=7))

    for minutes in range(0, 7 * 1_440, 15):
        instant = begins + timedelta(minutes=minutes)
        is_open = any(since <= instant < until for since, until in spans)
        assert is_open == (closed_until_words(of, instant) is None), instant
    assert all(one[1] < other[0] for one, other in pairwise(spans))


@pytest.mark.parametrize(
    ("facts", "opens"),
    [
        ({"windows": [{"days": [0], "from": "09:00", "to": "10:00"}]}, "2031-07-07T07:00:00+00:00"),
        ({"freezes": [{"from": "2031-07-01T00:00:00Z", "to": "2031-08-01T00:00:00Z"}]}, "2031-08-01T00:00:00+00:00"),
        ({"freezes": [{"from": "2031-07-01T00:00:00Z", "to": "2033-08-01T00:00:00Z"}]}, None),
        ({}, "2031-07-05T12:00:00+00:00"),
    ],
)  # fmt: skip
def test_it_opens_at_the_first_instant_that_is_not_closed(facts, opens):
    found = opens_at([policy(**facts)], datetime(2031, 7, 5, 12, tzinfo=UTC))

    assert (found and found.isoformat()) == opens

"""A row that nobody foresaw stops no other, in none of the sweeps, and is named in the log."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from audit.models import Event
from flags.changes import (
    ArchiveFlag,
    CreateApiToken,
    EditEnvironment,
    GrantLease,
    OpenRequest,
    SetMember,
    StartRamp,
    SwitchFlag,
    due,
    expiry,
    submit,
)
from flags.changes.drift import look_again
from flags.changes.releases import clock
from flags.models import ApiToken, Lease, Notice, Ramp, Request
from flags.notices.telling import tell_what_expires
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

SHOP: dict[str, Any] = {"project": "shop"}
BEGIN = timezone.now()
OF_A_NEWER_RELEASE = [{"kind": "flag.teleported", "schema": 1, "project": "shop"}]
STEPS = [{"share": 1_000, "hold": {"seconds": 60}}, {"share": 9_000}]


def switch(flag):
    return SwitchFlag(**SHOP, environment="staging", flag=flag, on=True)


def opened(actor=OPERATOR, **more):
    for flag in ("bad", "good"):
        change = OpenRequest(**SHOP, changes=[switch(flag).as_json()], **more)
        submit(change, actor=actor, now=BEGIN)


def bad_request(**poison):
    Request.objects.filter(number=1).update(**poison)
    return Request.objects.get(number=1)


def requests_due(**poison):
    opened(apply_at=BEGIN + timedelta(minutes=1))
    return bad_request(**poison), sweep_requests(minutes=2)


def requests_near(**poison):
    opened(apply_at=BEGIN + timedelta(hours=24, minutes=1))
    submit(ArchiveFlag(**SHOP, flag="good"), actor=OPERATOR)
    return bad_request(**poison), sweep_requests(minutes=2)


def requests_expiring(**poison):
    guard_staging()
    opened()
    return bad_request(**poison), sweep_requests(minutes=31 * 24 * 60)


def sweep_requests(*, minutes):
    now = BEGIN + timedelta(minutes=minutes)
    return lambda: due.sweep(now=now, since=BEGIN)


def guard_staging():
    guarding = EditEnvironment(**SHOP, environment="staging", requires_approval=True)
    submit(guarding, actor=OPERATOR)


def ramps(**poison):
    for flag in ("bad", "good"):
        start = StartRamp(**SHOP, environment="staging", flag=flag, variation="on", steps=STEPS)
        submit(start, actor=OPERATOR, now=BEGIN)
    Ramp.objects.filter(number=1).update(**poison)
    return Ramp.objects.get(number=1), lambda: clock.sweep(now=BEGIN + timedelta(minutes=2))


def leases(**poison):
    for flag in ("bad", "good"):
        grant = GrantLease(**SHOP, changes=[switch(flag).as_json()], seconds=60)
        submit(grant, actor=OPERATOR, now=BEGIN)
    Lease.objects.filter(number=1).update(**poison)
    return Lease.objects.get(number=1), lambda: clock.sweep(now=BEGIN + timedelta(minutes=2))


def tokens():
    for name in ("bad", "good"):
        token = CreateApiToken(
            username="editor", public_id=name, hash=name, scopes=["read"],
            expires_at=BEGIN + timedelta(days=2),
        )  # fmt: skip
        submit(token, actor=OPERATOR, now=BEGIN)
    # What no row of a token could hold: PostgreSQL refuses to write this one.
    with connection.cursor() as cursor:
        cursor.execute("""
            CREATE FUNCTION refuse() RETURNS trigger AS $$
            BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'data_exception'; END
            $$ LANGUAGE plpgsql;
            CREATE TRIGGER refuse BEFORE UPDATE ON flags_apitoken
            FOR EACH ROW WHEN (OLD.public_id = 'bad') EXECUTE FUNCTION refuse();
        """)
    return ApiToken.objects.get(public_id="bad"), lambda: expiry.warn_of_expiry(now=BEGIN)


def drift(**poison):
    guard_staging()
    opened()
    Request.objects.update(state="conflicted")
    submit(SetMember(**SHOP, username="viewer", role="reviewer"), actor=OPERATOR)
    event = Event.objects.order_by("-at", "-version").first()
    return bad_request(**poison), lambda: look_again(event)


def notices(**poison):
    guard_staging()
    opened()
    return bad_request(**poison), lambda: tell_what_expires(BEGIN + timedelta(days=29, hours=12))


def is_settled(state: str) -> Callable[[], bool]:
    return lambda: Request.objects.filter(number=2, state=state).exists()


SWEEPS: dict[str, tuple[Callable[..., Any], dict[str, Any], Callable[[], bool]]] = {
    "due, of a newer release": (requests_due, {"changes": OF_A_NEWER_RELEASE}, is_settled("applied")),
    "due, with a member missing": (requests_due, {"seen": [{"environment": "x"}]}, is_settled("applied")),
    "near, of a newer release": (requests_near, {"changes": OF_A_NEWER_RELEASE}, is_settled("failed")),
    "expiring, of a newer release": (
        requests_expiring, {"changes": OF_A_NEWER_RELEASE}, is_settled("expired"),
    ),
    "a ramp without steps": (
        ramps, {"steps": []}, lambda: Ramp.objects.get(number=2).state == "finished",
    ),
    "a lease with a member missing": (
        leases, {"back": [{"environment": "staging"}]},
        lambda: Lease.objects.get(number=2).state == "ended",
    ),
    "a lease of a newer release": (
        leases, {"back": [{"left": {}, "change": OF_A_NEWER_RELEASE[0]}]},
        lambda: Lease.objects.get(number=2).state == "ended",
    ),
    "a token that cannot be written": (
        tokens, {}, lambda: ApiToken.objects.get(public_id="good").told_days_left is not None,
    ),
    "drift, with a member missing": (drift, {"seen": [{"subject": "flag:x"}]}, is_settled("in_review")),
    "a notice of expiry": (
        notices, {"environments": 7}, lambda: Notice.objects.filter(request__number=2).exists(),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("begin", "poison", "is_done"), SWEEPS.values(), ids=SWEEPS)
def test_a_row_that_fails_stops_no_other_and_is_named(a_flag, caplog, begin, poison, is_done):
    for flag in ("bad", "good"):
        a_flag(flag, environment="staging", fallthrough={"variation": "off"})
    bad, sweep = begin(**poison)
    untouched = type(bad).objects.filter(pk=bad.pk).values().get()
    assert not is_done()

    with caplog.at_level(logging.ERROR):
        sweep()
        sweep()

    assert is_done()
    assert type(bad).objects.filter(pk=bad.pk).values().get() == untouched
    told = [row for row in caplog.records if str(bad.pk) in row.getMessage()]
    # Each sweep says so, and the first of them where it failed.
    assert [bool(row.exc_info) for row in told] == [True, False]

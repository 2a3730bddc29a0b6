"""Who is told of a ramp or a lease that goes no further by itself."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from audit.outbox import deliver
from flags.changes import ConfigureFlag, GrantLease, StartRamp, submit
from flags.changes.releases import clock
from flags.models import Notice
from flags.notices.telling import tell_what_ends
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

PRODUCTION: dict[str, Any] = {"project": "shop", "environment": "production"}
NOW = timezone.now()
BEGUN = NOW - timedelta(hours=2)
SERVE_OFF = ConfigureFlag(**PRODUCTION, flag="checkout", fallthrough={"variation": "off"})


@pytest.fixture(autouse=True)
def flag(a_flag):
    return a_flag("checkout", on=True, fallthrough={"variation": "off"})


def start(actor, *holds):
    steps = [{"share": (number + 1) * 1_000, "hold": hold} for number, hold in enumerate(holds)]
    change = StartRamp(
        **PRODUCTION, flag="checkout", variation="on", steps=[*steps, {"share": 100_000}]
    )
    submit(change, actor=actor, now=BEGUN)


def told():
    deliver("default")
    return {row.person.username: (row.kind, row.text) for row in Notice.objects.all()}


def test_those_are_asked_whose_approval_of_a_step_counts(editor):
    start(editor, {"seconds": 60}, {"approval": True})
    assert told() == {}

    clock.sweep(now=NOW)

    words = ("step_asked", "Ramp #1 of checkout in Production is at 2 %")
    assert told() == {"owner": words, "admin": words, "reviewer": words}


def test_who_began_a_ramp_is_told_that_it_is_held(client, users, editor):
    start(editor, {"seconds": 60})
    submit(SERVE_OFF, actor=OPERATOR)

    clock.sweep(now=NOW)

    assert told().keys() == {"admin", "editor"}
    kind, text = told()["editor"]
    assert (kind, "was changed by somebody else" in text) == ("ramp_held", True)
    client.force_login(users["editor"])
    assert reverse("releases", args=["shop"]) in client.get(reverse("inbox")).content.decode()


def test_who_granted_a_lease_is_told_that_it_is_held(editor):
    lent = ConfigureFlag(**PRODUCTION, flag="checkout", fallthrough={"variation": "on"})
    lease = GrantLease(project="shop", changes=[lent.as_json()], seconds=60)
    submit(lease, actor=editor, now=BEGUN)
    split = {"split": {"by": "targetingKey", "shares": [["on", 50_000], ["off", 50_000]]}}
    submit(ConfigureFlag(**PRODUCTION, flag="checkout", fallthrough=split), actor=OPERATOR)

    clock.sweep(now=NOW)

    assert told()["editor"][0] == "lease_held"


def test_whose_lease_ends_within_the_hour_is_told_once(client, users, editor):
    lent = ConfigureFlag(**PRODUCTION, flag="checkout", fallthrough={"variation": "on"})
    for seconds in (7_200, 1_800):
        lease = GrantLease(project="shop", changes=[lent.as_json()], seconds=seconds)
        submit(lease, actor=editor, now=NOW)
        submit(SERVE_OFF, actor=OPERATOR)

    for minutes in (10, 61, 65):
        tell_what_ends(NOW + timedelta(minutes=minutes))

    ends = f"{NOW + timedelta(hours=2):%H:%M}"
    assert told() == {
        "editor": ("lease_ends_soon", f"Lease #1 of checkout ends at {ends} UTC"),
    }
    client.force_login(users["editor"])
    assert "A lease ends within an hour" in client.get(reverse("inbox")).content.decode()

"""The pages of releases, as their forms are sent: starting, steering, moving and cancelling."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from flags.changes import (
    ConfigureFlag,
    EditEnvironment,
    GrantLease,
    OpenRequest,
    SetPolicy,
    SetRampTemplate,
    StartRamp,
    SwitchFlag,
    submit,
)
from flags.changes.releases import clock
from flags.models import FlagConfiguration, Lease, Ramp, RampTemplate, Request
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

SHOP: dict[str, Any] = {"project": "shop"}
PRODUCTION: dict[str, Any] = {**SHOP, "environment": "production"}
HOUR = {"hold": {"seconds": 3_600}}
APPROVAL = {"hold": {"approval": True}}
SWITCH = SwitchFlag(**PRODUCTION, flag="new-checkout", on=True)
STEPS = {
    "share": ["1", "12.5", "100", ""],
    "amount": ["2", "", "", ""],
    "unit": ["hours", "approval", "days", "hours"],
}


@pytest.fixture
def signed_in(client, users):
    def as_(name):
        client.force_login(users[name])
        return client

    return as_


@pytest.fixture
def flag(a_flag):
    return a_flag("new-checkout", on=True, fallthrough={"variation": "off"})


def start(**more):
    steps = more.pop("steps", [{"share": 1_000, **HOUR}, {"share": 100_000}])
    change = StartRamp(**PRODUCTION, flag="new-checkout", variation="on", steps=steps)
    return submit(change, actor=more.pop("actor", OPERATOR), **more)


def send(client, name, *args, **posted):
    return client.post(reverse(name, args=["shop", *args]), posted, follow=True)


def words(response):
    return " ".join(response.content.decode().split())


def address(path, **query):
    return (
        reverse(path, args=["shop", "new-checkout"])
        + "?environment=production"
        + "".join(f"&{name}={value}" for name, value in query.items())
    )


def test_a_ramp_is_started_from_its_form(signed_in, flag):
    client = signed_in("editor")
    form = client.get(address("start-ramp"))
    assert 'value="25"' in words(form)

    sent = {"variation": "on", "place": "fallthrough", "base": "", "keep_as": "With care", **STEPS}
    response = client.post(address("start-ramp"), sent, follow=True)

    ramp = Ramp.objects.get()
    assert ramp.steps == [
        {"share": 1_000, "hold": {"seconds": 7_200}},
        {"share": 12_500, **APPROVAL},
        {"share": 100_000},
    ]
    assert "on of new-checkout is ramping in Production" in words(response)
    assert "Ramp #1: on grows for everyone else" in words(response)
    assert RampTemplate.objects.get().key == "with-care"
    assert "12.5" in words(client.get(address("start-ramp", template="with-care")))


def test_what_is_wrong_with_it_is_said_and_what_was_typed_stays(signed_in, flag):
    sent = {"variation": "on", "place": "fallthrough", "reason": "Because", **STEPS, "share": ["9", "x", "", ""]}  # fmt: skip

    response = signed_in("editor").post(address("start-ramp"), sent)

    assert response.status_code == 422
    assert "expected a number" in words(response)
    assert "Because" in words(response)
    assert not Ramp.objects.exists()


def test_under_approval_it_becomes_a_request(signed_in, flag):
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)
    sent = {"variation": "on", "place": "fallthrough", **STEPS}

    client = signed_in("editor")
    assert "that one approval covers every step" in words(client.get(address("start-ramp")))
    response = client.post(address("start-ramp"), sent, follow=True)

    assert "Sent for approval as request #1" in words(response)
    shown = words(client.get(reverse("request", args=["shop", 1])))
    assert "Ramp" in shown


def test_a_ramp_is_steered_from_the_page_of_its_flag(signed_in, flag):
    start()
    client = signed_in("editor")

    assert "is paused" in words(send(client, "act-on-ramp", 1, "pause"))
    assert "is resumed" in words(send(client, "act-on-ramp", 1, "resume"))
    refused = send(client, "act-on-ramp", 1, "skip", step="7")
    assert (refused.status_code, "by now" in words(refused)) == (409, True)
    assert "is rolled back" in words(send(client, "act-on-ramp", 1, "roll-back"))
    assert send(client, "act-on-ramp", 1, "polish").status_code == 404


def test_who_may_approve_a_step_is_offered_it_and_others_are_told(signed_in, flag, editor):
    start(actor=editor, steps=[{"share": 1_000, **APPROVAL}, {"share": 2_000}])

    theirs = words(signed_in("editor").get(address("flag")))
    assert "The next step needs 1 more approval" in theirs
    assert "Approve the next step" not in theirs
    reviewer = signed_in("reviewer")
    assert "Approve the next step" in words(reviewer.get(address("flag")))
    send(reviewer, "act-on-ramp", 1, "approve", step="0")

    assert Ramp.objects.get().state == "finished"


def test_a_viewer_sees_why_nothing_can_be_done(signed_in, flag):
    start()
    client = signed_in("viewer")

    page = words(client.get(address("flag")))

    assert "this needs editor" in page
    assert "Roll back" not in page
    assert send(client, "act-on-ramp", 1, "pause").status_code == 403


def test_a_held_ramp_says_why(signed_in, flag):
    begun = timezone.now() - timedelta(hours=2)
    start(now=begun)
    other = ConfigureFlag(**PRODUCTION, flag="new-checkout", fallthrough={"variation": "off"})
    submit(other, actor=OPERATOR)
    clock.sweep(now=timezone.now())

    client = signed_in("editor")

    for page in (client.get(address("flag")), client.get(reverse("releases", args=["shop"]))):
        assert "fallthrough of new-checkout in production was changed" in words(page)


def saving(client, **posted):
    configuration = {"off_variation": "on"}
    given = {"configuration": json.dumps(configuration), "expected_version": "2"}
    return client.post(
        reverse("save-targeting", args=["shop", "new-checkout", "production"]),
        given | posted,
        headers={"HX-Request": "true", "HX-Target": "targeting"},
    )


def off_variation():
    row = FlagConfiguration.objects.get(flag__key="new-checkout", environment__key="production")
    return row.off_variation


def test_a_save_is_scheduled(signed_in, flag):
    response = saving(signed_in("editor"), when="later", apply_at="2031-07-01T09:00", offset="-120")

    request = Request.objects.get()
    assert (request.state, request.apply_at) == ("scheduled", datetime(2031, 7, 1, 7, tzinfo=UTC))
    assert "Request #1 is set for 1 July 2031, 07:00 UTC" in words(response)
    assert off_variation() == "off"


def test_a_save_is_for_a_time(signed_in, flag):
    response = saving(signed_in("editor"), when="lease", lasts="3", lasts_unit="days")

    lease = Lease.objects.get()
    assert lease.lasts_seconds == 3 * 86_400
    assert "is saved in Production, for a time" in words(response)
    assert off_variation() == "on"
    assert "For a time: goes back" in words(signed_in("editor").get(address("flag")))


@pytest.mark.parametrize(
    ("posted", "said"),
    [
        ({"when": "later", "apply_at": ""}, "expected a date and a time"),
        ({"when": "later", "apply_at": "2001-01-01T00:00"}, "expected an instant to come"),
        ({"when": "lease", "lasts": "soon", "lasts_unit": "days"}, "expected a whole number"),
    ],
)
def test_a_time_that_is_none_is_said_in_the_dialog(signed_in, flag, posted, said):
    response = saving(signed_in("editor"), **posted)

    assert response.status_code == 422
    assert said in words(response)
    assert 'name="when"' in words(response)


def test_a_lease_is_moved_kept_and_taken_back(signed_in, flag):
    lent = GrantLease(**SHOP, changes=[SwitchFlag(**PRODUCTION, flag="new-checkout", on=False).as_json()], seconds=60)  # fmt: skip
    for _ in range(2):
        submit(lent, actor=OPERATOR)
        submit(SWITCH, actor=OPERATOR)
    client = signed_in("editor")

    later = (timezone.now() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    assert "to end at" in words(send(client, "act-on-lease", 1, "extend", ends_at=later))
    assert send(client, "act-on-lease", 1, "extend", ends_at="").status_code == 422
    assert "is kept" in words(send(client, "act-on-lease", 1, "keep"))
    assert "is ended" in words(send(client, "act-on-lease", 2, "end"))


def test_the_calendar_shows_what_is_coming_in_the_visitor_s_time(signed_in, flag):
    at = datetime(2031, 7, 1, 23, 30, tzinfo=UTC)
    submit(OpenRequest(**SHOP, changes=[SwitchFlag(**PRODUCTION, flag="new-checkout", on=False).as_json()], title="Off for good", apply_at=at), actor=OPERATOR)  # fmt: skip
    client = signed_in("editor")

    utc = client.get(reverse("releases", args=["shop"]) + "?month=2031-07")
    berlin = client.get(reverse("releases", args=["shop"]) + "?month=2031-07&zone=Europe/Berlin")

    assert "Tue 1 Jul, 23:30" in words(utc)
    assert "Wed 2 Jul, 01:30" in words(berlin)
    assert "Off for good" in words(berlin)
    assert "Europe/Berlin" in words(client.get(reverse("releases", args=["shop"])))
    assert client.get(reverse("releases", args=["shop"]) + "?month=x&zone=No/Where").status_code == 200  # fmt: skip


def test_freezes_stand_in_every_day_they_cover(signed_in, project):
    freeze = {"from": "2031-07-10T00:00:00Z", "to": "2031-07-13T00:00:00Z", "why": "sale"}
    submit(
        SetPolicy(**PRODUCTION, freezes=[freeze]),
        EditEnvironment(**PRODUCTION, requires_approval=True),
        actor=OPERATOR,
    )

    page = signed_in("viewer").get(reverse("releases", args=["shop"]) + "?month=2031-07")

    days = [day for week in page.context["weeks"] for day in week if day.entries]
    assert [day.date.day for day in days] == [10, 11, 12]


def test_a_template_is_removed(signed_in, project):
    steps = [{"share": 10, **HOUR}, {"share": 20}]
    submit(SetRampTemplate(**SHOP, key="careful", name="Careful", steps=steps), actor=OPERATOR)
    client = signed_in("editor")
    assert "Careful" in words(client.get(reverse("releases", args=["shop"])))

    send(client, "remove-ramp-template", key="careful")

    assert not RampTemplate.objects.exists()


def test_the_list_of_flags_tells_of_ramps_and_leases(signed_in, flag):
    start()

    assert "ramping" in words(signed_in("viewer").get(reverse("flags", args=["shop"])))

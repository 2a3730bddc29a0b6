"""The pages of releases, as their forms are sent: starting, steering, moving and cancelling."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from flags.changes import (
    ConfigureFlag,
    EditEnvironment,
    GrantLease,
    HoldLease,
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
    assert words(response).count("Expected a share in percent") == 1
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
        ({"when": "later", "apply_at": ""}, "Expected a date and a time"),
        ({"when": "later", "apply_at": "2001-01-01T00:00"}, "Expected an instant to come"),
        ({"when": "lease", "lasts": "soon", "lasts_unit": "days"}, "Expected a whole number"),
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


def hours(**more):
    windows = [{"days": [0, 1, 2, 3, 4], "from": "09:00", "to": "17:00"}]
    policy = SetPolicy(**PRODUCTION, windows=windows, time_zone="Europe/Berlin", **more)
    submit(policy, EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)


def test_each_day_says_when_changes_may_be_applied(signed_in, project):
    hours()

    page = signed_in("viewer").get(reverse("releases", args=["shop"]) + "?month=2031-03&zone=UTC")

    days = {day.date: day.hours[0] for week in page.context["weeks"] for day in week}
    assert days[date(2031, 3, 28)].words == "08:00–16:00"  # before the clocks are changed
    assert days[date(2031, 3, 29)].words == "closed"
    assert days[date(2031, 3, 31)].words == "07:00–15:00"
    assert days[date(2031, 3, 31)].bars == [(420, 480)]
    assert "Mon–Fri 09:00–17:00 Europe/Berlin" in re.sub(r"<[^>]+>", "", words(page))


def test_what_is_due_while_it_is_closed_is_marked_with_when_it_is_done(signed_in, flag, editor):
    submit(StartRamp(**PRODUCTION, flag="new-checkout", variation="on", steps=[{"share": 1_000, **HOUR}, {"share": 100_000}]), actor=OPERATOR, now=datetime(2031, 7, 5, 9, tzinfo=UTC))  # fmt: skip
    hours(expires_after_days=365)
    off = SwitchFlag(**PRODUCTION, flag="new-checkout", on=False).as_json()
    saturday = datetime(2031, 7, 5, 12, tzinfo=UTC)
    for at in (saturday, datetime(2031, 7, 8, 12, tzinfo=UTC)):
        submit(OpenRequest(**SHOP, changes=[off], apply_at=at), actor=editor, now=datetime(2031, 7, 1, tzinfo=UTC))  # fmt: skip

    page = signed_in("editor").get(reverse("releases", args=["shop"]) + "?month=2031-07&zone=UTC")

    warned = {row.coming.title: row.warning for row in page.context["entries"] if row.warning}
    assert sorted(warned.values()) == [
        "Production is closed then; it is applied once it opens: Mon 7 Jul, 07:00",
        "Production is closed then; it is taken once it opens: Mon 7 Jul, 07:00",
    ]
    Request.objects.update(expires_at=datetime(2031, 7, 6, tzinfo=UTC))
    again = signed_in("editor").get(reverse("releases", args=["shop"]) + "?month=2031-07&zone=UTC")
    assert "It expires before it can be applied, on Sun 6 Jul, 00:00" in words(again)
    # What is approved waits for its instant, however far away.
    Request.objects.update(state="scheduled")
    at_last = signed_in("editor").get(
        reverse("releases", args=["shop"]) + "?month=2031-07&zone=UTC"
    )
    assert "It expires" not in words(at_last)


def test_the_calendar_offers_each_what_they_may_do(signed_in, flag, editor):
    off = SwitchFlag(**PRODUCTION, flag="new-checkout", on=False).as_json()
    at = datetime(2031, 7, 1, tzinfo=UTC)
    submit(OpenRequest(**SHOP, changes=[off], apply_at=at), actor=OPERATOR)
    submit(OpenRequest(**SHOP, changes=[off], apply_at=at), actor=editor)

    def offered(name):
        page = signed_in(name).get(reverse("releases", args=["shop"]) + "?month=2031-07")
        return [(row.refusal, row.withdraw_refusal) for row in page.context["entries"]], words(page)

    only = "only its author or an admin may cancel it"
    assert offered("admin")[0] == [(None, None), (None, None)]
    rows, page = offered("editor")
    assert rows == [(None, only), (None, None)]
    assert page.count(">Cancel<") == 1
    assert only in page
    rows, page = offered("viewer")
    assert rows == [("viewer is viewer in production; this needs editor", only)] * 2
    assert (">Cancel<" in page, ">Move<" in page) == (False, False)


def test_a_held_lease_is_decided_by_whoever_may_edit_there(signed_in, flag):
    lent = GrantLease(**SHOP, changes=[SwitchFlag(**PRODUCTION, flag="new-checkout", on=False).as_json()], seconds=60)  # fmt: skip
    submit(lent, actor=OPERATOR)
    submit(HoldLease(**SHOP, lease=1, why="somebody changed it"), actor=OPERATOR)

    assert ">Take back<" in words(signed_in("editor").get(reverse("releases", args=["shop"])))
    page = words(signed_in("viewer").get(reverse("releases", args=["shop"])))
    assert (">Take back<" in page, "this needs editor" in page) == (False, True)


def test_a_template_is_made_edited_and_removed(signed_in, project):
    client = signed_in("editor")
    templates = reverse("ramp-templates", args=["shop"])
    typed = {"name": "With care", "key": "with-care", "reason": "Agreed", **STEPS}

    made = client.post(f"{templates}/new", typed, follow=True)

    assert "1 % for 2 hours → 12.5 % until approved → 100 %" in words(made)
    assert client.post(f"{templates}/new", typed).status_code == 422
    assert 'value="12.5"' in words(client.get(f"{templates}/with-care/edit"))
    edited = {**typed, "name": "Slowly", "share": ["2", "50", "100", ""]}
    again = client.post(f"{templates}/with-care/edit", edited, follow=True)
    assert "Slowly" in words(again)
    assert RampTemplate.objects.get().steps[0]["share"] == 2_000
    assert client.get(f"{templates}/other/edit").status_code == 404
    send(client, "remove-ramp-template", key="with-care")
    assert not RampTemplate.objects.exists()


def test_what_is_wrong_with_a_step_is_said_in_its_row(signed_in, project):
    typed = {"name": "Wrong", "key": "wrong", "share": ["5", "", "3", "x"], "amount": ["", "", "1", "1"], "unit": ["hours"] * 4}  # fmt: skip

    page = signed_in("editor").post(reverse("new-ramp-template", args=["shop"]), typed)

    rows = page.context["rows"]
    assert page.status_code == 422
    assert [(row.field, bool(row.problem)) for row in rows] == [
        ("hold", True), ("", False), ("", False), ("share", True),
    ]  # fmt: skip
    falling = {**typed, "amount": ["1"] * 4, "share": ["5", "", "3", "100"]}
    page = signed_in("editor").post(reverse("new-ramp-template", args=["shop"]), falling)
    assert [row.field for row in page.context["rows"]] == ["", "", "share", ""]
    one = signed_in("editor").post(reverse("new-ramp-template", args=["shop"]), {**typed, "share": ["5"]})  # fmt: skip
    assert "expected 2 to 50 steps" in words(one)


def test_a_viewer_sees_templates_and_edits_none(signed_in, project):
    steps = [{"share": 10, **HOUR}, {"share": 20}]
    submit(SetRampTemplate(**SHOP, key="careful", name="Careful", steps=steps), actor=OPERATOR)
    client = signed_in("viewer")

    page = words(client.get(reverse("ramp-templates", args=["shop"])))

    assert "Careful" in page
    assert (">Remove<" in page, "this needs editor" in page) == (False, True)
    edit = reverse("edit-ramp-template", args=["shop", "careful"])
    assert client.post(edit, {"name": "x", **STEPS}).status_code == 403


def test_the_list_of_flags_tells_of_ramps_and_leases(signed_in, flag):
    start()

    assert "ramping" in words(signed_in("viewer").get(reverse("flags", args=["shop"])))

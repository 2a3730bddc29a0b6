"""History, settings and connecting in a real browser: live, by keyboard, on a phone, for everyone."""

import re
import uuid

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from audit.models import Event, Stream
from audit.outbox import deliver
from flags.changes import (
    ConfigureFlag,
    CreateSdkKey,
    CreateSegment,
    DefineSegment,
    EditEnvironment,
    EditFlag,
    SwitchFlag,
    submit,
)
from flags.models import Delivery, Environment, FlagConfiguration, Instance
from flags.models.secrets import new_secret
from tests.cast import OPERATOR
from tests.dashboard.conftest import faults, violations

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

HISTORY = "/p/shop/flags/new-checkout/history"


def switch(*, on: bool, environment="production", reason="", actor=OPERATOR) -> Event:
    change = SwitchFlag(project="shop", environment=environment, flag="new-checkout", on=on)
    return submit(change, actor=actor, reason=reason).events[0]


def connect(environment: str, name: str) -> Instance:
    found = Environment.objects.get(key=environment)
    now = timezone.now()
    return Instance.objects.create(
        environment=found,
        instance=uuid.uuid4(),
        kind="server",
        name=name,
        sdk="python/0.1.0",
        version=Stream.objects.get(key=found.stream_key).version,
        connected_at=now,
        seen_at=now,
    )


@pytest.fixture
def furnished(a_flag, editor):
    """A shop in which every page has something to show."""
    a_flag(on=True, tags=["checkout"])
    rule = {
        "name": "Germans",
        "when": {"attribute": "country", "op": "in", "values": ["DE"]},
        "serve": {"split": {"shares": [["on", 25_000], ["off", 75_000]]}},
    }
    submit(
        ConfigureFlag(project="shop", environment="production", flag="new-checkout", rules=[rule]),
        actor=editor,
        reason="A first look at Germany",
    )
    submit(
        EditFlag(project="shop", flag="new-checkout", description="The checkout on one page."),
        actor=editor,
    )
    submit(CreateSegment(project="shop", key="beta"), actor=editor)
    submit(
        DefineSegment(
            project="shop",
            environment="production",
            segment="beta",
            when={"attribute": "plan", "op": "in", "values": ["pro"]},
        ),
        actor=editor,
    )
    submit(
        CreateSdkKey.of(
            new_secret("fss"), project="shop", environment="production", key_kind="server"
        ),
        EditEnvironment(project="shop", environment="staging", requires_approval=True),
        actor=OPERATOR,
    )
    connect("production", "checkout-7f9c")
    Delivery.objects.create(
        environment=Environment.objects.get(key="production"),
        version=3,
        committed_at=timezone.now(),
        expected=2,
        receipts=1,
        histogram={"20": 1},
    )


def test_activity_tells_what_happens_while_the_page_is_open(visit, a_flag):
    a_flag()
    page = visit("viewer").open("/p/shop/activity")

    switch(on=True, reason="Launch day")
    deliver("broadcast")

    expect(page.get_by_text("Launch day")).to_be_visible()


def test_a_narrowed_activity_stays_narrow_when_something_happens(visit, a_flag):
    a_flag()
    page = visit("viewer").open("/p/shop/activity")
    page.get_by_label("Environment").select_option("staging")
    expect(page).to_have_url(re.compile("environment=staging"))

    switch(on=True, reason="Elsewhere")
    switch(on=True, environment="staging", reason="In staging")
    deliver("broadcast")

    expect(page.get_by_text("Reason: In staging")).to_be_visible()
    expect(page.get_by_text("Elsewhere")).to_have_count(0)


def test_json_opens_in_place_by_keyboard(visit, a_flag):
    a_flag()
    switch(on=True)
    page = visit("viewer").open(HISTORY)

    page.locator("summary", has_text="JSON").first.focus()
    page.keyboard.press("Enter")

    lines = page.get_by_role("region", name="JSON of flag:new-checkout").first
    expect(lines).to_contain_text('"enabled": true')
    assert violations(page) == []


def test_a_version_is_restored_by_keyboard_and_taken_back(visit, a_flag):
    a_flag(on=True)
    switch(on=False)
    page = visit("editor").open(HISTORY)
    configuration = FlagConfiguration.objects.filter(environment__key="production")

    entry = page.locator(".event-entry").filter(has_text="Turned on")
    entry.get_by_role("link", name="Restore in Production").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Why").fill("It was fine")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.get_by_text("It was fine")).to_be_visible()
    assert configuration.get().enabled
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Taken back").first).to_be_visible()
    assert not configuration.get().enabled


def test_two_versions_are_picked_no_more_and_no_fewer(visit, a_flag):
    a_flag(on=True)
    switch(on=False)
    switch(on=True)
    page = visit("viewer").open(HISTORY)
    boxes = page.locator(".compare-pick input")
    compare = page.get_by_role("button", name="Compare the two picked")
    hint = page.get_by_text("Choose two")

    for picked, enough in ((1, False), (2, True), (3, False)):
        boxes.nth(picked - 1).check()
        expect(compare).to_be_enabled(enabled=enough)
        expect(hint).to_be_visible(visible=not enough)
    boxes.nth(2).uncheck()
    compare.click()

    expect(page.get_by_role("heading", name="Two versions of new-checkout")).to_be_visible()


def test_each_exception_stands_beside_its_environment_and_moves_nothing(visit, users, project):
    page = visit("admin").open("/p/shop/settings/members")
    row = page.locator(".setting-row", has=page.get_by_text("editor", exact=True))
    give = row.get_by_role("button", name="Give role to editor")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        before = give.bounding_box()
        row.get_by_text("Exceptions").click()
        assert violations(page) == []
        for name in ("Development", "Staging", "Production"):
            label = row.get_by_text(f"In {name}").bounding_box()
            select = row.get_by_label(f"In {name}").bounding_box()
            assert label["x"] + label["width"] <= select["x"]
            middle = label["y"] + label["height"] / 2
            assert select["y"] < middle < select["y"] + select["height"]
        assert give.bounding_box() == before
        page.keyboard.press("Escape")
        expect(row.get_by_label("In Staging")).to_be_hidden()


def test_a_new_key_is_copied_and_then_gone(visit, project):
    visitor = visit("admin")
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visitor.open("/p/shop/settings/environments/production")

    page.get_by_label("Name of the new key").fill("checkout")
    page.get_by_role("button", name="Create key").click()
    secret = page.get_by_label("Your new server key").input_value()
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("[data-copied]")).to_be_visible()

    assert page.evaluate("navigator.clipboard.readText()") == secret
    assert violations(page) == []
    page.goto(visitor.url + "/p/shop/settings/environments/production")
    expect(page.get_by_text("checkout")).to_be_visible()
    assert secret not in page.content()
    assert visitor.complaints == []


def test_keys_made_elsewhere_appear_on_an_open_page(visit, project):
    page = visit("viewer").open("/p/shop/settings/environments/production")

    submit(
        CreateSdkKey.of(
            new_secret("fss"),
            project="shop",
            environment="production",
            key_kind="server",
            name="search",
        ),
        actor=OPERATOR,
    )
    deliver("broadcast")

    expect(page.get_by_text("search")).to_be_visible()


def test_an_instance_is_seen_to_connect(visit, project):
    page = visit("admin").open("/p/shop/connect?environment=production")
    expect(page.get_by_text("Waiting for the first instance")).to_be_visible()

    connect("production", "checkout-7f9c")

    expect(page.get_by_text("1 instance connected")).to_be_visible()
    expect(page.get_by_role("rowheader", name="checkout-7f9c")).to_be_visible()


def test_lines_to_copy_stay_open_while_connections_are_asked_for(visit, project):
    page = visit("admin").open("/p/shop/connect?environment=production")

    page.get_by_text("curl", exact=True).click()
    with page.expect_response(lambda response: "/connections" in response.url):
        pass

    expect(page.locator("#language-curl pre")).to_be_visible()
    expect(page.locator("#language-python pre")).to_be_hidden()


PAGES = [
    "/p/shop/activity",
    "/p/shop/activity?kind=flag.deleted",
    HISTORY,
    "/p/shop/segments/beta/history",
    "/p/shop/settings",
    "/p/shop/settings/environments",
    "/p/shop/settings/environments/production",
    "/p/shop/settings/environments/staging",
    "/p/shop/settings/members",
    "/p/shop/connect?environment=production",
    "/account",
    "/account/tokens",
]


def test_every_page_is_accessible_fits_and_complains_of_nothing(visit, furnished):
    visitor = visit("owner")
    shown = switch(on=False, reason="Too many complaints")
    wanted = Event.objects.filter(effects__contains=[{"kind": "flag.configured"}]).earliest("at")
    pages = [*PAGES, f"/p/shop/activity/{shown.pk}", f"{HISTORY}/{wanted.pk}/restore"]

    found = {path: faults(visitor, path, live=path.startswith("/p/")) for path in pages}

    assert {path: faults for path, faults in found.items() if faults} == {}
    assert visitor.complaints == []


def test_an_export_shows_how_far_it_is(visit, furnished):
    page = visit("viewer").open("/p/shop/audit")

    with page.expect_download() as download:
        page.get_by_role("link", name="JSON Lines").click()

    lines = download.value.path().read_text().splitlines()
    assert len(lines) == Event.objects.exclude(stream_id="site").count()
    expect(page.get_by_text(f"{len(lines)} of {len(lines)} events, complete")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_everybody_can_use_the_audit(visit, furnished, width, scheme):
    visitor = visit("owner", width=width, scheme=scheme)
    page = visitor.open("/audit", live=False)

    page.locator(".audit-row summary").first.click()
    expect(page.locator(".json-lines").first).to_be_visible()

    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert visitor.complaints == []

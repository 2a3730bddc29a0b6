"""Requests in a real browser: the round from a switch to its effect, for everyone."""

import pytest
from playwright.sync_api import expect

from audit.outbox import deliver
from flags.changes import (
    CommentOnRequest,
    ConfigureFlag,
    EditEnvironment,
    EditRequest,
    ReviewRequest,
    SetTeam,
    SwitchFlag,
    submit,
)
from flags.models import Environment, Flag, Policy, Verdict
from tests.cast import OPERATOR
from tests.dashboard.conftest import faults, violations

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

PRODUCTION = {"project": "shop", "environment": "production"}


@pytest.fixture
def guarded(project, a_flag):
    a_flag("new-checkout")
    a_flag("banner")
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)


@pytest.fixture
def talked_about(guarded, editor, reviewer):
    """A request with two flags, a verdict and a conversation, under a policy that says much."""
    submit(SetTeam(project="shop", key="sre", name="SRE", members=["admin"]), actor=OPERATOR)
    Policy.objects.create(
        environment=Environment.objects.get(key="production"),
        approvals=2,
        from_whom=[{"team": "sre", "approvals": 1}],
        windows=[{"days": [0, 1, 2, 3, 4, 5, 6], "from": "00:00", "to": "23:59"}],
        freezes=[
            {"from": "2100-12-20T00:00+00:00", "to": "2101-01-02T00:00+00:00", "why": "Holidays"}
        ],
    )
    half = {"split": {"salt": "s", "shares": [["on", 50_000], ["off", 50_000]]}}
    submit(
        SwitchFlag(**PRODUCTION, flag="new-checkout", on=True),
        ConfigureFlag(**PRODUCTION, flag="banner", enabled=True, fallthrough=half),
        actor=editor,
        reason="Launch day: the campaign starts at nine.",
    )
    submit(
        ReviewRequest(project="shop", request=1, verdict="approved"),
        actor=reviewer,
        reason="Looks right",
    )
    submit(
        CommentOnRequest(
            project="shop", request=1, body="Half of them at once?",
            line="flag:banner@production Everyone else gets on 50 %, off 50 % instead of on",
        ),
        actor=reviewer,
    )  # fmt: skip


def is_on() -> bool:
    row = Flag.objects.get(key="new-checkout").configurations
    return bool(row.get(environment__key="production").enabled)


def test_a_switch_is_asked_for_approved_and_applied(visit, guarded):
    editing = visit("editor").open("/p/shop/flags")
    reviewing = visit("reviewer").open("/p/shop/requests")
    switch = editing.get_by_role("switch", name="new-checkout in Production").first

    switch.press("Enter")
    dialog = editing.get_by_role("dialog", name="Turn new-checkout on in Production?")
    expect(dialog).to_contain_text("production: every change asks for approval")
    assert violations(editing) == []
    dialog.get_by_label("Reason").fill("Launch day")
    dialog.get_by_role("button", name="Send for approval").press("Enter")
    toast = editing.locator("[data-toast]")
    expect(toast).to_contain_text("Sent for approval as request #1: needs 1 more approval")
    expect(switch).to_have_attribute("aria-checked", "false")
    deliver("broadcast")
    expect(reviewing.get_by_role("link", name="1 waiting for you")).to_be_visible()
    toast.get_by_role("link", name="See the request").click()
    expect(editing.get_by_text("It is not approved yet")).to_be_visible()

    reviewing.get_by_role("link", name="new-checkout: switched on in production").click()
    reviewing.get_by_role("button", name="Review").press("Enter")
    reviewing.get_by_role("button", name="Approve", exact=True).press("Enter")
    expect(reviewing.locator("[data-toast]")).to_contain_text("You approved request #1")
    deliver("broadcast")

    editing.get_by_role("button", name="Apply now").click()
    expect(editing.locator("[data-toast]")).to_contain_text("Request #1 is applied")
    assert is_on()
    editing.goto(editing.url.split("/requests")[0] + "/flags")
    expect(switch).to_have_attribute("aria-checked", "true")


def test_several_flags_are_chosen_and_asked_for_together(visit, guarded, editor):
    visitor = visit("editor")
    page = visitor.open("/p/shop/flags")
    bar = page.get_by_role("form", name="What to do with the chosen flags")
    expect(bar).to_be_hidden()

    page.get_by_role("checkbox", name="Choose banner").press("Space")
    expect(page.locator("#announcements")).to_contain_text("1 flag chosen")
    submit(
        SwitchFlag(project="shop", environment="staging", flag="banner", on=True), actor=OPERATOR
    )
    deliver("broadcast")
    staging = page.get_by_role("switch", name="banner in Staging").first
    expect(staging).to_have_attribute("aria-checked", "true")
    expect(page.get_by_role("checkbox", name="Choose banner")).to_be_checked()
    page.get_by_role("checkbox", name="Choose all on this page").press("Space")
    expect(bar).to_contain_text("2 flags chosen")
    for width, scheme in ((1440, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.locator(f"html[data-bs-theme={scheme}]").wait_for(state="attached")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    bar.get_by_label("in", exact=True).select_option("production")
    bar.get_by_role("button", name="Review").press("Enter")
    dialog = page.get_by_role("dialog", name="Switch 2 flags on in Production?")
    expect(dialog).to_contain_text("Turned on")
    assert violations(page) == []
    dialog.get_by_role("button", name="Send for approval").press("Enter")

    expect(page.locator("[data-toast]")).to_contain_text("Sent for approval as request #1")
    expect(dialog).to_be_hidden()
    expect(bar).to_be_hidden()
    assert visitor.complaints == []


def test_what_a_request_holds_is_edited_in_the_editor(visit, guarded, editor):
    off = ConfigureFlag(**PRODUCTION, flag="banner", fallthrough={"variation": "off"})
    submit(off, actor=editor)
    visitor = visit("editor")
    page = visitor.open("/p/shop/requests/1")

    page.get_by_role("link", name="Edit banner in Production").press("Enter")
    expect(page.get_by_text("You are editing request #1")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("Variation when off").select_option("on")
    page.get_by_role("button", name="Review and save").click()
    page.get_by_role("button", name="Save into request #1").click()

    expect(page.locator("[data-toast]")).to_contain_text("Your edit is in request #1")
    expect(page.get_by_text("When off it serves on instead of off", exact=True)).to_be_visible()
    assert visitor.complaints == []


def test_a_verdict_is_not_lent_to_what_the_request_became_meanwhile(visit, guarded, editor):
    switch = SwitchFlag(**PRODUCTION, flag="new-checkout", on=True)
    submit(switch, actor=editor)
    page = visit("reviewer").open("/p/shop/requests/1")
    page.get_by_role("button", name="Review").click()
    seen = page.locator('[name="behaviour"]').input_value()

    also = SwitchFlag(**PRODUCTION, flag="banner", on=True)
    submit(
        EditRequest(project="shop", request=1, changes=[switch.as_json(), also.as_json()]),
        actor=editor,
    )
    deliver("broadcast")
    expect(page.locator('[name="behaviour"]')).not_to_have_value(seen)
    page.get_by_role("button", name="Approve", exact=True).click()

    expect(page.get_by_text("does something else by now").first).to_be_visible()
    assert not Verdict.objects.exists()


PAGES = [
    "/p/shop/requests?tab=all",
    "/p/shop/requests/1",
    "/p/shop/settings/environments/production/policy",
    "/p/shop/settings/teams",
]


def test_every_page_is_accessible_fits_and_complains_of_nothing(visit, talked_about):
    visitor = visit("admin")

    found = {path: faults(visitor, path) for path in PAGES}

    assert {path: faults for path, faults in found.items() if faults} == {}
    assert visitor.complaints == []

"""The pages in a real browser: live in two of them, by keyboard, on a phone, for everyone."""

import pytest
from playwright.sync_api import Page, expect

from audit.outbox import deliver
from flags.changes import (
    ArchiveFlag,
    ChangeSegmentIds,
    ConfigureFlag,
    CreateSegment,
    DefineSegment,
    SwitchFlag,
    submit,
)
from flags.models import FlagConfiguration, SegmentDefinition
from tests.cast import OPERATOR
from tests.dashboard.conftest import faults, violations

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

RULES = [
    {
        "id": "r1",
        "name": "Beta testers in the EU",
        "when": {
            "all": [
                {"segment": "beta"},
                {"attribute": "country", "op": "in", "values": ["DE", "FR"]},
                {
                    "any": [
                        {"attribute": "age", "op": "gte", "values": [18]},
                        {
                            "not": {
                                "attribute": "email",
                                "op": "ends_with",
                                "values": ["@x.example"],
                            }
                        },
                    ]
                },
            ]
        },
        "serve": {"variation": "on"},
    },
    {
        "id": "r2",
        "when": {"attribute": "now", "op": "after", "values": ["2027-01-31T09:00:00Z"]},
        "serve": {
            "split": {"by": "company", "salt": "s", "shares": [["on", 50_000], ["off", 50_000]]}
        },
    },
]


@pytest.fixture
def furnished(project, a_flag):
    """A shop in which every page has something to show."""
    submit(CreateSegment(project="shop", key="beta", name="Beta testers"), actor=OPERATOR)
    submit(
        DefineSegment(
            project="shop",
            environment="production",
            segment="beta",
            when={"attribute": "plan", "op": "in", "values": ["pro"]},
        ),
        ChangeSegmentIds(
            project="shop", environment="production", segment="beta", add=("user-1", "user-2")
        ),
        actor=OPERATOR,
    )
    a_flag("billing", on=True)
    a_flag(
        "new-checkout",
        on=True,
        rules=RULES,
        targets=[{"variation": "on", "by": "targetingKey", "keys": ["user-1"]}],
        prerequisites=[{"flag": "billing", "variations": ["on"]}],
        tags=["checkout"],
    )
    a_flag(
        "banner",
        type="json",
        variations=[{"key": "a", "value": {"x": 1}}, {"key": "b", "value": None}],
    )


def configuration(flag="new-checkout", environment="production") -> FlagConfiguration:
    return FlagConfiguration.objects.get(flag__key=flag, environment__key=environment)


def the_switch(page: Page, flag="new-checkout", environment="Production"):
    return page.get_by_role("switch", name=f"{flag} in {environment}").first


def review(page: Page) -> None:
    page.get_by_role("button", name="Review and save").click()


def test_a_switch_moves_in_the_other_browser_too(visit, a_flag):
    a_flag()
    one, other = visit("editor").open("/p/shop/flags"), visit("viewer").open("/p/shop/flags")

    the_switch(one).click()
    expect(the_switch(one)).to_have_attribute("aria-checked", "true")
    deliver("broadcast")

    expect(the_switch(other)).to_have_attribute("aria-checked", "true")


def test_the_page_of_the_flag_follows_without_a_reload(visit, a_flag):
    a_flag()
    page = visit("viewer").open("/p/shop/flags/new-checkout?environment=production")
    page.evaluate("window.stayed = true")

    submit(
        ConfigureFlag(
            project="shop",
            environment="production",
            flag="new-checkout",
            enabled=True,
            rules=[
                {
                    "name": "Germans",
                    "when": {"attribute": "country", "op": "in", "values": ["DE"]},
                    "serve": {"variation": "on"},
                }
            ],
        ),
        actor=OPERATOR,
    )
    deliver("broadcast")

    expect(page.get_by_role("heading", name="Germans")).to_be_visible()
    expect(the_switch(page)).to_have_attribute("aria-checked", "true")
    assert page.evaluate("window.stayed")


def test_a_new_flag_appears_in_an_open_list(visit, a_flag):
    a_flag("first")
    page = visit("viewer").open("/p/shop/flags")

    a_flag("second")
    deliver("broadcast")

    expect(page.get_by_role("link", name="second")).to_be_visible()


def test_an_undo_takes_the_switch_back(visit, a_flag):
    a_flag()
    page = visit("editor").open("/p/shop/flags")

    the_switch(page).click()
    page.get_by_role("button", name="Undo").click()

    expect(page.get_by_text("Taken back")).to_be_visible()
    expect(the_switch(page)).to_have_attribute("aria-checked", "false")
    assert not configuration().enabled


def test_typing_in_the_search_narrows_the_list_and_keeps_the_focus(visit, a_flag):
    for key in ("billing", "banner", "checkout"):
        a_flag(key)
    page = visit("viewer").open("/p/shop/flags")

    page.keyboard.press("/")
    page.keyboard.type("check")

    expect(page.locator(".flag-row")).to_have_count(1)
    expect(page.get_by_role("searchbox")).to_be_focused()
    assert page.url.endswith("q=check&state=&type=")


def test_the_bar_offers_what_can_be_done_to_the_list_that_is_shown(visit, a_flag):
    a_flag("banner")
    a_flag("other")
    submit(ArchiveFlag(project="shop", flag="banner"), actor=OPERATOR)
    visitor = visit("editor")
    page = visitor.open("/p/shop/flags")
    bar = page.get_by_role("form", name="What to do with the chosen flags")

    page.get_by_role("checkbox", name="Archived").check()
    page.get_by_role("checkbox", name="Choose banner").check()
    expect(bar.get_by_label("What to do")).to_have_value("restore")
    expect(bar.get_by_label("in", exact=True)).to_be_hidden()
    bar.get_by_role("button", name="Review").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore 1 flag").click()
    expect(page.get_by_role("heading", name="No archived flag")).to_be_visible()
    page.get_by_role("checkbox", name="Archived").uncheck()
    page.get_by_role("checkbox", name="Choose banner").check()

    expect(bar.get_by_label("What to do")).to_have_value("on")
    expect(bar.get_by_label("in", exact=True)).to_be_visible()
    assert visitor.complaints == []


def test_an_editor_that_changes_nothing_says_so(visit, furnished):
    page = visit("editor").open("/p/shop/flags/new-checkout?environment=production&edit=1")

    review(page)

    expect(page.get_by_text("Nothing is different from what is saved")).to_be_visible()


def test_a_rule_is_added_by_keyboard_alone(visit, furnished):
    visitor = visit("editor")
    page = visitor.open("/p/shop/flags/banner?environment=production")
    keyboard = page.keyboard

    keyboard.press("e")
    page.get_by_role("button", name="Add a rule").focus()
    keyboard.press("Enter")
    keyboard.type("Grown-ups")
    page.locator("[data-attribute]").focus()
    keyboard.type("age")
    keyboard.press("Tab")
    keyboard.type("is at least")
    keyboard.press("Tab")
    keyboard.type("18")
    keyboard.press("Enter")
    page.get_by_role("button", name="Review and save").focus()
    keyboard.press("Enter")
    expect(page.get_by_label("Reason")).to_be_focused()
    keyboard.type("Asked for by support")
    keyboard.press("Tab")
    keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Grown-ups")).to_be_visible()
    rule = configuration("banner").rules[0]
    assert rule["when"] == {"attribute": "age", "op": "gte", "values": [18]}
    assert rule["serve"] == {"variation": "a"}
    assert visitor.complaints == []


def test_rules_are_reordered_by_keyboard(visit, furnished):
    page = visit("editor").open("/p/shop/flags/new-checkout?environment=production&edit=1")

    page.get_by_role("button", name="Move this rule down").first.focus()
    page.keyboard.press("Enter")
    review(page)
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_role("dialog")).to_be_hidden()
    assert [rule["id"] for rule in configuration().rules] == ["r2", "r1"]


def test_a_split_keeps_its_salt_and_must_add_up(visit, furnished):
    page = visit("editor").open("/p/shop/flags/new-checkout?environment=production&edit=1")
    second = page.locator('[data-item="rule"]').nth(1)

    second.get_by_role("spinbutton", name="on", exact=True).fill("60")
    review(page)
    expect(page.get_by_role("alert").get_by_text("add up to 110, expected 100")).to_be_visible()
    second.get_by_role("spinbutton", name="off", exact=True).fill("40")
    review(page)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_hidden()

    assert configuration().rules[1]["serve"]["split"] == {
        "by": "company",
        "salt": "s",
        "shares": [["on", 60_000], ["off", 40_000]],
    }


def test_what_the_server_refuses_is_said_at_its_field_and_nothing_is_lost(visit, furnished):
    page = visit("editor").open("/p/shop/flags/new-checkout?environment=production&edit=1")
    first = page.locator('[data-node="comparison"]').first

    first.locator("[data-op]").select_option("matches")
    first.locator("[data-chip-input]").fill("(")
    review(page)

    expect(first.locator(".field-problem")).to_contain_text("expression")
    expect(page.get_by_role("alert").filter(has_text="Not saved yet")).to_be_focused()
    expect(first.get_by_text("(", exact=True)).to_be_visible()
    assert configuration().version == 2


def test_an_open_editor_is_told_and_not_overwritten_and_can_save_over(visit, furnished):
    page = visit("editor").open("/p/shop/flags/new-checkout?environment=production&edit=1")
    page.get_by_label("Name of the rule").first.fill("My name for it")

    submit(
        SwitchFlag(project="shop", environment="production", flag="new-checkout", on=False),
        actor=OPERATOR,
    )
    deliver("broadcast")

    expect(page.get_by_text("Somebody changed this flag meanwhile")).to_be_visible()
    expect(page.get_by_label("Name of the rule").first).to_have_value("My name for it")
    review(page)
    expect(page.get_by_role("heading", name="Somebody was faster")).to_be_visible()
    page.get_by_role("button", name="Compare with version 3").click()
    page.get_by_label("Reason").fill("Theirs was a slip")
    page.get_by_label("Date and time").fill("2100-06-01T09:00")
    submit(
        SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True),
        SwitchFlag(project="shop", environment="production", flag="new-checkout", on=False),
        actor=OPERATOR,
    )
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Somebody was faster")).to_be_visible()
    page.get_by_role("button", name="Compare with version").click()
    expect(page.get_by_label("Reason")).to_have_value("Theirs was a slip")
    expect(page.get_by_label("Date and time")).to_have_value("2100-06-01T09:00")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="My name for it")).to_be_visible()
    expect(page.locator("main")).to_be_focused()
    assert configuration().rules[0]["name"] == "My name for it"
    assert not configuration().enabled


def test_a_segment_is_edited_in_groups_and_its_ids_are_pasted(visit, furnished):
    visitor = visit("editor")
    page = visitor.open("/p/shop/segments/beta?environment=production&edit=1")

    page.get_by_role("button", name="Group").click()
    group = page.locator('[data-node="group"]').nth(1)
    group.locator("[data-mode]").select_option("none")
    group.locator("[data-attribute]").fill("banned")
    group.locator("[data-op]").select_option("exists")
    review(page)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.reload()
    page.goto(visitor.url + "/p/shop/segments/beta?environment=production")
    page.locator("summary", has_text="Add ids").first.click()
    page.get_by_label("Ids, one a line").first.fill("user-3\nuser-4,user-5")
    page.get_by_role("button", name="Add", exact=True).first.click()

    expect(page.get_by_text("beta: 3 added")).to_be_visible()
    definition = SegmentDefinition.objects.get(environment__key="production")
    assert definition.when == {
        "all": [
            {"attribute": "plan", "op": "in", "values": ["pro"]},
            {"not": {"any": [{"attribute": "banned", "op": "exists"}]}},
        ]
    }
    assert definition.listed_ids.count() == 5


PAGES = [
    "/p/shop/flags",
    "/p/shop/flags?q=nothing-like-it",
    "/p/shop/new-flag",
    "/p/shop/flags/new-checkout?environment=production",
    "/p/shop/flags/new-checkout?environment=production&edit=1",
    "/p/shop/flags/banner/variations",
    "/p/shop/flags/new-checkout/settings",
    "/p/shop/segments",
    "/p/shop/new-segment",
    "/p/shop/segments/beta?environment=production",
    "/p/shop/segments/beta?environment=production&edit=1",
    "/p/shop/segments/beta/settings",
    "/projects",
]


def test_every_page_is_accessible_fits_and_complains_of_nothing(visit, furnished):
    visitor = visit("owner")

    found = {path: faults(visitor, path, live=path != "/projects") for path in PAGES}

    assert {path: faults for path, faults in found.items() if faults} == {}
    assert visitor.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_review_and_a_refusal_are_accessible(visit, furnished, scheme):
    page = visit("editor", scheme=scheme).open(
        "/p/shop/flags/new-checkout?environment=production&edit=1"
    )
    page.get_by_label("Name of the rule").first.fill("Another name")

    review(page)
    expect(page.get_by_label("Reason")).to_be_visible()

    assert violations(page) == []


def test_signing_in_is_accessible_and_remembers_the_colours(visit, users):
    visitor = visit("viewer")
    visitor.context.clear_cookies()

    page = visitor.open("/sign-in", live=False)
    assert violations(page) == []
    page.get_by_label("Username").fill("viewer")
    page.get_by_label("Password").fill("a long password for tests")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Colours").click()
    page.get_by_role("button", name="Colours").click()

    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    assert visitor.complaints == []

"""Drafts, conflicts and the inbox in a real browser."""

import pytest
from playwright.sync_api import expect

from audit.outbox import deliver
from flags.changes import (
    ApplyRequest,
    CommentOnRequest,
    ConfigureFlag,
    DraftChanges,
    EditEnvironment,
    SwitchFlag,
    submit,
)
from flags.models import Request
from tests.cast import OPERATOR
from tests.dashboard.conftest import faults

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

PRODUCTION = {"project": "shop", "environment": "production"}
SWITCH = SwitchFlag(**PRODUCTION, flag="new-checkout", on=True)


@pytest.fixture
def guarded(project, a_flag):
    a_flag("new-checkout")
    a_flag("banner")
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)


@pytest.fixture
def much_going_on(guarded, editor, admin, reviewer):
    """A draft, a request in conflict and a bypass that nobody has signed for."""

    def rules(name: str) -> ConfigureFlag:
        when = {"attribute": "country", "op": "in", "values": ["DE"]}
        rule = {"id": name, "name": name, "when": when, "serve": {"variation": "on"}}
        return ConfigureFlag(**PRODUCTION, flag="banner", rules=[rule])

    submit(rules("Mine"), actor=editor, reason="Germany first")
    theirs = submit(rules("Theirs"), actor=editor).request
    submit(
        ApplyRequest(project="shop", request=theirs, bypass_reason="The shop is down"), actor=admin
    )
    rows = [SWITCH.as_json(), rules("Drafted").as_json()]
    submit(DraftChanges(**PRODUCTION, changes=rows), actor=editor)
    submit(
        CommentOnRequest(project="shop", request=1, body="@editor why Germany first?"),
        actor=reviewer,
    )
    for _ in range(3):
        deliver("default")


def test_the_bell_counts_while_the_page_is_open(visit, guarded, editor, users, client):
    page = visit("reviewer").open("/p/shop/flags")
    inbox = page.get_by_role("link", name="Inbox")
    expect(inbox).to_have_text("Inbox")

    submit(SWITCH, actor=editor, reason="Launch day")
    deliver("default")

    expect(inbox).to_contain_text("1")
    client.force_login(users["reviewer"])
    for path in ("/account", "/account/signing-in", "/account/tokens", "/projects"):
        assert '1<span class="visually-hidden"> unread' in client.get(path).content.decode()
    inbox.click()
    page.get_by_role("list", name="Notices").get_by_role(
        "link", name="editor asks for your verdict on #1"
    ).click()
    expect(page.get_by_role("heading", name="#1")).to_be_visible()
    expect(page.get_by_role("link", name="Inbox")).to_have_text("Inbox")


@pytest.mark.parametrize(
    ("who", "path"),
    [("editor", "/inbox"), ("editor", "/p/shop/requests/1"), ("editor", "/p/shop/requests/3")],
)
def test_pages_are_sound(visit, much_going_on, who, path):
    assert faults(visit(who), path, live=path != "/inbox") == []


def test_a_banner_stays_until_a_bypass_is_signed(visit, much_going_on):
    page = visit("reviewer").open("/p/shop/flags")
    banner = page.get_by_text("applied request #2 without approval")
    expect(banner).to_be_visible()

    banner.get_by_role("link").or_(page.locator(".bypass-bar a")).first.click()
    page.get_by_role("button", name="Sign for the bypass").click()

    expect(page.get_by_text("You signed for the bypass of request #2")).to_be_visible()
    expect(page.locator(".bypass-bar")).to_have_count(0)
    assert Request.objects.get(number=2).bypass_reviewed_by.username == "reviewer"

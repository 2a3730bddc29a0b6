"""Releases in a real browser: a save with a time, a ramp steered live, and every page's looks."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from flags.changes import (
    EditEnvironment,
    GrantLease,
    OpenRequest,
    SetPolicy,
    SetRampTemplate,
    StartRamp,
    SwitchFlag,
    submit,
)
from flags.models import Request
from tests.cast import OPERATOR
from tests.dashboard.conftest import faults

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

PRODUCTION: dict[str, Any] = {"project": "shop", "environment": "production"}
FLAG = "/p/shop/flags/new-checkout?environment=production"
STEPS = [
    {"share": 1_000, "hold": {"seconds": 86_400}},
    {"share": 5_000, "hold": {"approval": True}},
    {"share": 100_000},
]


def test_a_save_is_set_for_a_time_typed_in_the_visitor_s_own(visit, a_flag):
    a_flag("new-checkout", on=True)
    visitor = visit("editor")
    page = visitor.open(f"{FLAG}&edit=1")
    page.locator("[data-off-variation]").select_option("on")
    page.get_by_role("button", name="Review and save").click()
    page.get_by_role("radio", name="At a time").check()
    typed = timezone.now().replace(second=0, microsecond=0) + timedelta(days=3)
    page.get_by_label("Date and time").fill(f"{typed:%Y-%m-%dT%H:%M}")
    offset = page.evaluate(f"new Date('{typed:%Y-%m-%dT%H:%M}').getTimezoneOffset()")

    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_text("Request #1 is set for")).to_be_visible()
    assert Request.objects.get().apply_at == typed + timedelta(minutes=offset)
    assert visitor.complaints == []


def test_a_ramp_moves_on_the_page_when_somebody_else_steers_it(visit, a_flag, editor):
    a_flag("new-checkout", on=True, fallthrough={"variation": "off"})
    start = StartRamp(**PRODUCTION, flag="new-checkout", variation="on", steps=STEPS)
    submit(start, actor=editor)
    watched = visit("viewer").open(FLAG)
    page = visit("editor").open(FLAG)
    expect(page.locator(".ramp__step--now")).to_contain_text("1 %")

    page.get_by_role("button", name="Next step now").click()

    expect(page.get_by_text("is taken to its next step")).to_be_visible()
    expect(watched.locator(".ramp__step--now")).to_contain_text("5 %")
    expect(watched.get_by_text("waits for approval", exact=True)).to_be_visible()


def test_every_page_of_releases_looks_right(visit, a_flag, editor):
    a_flag("new-checkout", on=True, fallthrough={"variation": "off"})
    off = SwitchFlag(**PRODUCTION, flag="new-checkout", on=False).as_json()
    at = timezone.now() + timedelta(days=1)
    for change in (
        StartRamp(**PRODUCTION, flag="new-checkout", variation="on", steps=STEPS),
        *(OpenRequest(project="shop", changes=[off], apply_at=at) for _ in range(6)),
        GrantLease(project="shop", changes=[off], seconds=86_400),
        SetRampTemplate(project="shop", key="careful", name="Careful", steps=STEPS),
        SetPolicy(**PRODUCTION, windows=[{"days": [0, 1, 2, 3], "from": "09:00", "to": "17:00"}]),
        EditEnvironment(**PRODUCTION, requires_approval=True),
    ):
        submit(change, actor=OPERATOR)
    visitor = visit("editor")

    found = {
        path: faults(visitor, path)
        for path in (
            "/p/shop/releases",
            FLAG,
            "/p/shop/flags/new-checkout/ramp",
            "/p/shop/ramp-templates",
            "/p/shop/ramp-templates/careful/edit",
        )
    }

    assert {path: row for path, row in found.items() if row} == {}
    assert visitor.complaints == []

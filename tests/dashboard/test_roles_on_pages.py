"""Pages offer what may be done in each environment, and say what is missing for the rest."""

from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.utils import timezone

from flags.changes import (
    ArchiveFlag,
    CreateApiToken,
    CreateService,
    CreateServiceToken,
    EditEnvironment,
    OpenRequest,
    SetMember,
    SetPolicy,
    SwitchFlag,
    submit,
)
from flags.models import Request, Segment
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db
SHOP: dict[str, Any] = {"project": "shop"}


@pytest.fixture
def page(project, users, client):
    """`page("editor", "/…")`: what somebody reads there."""

    def read(name: str, path: str) -> str:
        client.force_login(users[name])
        return unescape(client.get(f"/p/shop{path}").content.decode())

    return read


def excepted(name: str, role: Any, **environments: Any) -> None:
    submit(SetMember(**SHOP, username=name, role=role, environments=environments), actor=OPERATOR)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/settings/environments/{}", "Create key"),
        ("/settings/environments/{}/policy", 'name="step" value="review"'),
        ("/connect?environment={}", "Create a server key"),
    ],
)
def test_who_administers_one_environment_is_offered_its_forms_alone(page, path, form):
    excepted("editor", "editor", staging="admin")

    here, there = (page("editor", path.format(key)) for key in ("staging", "production"))

    assert form in here
    assert "this needs admin" not in here
    assert form not in there or "<fieldset disabled" in there
    assert "editor is editor in production; this needs admin" in there


def test_an_admin_moves_only_what_they_administer(page):
    excepted("admin", "admin", production="viewer")

    listed = page("admin", "/settings/environments")

    assert 'aria-label="Move Development later"' in listed
    assert 'aria-label="Move Staging later" disabled' in listed
    assert 'aria-label="Move Production earlier"' not in listed
    assert "admin is viewer in production; this needs admin" in listed


def test_an_editor_with_an_exception_makes_a_segment(page, client):
    excepted("editor", "editor", production="viewer")

    assert "Create segment" in page("editor", "/new-segment")
    client.post("/p/shop/new-segment", {"key": "beta", "name": "Beta"})

    assert Segment.objects.get().key == "beta"
    assert "this needs editor" in page("viewer", "/new-segment")


def test_a_request_says_in_which_environment_something_is_missing(page, a_flag, admin):
    a_flag("checkout")
    excepted("editor", "editor", production="viewer")
    excepted("viewer", "viewer", production="editor")
    for key in ("staging", "production"):
        switch = SwitchFlag(**SHOP, environment=key, flag="checkout", on=True)
        submit(OpenRequest(**SHOP, changes=[switch.as_json()]), actor=admin)

    assert "Apply now" in page("editor", "/requests/1")
    refused = page("editor", "/requests/2")
    assert "Apply now" not in refused
    assert "Set a time</button>" not in refused
    assert "editor is viewer in production; this needs editor" in refused
    assert "Apply now" in page("viewer", "/requests/2")
    assert "Apply now" not in page("viewer", "/requests/1")


def test_what_reaches_every_environment_takes_the_role_in_each(page, a_flag, admin):
    a_flag("checkout")
    excepted("reviewer", "reviewer", production="viewer")
    archive = ArchiveFlag(**SHOP, flag="checkout")
    submit(OpenRequest(**SHOP, changes=[archive.as_json()]), actor=admin)

    assert "reviewer is viewer in production; this needs editor" in page("reviewer", "/requests/1")


def test_verdict_and_bypass_are_offered_to_those_whose_they_are(page, a_flag, editor):
    a_flag("checkout")
    submit(
        SetPolicy(**SHOP, environment="production", minimum_role="reviewer"),
        EditEnvironment(**SHOP, environment="production", requires_approval=True),
        actor=OPERATOR,
    )
    submit(SwitchFlag(**SHOP, environment="production", flag="checkout", on=True), actor=editor)
    review, bypass = 'data-opens="verdict"', 'data-opens="bypass"'

    assert review not in page("viewer", "/requests/1")
    assert review in page("reviewer", "/requests/1")
    assert bypass in page("admin", "/requests/1")
    excepted("admin", "admin", production="editor")
    excepted("viewer", "viewer", production="reviewer")

    demoted = page("admin", "/requests/1")
    assert bypass not in demoted
    assert review not in demoted
    assert review in page("viewer", "/requests/1")
    assert Request.objects.get().state == "in_review"


def test_tokens_that_end_soon_say_how_soon(page, client, users):
    def made(days: int) -> dict[str, Any]:
        ends = timezone.now() + timedelta(days=days, hours=1)
        return {"hash": str(days), "scopes": ["read"], "expires_at": ends}

    submit(
        CreateApiToken(username="admin", public_id="fst_near", **made(3)),
        CreateApiToken(username="admin", public_id="fst_far", **made(30)),
        actor=OPERATOR,
    )
    submit(CreateService(**SHOP, name="deployer", role="editor"), actor=OPERATOR)
    submit(
        CreateServiceToken(**SHOP, service="deployer", public_id="fst_s", **made(0)),
        actor=OPERATOR,
    )

    assert "ends within a day" in page("admin", "/settings/members")
    own = client.get("/account/tokens").content.decode()

    assert own.count("ends in 3 days") == 1
    assert "ends in 30 days" not in own

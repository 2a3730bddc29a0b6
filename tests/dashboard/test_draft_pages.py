"""A draft collects saves in a guarded environment until its author asks for review."""

import json
import re
from typing import Any

import pytest

from flags.changes import CreateSegment, DraftChanges, EditEnvironment, SwitchFlag, submit
from flags.models import FlagConfiguration, Request
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

PRODUCTION: dict[str, Any] = {"project": "shop", "environment": "production"}


@pytest.fixture
def guarded(project, a_flag):
    a_flag("checkout")
    a_flag("search")
    submit(CreateSegment(project="shop", key="beta"), actor=OPERATOR)
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)


@pytest.fixture
def browser(client, users):
    def sign_in(name: str):
        client.force_login(users[name])
        return client

    return sign_in


def words(response) -> str:
    text = re.sub(r"<[^>]+>", " ", response.content.decode())
    return re.sub(r"\s+", " ", text)


def configured(**members: Any) -> dict[str, str]:
    return {"configuration": json.dumps(members), "expected_version": "1"}


def test_saves_are_collected_and_asked_for_at_once(guarded, browser):
    editing = browser("editor")
    save = "/p/shop/flags/{}/targeting/production"

    offered = words(
        editing.post(
            save.format("checkout") + "/preview", configured(fallthrough={"variation": "off"})
        )
    )
    for flag in ("checkout", "search"):
        answer = configured(fallthrough={"variation": "off"}) | {
            "goes": "draft",
            "draft_for": "production",
        }
        editing.post(save.format(flag), answer)
    condition = {"when": {"attribute": "plan", "op": "exists"}}
    editing.post(
        "/p/shop/segments/beta/definition/production",
        configured(**condition) | {"goes": "draft", "draft_for": "production"},
    )

    draft = Request.objects.get()
    assert "Add to my draft" in offered
    assert (draft.state, len(draft.changes)) == ("draft", 3)
    bar = words(editing.get("/p/shop/flags"))
    assert "Your draft for production : 3 changes, nobody is asked yet" in bar
    page = words(editing.get("/p/shop/requests/1"))
    assert "1 more approval by a reviewer or above" in page
    assert "every change asks for approval" in page
    editing.post(
        "/p/shop/requests/1/submit", {"title": "Spring sale", "reason": "It begins on Monday"}
    )
    draft.refresh_from_db()
    assert (draft.state, draft.title, draft.reason) == (
        "in_review", "Spring sale", "It begins on Monday",
    )  # fmt: skip
    assert "Your draft" not in words(editing.get("/p/shop/flags"))


def test_a_draft_changes_nothing_and_is_its_authors_own(guarded, browser, editor, admin):
    for actor in (editor, admin):
        row = SwitchFlag(**PRODUCTION, flag="checkout", on=True).as_json()
        submit(DraftChanges(**PRODUCTION, changes=[row]), actor=actor)

    assert Request.objects.filter(state="draft").count() == 2
    assert not FlagConfiguration.objects.filter(enabled=True).exists()
    assert "Your draft" not in words(browser("reviewer").get("/p/shop/flags"))


def test_one_subject_is_left_out_of_a_draft(guarded, browser, editor):
    rows = [
        SwitchFlag(**PRODUCTION, flag=flag, on=True).as_json() for flag in ("checkout", "search")
    ]
    submit(DraftChanges(**PRODUCTION, changes=rows), actor=editor)

    drop = {"subject": "flag:search", "choice": "drop"}
    page = words(browser("editor").post("/p/shop/requests/1/rebase", drop, follow=True))

    assert "search is left out" in page
    assert [row["flag"] for row in Request.objects.get().changes] == ["checkout"]


def test_a_segment_says_that_a_request_would_change_it(guarded, browser, editor):
    editing = browser("editor")
    condition = configured(when={"attribute": "plan", "op": "exists"})
    editing.post("/p/shop/segments/beta/definition/production", condition)

    for page in ("segments/beta", "segments/beta/settings", "segments/beta/requests"):
        said = words(editing.get(f"/p/shop/{page}"))
        assert "Request #1 would change this segment in production" in said


def test_a_segments_save_is_put_into_a_request_too(guarded, browser, editor):
    submit(SwitchFlag(**PRODUCTION, flag="checkout", on=True), actor=editor)
    editing = browser("editor")
    save = "/p/shop/segments/beta/definition/production"
    condition = configured(when={"attribute": "plan", "op": "exists"})

    assert "Add to request #1" in words(editing.post(save + "/preview", condition))
    editing.post(save, condition | {"goes": "request", "request": "1"})

    assert [row["kind"] for row in Request.objects.get().changes] == [
        "flag.switched", "segment.defined",
    ]  # fmt: skip

"""What an open request holds, edited from its page."""

import json
import re

import pytest
from django.utils import timezone

from flags.changes import (
    ConfigureFlag,
    CreateSegment,
    DefineSegment,
    EditEnvironment,
    EditFlag,
    EditRequest,
    GrantLease,
    ReviewRequest,
    SwitchFlag,
    submit,
)
from flags.models import Request
from tests.cast import OPERATOR
from tests.dashboard.requesting import (
    HALF,
    ONE,
    PRODUCTION,
    SWITCH,
    asked,
    browser,
    is_on,
    state,
    words,
)

__all__ = ["asked", "browser"]
pytestmark = pytest.mark.django_db


EDITOR = f"{ONE}/flags/new-checkout/production"


def written(**members) -> dict[str, str]:
    """What the editor sends, with the request at its first revision."""
    return {"configuration": json.dumps(members), "expected_version": "1"}


@pytest.fixture
def asked_for_half(asked, editor):
    """The request holds another flag as well, to which it gives half."""
    more = ConfigureFlag(**PRODUCTION, flag="other", fallthrough=HALF)
    rows = [SWITCH.as_json(), more.as_json()]
    submit(EditRequest(project="shop", request=1, changes=rows), actor=editor)
    Request.objects.update(revision=1)


def test_the_editor_shows_what_the_request_makes_of_a_flag(asked_for_half, browser):
    address = f"{ONE}/flags/other/production"
    page = browser("editor").get(ONE).content.decode()
    assert f'href="{address}"' in page
    # Of a switch alone an editor would show nothing that is changed.
    assert f'href="{EDITOR}"' not in page

    editor = browser("editor").get(address)

    assert f"You are editing request #1 , {Request.objects.get().title}" in words(editor)
    assert "Nothing changes until it is approved and applied" in words(editor)
    assert editor.content.decode().count('inputmode="decimal" value="50"') == 2
    assert browser("viewer").get(address).status_code == 403
    assert browser("editor").get(f"{ONE}/flags/other/staging").status_code == 404


def test_an_edit_goes_into_the_request_and_asks_again(asked_for_half, browser, reviewer):
    submit(ReviewRequest(project="shop", request=1, verdict="approved"), actor=reviewer)
    assert state() == "approved"
    sent = written(fallthrough={"variation": "off"})

    said = words(browser("editor").post(f"{ONE}/flags/other/production/preview", sent))
    assert "Save into request #1?" in said
    assert "Everyone else gets off instead of on" in said
    assert not re.search("Turned on|Add to my draft", said)
    answer = browser("editor").post(
        f"{ONE}/flags/other/production", sent | {"reason": "Safer"}, headers={"HX-Request": "true"}
    )

    assert answer["HX-Redirect"] == ONE
    assert state() == "in_review"
    rows = Request.objects.get().changes
    assert [(row["kind"], row["flag"]) for row in rows] == [
        ("flag.switched", "new-checkout"), ("flag.configured", "other"),
    ]  # fmt: skip
    assert rows[1]["fallthrough"] == {"variation": "off"}
    assert "Your edit is in request #1" in words(browser("editor").get(ONE))
    late = browser("editor").post(f"{ONE}/flags/other/production", sent)
    assert late.status_code == 409
    assert "is at revision 2, expected 1" in words(late)
    assert not is_on()


def test_an_edit_beside_a_switch_is_a_change_of_its_own(asked, browser):
    browser("editor").post(EDITOR, written(fallthrough={"variation": "off"}))

    kinds = [row["kind"] for row in Request.objects.get().changes]
    assert kinds == ["flag.switched", "flag.configured"]


def test_an_edit_may_serve_what_the_request_itself_adds(asked, browser, editor):
    both = [{"key": "on", "value": True}, {"key": "off", "value": False}]
    third = [*both, {"key": "maybe", "value": False}]
    rows = [
        ConfigureFlag(**PRODUCTION, flag="other", enabled=False, fallthrough=HALF),
        EditFlag(project="shop", flag="other", variations=third),
        SwitchFlag(**PRODUCTION, flag="other", on=True),
    ]
    submit(
        EditRequest(project="shop", request=1, changes=[row.as_json() for row in rows]),
        actor=editor,
    )
    Request.objects.update(revision=1)

    answer = browser("editor").post(
        f"{ONE}/flags/other/production", written(fallthrough={"variation": "maybe"})
    )

    assert answer.status_code == 302
    held = Request.objects.get().changes
    assert [row["kind"] for row in held] == ["flag.edited", "flag.switched", "flag.configured"]
    assert "enabled" not in held[-1]
    assert held[-1]["fallthrough"] == {"variation": "maybe"}


def test_an_edit_that_leaves_nothing_to_do_is_said(asked_for_half, browser):
    sent = written(fallthrough={"variation": "on"})

    said = words(browser("editor").post(f"{ONE}/flags/other/production/preview", sent))

    assert "The request would leave this as it is. Leave it out of the request instead" in said


def test_a_segment_of_a_request_is_edited_in_its_editor(project, browser, editor):
    submit(CreateSegment(project="shop", key="beta"), actor=OPERATOR)
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)
    when = {"attribute": "plan", "op": "exists"}
    submit(DefineSegment(**PRODUCTION, segment="beta", when=when), actor=editor)
    address, other = f"{ONE}/segments/beta/production", when | {"attribute": "country"}

    assert 'value="plan"' in browser("editor").get(address).content.decode()
    assert "country" in words(browser("editor").post(f"{address}/preview", written(when=other)))
    answer = browser("editor").post(address, written(when=other))

    assert answer["Location"] == ONE
    assert [row["when"] for row in Request.objects.get().changes] == [other]


def test_one_part_is_left_out_in_review_and_the_last_is_not(asked_for_half, browser):
    editor = browser("editor")
    drop = {"subject": "flag:other", "choice": "drop"}
    assert words(editor.get(ONE)).count("Leave out") == 2

    page = words(editor.post(f"{ONE}/rebase", drop, follow=True))

    assert "other is left out" in page
    assert "Leave out" not in page.split("other is left out")[0]
    assert [row["flag"] for row in Request.objects.get().changes] == ["new-checkout"]


def test_what_is_lent_or_grows_is_left_out_and_not_edited(asked, browser, editor):
    lease = GrantLease(
        project="shop", seconds=3_600,
        changes=[SwitchFlag(**PRODUCTION, flag="other", on=True).as_json()],
    )  # fmt: skip
    submit(EditRequest(project="shop", request=1, add=[lease.as_json()]), actor=editor)

    page = browser("editor").get(ONE)
    assert "It is made for a time: to have it otherwise, leave it out" in words(page)
    assert f"{ONE}/flags/other/production" not in page.content.decode()
    browser("editor").post(f"{ONE}/rebase", {"subject": "flag:other", "choice": "drop"})

    assert [row["kind"] for row in Request.objects.get().changes] == ["flag.switched"]


def test_title_and_reason_are_edited_and_verdicts_stay(asked, browser, reviewer):
    submit(ReviewRequest(project="shop", request=1, verdict="approved"), actor=reviewer)

    page = words(
        browser("editor").post(
            f"{ONE}/words", {"title": "Summer sale", "reason": "It begins in June"}, follow=True
        )
    )

    assert "#1 Summer sale" in page
    assert "Reason: It begins in June" in page
    assert state() == "approved"
    assert browser("editor").post(f"{ONE}/words", {"title": " "}).status_code == 422


def test_an_applied_request_says_who_applied_it(asked, browser, reviewer, editor):
    submit(ReviewRequest(project="shop", request=1, verdict="approved"), actor=reviewer)
    browser("admin").post(f"{ONE}/apply")
    assert "applied by admin" in words(browser("editor").get(ONE))

    Request.objects.update(applied_by=None, apply_at=timezone.now())
    assert "applied by the clock, as scheduled" in words(browser("editor").get(ONE))

"""Whom each step of a request concerns, and that they are told of it once."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.models import Event
from audit.outbox import deliver
from flags.changes import (
    ApplyRequest,
    ArchiveFlag,
    CommentOnRequest,
    ConfigureFlag,
    EditEnvironment,
    EditRequest,
    EditUser,
    OpenRequest,
    ReviewBypass,
    ReviewRequest,
    SwitchFlag,
    WithdrawRequest,
    due,
    submit,
)
from flags.changes.bypass import submit_past_approval
from flags.errors import Denied
from flags.models import Comment, Notice, Request
from flags.notices.telling import tell, tell_what_expires
from flags.notices.words import words_of
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

SHOP: dict[str, Any] = {"project": "shop"}
PRODUCTION: dict[str, Any] = {**SHOP, "environment": "production"}
SWITCH = SwitchFlag(**PRODUCTION, flag="checkout", on=True)
ONE: dict[str, Any] = {**SHOP, "request": 1}


@pytest.fixture
def asked(project, a_flag, editor):
    a_flag("checkout")
    a_flag("gone")
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)
    submit(SWITCH, actor=editor, reason="Launch")
    deliver("default")
    return Request.objects.get()


def told(name: str) -> list[str]:
    """What somebody was told, oldest first, and not again by the next call."""
    rows = Notice.objects.filter(person__username=name, read_at=None).order_by("at", "kind")
    kinds = [row.kind for row in rows]
    rows.update(read_at=timezone.now())
    return kinds


def forget() -> None:
    Notice.objects.update(read_at=timezone.now())


def test_those_are_asked_whose_verdict_counts(asked):
    assert {row.person.username: row.kind for row in Notice.objects.all()} == {
        "owner": "review_asked",
        "admin": "review_asked",
        "reviewer": "review_asked",
    }
    notice = Notice.objects.get(person__username="reviewer")
    assert (notice.by, notice.text, notice.request) == ("editor", "Launch", asked)


def test_an_event_that_comes_again_tells_nobody_again(asked):
    before = Notice.objects.count()

    for event in Event.objects.all():
        tell(event)

    assert Notice.objects.count() == before


@pytest.mark.parametrize("verdict", ["approved", "changes_requested", "rejected"])
def test_the_author_hears_of_each_verdict(asked, reviewer, verdict):
    forget()

    submit(ReviewRequest(**ONE, verdict=verdict), actor=reviewer, reason="Because")
    deliver("default")

    wanted = [verdict, "ready"] if verdict == "approved" else [verdict]
    assert told("editor") == wanted
    assert told("reviewer") == []


def test_an_edit_asks_those_again_whose_verdict_it_overtook(asked, editor, reviewer):
    submit(ReviewRequest(**ONE, verdict="approved"), actor=reviewer)
    deliver("default")
    forget()

    other = ConfigureFlag(**PRODUCTION, flag="checkout", fallthrough={"variation": "off"})
    submit(EditRequest(**ONE, changes=[other.as_json()]), actor=editor)
    deliver("default")

    assert told("reviewer") == ["review_again"]
    assert "review_asked" in told("admin")


def test_who_is_mentioned_is_told_so_and_the_others_of_a_comment(asked, reviewer, viewer):
    forget()

    body = "@viewer, @nobody and mail@editor.example: ask @admin."
    submit(CommentOnRequest(**ONE, body=body), actor=reviewer)
    deliver("default")

    assert (told("viewer"), told("admin")) == (["mentioned"], ["mentioned"])
    assert (told("editor"), told("reviewer")) == (["commented"], [])


def test_who_is_answered_is_told_so(asked, editor, reviewer, viewer):
    submit(CommentOnRequest(**ONE, body="Why now?"), actor=reviewer)
    submit(CommentOnRequest(**ONE, body="Yes?"), actor=viewer)
    deliver("default")
    forget()

    first = Comment.objects.get(body="Why now?")
    submit(CommentOnRequest(**ONE, body="It is due.", answers=str(first.pk)), actor=editor)
    deliver("default")

    assert (told("reviewer"), told("viewer")) == (["answered"], ["commented"])


def test_what_is_approved_says_what_it_waits_for(asked, editor, reviewer):
    at = timezone.now() + timedelta(days=2)
    submit(EditRequest(**ONE, apply_at=at), actor=editor)
    submit(ReviewRequest(**ONE, verdict="approved"), actor=reviewer)
    deliver("default")

    notice = Notice.objects.get(person__username="editor", kind="ready")
    assert notice.text == f"It is applied on {at:%-d %B %Y, %H:%M} UTC"


def test_what_the_clock_applied_and_what_it_could_not_is_told(asked, editor, reviewer):
    submit(OpenRequest(**SHOP, changes=[SwitchFlag(**PRODUCTION, flag="gone", on=True).as_json()], armed=True), actor=editor)  # fmt: skip
    submit(EditRequest(**ONE, armed=True), actor=editor)
    for number in (1, 2):
        submit(ReviewRequest(**SHOP, request=number, verdict="approved"), actor=reviewer)
    archive = ArchiveFlag(**SHOP, flag="gone")
    submit_past_approval(archive, actor=OPERATOR, reason="Tidy")
    deliver("default")
    forget()

    due.sweep(now=timezone.now(), since=timezone.now())
    deliver("default")

    said = {row.kind: words_of(row) for row in Notice.objects.filter(read_at=None)}
    assert said.keys() >= {"applied", "failed"}
    assert said["applied"] == "The clock applied #1 checkout: switched on in production"
    assert Notice.objects.get(kind="failed", person__username="editor").text


def test_what_drifted_is_told_an_hour_before_it_is_due(asked, editor, reviewer):
    at = timezone.now() + timedelta(days=2)
    submit(EditRequest(**ONE, apply_at=at), actor=editor)
    submit(ReviewRequest(**ONE, verdict="approved"), actor=reviewer)
    # Of the site's matters no request is told when they happen.
    submit(EditUser(username="reviewer", is_active=False), actor=OPERATOR)
    deliver("default")
    forget()

    hour_before = at - timedelta(minutes=59)
    due.sweep(now=hour_before, since=hour_before - timedelta(minutes=5))
    deliver("default")

    asked_again = Notice.objects.get(person__username="admin", read_at=None)
    assert words_of(asked_again) == (
        "#1 checkout: switched on in production waits for your verdict"
    )
    assert told("editor") == ["drifted"]
    assert told("admin") == ["review_asked"]


def test_a_bypass_is_told_to_every_reviewer_and_admin(asked, admin, reviewer):
    submit(ReviewRequest(**ONE, verdict="changes_requested"), actor=reviewer, reason="No")
    deliver("default")
    forget()

    submit(ApplyRequest(**ONE, bypass_reason="The shop is down"), actor=admin)
    deliver("default")

    for name in ("editor", "reviewer", "owner"):
        assert told(name) == ["bypassed"]
    assert told("admin") == []


def test_neither_who_applied_a_bypass_nor_a_viewer_signs_for_it(asked, admin, reviewer, viewer):
    submit(ApplyRequest(**ONE, bypass_reason="The shop is down"), actor=admin)

    for actor in (admin, viewer):
        with pytest.raises(Denied):
            submit(ReviewBypass(**ONE), actor=actor)

    submit(ReviewBypass(**ONE), actor=reviewer)
    deliver("default")
    assert told("admin")[-1] == "bypass_signed"


def test_a_conflict_is_told_when_it_happens(asked, project, editor, a_flag):
    half = {"split": {"salt": "s", "shares": [["on", 50_000], ["off", 50_000]]}}

    def serving(fallthrough):
        return ConfigureFlag(**PRODUCTION, flag="checkout", fallthrough=fallthrough)

    submit(serving({"variation": "off"}), actor=editor)
    theirs = submit(serving(half), actor=editor).request
    submit(ApplyRequest(**SHOP, request=theirs, bypass_reason="now"), actor=OPERATOR)
    forget()

    for _ in range(2):  # what changed; what became of the request by that
        deliver("default")

    assert Request.objects.get(number=2).state == "conflicted"
    assert "conflicted" in told("editor")


def test_an_approved_request_that_something_moved_is_told_to_be_so(asked, editor, reviewer):
    submit(ReviewRequest(**ONE, verdict="approved"), actor=reviewer)
    other = ConfigureFlag(**PRODUCTION, flag="checkout", fallthrough={"variation": "off"})
    number = submit(other, actor=editor).request
    deliver("default")
    forget()

    submit(ApplyRequest(**SHOP, request=number, bypass_reason="now"), actor=OPERATOR)
    for _ in range(2):
        deliver("default")

    assert "drifted" in told("editor")
    assert "review_asked" in told("admin")


def test_what_expires_is_told_a_day_before_and_once(asked):
    forget()
    soon = asked.expires_at - timedelta(hours=23)

    tell_what_expires(soon - timedelta(hours=2))
    assert told("editor") == []
    tell_what_expires(soon)
    tell_what_expires(soon + timedelta(minutes=5))

    assert told("editor") == ["expires_soon"]
    assert told("reviewer") == ["expires_soon"]
    due.sweep(now=asked.expires_at, since=asked.expires_at)
    deliver("default")
    assert told("editor") == ["expired"]


def test_who_is_gone_is_told_nothing(asked, editor):
    submit(EditUser(username="reviewer", is_active=False), actor=OPERATOR)
    submit(WithdrawRequest(**ONE), actor=editor)
    submit(SWITCH, actor=editor)
    forget()

    deliver("default")

    assert told("reviewer") == []

"""Requests on the pages: what waits for whom, one request, and what is done to it."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flags.changes import (
    ApplyRequest,
    ConfigureFlag,
    EditRequest,
    ReviewRequest,
    StartRamp,
    SwitchFlag,
    submit,
)
from flags.dashboard.instants import read_instant
from flags.models import Environment, Lease, Policy, Request
from tests.cast import OPERATOR
from tests.dashboard.requesting import (
    HALF,
    HOUR,
    LIST,
    ONE,
    PRODUCTION,
    SWITCH,
    asked,
    behaviour_on,
    browser,
    is_on,
    state,
    typed_in,
    words,
)

__all__ = ["asked", "browser"]
pytestmark = pytest.mark.django_db


def test_who_could_approve_is_told_that_a_request_waits(asked, browser):
    page = browser("reviewer").get(LIST)

    assert "#1" in words(page)
    assert "0 of 1 approval" in words(page)
    assert "Requests , 1 waiting for you" in words(page)


@pytest.mark.parametrize("name", ["editor", "viewer"])
def test_who_could_not_is_not(asked, browser, name):
    page = words(browser(name).get(LIST))

    assert "Nothing waits for you" in page
    assert "waiting for you" not in page


def test_what_one_approved_waits_for_one_no_more(asked, browser, reviewer):
    environment = Environment.objects.get(key="production")
    Policy.objects.create(environment=environment, approvals=2)
    submit(ReviewRequest(project="shop", request=1, verdict="approved"), actor=reviewer)

    assert "Nothing waits for you" in words(browser("reviewer").get(LIST))
    assert "1 waiting for you" in words(browser("admin").get(LIST))


def test_a_request_says_in_words_what_it_does_and_what_it_needs(asked, browser):
    page = words(browser("reviewer").get(ONE))

    assert "Turned on" in page
    assert "Launch day" in page
    assert "1 more approval by a reviewer or above production admin, owner, reviewer" in page
    assert "production: every change asks for approval" in page


def test_outsiders_see_no_request(asked, browser):
    assert browser("outsider").get(ONE).status_code == 404
    assert browser("outsider").get(LIST).status_code == 404
    assert browser("reviewer").get("/p/shop/requests/99").status_code == 404


def test_a_reviewer_approves_what_was_on_the_screen(asked, browser):
    reviewer = browser("reviewer")
    sent = {"verdict": "approved", "behaviour": behaviour_on(reviewer.get(ONE))}

    after = reviewer.post(f"{ONE}/review", sent, follow=True)

    assert "You approved request #1" in words(after)
    assert "Everything that the policies ask for is there" in words(after)
    assert state() == "approved"


def test_what_was_on_the_screen_and_is_no_more_is_not_approved(asked, browser, editor):
    reviewer = browser("reviewer")
    sent = {"verdict": "approved", "behaviour": behaviour_on(reviewer.get(ONE))}
    submit(EditRequest(project="shop", request=1, armed=True), actor=editor)

    after = reviewer.post(f"{ONE}/review", sent)

    assert after.status_code == 409
    assert "does something else by now; look at it again" in words(after)
    assert state() == "in_review"


def test_a_stale_verdict_is_struck_through_with_why(asked, browser, editor, reviewer):
    submit(ReviewRequest(project="shop", request=1, verdict="approved"), actor=reviewer)
    submit(EditRequest(project="shop", request=1, armed=True), actor=editor)

    page = browser("reviewer").get(ONE)

    assert re.search(r"<s>\s*<strong>reviewer</strong> approved</s>", page.content.decode())
    assert "or when, is something else by now, so it counts no more" in words(page)
    assert "1 waiting for you" in words(page)


def test_authors_are_told_why_they_cannot_approve(asked, browser):
    page = words(browser("editor").get(ONE))

    assert "Nobody approves a request of their own" in page
    assert "Your verdict" not in words(browser("editor").get(ONE)).split("Say something")[0]


def test_rejecting_and_asking_for_changes_take_a_reason(asked, browser):
    reviewer = browser("reviewer")

    for verdict in ("rejected", "changes_requested"):
        refused = reviewer.post(f"{ONE}/review", {"verdict": verdict, "reason": " "})
        assert refused.status_code == 422
    assert state() == "in_review"

    reviewer.post(f"{ONE}/review", {"verdict": "rejected", "reason": "Not on a Friday"})
    assert state() == "rejected"
    assert "Not on a Friday" in words(reviewer.get(ONE))


def test_what_was_typed_stays_in_its_own_form_and_in_no_other(asked, browser):
    refused = browser("admin").post(
        f"{ONE}/review", {"verdict": "approved", "behaviour": "0000", "reason": "Looks right"}
    )

    assert refused.status_code == 409
    assert typed_in(refused, "verdict-reason") == "Looks right"
    assert typed_in(refused, "request-reason") == "Launch day"
    cleared = browser("admin").post(f"{ONE}/words", {"title": " ", "reason": ""})
    assert cleared.status_code == 422
    assert typed_in(cleared, "request-reason") == ""
    assert typed_in(cleared, "verdict-reason") == ""
    submit(
        EditRequest(project="shop", request=1, apply_at=read_instant("2100-06-01T09:00", "0")),
        actor=OPERATOR,
    )
    late = browser("admin").post(f"{ONE}/schedule", {"apply_at": "2001-01-01T09:00"})
    assert 'name="apply_at" value="2001-01-01T09:00">' in late.content.decode()


def test_the_dialog_of_a_verdict_follows_the_request(asked, browser, reviewer, editor):
    part = {"HX-Request": "true", "HX-Target": "request"}
    submit(ReviewRequest(project="shop", request=1, verdict="approved"), actor=reviewer)
    assert "You approved it" in words(browser().get(ONE, headers=part))
    more = SwitchFlag(**PRODUCTION, flag="other", on=True)
    submit(EditRequest(project="shop", request=1, add=[more.as_json()]), actor=editor)

    now = browser().get(ONE, headers=part).content.decode()

    _, offered = now.split('<div id="verdict-actions" hx-swap-oob="true">')
    assert 'value="approved"' in offered
    assert browser().get(ONE).content.decode().count('id="verdict-actions"') == 1


def test_a_verdict_is_taken_back(asked, browser, reviewer):
    submit(ReviewRequest(project="shop", request=1, verdict="approved"), actor=reviewer)

    page = browser("reviewer").post(f"{ONE}/undo-verdict", follow=True)

    assert "Taken back" in words(page)
    assert state() == "in_review"


def test_an_approved_request_is_applied_and_says_so(asked, browser, reviewer):
    submit(ReviewRequest(project="shop", request=1, verdict="approved"), actor=reviewer)

    page = browser("editor").post(f"{ONE}/apply", follow=True)

    assert is_on()
    assert "Request #1 is applied" in words(page)
    assert "Turned on" in words(page)


def test_what_is_not_approved_is_not_applied(asked, browser):
    page = browser("editor").post(f"{ONE}/apply")

    assert page.status_code == 403
    assert "1 more approval" in words(page)
    assert not is_on()


def test_a_request_is_given_a_time_and_loses_it(asked, browser):
    browser("editor").post(f"{ONE}/schedule", {"apply_at": "2100-06-01T09:00", "offset": "-120"})
    assert Request.objects.get().apply_at.isoformat() == "2100-06-01T07:00:00+00:00"

    browser("editor").post(f"{ONE}/schedule", {"apply_at": ""})
    assert Request.objects.get().apply_at is None


def test_a_time_that_has_passed_is_refused_and_stays_typed(asked, browser):
    page = browser("editor").post(f"{ONE}/schedule", {"apply_at": "2001-06-01T09:00"})

    assert page.status_code == 422
    assert "expected an instant to come" in words(page)
    assert 'value="2001-06-01T09:00"' in page.content.decode()


def test_an_instant_is_read_with_the_browsers_offset():
    assert read_instant("2100-01-01T10:00", "-60").isoformat() == "2100-01-01T09:00:00+00:00"
    assert read_instant("", "0") is None


def test_a_bypass_takes_a_reason_and_is_signed_by_somebody_else(asked, browser):
    admin = browser("admin")
    assert admin.post(f"{ONE}/bypass", {"bypass_reason": " "}).status_code == 422
    assert not is_on()

    admin.post(f"{ONE}/bypass", {"bypass_reason": "Outage"})
    assert is_on()
    assert "Applied without approval: Outage" in words(admin.get(ONE))

    assert "1 waiting for you" in words(browser("reviewer").get(LIST))
    signed = browser("reviewer").post(f"{ONE}/sign", follow=True)
    assert "reviewer signed for having looked at it" in words(signed)


def test_a_bypass_may_be_given_an_end(asked, browser):
    admin = browser("admin")
    assert admin.post(f"{ONE}/bypass", {"bypass_reason": "Outage", "lasts": "x"}).status_code == 422

    admin.post(f"{ONE}/bypass", {"bypass_reason": "Outage", "lasts": "1h"})

    assert is_on()
    lease = Lease.objects.get()
    assert (lease.ends_at - lease.granted_at).total_seconds() == 3_600


def test_only_who_may_bypass_is_offered_to(asked, browser):
    assert "Apply without approval" in words(browser("admin").get(ONE))
    assert "Apply without approval" not in words(browser("editor").get(ONE))
    assert browser("editor").post(f"{ONE}/bypass", {"bypass_reason": "Mine"}).status_code == 403


def test_comments_are_answered_and_name_their_line(asked, browser):
    reviewer = browser("reviewer")
    line = "flag:new-checkout@production Turned on"
    reviewer.post(f"{ONE}/comment", {"body": "At which hour?", "line": line})
    comment = Request.objects.get().comments.get()

    asking = reviewer.get(f"{ONE}?answer={comment.pk}")
    reviewer.post(f"{ONE}/comment", {"body": "At nine", "answers": str(comment.pk)})
    page = words(reviewer.get(ONE))

    assert "Answer reviewer" in words(asking)
    assert page.index(line) < page.index("At which hour?") < page.index("At nine")


def test_a_request_is_withdrawn_by_its_author(asked, browser):
    browser("editor").post(f"{ONE}/withdraw")

    assert state() == "withdrawn"
    assert "Still needed" not in words(browser("editor").get(ONE))


def test_a_conflict_shows_theirs_and_yours_and_is_settled(asked, browser, admin, editor):
    def serving(fallthrough):
        return ConfigureFlag(**PRODUCTION, flag="other", fallthrough=fallthrough)

    half = {"split": {"salt": "s", "shares": [["on", 50_000], ["off", 50_000]]}}
    submit(serving({"variation": "off"}), actor=editor)
    submit(serving(half), actor=admin)
    submit(ApplyRequest(project="shop", request=3, bypass_reason="Outage"), actor=admin)

    page = words(browser("editor").get("/p/shop/requests/2"))
    mine = {"subject": "flag:other", "choice": "mine"}
    settled = words(browser("editor").post("/p/shop/requests/2/rebase", mine, follow=True))

    assert "Somebody else changed the same meanwhile" in page
    assert "Theirs Everyone else gets on 50 %, off 50 % instead of on" in page
    assert "Yours Everyone else gets off instead of on" in page
    assert "Yours is on top of theirs in other" in settled
    assert "Somebody else changed the same" not in settled
    assert "Everyone else gets off instead of on 50 %, off 50 %" in settled


def test_of_a_ramp_in_conflict_nothing_is_offered_that_it_cannot_give(
    asked, browser, admin, editor
):
    half = {"split": {"salt": "s", "shares": [["on", 500], ["off", 99_500]]}}
    submit(StartRamp(**PRODUCTION, flag="other", variation="on", base="off"), actor=editor)
    submit(ConfigureFlag(**PRODUCTION, flag="other", fallthrough=half), actor=admin)
    submit(ApplyRequest(project="shop", request=3, bypass_reason="Outage"), actor=admin)

    page = browser("editor").get("/p/shop/requests/2")

    offered = re.findall(r'name="choice" value="(\w+)"', page.content.decode())
    assert offered == ["mine", "drop"]
    assert "Yours is done as a whole, so nothing of it can be left to them" in words(page)
    theirs = {"subject": "flag:other", "choice": "theirs"}
    refused = browser("editor").post("/p/shop/requests/2/rebase", theirs)
    assert "choose yours, or leave it out" in words(refused)


def test_one_flag_is_left_out_of_a_request(asked, browser, editor):
    also = SwitchFlag(**PRODUCTION, flag="other", on=True)
    submit(SWITCH, also, actor=editor)

    drop = {"choice": "drop"}
    browser("editor").post("/p/shop/requests/2/rebase", {"subject": "flag:other"} | drop)
    alone = browser("editor").post(
        "/p/shop/requests/2/rebase", {"subject": "flag:new-checkout"} | drop
    )

    assert [row["flag"] for row in Request.objects.get(number=2).changes] == ["new-checkout"]
    assert alone.status_code == 422


def test_a_flag_says_that_a_request_would_change_it(asked, browser):
    for page in ("flags/new-checkout", "flags/new-checkout/variations"):
        said = words(browser("viewer").get(f"/p/shop/{page}"))
        assert "Request #1 would change this flag in production" in said
    assert "Request #1" not in words(browser("viewer").get("/p/shop/flags/other"))


def test_many_requests_take_no_more_queries(asked, browser, editor):
    reviewer = browser("reviewer")
    reviewer.get(f"{LIST}?tab=all")
    with CaptureQueriesContext(connection) as few:
        reviewer.get(f"{LIST}?tab=all")
    for _ in range(10):
        submit(SWITCH, actor=editor)

    with CaptureQueriesContext(connection) as many:
        reviewer.get(f"{LIST}?tab=all")

    assert len(many) == len(few) <= 28


def test_a_verdict_that_was_given_again_is_not_called_taken_back(asked, browser, editor, reviewer):
    approve = ReviewRequest(project="shop", request=1, verdict="approved")
    submit(approve, actor=reviewer)
    more = SwitchFlag(**PRODUCTION, flag="other", on=True)
    submit(EditRequest(project="shop", request=1, add=[more.as_json()]), actor=editor)
    submit(approve, actor=reviewer)

    page = words(browser().get(ONE))

    assert "A later verdict took its place" in page
    assert "Taken back" not in page


def test_what_is_put_into_a_request_says_why_there(asked, browser, editor):
    more = SwitchFlag(**PRODUCTION, flag="other", on=True)
    adding = EditRequest(project="shop", request=1, add=[more.as_json()])
    submit(adding, actor=editor, reason="The other one belongs to it")

    assert "The other one belongs to it" in words(browser().get(ONE))
    assert Request.objects.get().reason.endswith("\nThe other one belongs to it")


def test_several_changes_of_one_flag_are_told_of_once(asked, browser, editor):
    half = ConfigureFlag(**PRODUCTION, flag="new-checkout", fallthrough=HALF)
    submit(EditRequest(project="shop", request=1, add=[half.as_json()]), actor=editor)

    page = browser("editor").get(ONE)

    (place,) = page.context["places"]
    (part,) = place.parts
    assert part.words[0] == "Turned on"
    assert len(part.words) > 1
    assert part.edit


def test_a_request_that_is_approved_in_a_freeze_can_be_bypassed(asked, browser, reviewer):
    submit(ReviewRequest(project="shop", request=1, verdict="approved"), actor=reviewer)
    assert "Apply all the same" not in words(browser("admin").get(ONE))
    now = timezone.now()
    freeze = {"from": (now - HOUR).isoformat(), "to": (now + HOUR).isoformat()}
    Policy.objects.update_or_create(
        environment=Environment.objects.get(key="production"), defaults={"freezes": [freeze]}
    )

    assert "Apply all the same" in words(browser("admin").get(ONE))


def test_an_address_of_what_was_refused_leads_back_to_the_request(asked, browser):
    for what in ("review", "withdraw", "apply"):
        answer = browser("editor").get(f"{ONE}/{what}")
        assert (answer.status_code, answer["Location"]) == (302, ONE)


def test_who_approves_is_told_that_it_applies_by_itself(asked, browser, editor):
    submit(EditRequest(project="shop", request=1, armed=True), actor=editor)

    assert "the last approval that it needs applies it at once" in words(
        browser("reviewer").get(ONE)
    )

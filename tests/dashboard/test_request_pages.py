"""Requests on the pages: what waits for whom, one request, and what is done to it."""

import html
import json
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flags.changes import (
    ApplyRequest,
    ConfigureFlag,
    CreateSegment,
    DefineSegment,
    EditEnvironment,
    EditFlag,
    EditRequest,
    GrantLease,
    ReviewRequest,
    SetMember,
    SetPolicy,
    SetTeam,
    SettleRequest,
    StartRamp,
    SwitchFlag,
    submit,
)
from flags.dashboard.instants import read_instant
from flags.models import Environment, Flag, Lease, Policy, Request, Team
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

LIST = "/p/shop/requests"
ONE = "/p/shop/requests/1"
POLICY = "/p/shop/settings/environments/production/policy"
PRODUCTION = {"project": "shop", "environment": "production"}
HOUR = timedelta(hours=1)
SWITCH = SwitchFlag(**PRODUCTION, flag="new-checkout", on=True)


@pytest.fixture
def browser(client: Client, users, project):
    def signed_in_as(name: str = "reviewer") -> Client:
        client.force_login(users[name])
        return client

    return signed_in_as


@pytest.fixture
def asked(project, a_flag, editor):
    """The editor's request to switch new-checkout on in production, which asks for one approval."""
    a_flag("new-checkout")
    a_flag("other")
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)
    submit(SWITCH, actor=editor, reason="Launch day")
    return Request.objects.get()


def words(response) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())))


def typed_in(page, field: str) -> str:
    return re.search(rf'id="{field}"[^>]*>([^<]*)<', page.content.decode())[1]


def behaviour_on(page) -> str:
    return re.search(r'name="behaviour" value="(\w+)"', page.content.decode())[1]


def is_on(flag="new-checkout") -> bool:
    return Flag.objects.get(key=flag).configurations.get(environment__key="production").enabled


def state(number=1) -> str:
    return Request.objects.get(number=number).state


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


POLICY_FORM = {
    "approvals": "2",
    "minimum_role": "reviewer",
    "whom": ["team:sre", ""],
    "whom_approvals": ["1", "1"],
    "exclude_contributors": "on",
    "when": "some",
    "fields": ["rules", "enabled"],
    "points": "20",
    "tags": "payments, core",
    "on_segments": "on",
    "time_zone": "Europe/Berlin",
    "window_from": ["09:00", ""],
    "window_to": ["16:00", ""],
    "window_days_0": ["0", "4"],
    "freeze_from": ["2100-12-20T00:00"],
    "freeze_to": ["2101-01-02T00:00"],
    "freeze_why": ["Christmas"],
    "expires_after_days": "7",
}


def test_a_policy_is_typed_kept_and_shown_again(project, browser):
    submit(SetTeam(project="shop", key="sre", members=["reviewer"]), actor=OPERATOR)
    admin = browser("admin")

    saved = admin.post(POLICY, POLICY_FORM, follow=True)

    policy = Policy.objects.get()
    assert "The policy of Production is saved" in words(saved)
    assert (policy.approvals, policy.exclude_contributors) == (2, True)
    assert policy.from_whom == [{"team": "sre", "approvals": 1}]
    assert [row["kind"] for row in policy.conditions] == [
        "fields", "rollout_grows", "tagged", "segment",
    ]  # fmt: skip
    assert policy.windows == [{"days": [0, 4], "from": "09:00", "to": "16:00"}]
    assert policy.freezes[0]["from"] == "2100-12-20T00:00:00+01:00"
    page = saved.content.decode()
    assert 'value="2100-12-20T00:00"' in page
    assert '<option value="team:sre" selected>' in page


def test_a_policy_that_is_wrong_says_where_and_keeps_what_was_typed(project, browser):
    page = browser("admin").post(POLICY, {**POLICY_FORM, "whom": ["", ""], "approvals": "11"})

    assert page.status_code == 422
    assert "expected 1 to 10, got 11" in words(page)
    assert 'value="payments, core"' not in page.content.decode() or Policy.objects.count() == 0
    zone = browser("admin").post(
        POLICY,
        {**POLICY_FORM, "time_zone": "Moon/Base", "approvals": "x", "window_days_0": ["", "4"]},
    )
    said = zone.content.decode()
    assert "there is no time zone" in words(zone)
    for name, value in {
        "approvals": "x", "time_zone": "Moon/Base", "tags": "payments, core", "points": "20",
        "freeze_from": "2100-12-20T00:00", "window_from": "09:00",
    }.items():  # fmt: skip
        assert re.search(rf'name="{name}" value="{value}"', said), name
    assert 'name="when" value="some" checked' in said
    assert re.findall(r'name="window_days_0" value="(\d)" checked', said) == ["4"]


def test_another_policy_where_one_is_in_force_becomes_a_request(asked, browser):
    page = browser("admin").get(POLICY)
    assert "Saving another one becomes a request" in words(page)
    assert "asked of 1 open request too" in words(page)

    after = browser("admin").post(POLICY, {**POLICY_FORM, "whom": ["", ""]}, follow=True)

    assert "Sent for approval as request #2" in words(after)
    assert not Policy.objects.exists()
    assert browser("reviewer").get("/p/shop/requests/2").status_code == 200


def test_a_policy_is_reviewed_before_it_is_saved(asked, browser):
    admin = browser("admin")
    typed = {"approvals": "3", "minimum_role": "admin", "time_zone": "UTC", "expires_after_days": "30", "reason": "Audit"}  # fmt: skip

    page = admin.post(POLICY, typed | {"step": "review"})

    said = words(page)
    assert "Asks for 3 approvals instead of 1" in said
    assert "An approval counts from admin up instead of reviewer" in said
    assert "This asks for approval first. production: its policy would change" in said
    assert "#1 new-checkout" in said
    assert "would need other approvals" in said
    assert "Needs 3 more approvals by an admin or above: admin, owner" in said
    assert "Now it needs 1 more approval by a reviewer or above" in said
    assert (Policy.objects.exists(), Request.objects.count()) == (False, 1)
    carried = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.content.decode()))
    carried.pop("csrfmiddlewaretoken", None)
    assert carried == typed
    again = admin.post(POLICY, carried | {"step": "edit"})
    assert 'name="approvals" value="3"' in again.content.decode()
    assert "Sent for approval as request #2" in words(
        admin.post(POLICY, carried | {"step": "save"}, follow=True)
    )


def test_a_freeze_that_is_left_alone_stays_as_it_was_written(project, browser):
    freeze = {"from": "2100-12-20T00:00:30Z", "to": "2101-01-02T00:00:00Z", "why": "Christmas"}
    submit(SetPolicy(**PRODUCTION, freezes=[freeze], time_zone="Europe/Berlin"), actor=OPERATOR)
    typed = {"approvals": "2", "minimum_role": "reviewer", "time_zone": "Europe/Berlin", "expires_after_days": "30", "freeze_from": ["2100-12-20T01:00"], "freeze_to": ["2101-01-02T01:00"], "freeze_why": ["Christmas"]}  # fmt: skip

    review = words(browser("admin").post(POLICY, typed | {"step": "review"}))
    browser("admin").post(POLICY, typed)

    assert "Asks for 2 approvals instead of 1" in review
    assert "rozen from" not in review
    assert Policy.objects.get().freezes == [freeze]
    folder = browser("admin").post(POLICY, typed | {"time_zone": "Europe"})
    assert (folder.status_code, "there is no time zone" in words(folder)) == (422, True)


def test_a_review_says_what_no_longer_needs_approval_and_what_is_wrong(asked, browser):
    typed = {**POLICY_FORM, "whom": ["", ""], "step": "review", "fields": ["rules"], "points": "", "tags": ""}  # fmt: skip

    page = browser("admin").post(POLICY, typed)

    assert "no longer needs approval" in words(page)
    assert "Asks for approval only when rules would change; or when a segment would change" in words(page)  # fmt: skip
    assert "Changes may be applied Mon, Fri 09:00–16:00; before at every hour" in words(page)
    assert browser("admin").post(POLICY, {**typed, "approvals": "11"}).status_code == 422
    assert browser("editor").post(POLICY, typed).status_code == 403


def test_what_is_asked_for_in_one_environment_is_not_called_approved(
    asked, browser, editor, reviewer
):
    staging = {"project": "shop", "environment": "staging"}
    both = [SWITCH, SwitchFlag(**staging, flag="new-checkout", on=True)]
    edit = EditRequest(project="shop", request=1, changes=[row.as_json() for row in both])
    submit(edit, actor=editor)
    submit(EditEnvironment(**staging, requires_approval=True), actor=OPERATOR)
    submit(SettleRequest(project="shop", request=1), actor=OPERATOR)
    only_there = {"staging": "reviewer"}
    role = SetMember(project="shop", username="reviewer", role="viewer", environments=only_there)
    submit(role, actor=OPERATOR)
    submit(ReviewRequest(project="shop", request=1, verdict="approved"), actor=reviewer)
    typed = {**POLICY_FORM, "whom": ["", ""], "step": "review", "fields": ["rules"], "points": "", "tags": ""}  # fmt: skip

    said = words(browser("admin").post(POLICY, typed))

    assert "no longer needs all of its approval" in said
    assert "so a person has to apply it" in said
    assert "would be approved" not in said


def test_only_admins_save_a_policy(project, browser):
    assert "this needs admin" in words(browser("editor").get(POLICY))
    assert browser("editor").post(POLICY, {**POLICY_FORM, "whom": ["", ""]}).status_code == 403


def test_teams_are_made_changed_and_dissolved(project, browser):
    teams = "/p/shop/settings/teams"
    admin = browser("admin")
    admin.post(teams, {"key": "sre", "name": "SRE", "members": ["reviewer", "editor"]})
    admin.post(teams, {"key": "sre", "name": "SRE", "members": ["reviewer"]})

    assert [person.username for person in Team.objects.get().members.all()] == ["reviewer"]
    assert "reviewer" in words(browser("viewer").get(teams))
    assert admin.post(teams, {"key": "no key", "name": ""}).status_code in (403, 422)
    browser("admin").post(f"{teams}/remove", {"key": "sre"})
    assert not Team.objects.exists()


HALF = {"split": {"salt": "s", "shares": [["on", 50_000], ["off", 50_000]]}}
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

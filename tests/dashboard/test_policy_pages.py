"""The pages of policies and teams: typed, reviewed, saved or asked for."""

import re

import pytest

from flags.changes import (
    EditEnvironment,
    EditRequest,
    ReviewRequest,
    SetMember,
    SetPolicy,
    SetTeam,
    SettleRequest,
    SwitchFlag,
    submit,
)
from flags.models import Policy, Request, Team
from tests.cast import OPERATOR
from tests.dashboard.requesting import (
    POLICY,
    PRODUCTION,
    SWITCH,
    asked,
    browser,
    words,
)

__all__ = ["asked", "browser"]
pytestmark = pytest.mark.django_db


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

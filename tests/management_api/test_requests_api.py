"""Requests through the API: what becomes one, what is done with it, and no way round it."""

from typing import Any

import pytest

from flags.changes import (
    ApplyRequest,
    CreateSegment,
    EditEnvironment,
    OpenRequest,
    SetPolicy,
    SwitchFlag,
    submit,
)
from flags.models import Environment, Flag
from flags.queries.requests import all_requests
from flags.snapshots import encoded, ruleset_document
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

PRODUCTION: dict[str, Any] = {"project": "shop", "environment": "production"}
HERE = "projects/shop/flags/new-checkout/environments/production"
SWITCH = {
    "kind": "flag.switched", "environment": "production", "flag": "new-checkout", "on": True,
}  # fmt: skip


@pytest.fixture
def guarded(project, a_flag):
    """Production asks for one approval, and serves a flag that another and a segment feed."""
    a_flag("search")
    submit(CreateSegment(project="shop", key="beta"), actor=OPERATOR)
    a_flag(
        "new-checkout",
        prerequisites=[{"flag": "search", "variations": ["on"]}],
        rules=[
            {
                "id": "beta",
                "when": {"segment": "beta"},
                "serve": {"variation": "on"},
            }
        ],
    )
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)
    return Environment.objects.get(project=project, key="production")


@pytest.fixture
def editing(guarded, calling):
    return calling("editor")


@pytest.fixture
def reviewing(guarded, calling):
    """A program that reviews, which the policy lets count."""
    change = SetPolicy(**PRODUCTION, tokens_may_review=True)
    opening = OpenRequest(project="shop", changes=[change.as_json()])
    number = submit(opening, actor=OPERATOR).request
    submit(
        ApplyRequest(project="shop", request=number, bypass_reason="for the tests"), actor=OPERATOR
    )
    return calling("reviewer", scopes=["read", "propose", "apply", "review"])


def ruleset(environment) -> bytes:
    return encoded(ruleset_document(environment))


def asked(caller, **more):
    answer = caller.post("projects/shop/requests", {"changes": [SWITCH], **more})
    assert answer.status == 201
    return f"projects/shop/requests/{answer.data['number']}"


def test_a_write_that_needs_approval_is_answered_with_its_request(guarded, editing):
    before = ruleset(guarded)

    answer = editing.post(f"{HERE}/switch", {"on": True, "reason": "launch"})

    assert (answer.status, answer.headers["Location"]) == (202, "/api/v1/projects/shop/requests/1")
    assert answer.data["request"]["state"] == "in_review"
    assert answer.data["missing"][0]["who"] == ["admin", "owner", "reviewer"]
    assert ruleset(guarded) == before
    shown = editing.get(answer.headers["Location"])
    assert (shown.data["author"], shown.data["reason"]) == ("editor", "launch")
    assert shown.data["effects"][0]["sentences"]


def test_a_dry_run_says_what_would_be_asked(guarded, editing):
    answer = editing.post(f"{HERE}/switch?dry_run=true", {"on": True})

    assert (answer.status, answer.data["changed"]) == (200, True)
    assert answer.data["effects"][0]["kind"] == "flag.switched"
    assert answer.data["approval"]["missing"][0]["what"] == "1 more approval by a reviewer or above"
    assert editing.get("projects/shop/requests").data["results"] == []


def test_a_create_sent_twice_asks_once(guarded, editing):
    key = {"Idempotency-Key": "a"}

    answers = [editing.post("projects/shop/flags", {"key": "y"}, headers=key) for _ in range(2)]

    assert [answer.status for answer in answers] == [202, 202]
    assert len({answer.headers["Location"] for answer in answers}) == 1


def test_a_request_goes_its_way(guarded, editing, reviewing):
    place = asked(editing, title="Launch", submit=False)
    assert editing.get(place).data["state"] == "draft"
    assert editing.post(f"{place}/submit", {}).data["state"] == "in_review"
    assert editing.post(f"{place}/apply", {}).data["type"].endswith("approval-needed")
    seen = reviewing.get(place).data["standing"]["behaviour"]
    commented = reviewing.post(f"{place}/comments", {"body": "Why now?"}).data["comments"]
    assert [comment["author"] for comment in commented] == ["reviewer"]

    approved = reviewing.post(f"{place}/review", {"verdict": "approved", "behaviour": seen})

    assert (approved.data["state"], approved.data["standing"]["missing"]) == ("approved", [])
    undone = reviewing.post(f"{place}/undo-verdict", {})
    assert (undone.data["state"], editing.post(f"{place}/apply", {}).status) == ("in_review", 403)
    reviewing.post(f"{place}/review", {"verdict": "approved"})
    applied = editing.post(f"{place}/apply", {})
    assert (applied.data["state"], applied.data["standing"]) == ("applied", None)
    assert editing.get(HERE).data["enabled"] is True


def test_a_verdict_on_what_has_moved_is_refused(guarded, editing, reviewing):
    place = asked(editing)

    answer = reviewing.post(f"{place}/review", {"verdict": "approved", "behaviour": "0" * 64})

    assert answer.status == 409


def test_a_rejection_takes_a_reason(guarded, editing, reviewing):
    place = asked(editing)

    assert reviewing.post(f"{place}/review", {"verdict": "rejected"}).status == 422
    rejected = reviewing.post(f"{place}/review", {"verdict": "rejected", "reason": "not on Friday"})

    assert (rejected.data["state"], rejected.data["outcome"]) == ("rejected", "not on Friday")


def test_an_edit_over_somebody_elses_is_refused(guarded, editing):
    place = asked(editing)
    tag = editing.get(place).etag

    first = editing.patch(place, {"title": "Launch"}, headers={"If-Match": tag})
    second = editing.patch(place, {"title": "Go"}, headers={"If-Match": tag})

    assert (first.status, first.data["title"], second.status) == (200, "Launch", 412)


def test_more_is_put_into_a_request_on_top_of_what_it_holds(guarded, editing, reviewing):
    place = asked(editing)
    assert reviewing.post(f"{place}/review", {"verdict": "approved"}).data["state"] == "approved"
    more = {"kind": "flag.switched", "environment": "production", "flag": "search", "on": True}

    added = editing.patch(place, {"add": [more], "request_reason": "Both belong together"})

    assert [row["flag"] for row in added.data["changes"]] == ["new-checkout", "search"]
    assert (added.data["state"], added.data["reason"]) == ("in_review", "Both belong together")
    assert [row["is_stale"] for row in added.data["verdicts"]] == [True]
    assert editing.patch(place, {"add": [more], "changes": [more]}).status == 422


def test_an_instant_without_its_offset_is_refused(guarded, editing):
    place = asked(editing)

    assert editing.patch(place, {"apply_at": "2999-01-01T09:00:00"}).status == 422
    scheduled = editing.patch(place, {"apply_at": "2999-01-01T09:00:00+02:00"})
    assert scheduled.data["apply_at"] == "2999-01-01T07:00:00Z"


def test_lists_are_filtered(guarded, editing, reviewing):
    asked(editing)
    withdrawn = asked(editing)
    assert editing.post(f"{withdrawn}/withdraw", {"reason": "no"}).data["state"] == "withdrawn"
    place = "projects/shop/requests"

    def numbers(caller, query):
        return [row["number"] for row in caller.get(f"{place}?{query}").data["results"]]

    # The first is the bypass by which the policy was set.
    assert numbers(editing, "") == [3, 2, 1]
    assert numbers(editing, "state=open&author=editor&environment=production") == [2]
    assert numbers(editing, "author=reviewer") == []
    assert numbers(reviewing, "to_review=true") == [2, 1]
    assert numbers(editing, "to_review=true") == [1]


def test_a_bypass_is_an_admins_and_is_signed_by_somebody_else(guarded, editing, calling):
    place = asked(editing)
    admin = calling("admin", scopes=["read", "propose", "apply", "review", "admin"])
    assert editing.post(f"{place}/apply", {"bypass_reason": "fire"}).status == 403

    bypassed = admin.post(f"{place}/apply", {"bypass_reason": "fire"})

    assert (bypassed.data["state"], bypassed.data["bypass_reason"]) == ("applied", "fire")
    assert admin.post(f"{place}/review-bypass", {}).status == 403
    signed = calling("reviewer", scopes=["read", "review"]).post(f"{place}/review-bypass", {})
    assert signed.data["bypass_reviewed_by"] == "reviewer"


def test_a_policy_is_set_and_then_guards_itself(guarded, calling):
    admin = calling("admin")
    place = "projects/shop/environments/production/policy"
    assert admin.get(place).data["approvals"] == 1

    answer = admin.patch(place, {"approvals": 2})

    assert (answer.status, admin.get(place).data["approvals"]) == (202, 1)
    free = "projects/shop/environments/staging/policy"
    assert admin.put(free, {"approvals": 3, "minimum_role": "admin"}).data["approvals"] == 3
    assert admin.put(free, {"time_zone": "Europe/Lisbon"}).data["approvals"] == 1
    wrong = admin.patch(free, {"time_zone": "Europe", "approvals": 11})
    assert [row["path"] for row in wrong.data["problems"]] == ["approvals", "time_zone"]
    naive = [{"days": [0], "from": "09:00+02:00", "to": "17:00+02:00"}]
    assert admin.patch(free, {"windows": naive}).status == 422


def test_a_dry_run_of_a_policy_says_what_becomes_of_open_requests(guarded, calling, editing):
    asked(editing, title="Launch")
    place = "projects/shop/environments/production/policy?dry_run=true"

    answer = calling("admin").patch(place, {"approvals": 3})

    assert (answer.status, answer.data["approval"] is not None) == (200, True)
    fate = answer.data["open_requests"][0]
    assert (fate["number"], fate["state"], fate["would_be"]) == (1, "in_review", "in_review")
    assert fate["would_be_missing"][0]["what"] == "3 more approvals by a reviewer or above"
    unasked = {"conditions": [{"kind": "fields", "fields": ["rules"]}]}
    fate = calling("admin").patch(place, unasked).data["open_requests"][0]
    assert (fate["would_be"], fate["would_be_missing"]) == ("in_review", [])
    assert fate["would_lapse"][0]["what"] == "1 more approval by a reviewer or above"
    assert editing.put(place, {}).status == 403


def test_teams_are_made_and_dissolved(guarded, calling, editing):
    admin = calling("admin")
    place = "projects/shop/teams/sre"

    assert editing.put(place, {"members": []}).status == 403
    assert admin.put(place, {"name": "SRE", "members": ["reviewer"]}).status == 200
    assert [row["key"] for row in admin.get("projects/shop/teams").data["results"]] == ["sre"]
    assert admin.delete(place).status == 204
    assert admin.get(place).status == 404


def test_requests_of_a_project_one_may_not_view_are_not_there(guarded, editing, calling):
    place = asked(editing)
    outside = calling("outsider")

    answers = [
        outside.get("projects/shop/requests"),
        outside.get(place),
        outside.post(f"{place}/comments", {"body": "Hello"}),
        outside.get("projects/shop/teams"),
        editing.get("projects/shop/requests/99"),
    ]

    assert {answer.status for answer in answers} == {404}


# Ways round the gate


WAYS = {
    "a switch": ("POST", f"{HERE}/switch", {"on": True}),
    "individual targets": (
        "PATCH", HERE, {"targets": [{"variation": "on", "by": "targetingKey", "keys": ["user-1"]}]},
    ),
    "a rollout": ("PATCH", HERE, {"fallthrough": {"variation": "off"}}),
    "a prerequisite's switch": (
        "POST", "projects/shop/flags/search/environments/production/switch", {"on": True},
    ),
    "a segment": (
        "PUT",
        "projects/shop/segments/beta/environments/production",
        {"when": {"attribute": "country", "op": "in", "values": ["PT"]}},
    ),
    "ids": (
        "POST", "projects/shop/segments/beta/environments/production/ids", {"add": ["user-1"]},
    ),
    "variations": (
        "PATCH",
        "projects/shop/flags/new-checkout",
        {"variations": [{"key": "on", "value": False}, {"key": "off", "value": True}]},
    ),
    "client visibility": ("PATCH", "projects/shop/flags/new-checkout", {"client_visible": True}),
    "another salt": (
        "PATCH", HERE, {"fallthrough": {"split": {"salt": "other", "shares": [["on", 1_000]]}}},
    ),
    "a ramp": (
        "POST", "projects/shop/ramps",
        {"environment": "production", "flag": "new-checkout", "variation": "on", "base": "off"},
    ),
    "a lease": ("POST", "projects/shop/leases", {"seconds": 60, "changes": [SWITCH]}),
    "another flag": ("POST", "projects/shop/flags", {"key": "another"}),
    "another segment": ("POST", "projects/shop/segments", {"key": "another"}),
    "the archive": ("POST", "projects/shop/flags/new-checkout/archive", {}),
    "no guard": (
        "PATCH", "projects/shop/environments/production", {"requires_approval": False},
    ),
    "no environment": ("DELETE", "projects/shop/environments/production", None),
    "a laxer policy": (
        "PUT", "projects/shop/environments/production/policy", {"conditions": [{"kind": "segment"}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "scopes",
    [("read", "propose", "apply", "admin"), ("read", "propose", "apply", "admin", "review")],
)
def test_no_write_reaches_a_guarded_environment(guarded, calling, way, scopes):
    before = ruleset(guarded)

    answer = calling("admin", scopes=scopes).call(*WAYS[way])

    assert answer.status == 202, answer
    guarded.refresh_from_db()
    assert (ruleset(guarded), guarded.requires_approval) == (before, True)


def test_no_header_makes_a_write_of_a_read_or_another_write_of_it(guarded, calling):
    before = ruleset(guarded)
    admin = calling("admin", scopes=("read", "propose", "apply", "admin"))

    for method in ("GET", "POST"):
        answer = admin.call(
            method, "projects/shop/environments/production",
            None if method == "GET" else {"requires_approval": False},
            headers={"X-HTTP-Method-Override": "PATCH"},
        )  # fmt: skip
        assert answer.status == {"GET": 200, "POST": 405}[method]

    guarded.refresh_from_db()
    assert (ruleset(guarded), guarded.requires_approval) == (before, True)


def test_restoring_asks_as_well(guarded, editing, reviewing):
    place = asked(editing)
    reviewing.post(f"{place}/review", {"verdict": "approved"})
    editing.post(f"{place}/apply", {})
    history = "projects/shop/flags/new-checkout/history?environment=production"
    first = editing.get(history).data["results"][-1]["id"]
    before = ruleset(guarded)

    answer = editing.post(f"{HERE}/restore", {"event": first})

    assert (answer.status, ruleset(guarded)) == (202, before)


def test_a_flag_that_is_archived_elsewhere_comes_back_by_approval(guarded, editing, reviewing):
    archive = editing.post("projects/shop/flags/new-checkout/archive", {}).headers["Location"]
    reviewing.post(f"{archive}/review", {"verdict": "approved"})
    editing.post(f"{archive}/apply", {})
    assert Flag.objects.get(key="new-checkout").is_archived
    before = ruleset(guarded)

    answer = editing.post("projects/shop/flags/new-checkout/restore", {})

    assert (answer.status, ruleset(guarded)) == (202, before)


@pytest.mark.parametrize(
    "edit",
    [
        {"changes": [SWITCH, {**SWITCH, "flag": "search"}]},
        {"apply_at": "2999-01-01T09:00:00Z"},
        {"armed": True},
    ],
    ids=["another change", "another instant", "armed"],
)
def test_an_edit_after_approval_is_not_what_was_approved(guarded, editing, reviewing, edit):
    place = asked(editing)
    reviewing.post(f"{place}/review", {"verdict": "approved"})
    before = ruleset(guarded)

    edited = editing.patch(place, edit)

    assert (edited.data["state"], edited.data["verdicts"][0]["is_stale"]) == ("in_review", True)
    assert editing.post(f"{place}/apply", {}).status == 403
    assert ruleset(guarded) == before


def test_a_token_does_not_review_unless_the_policy_lets_it(guarded, editing, calling):
    place = asked(editing)
    reviewer = calling("reviewer", scopes=["read", "review"])
    assert calling("reviewer").post(f"{place}/review", {"verdict": "approved"}).status == 403

    answer = reviewer.post(f"{place}/review", {"verdict": "approved"})

    assert (answer.data["state"], len(answer.data["verdicts"])) == ("in_review", 1)
    assert editing.post(f"{place}/apply", {}).status == 403


def test_nobody_approves_their_own_nor_by_asking_again(guarded, calling):
    caller = calling("admin", scopes=["read", "propose", "apply", "review", "admin"])
    place = asked(caller, armed=True)

    assert caller.post(f"{place}/review", {"verdict": "approved"}).status == 403
    assert caller.post(f"{place}/apply", {}).status == 403
    assert caller.post(f"{place}/submit", {}).status == 409


def test_a_copy_between_environments_asks_as_well(guarded, editing):
    submit(
        SwitchFlag(project="shop", environment="staging", flag="new-checkout", on=True),
        actor=OPERATOR,
    )
    there = "projects/shop/flags/new-checkout/environments/staging"
    copied = editing.get(there).data
    before = ruleset(guarded)

    answer = editing.put(
        HERE,
        {
            name: copied[name]
            for name in (
                "enabled", "off_variation", "prerequisites", "targets", "rules", "fallthrough"
            )
        },
    )  # fmt: skip

    assert (answer.status, ruleset(guarded)) == (202, before)


def test_what_may_not_wait_is_no_request(guarded, editing):
    for change in (
        {"kind": "user.edited", "username": "editor", "is_superuser": True},
        {"kind": "request.applied", "request": 1},
        {"kind": "no.such"},
        {**SWITCH, "project": "another"},
        {**SWITCH, "schema": 7},
    ):
        answer = editing.post("projects/shop/requests", {"changes": [change]})
        assert answer.status in (404, 422), change
    promoted = {"kind": "member.set", "username": "editor", "role": "admin"}
    assert editing.post("projects/shop/requests", {"changes": [promoted]}).status == 403


def test_a_draft_is_collected_read_and_submitted(guarded, editing, calling):
    draft = "projects/shop/environments/production/draft"
    nothing = editing.get(draft)
    first = editing.post(draft, {"changes": [SWITCH]})
    described = {"kind": "flag.edited", "flag": "new-checkout", "description": "New"}
    second = editing.post(draft, {"changes": [described], "reason": "Spring"})

    assert nothing.status == 404
    assert (first.status, first.data["state"]) == (200, "draft")
    assert [row["kind"] for row in second.data["changes"]] == ["flag.switched", "flag.edited"]
    assert editing.get(draft).data["number"] == first.data["number"]
    assert calling("admin").get(draft).status == 404
    number = first.data["number"]
    asked = editing.post(f"projects/shop/requests/{number}/submit", {})
    assert asked.data["state"] == "in_review"
    assert editing.get(draft).status == 404


def test_a_conflict_is_settled_over_the_api(guarded, editing, calling):
    def serving(*rows):
        rules = [
            {
                "id": name,
                "name": name,
                "when": {"attribute": "plan", "op": "exists"},
                "serve": {"variation": "on"},
            }
            for name in rows
        ]
        return {
            "kind": "flag.configured",
            "environment": "production",
            "flag": "new-checkout",
            "rules": rules,
        }

    requests = "projects/shop/requests"
    mine = editing.post(requests, {"changes": [serving("mine")]}).data["number"]
    theirs = calling("admin").post(requests, {"changes": [serving("theirs")]}).data["number"]
    calling("admin").post(f"{requests}/{theirs}/apply", {"bypass_reason": "now"})
    rebase = f"{requests}/{mine}/rebase"

    stale = editing.post(
        rebase, {"subject": "flag:new-checkout", "choice": "merge", "expected_revision": 7}
    )
    settled = editing.post(rebase, {"subject": "flag:new-checkout", "choice": "merge"})
    again = editing.post(rebase, {"subject": "flag:new-checkout", "choice": "merge"})

    assert (stale.status, settled.status, again.status) == (409, 200, 409)
    assert [rule["id"] for rule in settled.data["changes"][0]["rules"]] == ["theirs", "mine"]
    assert settled.data["standing"]["moved"] == []


def test_a_policy_and_a_team_are_compared_before_they_are_edited(guarded, calling):
    admin = calling("admin")
    policy, team = "projects/shop/environments/staging/policy", "projects/shop/teams/sre"
    admin.put(team, {"members": ["reviewer"]})
    for place, edit in ((policy, {"approvals": 3}), (team, {"members": ["admin"]})):
        tag = admin.get(place).headers["ETag"]

        assert admin.put(place, edit, headers={"If-Match": tag}).status == 200
        assert admin.put(place, edit, headers={"If-Match": tag}).status == 412
        assert admin.get(place).headers["ETag"] != tag


def test_a_list_counts_no_verdict_that_an_edit_overtook(guarded, editing, reviewing, project):
    place = asked(editing)
    reviewing.post(f"{place}/review", {"verdict": "approved"})
    editing.patch(place, {"armed": True})

    rows = {row.request.number: row.given for row in all_requests(project).rows}

    assert rows[int(place.rpartition("/")[2])] == 0
    waiting = reviewing.get("projects/shop/requests?to_review=true&state=open").data["results"]
    assert [row["number"] for row in waiting] == [int(place.rpartition("/")[2])]

"""Ramps, leases and the calendar, through the API."""

from datetime import UTC, datetime, timedelta

import pytest

from flags.changes import EditEnvironment, SetPolicy, submit
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

RAMPS = "projects/shop/ramps"
LEASES = "projects/shop/leases"
STEPS = [
    {"share": 1_000, "hold": {"seconds": 3_600}},
    {"share": 25_000, "hold": {"approval": True}},
    {"share": 100_000},
]
RAMP = {"environment": "production", "flag": "new-checkout", "variation": "on", "steps": STEPS}
SWITCH = {"kind": "flag.switched", "environment": "production", "flag": "new-checkout", "on": True}
LEASE = {"changes": [SWITCH], "seconds": 3_600}


@pytest.fixture(autouse=True)
def flag(a_flag):
    return a_flag("new-checkout", fallthrough={"variation": "off"})


def guard():
    submit(
        EditEnvironment(project="shop", environment="production", requires_approval=True),
        actor=OPERATOR,
    )


def test_a_ramp_from_its_start_to_its_end(api, calling):
    made = api.post(RAMPS, RAMP)
    assert (made.status, made.data["share"], made.data["started_by"]) == (201, 1_000, "admin")
    one = made.headers["Location"]

    assert api.post(f"{one}/pause", {"reason": "lunch"}).data["state"] == "paused"
    assert api.post(f"{one}/resume", {}).data["state"] == "running"
    skipped = api.post(f"{one}/skip", {"step": 0})
    assert (skipped.data["share"], skipped.data["state"]) == (25_000, "awaiting_approval")
    assert api.post(f"{one}/approve", {}).status == 403
    reviewer = calling("reviewer", scopes=["read", "review"])
    refused = reviewer.post(f"{one}/approve", {"step": 1})
    assert refused.status == 200
    # A policy of its own would have to say that programs may review.
    assert refused.data["state"] == "awaiting_approval"
    back = api.post(f"{one}/roll-back", {})
    assert (back.data["state"], back.data["closed_at"] is None) == ("rolled_back", False)
    assert [row["number"] for row in api.get(f"{RAMPS}?state=rolled_back").data["results"]] == [1]
    assert api.get(f"{RAMPS}?state=under_way").data["results"] == []
    assert api.post(f"{one}/stop", {}).status == 409


def test_what_is_no_ramp_is_refused_with_its_place(api):
    answer = api.post(RAMPS, {**RAMP, "steps": [{"share": 0}, {"share": 5}]})

    assert answer.status == 422
    assert {row["path"] for row in answer.data["problems"]} == {"steps[0].share", "steps[0].hold"}
    assert api.get(f"{RAMPS}/7").status == 404


def test_where_approval_is_needed_a_ramp_becomes_a_request(api):
    guard()

    answer = api.post(RAMPS, RAMP)
    foreseen = api.post(f"{RAMPS}?dry_run=true", RAMP)

    assert (answer.status, answer.data["request"]["number"]) == (202, 1)
    assert foreseen.data["approval"]["missing"]


def test_templates(api):
    address = "projects/shop/ramp-templates/careful"
    assert api.put(address, {"steps": STEPS}).status == 200

    made = api.post(RAMPS, {**RAMP, "steps": STEPS, "template": "careful"})

    assert made.data["steps"] == STEPS
    assert [row["key"] for row in api.get("projects/shop/ramp-templates").data["results"]] == [
        "careful"
    ]
    assert api.delete(address).status == 204
    assert api.get(address).status == 404


def test_a_lease_from_its_grant_to_its_end(api):
    made = api.post(LEASES, LEASE)
    assert (made.status, made.data["state"]) == (201, "running")
    one = made.headers["Location"]
    later = (datetime.now(UTC) + timedelta(days=2)).isoformat()

    assert api.post(f"{one}/extend", {"ends_at": later}).status == 200
    assert api.post(f"{one}/extend", {"ends_at": "2020-01-01T00:00:00Z"}).status == 422
    assert api.post(f"{one}/end", {}).data["state"] == "ended"
    assert api.post(f"{one}/keep", {}).status == 409
    assert api.get(f"{LEASES}?environment=production").data["results"][0]["number"] == 1


def test_a_lease_is_granted_once_for_a_key(api):
    headers = {"Idempotency-Key": "one"}

    first, second = (api.post(LEASES, LEASE, headers=headers) for _ in range(2))

    assert (first.status, second.status) == (201, 201)
    assert second.data["number"] == first.data["number"]


def test_a_bypass_with_an_end(api):
    guard()
    number = api.post(LEASES.replace("leases", "requests"), {"changes": [SWITCH]}).data["number"]

    applied = api.post(
        f"projects/shop/requests/{number}/apply",
        {"bypass_reason": "the shop is down", "lasts_seconds": 60},
    )

    assert applied.data["state"] == "applied"
    assert api.get(f"{LEASES}/1").data["request"] == number


def test_the_calendar_says_what_is_coming(api):
    now = datetime.now(UTC)
    submit(
        SetPolicy(
            project="shop",
            environment="production",
            freezes=[
                {
                    "from": (now + timedelta(days=3)).isoformat(),
                    "to": (now + timedelta(days=4)).isoformat(),
                    "why": "sale",
                }
            ],
        ),
        actor=OPERATOR,
    )
    api.post(RAMPS, {**RAMP, "environment": "staging", "steps": [STEPS[0], {**STEPS[0], "share": 2_000}, {"share": 5_000}]})  # fmt: skip
    api.post(LEASES, {**LEASE, "seconds": 36_000})
    guard()
    scheduled = (now + timedelta(days=2)).isoformat()
    api.post("projects/shop/requests", {"changes": [{**SWITCH, "on": False}], "apply_at": scheduled})  # fmt: skip

    rows = api.get("projects/shop/calendar").data["results"]

    assert [(row["kind"], row["planned"]) for row in rows] == [
        ("ramp_step", False),
        ("ramp_step", True),
        ("lease_end", False),
        ("request", False),
        ("freeze", False),
    ]
    assert rows[-1]["title"] == "Frozen: sale"
    assert api.get("projects/shop/calendar?since=2026-01-01T00:00:00Z&until=2025-01-01T00:00:00Z").status == 400  # fmt: skip


def test_an_outsider_sees_nothing(calling):
    outsider = calling("outsider")

    assert outsider.get(RAMPS).status == 404
    assert outsider.post(RAMPS, RAMP).status == 404
    assert outsider.get("projects/shop/calendar").status == 404

"""Comparing and copying by the API; conftest.py validates every answer."""

import pytest

from audit.models import Event
from flags.changes import EditEnvironment, submit
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db
BETWEEN = "projects/shop/compare/environments?base=production&other=staging"


@pytest.fixture
def apart(a_flag):
    a_flag("new-checkout", on=True, environment="staging")
    a_flag("alike")


def test_what_differs_between_environments_is_copied(api, apart):
    (found,) = api.get(BETWEEN).data["differences"]
    foreseen = api.post(
        "projects/shop/environments/production/copy?dry_run=true",
        {"base": "staging", "subjects": ["flag:new-checkout"]},
    )
    copied = api.post(
        "projects/shop/environments/production/copy",
        {"base": "staging", "subjects": ["flag:new-checkout"], "reason": "Promoted"},
    )

    assert (found["subject"], found["words"]) == ("flag:new-checkout", ["Turned on"])
    assert foreseen.data["changed"] is True
    assert (copied.status, copied.data["differences"]) == (200, [])
    assert Event.objects.filter(reason="Promoted").count() == 1


def test_copying_meets_the_gate(api, apart):
    guard = EditEnvironment(project="shop", environment="production", requires_approval=True)
    submit(guard, actor=OPERATOR)

    answer = api.post(
        "projects/shop/environments/production/copy",
        {"base": "staging", "subjects": ["flag:new-checkout"]},
    )

    assert answer.status == 202
    assert len(api.get(BETWEEN).data["differences"]) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"base": "staging", "subjects": []}, 422),
        ({"base": "production", "subjects": ["flag:new-checkout"]}, 422),
        ({"base": "staging", "subjects": ["flag:nothing"]}, 404),
        ({"base": "nowhere", "subjects": ["flag:new-checkout"]}, 404),
    ],
)
def test_what_cannot_be_copied_is_refused(api, apart, body, status):
    assert api.post("projects/shop/environments/production/copy", body).status == status


def test_who_may_not_edit_may_not_copy(calling, apart):
    body = {"base": "staging", "subjects": ["flag:new-checkout"]}

    answer = calling("viewer").post("projects/shop/environments/production/copy", body)

    assert answer.status == 403


def test_instants_and_events_are_compared(api, apart):
    there = "projects/shop/flags/new-checkout/environments/production"
    before = api.get("projects/shop/events?environment=production").data["results"][0]
    api.post(f"{there}/switch", {"on": True})
    after = api.get("projects/shop/events?environment=production").data["results"][0]
    first = api.get("projects/shop/flags/new-checkout/history?environment=production").data[
        "results"
    ][-1]

    instants = api.get(
        "projects/shop/compare/instants?environment=production"
        f"&since={before['at'].replace('+', '%2B')}&until={after['at'].replace('+', '%2B')}"
    )
    events = api.get(
        "projects/shop/compare/events?subject=flag:new-checkout"
        f"&base={first['id']}&other={after['id']}"
    )

    assert [row["words"] for row in instants.data["differences"]] == [["Turned on"]]
    assert [row["words"] for row in events.data["differences"]] == [["Turned on"]]


def test_the_wrong_order_is_a_bad_question(api, apart):
    answer = api.get(
        "projects/shop/compare/instants?environment=production"
        "&since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z"
    )

    assert (answer.status, answer.data["problems"][0]["path"]) == (400, "until")

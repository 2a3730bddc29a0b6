"""Every form of the dashboard that could alter a guarded environment: each becomes a request."""

import json
from typing import Any

import pytest

from audit.models import Event
from flags.changes import (
    ArchiveFlag,
    ChangeSegmentIds,
    ConfigureFlag,
    CreateSegment,
    EditEnvironment,
    ReviewRequest,
    SwitchFlag,
    submit,
)
from flags.dashboard.undo import way_back
from flags.models import Environment, Request
from flags.snapshots import encoded, ruleset_document
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

PRODUCTION: dict[str, Any] = {"project": "shop", "environment": "production"}
P = "/p/shop"


@pytest.fixture
def guarded(client, users, project, a_flag):
    """Production asks for approval and serves a flag that another flag and a segment feed."""
    submit(CreateSegment(project="shop", key="beta"), actor=OPERATOR)
    submit(CreateSegment(project="shop", key="unused"), actor=OPERATOR)
    submit(ChangeSegmentIds(**PRODUCTION, segment="beta", add=("user-1",)), actor=OPERATOR)
    a_flag("search")
    a_flag(
        "checkout",
        on=True,
        prerequisites=[{"flag": "search", "variations": ["on"]}],
        rules=[{"id": "beta", "when": {"segment": "beta"}, "serve": {"variation": "off"}}],
    )
    submit(
        ConfigureFlag(**PRODUCTION, flag="checkout", fallthrough={"variation": "off"}),
        actor=OPERATOR,
    )
    a_flag("filters")
    a_flag("old")
    submit(ArchiveFlag(project="shop", flag="old"), actor=OPERATOR)
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)
    client.force_login(users["admin"])
    return Environment.objects.get(project=project, key="production")


def targeting(**members: Any) -> dict[str, str]:
    return {"configuration": json.dumps(members)}


VARIATIONS = {
    "variation_key": ["on", "off"], "variation_value": ["false", "true"],
    "variation_name": ["", ""], "variation_description": ["", ""],
}  # fmt: skip

WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "a switch": (f"{P}/flags/checkout/switch/production", {"on": "false"}),
    "a prerequisite's switch": (f"{P}/flags/search/switch/production", {"on": "true"}),
    "rules": (f"{P}/flags/checkout/targeting/production", targeting(rules=[])),
    "individual targets": (
        f"{P}/flags/checkout/targeting/production",
        targeting(targets=[{"variation": "on", "by": "targetingKey", "keys": ["me"]}]),
    ),
    "a draft": (
        f"{P}/flags/checkout/targeting/production", targeting(rules=[]) | {"goes": "draft", "draft_for": "production"},
    ),
    "a save for a time": (
        f"{P}/flags/checkout/targeting/production",
        targeting(rules=[]) | {"when": "lease", "lasts": "3", "lasts_unit": "days"},
    ),
    "a save at an instant": (
        f"{P}/flags/checkout/targeting/production",
        targeting(rules=[]) | {"when": "later", "apply_at": "2031-07-01T09:00", "offset": "0"},
    ),
    "a ramp": (
        f"{P}/flags/search/ramp?environment=production",
        {
            "variation": "off", "base": "on", "place": "fallthrough", "share": ["5", "100"],
            "amount": ["1", ""], "unit": ["days", "days"],
        },
    ),
    "a copy of another environment": (
        f"{P}/compare?from=development&to=production",
        {"subject": ["flag:checkout"], "reason": "as there"},
    ),
    "back from the archive": (f"{P}/flags/old/end/restore", {}),
    "a segment's condition": (
        f"{P}/segments/beta/definition/production",
        targeting(when={"attribute": "plan", "op": "exists"}),
    ),
    "a segment's ids": (f"{P}/segments/beta/ids/production", {"add": "user-2"}),
    "ids off a segment": (f"{P}/segments/beta/ids/production", {"remove": "user-1"}),
    "client visibility": (
        f"{P}/flags/checkout/settings", {"name": "checkout", "client_visible": "on"},
    ),
    "a new flag": (f"{P}/new-flag", {"key": "another", "type": "boolean"} | VARIATIONS),
    "a new segment": (f"{P}/new-segment", {"key": "another"}),
    "several switches at once": (
        f"{P}/bulk",
        {"what": "on", "environment": "production", "flag": ["search", "filters"]},
    ),
    "the archive of several": (f"{P}/bulk", {"what": "archive", "flag": ["search", "checkout"]}),
    "the archive": (f"{P}/flags/checkout/end/archive", {}),
    "a deleted segment": (f"{P}/segments/unused/delete", {"typed_key": "unused"}),
    "no guard": (f"{P}/settings/environments/production", {"name": "Production"}),
    "no environment": (
        f"{P}/settings/environments/production/delete", {"confirmation": "production"},
    ),
    "a laxer policy": (
        f"{P}/settings/environments/production/policy",
        {"approvals": "1", "minimum_role": "viewer", "time_zone": "UTC", "expires_after_days": "30"},
    ),
}  # fmt: skip


def unaltered(guarded: Environment, before: bytes) -> bool:
    row = Environment.objects.filter(pk=guarded.pk, requires_approval=True).first()
    return row is not None and encoded(ruleset_document(row)) == before


@pytest.mark.parametrize("way", WAYS)
def test_a_form_becomes_a_request(guarded, client, way):
    before = encoded(ruleset_document(guarded))
    address, typed = WAYS[way]

    answer = client.post(address, typed)

    assert answer.status_code in (200, 302), answer.content.decode()[-2000:]
    assert unaltered(guarded, before)
    assert Request.objects.count() == 1


def test_an_undo_that_was_offered_before_the_guard_asks_too(project, client, users, a_flag):
    a_flag("checkout")
    switch = SwitchFlag(**PRODUCTION, flag="checkout", on=True)
    token = way_back(submit(switch, actor=users["admin"].as_actor()))
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)
    guarded = Environment.objects.get(key="production")
    before = encoded(ruleset_document(guarded))
    client.force_login(users["admin"])

    client.post(f"{P}/undo", {"undo": token})

    assert unaltered(guarded, before)
    assert Request.objects.count() == 1


def test_a_restored_version_asks_too(guarded, client):
    before = encoded(ruleset_document(guarded))
    event = Event.objects.filter(
        stream=guarded.stream_key, effects__contains=[{"kind": "flag.configured"}]
    ).order_by("version").first()  # fmt: skip

    answer = client.post(
        f"{P}/flags/checkout/history/{event.pk}/restore?environment=production",
        {"environment": "production", "reason": "back"},
    )

    assert answer.status_code in (200, 302)
    assert unaltered(guarded, before)
    assert Request.objects.count() == 1


def test_a_request_that_was_approved_carries_nothing_that_is_added(guarded, client, editor, users):
    submit(SwitchFlag(**PRODUCTION, flag="search", on=True), actor=users["admin"].as_actor())
    approving = ReviewRequest(project="shop", request=1, verdict="approved")
    submit(approving, actor=users["reviewer"].as_actor())
    before = encoded(ruleset_document(guarded))
    added = {"on": "false", "goes": "request", "request": "1"}

    client.post(f"{P}/flags/checkout/switch/production", added)
    refused = client.post(f"{P}/requests/1/apply")

    assert refused.status_code == 403
    assert len(Request.objects.get().changes) == 2
    assert unaltered(guarded, before)


def test_several_switches_one_after_the_other_are_a_request_each(guarded, client):
    before = encoded(ruleset_document(guarded))

    for flag in ("checkout", "search"):
        client.post(
            f"{P}/flags/{flag}/switch/production", {"on": "true" if flag == "search" else "false"}
        )

    assert unaltered(guarded, before)
    assert Request.objects.count() == 2

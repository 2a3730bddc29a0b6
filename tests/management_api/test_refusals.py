"""What the API refuses, and how it says so."""

import json
import re
import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import Event
from flags.changes import EditUser, RevokeApiToken, submit
from flags.management_api.parsing import LARGEST_BODY, LARGEST_ID_UPLOAD
from flags.models import ApiToken, Flag
from tests.cast import OPERATOR, PASSWORD
from tests.management_api.caller import Caller, openapi

pytestmark = pytest.mark.django_db


def test_without_credentials_the_scheme_is_named(project):
    answer = Caller(Client()).get("projects")

    assert (answer.status, answer.data["title"]) == (401, "Unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("spoil", ["unknown", "revoked", "expired", "inactive"])
def test_a_token_that_does_not_work_says_so(calling, spoil):
    caller = calling("editor", expires_at=timezone.now() + timedelta(days=1))
    token = ApiToken.objects.get()
    if spoil == "unknown":
        caller.token += "x"
    elif spoil == "revoked":
        submit(RevokeApiToken(public_id=token.public_id), actor=OPERATOR)
    elif spoil == "expired":
        ApiToken.objects.update(expires_at=timezone.now())
    else:
        submit(EditUser(username="editor", is_active=False), actor=OPERATOR)

    assert caller.get("projects").status == 401


def test_the_use_of_a_token_is_noted_once_a_minute(calling):
    caller = calling("editor")
    caller.get("projects")
    first = ApiToken.objects.get().last_used_at

    caller.get("projects")
    again = ApiToken.objects.get().last_used_at
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    caller.get("projects")

    assert first is not None
    assert again == first
    assert ApiToken.objects.get().last_used_at > first


def test_a_token_does_no_more_than_its_scopes(calling, a_flag):
    a_flag("x")
    reading = calling("admin", scopes=["read"])

    refused = reading.patch("projects/shop/flags/x", {"name": "Another"})

    assert (reading.get("projects/shop/flags/x").status, refused.status) == (200, 403)
    assert "read" in refused.data["detail"]


def test_a_token_that_only_reads_changes_nothing(calling):
    reading = calling("owner", scopes=["read"])
    events = Event.objects.count()
    writes = [
        (method.upper(), re.sub(r"{\w*(number|ramp|lease)\w*}", "1", path))
        for path, operations in openapi()["paths"].items()
        for method in operations.keys() & {"post", "put", "patch", "delete"}
    ]

    assert len(writes) > 50
    for method, path in writes:
        answer = reading.call(
            method, re.sub(r"{\w+}", "x", path.replace("{invitation}", str(uuid.UUID(int=1)))), {}
        )
        assert answer.status == 403, (method, path)
        assert "changes nothing" in answer.data["detail"]
    assert Event.objects.count() == events


def test_a_token_makes_no_tokens(calling):
    assert calling("owner").post("tokens", {"scopes": ["read"]}).status == 403


def test_a_session_needs_its_csrf_token(users, project):
    client = Client(enforce_csrf_checks=True)
    client.login(username="admin", password=PASSWORD)
    caller = Caller(client)

    assert caller.get("projects").status == 200
    assert caller.post("projects/shop/flags", {"key": "x"}).status == 403
    assert not Flag.objects.exists()


ADDRESSES = [
    ("GET", "projects/shop"),
    ("PATCH", "projects/shop"),
    ("GET", "projects/shop/events"),
    ("GET", "projects/shop/members"),
    ("PUT", "projects/shop/members/outsider"),
    ("DELETE", "projects/shop/members/viewer"),
    ("GET", "projects/shop/invitations"),
    ("POST", "projects/shop/invitations"),
    ("GET", f"projects/shop/invitations/{uuid.UUID(int=1)}"),
    ("DELETE", f"projects/shop/invitations/{uuid.UUID(int=1)}"),
    ("GET", "projects/shop/environments"),
    ("POST", "projects/shop/environments"),
    ("GET", "projects/shop/environments/production"),
    ("PATCH", "projects/shop/environments/production"),
    ("DELETE", "projects/shop/environments/production"),
    ("GET", "projects/shop/environments/production/flags"),
    ("GET", "projects/shop/environments/production/sdk-keys"),
    ("POST", "projects/shop/environments/production/sdk-keys"),
    ("GET", "projects/shop/flags"),
    ("POST", "projects/shop/flags"),
    ("GET", "projects/shop/flags/x"),
    ("PATCH", "projects/shop/flags/x"),
    ("DELETE", "projects/shop/flags/x"),
    ("POST", "projects/shop/flags/x/archive"),
    ("POST", "projects/shop/flags/x/restore"),
    ("GET", "projects/shop/flags/x/history"),
    ("GET", "projects/shop/flags/x/environments"),
    ("GET", "projects/shop/flags/x/environments/production"),
    ("PATCH", "projects/shop/flags/x/environments/production"),
    ("PUT", "projects/shop/flags/x/environments/production"),
    ("POST", "projects/shop/flags/x/environments/production/switch"),
    ("POST", "projects/shop/flags/x/environments/production/restore"),
    ("GET", "projects/shop/segments"),
    ("POST", "projects/shop/segments"),
    ("GET", "projects/shop/segments/s"),
    ("GET", "projects/shop/segments/s/history"),
    ("PUT", "projects/shop/segments/s/environments/production"),
    ("POST", "projects/shop/segments/s/environments/production/ids"),
    ("POST", "projects/shop/segments/s/environments/production/restore"),
]


def test_to_an_outsider_a_project_is_not_there(calling, a_flag):
    a_flag("x")
    outsider = calling("outsider")
    before = Event.objects.count()

    answers = {
        (method, path): outsider.call(method, path, None if method == "GET" else {}).status
        for method, path in ADDRESSES
    }

    assert set(answers.values()) == {404}, answers
    assert outsider.get("projects").data["results"] == []
    assert Event.objects.count() == before


def test_a_viewer_sees_and_changes_nothing(calling, a_flag):
    a_flag("x")
    viewer = calling("viewer")
    before = Event.objects.count()

    writes = [
        viewer.post("projects/shop/flags", {"key": "y"}),
        viewer.patch("projects/shop/flags/x", {"name": "Another"}),
        viewer.post("projects/shop/flags/x/environments/production/switch", {"on": True}),
        viewer.post("projects/shop/environments/production/sdk-keys", {"kind": "server"}),
        viewer.post("projects", {"key": "garden"}),
    ]

    assert viewer.get("projects/shop/flags/x").status == 200
    assert {answer.status for answer in writes} == {403}
    assert Event.objects.count() == before


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "line 1, column 2"),
        (b'{"key": "x", "key": "y"}', "key: is there twice"),
        (
            b'{"key": "x", "variations": [{"value": 1, "value": 2}]}',
            "variations[0].value: is there",
        ),
        (b'{"key": "x", "json_schema": {"a": [NaN]}}', "json_schema.a[0]: NaN is not JSON"),
        (b'{"key": "x", "json_schema": [1, 1e999]}', "json_schema[1]: is a number past"),
        (b'{"key": "x", "name": "a\\u0000b"}', "name: holds NUL"),
        (b'{"key": "x", "tags": ["\\ud800"]}', "tags[0]: holds a lone surrogate"),
        (b'{"key": "x", "a\\u0000": 1}', "holds NUL"),
        (b'{"key": "\xff"}', "expected UTF-8, byte 9 is not"),
        (b"[" * 300 + b"]" * 300, "levels of nesting"),
        (b"[" * 100_000 + b"]" * 100_000, "levels of nesting"),
        (b'{"key": ' + b"9" * 5000 + b"}", "too long"),
    ],
)
def test_json_that_can_be_misread_is_refused_with_its_place(api, body, said):
    answer = api.post("projects/shop/flags", body)

    assert (answer.status, said in answer.data["detail"]) == (400, True), answer.data


@pytest.mark.parametrize(
    ("body", "path", "said"),
    [
        ([], "", "expected an object, got a list"),
        ({}, "key", "required"),
        ({"key": 5}, "key", "expected a text, got a number"),
        ({"key": "x", "colour": 1}, "colour", "is not a member here"),
        ({"key": "x", "client_visible": "true"}, "client_visible", "expected true or false"),
        ({"key": "x", "type": "number"}, "type", "expected one of boolean"),
        ({"key": "x", "tags": "a"}, "tags", "expected a list, got a text"),
        ({"key": "x", "tags": ["a", 1]}, "tags[1]", "expected a text, got a number"),
        ({"key": "x", "variations": [1]}, "variations[0]", "expected an object"),
        ({"key": "no spaces"}, "key", "got 'no spaces'"),
        (
            {"key": "x", "type": "integer", "variations": [{"key": "a", "value": "b"}]},
            "variations[0].value",
            "integer",
        ),
    ],
)
def test_a_wrong_member_is_named(api, body, path, said):
    answer = api.post("projects/shop/flags", body)

    assert answer.status == 422
    found = {row["path"]: row["message"] for row in answer.data["problems"]}
    assert said in found[path]
    assert not Flag.objects.exists()


def test_what_the_engine_refuses_is_named_by_its_place(api, a_flag):
    a_flag("x")
    rule = {
        "when": {"attribute": "a", "op": "matches", "values": ["("]},
        "serve": {"variation": "on"},
    }

    answer = api.patch("projects/shop/flags/x/environments/production", {"rules": [rule]})

    assert answer.status == 422
    assert [row["path"] for row in answer.data["problems"]] == ["rules[0].when.values[0]"]


def test_a_body_past_the_limit_is_refused_except_for_ids(api):
    large = json.dumps({"key": "x", "description": "a" * LARGEST_BODY}).encode()

    answer = api.post("projects/shop/flags", large)

    assert answer.status == 413
    assert not Flag.objects.exists()


def test_an_upload_of_ids_past_its_own_limit_is_refused(api):
    api.post("projects/shop/segments", {"key": "s"})
    body = b'{"add": ["' + b"a" * LARGEST_ID_UPLOAD + b'"]}'

    answer = api.post("projects/shop/segments/s/environments/production/ids", body)

    assert answer.status == 413


def test_another_media_type_is_refused(api):
    answer = api.call("POST", "projects/shop/flags", b"key=x", content_type="text/plain")

    assert answer.status == 415


def test_another_method_is_refused(api):
    assert api.delete("projects").status == 405


@pytest.mark.parametrize("path", ["nowhere", "projects/shop/nowhere", "projects/nowhere"])
def test_an_unknown_address_is_a_problem_document(api, path):
    assert api.get(path).status == 404


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("projects/shop/flags?colour=red", "colour"),
        ("projects/shop/flags?type=number", "type"),
        ("projects/shop/events?since=yesterday", "since"),
        ("projects/shop/events?cursor=broken", "cursor"),
        ("projects/shop/flags?cursor=broken!", "cursor"),
    ],
)
def test_a_wrong_parameter_is_named(api, path, place):
    answer = api.get(path)

    assert (answer.status, answer.data["problems"][0]["path"]) == (400, place)


def test_a_misspelt_dry_run_does_nothing(api):
    answer = api.post("projects/shop/flags?dry_run=yes", {"key": "x"})

    assert answer.status == 400
    assert not Flag.objects.exists()

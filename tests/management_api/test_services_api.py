"""Members with exceptions, services and their tokens by the API, and tokens that end soon."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from flags.changes import CreateService, CreateServiceToken, submit
from flags.models import ApiToken, Request
from flags.models.secrets import new_secret
from tests.cast import OPERATOR
from tests.management_api.caller import Caller

pytestmark = pytest.mark.django_db


def test_a_member_has_exceptions_and_an_etag_that_knows_them(project, calling):
    caller = calling("admin")

    made = caller.put(
        "projects/shop/members/editor", {"role": "editor", "environments": {"production": "viewer"}}
    )
    stale = caller.put(
        "projects/shop/members/editor", {"role": "viewer"}, headers={"If-Match": '"another"'}
    )
    kept = caller.put(
        "projects/shop/members/editor",
        {"role": "reviewer"},
        headers={"If-Match": made.headers["ETag"]},
    )

    assert made.data["environments"] == {"production": "viewer"}
    assert stale.status == 412
    assert (kept.status, kept.data["environments"]) == (200, {"production": "viewer"})


def test_a_service_is_made_and_works_by_its_token(project, calling, a_flag):
    a_flag("new-checkout")
    caller = calling("admin")
    made = caller.post(
        "projects/shop/services",
        {"name": "deployer", "role": "editor", "environments": {"production": "viewer"}},
    )

    assert (made.status, made.data["username"]) == (201, "deployer@shop")
    assert caller.get("projects/shop/services").data["results"][0]["name"] == "deployer"
    assert "deployer@shop" not in str(caller.get("projects/shop/members").data)
    # A token makes no tokens, whoever it speaks for.
    refused = caller.post("projects/shop/services/deployer/tokens", {"scopes": ["read"]})
    assert refused.status == 403
    assert calling("viewer").get("projects/shop/services/deployer/tokens").status == 403


def test_an_admin_who_is_signed_in_makes_a_services_token_that_works(project, users, client):
    submit(CreateService(project="shop", name="deployer", role="editor"), actor=OPERATOR)
    client.force_login(users["admin"])

    made = Caller(client).post(
        "projects/shop/services/deployer/tokens", {"name": "CI", "scopes": ["read", "propose"]}
    )

    assert (made.status, made.data["scopes"]) == (201, ["propose", "read"])
    assert ApiToken.objects.get().made_by == users["admin"]
    secret = made.data["secret"]
    assert Caller(Client(), secret).get("projects/shop/flags").status == 200
    there = Caller(client).get(made.headers["Location"])
    assert (there.status, secret in str(there.data)) == (200, False)


@pytest.fixture
def deployer(project):
    """Builder: who calls by a token of the service `deployer`."""
    submit(CreateService(project="shop", name="deployer", role="editor"), actor=OPERATOR)

    def build(*scopes, **more):
        secret = new_secret(ApiToken.PREFIX)
        made = CreateServiceToken(
            project="shop",
            service="deployer",
            public_id=secret.public_id,
            hash=secret.hash,
            scopes=list(scopes),
            **more,
        )
        submit(made, actor=OPERATOR)
        return Caller(Client(), secret.text)

    return build


def test_a_token_that_may_only_propose_is_answered_with_a_request(deployer, a_flag):
    a_flag("new-checkout")
    place = "projects/shop/flags/new-checkout/environments/production/switch"

    answer = deployer("read", "propose").post(place, {"on": True})

    assert (answer.status, answer.data["request"]["state"]) == (202, "approved")
    assert Request.objects.get().author.username == "deployer@shop"
    assert deployer("read", "apply").post(place, {"on": True}).status == 200
    assert ApiToken.objects.filter(last_used_at=None).count() == 0


def test_a_token_that_ends_soon_says_so_in_every_answer(deployer):
    soon, later = (timezone.now() + timedelta(days=days) for days in (13, 15))

    near = deployer("read", expires_at=soon).get("projects/shop/flags")
    far = deployer("read", expires_at=later).get("projects/shop/flags")

    assert near.headers["Flagsite-Token-Expires"] == soon.isoformat()
    assert "Flagsite-Token-Expires" not in far.headers

"""Invitations by the API: the rules of the page, and a link that is given once."""

import pytest
from django.test import Client, override_settings

from audit.models import Event
from flags.changes import CreateService, submit
from flags.models import ApiToken, Invitation, User
from flags.models.secrets import new_secret
from tests.cast import OPERATOR
from tests.management_api.caller import Caller

pytestmark = pytest.mark.django_db
PLACE = "projects/shop/invitations"
SENT = {"email": "New@example.org", "role": "viewer"}


def test_an_invitation_is_made_once_seen_and_taken_back(api):
    key = {"Idempotency-Key": "one"}

    made, again = (api.post(PLACE, SENT, headers=key) for _ in range(2))

    assert (made.status, made.data["email"]) == (201, "new@example.org")
    assert (made.data["invited_by"], made.data["role"]) == ("admin", "viewer")
    assert "Join Shop" in Client().get(made.data["link"]).content.decode()
    assert again.data == {**made.data, "link": None}
    assert Invitation.objects.count() == 1
    (listed,) = api.get(PLACE).data["results"]
    one = made.headers["Location"]
    assert api.get(one).data == listed
    assert "link" not in listed

    assert api.delete(f"{one}?reason=Mistake").status == 204

    assert api.get(one).status == 404
    assert api.get(PLACE).data["results"] == []
    assert Client().get(made.data["link"]).status_code == 410


def test_where_mail_is_sent_the_link_is_in_no_answer(api):
    with override_settings(MAIL_IS_SENT=True):
        made = api.post(PLACE, SENT)

    assert (made.data["is_mailed"], made.data["link"]) == (True, None)


def test_the_pages_rules_hold(calling, api):
    assert calling("editor").post(PLACE, SENT).status == 403
    assert calling("admin", scopes=["read", "apply"]).post(PLACE, SENT).status == 403
    assert api.post(PLACE, {**SENT, "email": "nobody"}).status == 422
    assert api.post(PLACE, {**SENT, "role": "owner"}).status == 422
    assert not Invitation.objects.exists()
    api.post(PLACE, SENT)
    one = f"{PLACE}/{Invitation.objects.get().pk}"
    assert calling("viewer").get(PLACE).data["results"][0]["email"] == "new@example.org"
    assert calling("editor").delete(one).status == 403
    for method, path in (("GET", PLACE), ("POST", PLACE), ("GET", one), ("DELETE", one)):
        assert calling("outsider").call(
            method, path, SENT if method == "POST" else None
        ).status == (404)
    assert Invitation.objects.get().revoked_at is None


def test_a_service_invites_nobody(project):
    submit(CreateService(project="shop", name="bot", role="admin"), actor=OPERATOR)
    secret = new_secret("fst")
    ApiToken.objects.create(
        user=User.objects.get(username="bot@shop"), made_by=None, public_id=secret.public_id,
        hash=secret.hash, scopes=["read", "admin"], created_at=Event.objects.latest("at").at,
    )  # fmt: skip

    assert Caller(Client(), secret.text).post(PLACE, SENT).status == 403

"""Authenticator apps and recovery codes, and what a bypass asks of who has one."""

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client, override_settings
from django.utils import timezone

from flags.changes import (
    ApplyRequest,
    CreateApiToken,
    EditEnvironment,
    OpenRequest,
    SwitchFlag,
    submit,
)
from flags.errors import Denied, SecondFactorNeeded
from flags.models import ApiToken, Request
from flags.models.secrets import new_secret
from tests.cast import OPERATOR, PASSWORD
from tests.sign_in.test_passwords import sign_in, told, words

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_counted():
    cache.clear()
    yield
    cache.clear()


def code_of(secret: str, *, steps: int = 0) -> str:
    """What an authenticator app shows now, or so many half minutes later."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


def enrol(client: Client) -> str:
    """Enrol an app for who is signed in, as the pages have it; the app's secret."""
    client.post("/account/confirm/password", {"password": PASSWORD})
    secret = client.get("/account/app/enrol").context["form"].secret
    answer = client.post("/account/app/enrol", {"code": code_of(secret)})
    assert answer["Location"] == "/account/recovery-codes"
    return secret


@pytest.fixture
def enrolled(users, django_capture_on_commit_callbacks):
    """`enrolled("admin")`: a client who enrolled an app by its pages, and the app's secret."""

    def as_(name: str) -> tuple[Client, str]:
        client = Client()
        sign_in(client, name)
        with django_capture_on_commit_callbacks(execute=True):
            secret = enrol(client)
        return client, secret

    return as_


@pytest.fixture
def asked(project, a_flag, editor):
    """A request that waits for an approval nobody gave."""
    a_flag()
    guard = EditEnvironment(project="shop", environment="production", requires_approval=True)
    submit(guard, actor=OPERATOR)
    switch = SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True)
    opening = OpenRequest(project="shop", changes=[switch.as_json()])
    return submit(opening, actor=editor).request


def bypass(number: int) -> ApplyRequest:
    return ApplyRequest(project="shop", request=number, bypass_reason="fire")


def state_of(number: int) -> str:
    return Request.objects.get(number=number).state


def forget(client: Client, minutes: int) -> None:
    """What the session proved becomes so many minutes older."""
    session = client.session
    for proof in session["account_authentication_methods"]:
        proof["at"] -= minutes * 60
    session.save()


def test_a_code_is_asked_for_after_the_password_and_taken_once(enrolled, users):
    _, secret = enrolled("viewer")
    client = Client()

    assert sign_in(client)["Location"] == "/sign-in/second-factor"
    assert client.get("/account").status_code == 302
    wrong = client.post("/sign-in/second-factor", {"code": "000000"})
    code = code_of(secret, steps=1)
    client.post("/sign-in/second-factor", {"code": code})

    assert "Incorrect code" in words(wrong)
    assert client.get("/account").status_code == 200
    again = Client()
    sign_in(again)
    again.post("/sign-in/second-factor", {"code": code})
    assert again.get("/account").status_code == 302
    assert told("user.signed_in")[-1]["after"] == {"by": ["password", "totp"]}
    assert told("user.sign_in_failed")[0]["after"] == {"by": "totp"}
    assert told("user.factor_added")[0]["after"] == {"factor": "totp"}


@pytest.mark.parametrize("spaced", [False, True])
def test_the_code_that_enrolled_an_app_is_not_taken_again(users, spaced):
    client, again = Client(), Client()
    sign_in(client)
    code = code_of(enrol(client))

    sign_in(again)
    answer = again.post(
        "/sign-in/second-factor", {"code": f"{code[:3]} {code[3:]}" if spaced else code}
    )

    assert "Incorrect code" in words(answer)
    assert again.get("/account").status_code == 302


def test_guessing_at_a_code_is_slowed_wherever_it_comes_from(enrolled):
    _, secret = enrolled("viewer")
    for number in range(6):
        client = Client(REMOTE_ADDR=f"192.0.2.{number}")
        sign_in(client, address=f"192.0.2.{number}")
        answer = client.post("/sign-in/second-factor", {"code": "000000"})

    assert "Too many" in words(answer)
    client.post("/sign-in/second-factor", {"code": code_of(secret, steps=1)})
    assert client.get("/account").status_code == 302


def test_a_recovery_code_takes_the_place_of_the_app_once(enrolled):
    enrolled_client, _ = enrolled("viewer")
    codes = enrolled_client.get("/account/recovery-codes").context["unused_codes"]

    for expected in (200, 302):
        client = Client()
        sign_in(client)
        client.post("/sign-in/second-factor", {"code": codes[0]})
        assert client.get("/account").status_code == expected
    assert "9 left" in words(enrolled_client.get("/account/signing-in"))
    download = enrolled_client.get("/account/recovery-codes/download").content.decode().split()
    assert download == codes[1:]


def test_secrets_are_unreadable_in_the_database(enrolled):
    _, secret = enrolled("viewer")

    stored = Authenticator.objects.get(type="totp").data["secret"]

    assert secret not in stored


def test_who_has_only_the_password_cannot_take_the_factor_away(enrolled):
    _, secret = enrolled("viewer")
    client = Client()
    sign_in(client)
    client.post("/sign-in/second-factor", {"code": code_of(secret, steps=1)})

    client.post("/account/confirm/password", {"password": PASSWORD})
    client.post("/account/app/remove")
    assert Authenticator.objects.filter(type="totp").exists()

    cache.clear()
    client.post("/account/confirm/code", {"code": code_of(secret)})
    client.post("/account/app/remove")
    assert not Authenticator.objects.exists()
    assert told("user.factor_removed")[0]["before"] == {"factor": "totp"}


def test_the_operator_takes_lost_factors_away(enrolled):
    client, _ = enrolled("viewer")

    call_command("reset_factors", "viewer")

    assert client.get("/account").status_code == 302
    assert sign_in(client)["Location"] == "/"
    assert told("user.factors_reset")[0]["before"] == {"factors": ["totp", "recovery_codes"]}


def test_a_bypass_asks_who_is_enrolled_for_a_fresh_second_factor(enrolled, asked):
    client, secret = enrolled("admin")
    place = f"/p/shop/requests/{asked}"

    forget(client, 6)
    answer = client.post(f"{place}/bypass", {"bypass_reason": "fire"})
    assert answer["Location"].startswith("/account/confirm/code?next=")
    assert state_of(asked) == "in_review"
    wrong = client.post(answer["Location"], {"code": "000000"})
    assert (wrong.status_code, state_of(asked)) == (200, "in_review")
    done = client.post(answer["Location"], {"code": code_of(secret, steps=1)})

    assert done["Location"] == place
    assert state_of(asked) == "applied"
    assert Request.objects.get().bypass_reason == "fire"


def test_a_bypass_by_who_has_no_second_factor_needs_none(project, asked, admin):
    submit(bypass(asked), actor=admin)

    assert state_of(asked) == "applied"


@override_settings(REQUIRE_SECOND_FACTOR=True)
def test_a_bypass_by_who_has_none_is_refused_where_the_site_requires_one(asked, admin):
    with pytest.raises(Denied, match="has none enrolled"):
        submit(bypass(asked), actor=admin)


@pytest.mark.parametrize("minutes", [None, 6])
def test_no_door_bypasses_without_it(enrolled, asked, admin, minutes):
    enrolled("admin")
    at = None if minutes is None else timezone.now() - timedelta(minutes=minutes)

    with pytest.raises(SecondFactorNeeded):
        submit(bypass(asked), actor=replace(admin, second_factor_at=at))

    submit(bypass(asked), actor=replace(admin, second_factor_at=timezone.now()))


def test_the_api_asks_a_session_for_it_and_refuses_a_token(enrolled, asked):
    client, secret = enrolled("admin")
    token = new_secret("fst")
    made = CreateApiToken(
        username="admin", public_id=token.public_id, hash=token.hash, scopes=list(ApiToken.SCOPES)
    )
    submit(made, actor=OPERATOR)
    place, sent = f"/api/v1/projects/shop/requests/{asked}/apply", {"bypass_reason": "fire"}
    bearer = {"Authorization": f"Bearer {token.text}"}

    by_token = Client().post(place, sent, content_type="application/json", headers=bearer)
    forget(client, 6)
    stale = client.post(place, sent, content_type="application/json")

    assert by_token.json()["type"] == "urn:flagsite:problem:denied"
    assert "a token cannot prove" in by_token.json()["detail"]
    assert stale.json()["type"] == "urn:flagsite:problem:second-factor-needed"
    client.post("/account/confirm/code", {"code": code_of(secret, steps=1)})
    assert client.post(place, sent, content_type="application/json").status_code == 200


@override_settings(REQUIRE_SECOND_FACTOR=True)
def test_who_must_enrol_does_nothing_before(users, project, django_capture_on_commit_callbacks):
    client = Client()
    sign_in(client)

    assert client.get("/p/shop/flags")["Location"] == "/account/signing-in"
    assert client.get("/admin/")["Location"] == "/account/signing-in"
    assert client.get("/api/v1/projects").json()["type"].endswith("second-factor-needed")
    assert "requires a second factor" in words(client.get("/account/signing-in"))
    with django_capture_on_commit_callbacks(execute=True):
        enrol(client)
    assert client.get("/p/shop/flags").status_code == 200

"""Coming in by OpenID Connect, with a real identity provider on loopback (npm's oidc-provider)."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.core.cache import cache
from django.test import Client, override_settings

from flags.changes import EditUser, submit
from flags.models import User
from tests.cast import OPERATOR, PASSWORD
from tests.served import free_port
from tests.sign_in.test_passwords import sign_in, told, words

pytestmark = pytest.mark.django_db
FOLDER = Path(__file__).with_name("identity_provider")
CALLBACK = "http://testserver/sign-in/with/callback"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """The provider that package-lock.json pins, installed by the first run."""
    if not (FOLDER / "node_modules" / "oidc-provider").exists():
        install = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(install, cwd=FOLDER, check=True, timeout=100)
    port = free_port()
    process = subprocess.Popen(
        ["node", "provider.mjs", str(port), CALLBACK],
        cwd=FOLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    # Its first words may be warnings about what no production should do.
    assert any(line.startswith("ready") for line in process.stdout)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture(autouse=True)
def _configured(issuer):
    cache.clear()
    with override_settings(**configured(issuer)):
        yield


def configured(issuer: str) -> dict:
    app = {
        "provider_id": settings.OIDC_PROVIDER,
        "name": "Example",
        "client_id": "flagsite",
        "secret": "a secret of the tests",
        "settings": {"server_url": issuer},
    }
    provider = {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}
    return {
        "OIDC_ISSUER": issuer,
        "OIDC_NAME": "Example",
        "SOCIALACCOUNT_PROVIDERS": {"openid_connect": provider},
    }


def come_in(client: Client, address: str, *, begin: str = "/sign-in/with"):
    """Sign in at the provider as this person; what the callback answers."""
    with httpx.Client() as browser:
        answer = browser.get(client.get(begin)["Location"])
        while True:
            if answer.has_redirect_location:
                place = str(answer.url.join(answer.headers["Location"]))
                if place.startswith(CALLBACK):
                    return client.get(f"{urlsplit(place).path}?{urlsplit(place).query}")
                answer = browser.get(place)
            else:
                form = re.search(r'action="([^"]+)"', answer.text)[1]
                prompt = re.search(r'name="prompt" value="([^"]+)"', answer.text)[1]
                typed = {"prompt": prompt, "login": address, "password": "any"}
                answer = browser.post(form, data=typed)


def give_address(name: str, address: str) -> None:
    submit(EditUser(username=name, email=address), actor=OPERATOR)


def test_an_account_is_matched_by_its_verified_address_and_then_by_identity(client, users):
    give_address("viewer", "Viewer@example.org")
    assert "Continue with Example" in words(client.get("/sign-in"))

    assert come_in(client, "viewer@example.org", begin="/sign-in/with?next=/account")[
        "Location"
    ] == ("/account")

    assert "viewer" in words(client.get("/account"))
    assert SocialAccount.objects.get().user == users["viewer"]
    assert told("user.signed_in")[0]["after"] == {"by": [settings.OIDC_PROVIDER]}
    give_address("viewer", "new@example.org")
    assert come_in(Client(), "viewer@example.org").status_code == 302
    assert len(told("user.identity_connected")) == 1


def test_an_address_that_is_not_verified_opens_no_account(client, users):
    give_address("viewer", "unverified@example.org")

    answer = come_in(client, "unverified@example.org")

    assert answer.status_code == 403
    assert "has not verified your mail address" in words(answer)
    assert not SocialAccount.objects.exists()
    assert told("user.sign_in_failed")[0]["after"] == {"by": "identity"}


def test_two_accounts_of_one_address_open_neither(client, users):
    give_address("viewer", "both@example.org")
    give_address("editor", "both@example.org")

    assert come_in(client, "both@example.org").status_code == 403


@pytest.mark.parametrize("makes", [False, True])
def test_strangers_are_given_an_account_only_where_that_is_configured(client, users, makes):
    with override_settings(OIDC_MAKES_ACCOUNTS=makes):
        answer = come_in(client, "stranger@example.org")

    assert answer.status_code == (302 if makes else 403)
    stranger = User.objects.filter(email="stranger@example.org").first()
    assert (stranger is not None) == makes
    if stranger is not None:
        assert stranger.username == "stranger"
        assert not stranger.has_usable_password()
        assert not stranger.memberships.exists()
        assert client.get("/account").status_code == 200


def test_an_account_that_is_switched_off_is_not_made_anew(client, users):
    give_address("viewer", "viewer@example.org")
    submit(EditUser(username="viewer", is_active=False), actor=OPERATOR)

    with override_settings(OIDC_MAKES_ACCOUNTS=True):
        assert come_in(client, "viewer@example.org").status_code == 403


def test_only_people_of_the_domains_named_come_in(client, users):
    give_address("viewer", "viewer@example.org")

    with override_settings(OIDC_DOMAINS=["example.com"]):
        assert come_in(client, "viewer@example.org").status_code == 403


def test_who_is_signed_in_connects_an_identity_and_disconnects_it(client, users):
    sign_in(client)
    client.post("/account/confirm/password", {"password": PASSWORD})

    leading = client.post("/account/identities/connect")
    begin = re.search(r'href="(/sign-in/with\?process=connect)"', leading.content.decode())[1]
    assert come_in(client, "me@elsewhere.example", begin=begin)["Location"] == "/account/signing-in"

    identity = SocialAccount.objects.get(user=users["viewer"])
    assert come_in(Client(), "me@elsewhere.example").status_code == 302
    client.post(f"/account/identities/{identity.pk}/disconnect")
    assert come_in(Client(), "me@elsewhere.example").status_code == 403


def test_no_link_connects_an_identity_to_whoever_follows_it(client, users):
    sign_in(client)

    answer = come_in(client, "attacker@example.org", begin="/sign-in/with?process=connect")

    assert answer.status_code == 403
    assert not SocialAccount.objects.exists()


def test_a_provider_that_is_away_is_told(client, users):
    with override_settings(**configured("http://127.0.0.1:1")):
        answer = client.get("/sign-in/with")

    assert answer.status_code == 503
    assert "cannot be reached" in words(answer)

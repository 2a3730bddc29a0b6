"""Coming in by OpenID Connect, with a real identity provider on loopback (npm's oidc-provider)."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from allauth.socialaccount.models import SocialAccount
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, override_settings

from flags.changes import CreateInvitation, EditUser, submit
from flags.models import Invitation, User
from flagsite import environment
from flagsite.environment import IdentityProvider
from tests.cast import OPERATOR, PASSWORD
from tests.served import free_port
from tests.sign_in.test_passwords import sign_in, told, words

pytestmark = pytest.mark.django_db
FOLDER = Path(__file__).with_name("identity_provider")


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with provided("example") as address:
        yield address


@pytest.fixture(scope="module")
def another_issuer() -> Iterator[str]:
    with provided("other") as address:
        yield address


@contextmanager
def provided(name: str) -> Iterator[str]:
    """The issuer of the provider that package-lock.json pins, installed by the first run."""
    if not (FOLDER / "node_modules" / "oidc-provider").exists():
        install = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(install, cwd=FOLDER, check=True, timeout=100)
    port = free_port()
    process = subprocess.Popen(
        ["node", "provider.mjs", str(port), callback_of(name)],
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


def callback_of(name: str) -> str:
    return f"http://testserver/sign-in/with/{name}/callback"


@pytest.fixture(autouse=True)
def _configured(issuer):
    cache.clear()
    with override_settings(**configured(example(issuer))):
        yield


def example(issuer: str, **different: Any) -> IdentityProvider:
    return IdentityProvider(
        **{
            "name": "example",
            "title": "Example",
            "issuer": issuer,
            "client_id": "flagsite",
            "client_secret": "a secret of the tests",
            "domains": ("*",),
            "makes_accounts": False,
            **different,
        }
    )


def configured(*providers: IdentityProvider) -> dict[str, Any]:
    """The settings of a site with these providers."""
    apps = [
        {
            "provider_id": provider.id,
            "name": provider.title,
            "client_id": provider.client_id,
            "secret": provider.client_secret,
            "settings": {"server_url": provider.issuer},
        }
        for provider in providers
    ]
    return {
        "OIDC_PROVIDERS": {provider.id: provider for provider in providers},
        "SOCIALACCOUNT_PROVIDERS": {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": apps}},
    }


def come_in(client: Client, address: str, *, begin: str = "/sign-in/with/example"):
    """Sign in at the provider as this person; what the callback answers."""
    name = re.match("/sign-in/with/([a-z]+)", begin)[1]
    with httpx.Client() as browser:
        answer = browser.get(client.get(begin)["Location"])
        while True:
            if answer.has_redirect_location:
                place = str(answer.url.join(answer.headers["Location"]))
                if place.startswith(callback_of(name)):
                    return client.get(f"{urlsplit(place).path}?{urlsplit(place).query}")
                answer = browser.get(place)
            else:
                form = re.search(r'action="([^"]+)"', answer.text)[1]
                prompt = re.search(r'name="prompt" value="([^"]+)"', answer.text)[1]
                typed = {"prompt": prompt, "login": address, "password": "any"}
                answer = browser.post(form, data=typed)


def give_address(name: str, address: str) -> None:
    submit(EditUser(username=name, email=address), actor=OPERATOR)


def test_an_account_is_matched_by_its_verified_address_and_then_by_identity(client, users, issuer):
    give_address("viewer", "Viewer@example.org")
    assert "Continue with Example" in words(client.get("/sign-in"))

    assert come_in(client, "viewer@example.org", begin="/sign-in/with/example?next=/account")[
        "Location"
    ] == ("/account")

    assert "viewer" in words(client.get("/account"))
    assert SocialAccount.objects.get().user == users["viewer"]
    assert told("user.signed_in")[0]["after"] == {"by": [example(issuer).id]}
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
def test_strangers_are_given_an_account_only_where_that_is_configured(client, users, issuer, makes):
    with override_settings(**configured(example(issuer, makes_accounts=makes))):
        answer = come_in(client, "stranger@example.org")

    assert answer.status_code == (302 if makes else 403)
    stranger = User.objects.filter(email="stranger@example.org").first()
    assert (stranger is not None) == makes
    if stranger is not None:
        assert stranger.username == "stranger"
        assert not stranger.has_usable_password()
        assert not stranger.memberships.exists()
        assert client.get("/account").status_code == 200


def test_an_account_that_is_switched_off_is_not_made_anew(client, users, issuer):
    give_address("viewer", "viewer@example.org")
    submit(EditUser(username="viewer", is_active=False), actor=OPERATOR)

    with override_settings(**configured(example(issuer, makes_accounts=True))):
        assert come_in(client, "viewer@example.org").status_code == 403


def test_only_people_of_the_domains_named_come_in(client, users, issuer):
    give_address("viewer", "viewer@example.org")

    with override_settings(**configured(example(issuer, domains=("example.com",)))):
        assert come_in(client, "viewer@example.org").status_code == 403


def test_who_is_signed_in_connects_an_identity_and_disconnects_it(client, users):
    sign_in(client)
    client.post("/account/confirm/password", {"password": PASSWORD})

    leading = client.post("/account/identities/example/connect")
    begin = re.search(r'href="(/sign-in/with/example\?process=connect)"', leading.content.decode())[
        1
    ]
    assert come_in(client, "me@elsewhere.example", begin=begin)["Location"] == "/account/signing-in"

    identity = SocialAccount.objects.get(user=users["viewer"])
    assert come_in(Client(), "me@elsewhere.example").status_code == 302
    client.post(f"/account/identities/{identity.pk}/disconnect")
    assert come_in(Client(), "me@elsewhere.example").status_code == 403


def test_no_link_connects_an_identity_to_whoever_follows_it(client, users):
    sign_in(client)

    answer = come_in(client, "attacker@example.org", begin="/sign-in/with/example?process=connect")

    assert answer.status_code == 403
    assert not SocialAccount.objects.exists()


def test_a_provider_that_is_away_is_told(client, users):
    with override_settings(**configured(example("http://127.0.0.1:1"))):
        answer = client.get("/sign-in/with/example")

    assert answer.status_code == 503
    assert "cannot be reached" in words(answer)


@pytest.fixture
def two(issuer, another_issuer):
    """Beside the first, another provider that is believed about no domain."""
    other = example(another_issuer, name="other", title="Other", domains=())
    with override_settings(**configured(example(issuer), other)):
        yield other


OTHER = "/sign-in/with/other"


def test_each_provider_has_its_button_and_its_own_identities(client, users, two):
    give_address("viewer", "viewer@example.org")
    page = words(client.get("/sign-in"))
    assert "Continue with Example" in page
    assert "Continue with Other" in page
    come_in(client, "viewer@example.org")
    client.post("/account/confirm/password", {"password": PASSWORD})

    client.post("/account/identities/other/connect")
    come_in(client, "me@elsewhere.example", begin=f"{OTHER}?process=connect")

    assert come_in(Client(), "me@elsewhere.example", begin=OTHER).status_code == 302
    assert come_in(Client(), "me@elsewhere.example").status_code == 403
    page = words(client.get("/account/signing-in"))
    assert [page.count(f"Disconnect {title}") for title in ("Example", "Other")] == [1, 1]


def test_a_provider_that_is_not_believed_finds_no_account_by_an_address(client, users, two):
    give_address("viewer", "viewer@example.org")

    answer = come_in(client, "viewer@example.org", begin=OTHER)

    assert answer.status_code == 403
    assert "Sign in another way, and connect it" in words(answer)
    assert not SocialAccount.objects.exists()


def test_an_account_by_a_provider_that_is_not_believed_claims_no_address(project, admin, two):
    invited = CreateInvitation(project="shop", email="x@example.org", role="viewer", mailed=True)
    submit(invited, actor=admin)
    client = Client()
    client.get(f"/invitations/{Invitation.objects.get().token}")

    come_in(client, "chief@example.org", begin=OTHER)

    assert client.get("/account").status_code == 200
    assert SocialAccount.objects.get().user.email == ""


def test_asking_to_connect_one_provider_connects_no_other(client, users, two):
    sign_in(client)
    client.post("/account/confirm/password", {"password": PASSWORD})
    client.post("/account/identities/example/connect")

    answer = come_in(client, "me@elsewhere.example", begin=f"{OTHER}?process=connect")

    assert answer.status_code == 403
    assert not SocialAccount.objects.exists()


def test_the_last_way_in_is_kept(client, users, issuer, two):
    with override_settings(**configured(example(issuer, makes_accounts=True))):
        come_in(client, "stranger@example.org")
    stranger = User.objects.get(username="stranger")
    identity = SocialAccount.objects.get(user=stranger)
    # By a provider that the site uses no longer nobody comes in.
    SocialAccount.objects.create(user=stranger, provider="former", uid="1")

    answer = client.post(f"/account/identities/{identity.pk}/disconnect")

    assert answer.status_code == 409
    assert "set a password first" in words(answer)
    assert SocialAccount.objects.filter(pk=identity.pk).exists()


def test_providers_are_read_from_the_environment(monkeypatch):
    def given(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setitem(environment.VARIABLES, name, value)

    ids = {"ISSUER": "https://okta.example/", "CLIENT_ID": "c", "CLIENT_SECRET": "s"}
    given(PROVIDERS="okta", **{f"FLAGSITE_OIDC_OKTA_{name}": value for name, value in ids.items()})
    (provider,) = environment.identity_providers("PROVIDERS").values()

    assert (provider.title, provider.issuer) == ("Okta", "https://okta.example")
    assert not provider.speaks_for("x@example.org")
    given(FLAGSITE_OIDC_OKTA_MAKES_ACCOUNTS="1")
    with pytest.raises(ImproperlyConfigured, match="OKTA_DOMAINS"):
        environment.identity_providers("PROVIDERS")
    given(FLAGSITE_OIDC_OKTA_DOMAINS="Example.org")
    (provider,) = environment.identity_providers("PROVIDERS").values()
    assert provider.speaks_for("x@example.org")
    given(PROVIDERS="Not-a-name")
    with pytest.raises(ImproperlyConfigured, match="small letters"):
        environment.identity_providers("PROVIDERS")

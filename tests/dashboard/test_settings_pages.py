"""Settings of a project and of a person's own account: by submit, errors at the field."""

import html
import re
from dataclasses import replace

import pytest
from django.test import Client

from flags.changes import ChangePassword, EditEnvironment, EditUser, submit
from flags.errors import Denied
from flags.models import ApiToken, Environment, Membership, Project, SdkKey
from flags.models.secrets import hash_of
from tests.cast import PASSWORD

pytestmark = pytest.mark.django_db

PRODUCTION = "/p/shop/settings/environments/production"


@pytest.fixture
def browser(client: Client, users, project):
    def signed_in_as(name: str = "admin") -> Client:
        client.force_login(users[name])
        return client

    return signed_in_as


def text_of(response) -> str:
    body = re.sub(r"<[^>]+>", " ", response.content.decode())
    return html.unescape(re.sub(r"\s+", " ", body))


def environment(key="production") -> Environment:
    return Environment.objects.get(project__key="shop", key=key)


ALL_PAGES = [
    "/p/shop/settings",
    "/p/shop/settings/environments",
    PRODUCTION,
    "/p/shop/settings/members",
]


@pytest.mark.parametrize("page", ALL_PAGES)
@pytest.mark.parametrize("name", ["owner", "admin", "editor", "viewer"])
def test_members_see_settings_and_only_admins_their_forms(browser, page, name):
    response = browser(name).get(page)

    assert response.status_code == 200
    may = name in ("owner", "admin")
    assert ('class="btn btn-primary"' in response.content.decode()) == may
    assert ("this needs admin" in text_of(response)) != may


@pytest.mark.parametrize("page", ALL_PAGES)
def test_outsiders_see_no_settings(browser, page):
    assert browser("outsider").get(page).status_code == 404


CHANGES = [
    ("/p/shop/settings", {"name": "Mine"}),
    ("/p/shop/settings/environments", {"key": "qa", "name": "QA"}),
    (f"{PRODUCTION}/move", {"direction": "earlier"}),
    (PRODUCTION, {"name": "Live"}),
    (f"{PRODUCTION}/delete", {"confirmation": "production"}),
    (f"{PRODUCTION}/keys/create", {"kind": "server"}),
    ("/p/shop/settings/members", {"username": "outsider", "role": "admin"}),
    ("/p/shop/settings/members/remove", {"username": "viewer"}),
]


@pytest.mark.parametrize(("address", "sent"), CHANGES)
def test_what_editors_send_to_settings_is_refused(browser, address, sent):
    response = browser("editor").post(address, sent)

    assert response.status_code == 403
    assert "this needs admin" in text_of(response)
    assert Project.objects.get(key="shop").name == "Shop"
    assert environment().name == "Production"
    assert Environment.objects.count() == 3
    assert SdkKey.objects.count() == 0
    assert Membership.objects.count() == 4


def test_a_project_gets_another_name(browser, project):
    browser().post("/p/shop/settings", {"name": "Our shop", "revision": project.revision})

    assert Project.objects.get(key="shop").name == "Our shop"


def test_a_project_edited_meanwhile_is_not_overwritten(browser, project):
    page = browser()
    page.post("/p/shop/settings", {"name": "First", "revision": project.revision})

    response = page.post("/p/shop/settings", {"name": "Second", "revision": project.revision})

    assert response.status_code == 409
    assert "somebody edited it meanwhile" in text_of(response)
    assert 'value="Second"' in response.content.decode()
    assert Project.objects.get(key="shop").name == "First"


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_project_needs_a_name_that_fits(browser, project, name):
    response = browser().post("/p/shop/settings", {"name": name, "revision": project.revision})

    assert response.status_code == 422
    assert 'aria-invalid="true"' in response.content.decode()
    assert "expected" in text_of(response)


# Environments


def test_an_environment_is_made_last(browser):
    browser().post("/p/shop/settings/environments", {"key": "qa", "name": "QA"})

    assert list(Environment.objects.values_list("key", flat=True))[-1] == "qa"


@pytest.mark.parametrize(
    ("key", "status", "said"),
    [
        ("production", 409, "there is an environment production"),
        ("no spaces", 422, "expected up to 200 letters"),
        ("", 422, "expected up to 200 letters"),
    ],
)
def test_a_bad_key_is_said_at_the_key_and_nothing_typed_is_lost(browser, key, status, said):
    response = browser().post("/p/shop/settings/environments", {"key": key, "name": "Typed name"})

    assert response.status_code == status
    assert said in text_of(response)
    field = re.search(r'<input[^>]*id="key"[^>]*>', response.content.decode())
    assert 'aria-invalid="true"' in field[0]
    assert 'value="Typed name"' in response.content.decode()


def test_environments_are_put_in_another_order(browser):
    page = browser()

    page.post(f"{PRODUCTION}/move", {"direction": "earlier"})
    assert list(Environment.objects.values_list("key", flat=True)) == [
        "development",
        "production",
        "staging",
    ]

    page.post("/p/shop/settings/environments/development/move", {"direction": "earlier"})
    page.post(f"{PRODUCTION}/move", {"direction": "later"})
    assert list(Environment.objects.values_list("key", flat=True)) == [
        "development",
        "staging",
        "production",
    ]


def test_an_environment_is_renamed_and_guarded(browser):
    page = browser()
    revision = environment().revision

    page.post(PRODUCTION, {"name": "Live", "requires_approval": "on", "revision": revision})

    assert environment().name == "Live"
    assert environment().requires_approval


def test_lifting_the_guard_is_itself_a_request(browser, admin):
    submit(
        EditEnvironment(project="shop", environment="production", requires_approval=True),
        actor=admin,
    )
    sent = {"name": "Production", "revision": environment().revision}

    page = browser("admin").post(PRODUCTION, {**sent, "reason": "It moved"}, follow=True)

    assert "Sent for approval as request #1" in text_of(page)
    assert environment().requires_approval


def test_an_environment_is_deleted_only_when_its_key_was_typed(browser):
    page = browser()

    response = page.post(f"{PRODUCTION}/delete", {"confirmation": "prod"})
    assert response.status_code == 422
    assert "expected production, got prod" in text_of(response)
    assert Environment.objects.filter(key="production").exists()

    page.post(f"{PRODUCTION}/delete", {"confirmation": "production"})
    assert not Environment.objects.filter(key="production").exists()


def test_an_environment_that_is_not_there_has_no_page(browser):
    assert browser().get("/p/shop/settings/environments/nowhere").status_code == 404


# SDK keys


def test_the_secret_of_a_key_is_shown_once_and_kept_by_nobody(browser):
    page = browser()

    response = page.post(f"{PRODUCTION}/keys/create", {"kind": "server", "key_name": "checkout"})

    secret = re.search(r"fss_[0-9a-f]{12}_[\w-]{43}", response.content.decode())
    key = SdkKey.objects.get(environment=environment())
    assert secret
    assert key.hash == hash_of(secret[0])
    assert key.name == "checkout"
    assert "no-store" in response["Cache-Control"]
    assert secret[0] not in page.get(PRODUCTION).content.decode()
    assert key.public_id in page.get(PRODUCTION).content.decode()


def test_a_kind_of_key_that_does_not_exist_is_refused_at_its_field(browser):
    response = browser().post(f"{PRODUCTION}/keys/create", {"kind": "root"})

    assert response.status_code == 422
    assert "expected one of server, client" in text_of(response)
    assert SdkKey.objects.count() == 0


def test_a_key_is_revoked(browser):
    page = browser()
    page.post(f"{PRODUCTION}/keys/create", {"kind": "client"})
    key = SdkKey.objects.get()

    response = page.post(f"{PRODUCTION}/keys/{key.public_id}/revoke", follow=True)

    key.refresh_from_db()
    assert key.revoked_at is not None
    assert "revoked" in text_of(response)
    assert page.post(f"{PRODUCTION}/keys/fss_none/revoke").status_code == 404


# Members


def test_a_member_is_added_given_a_role_and_removed(browser, users):
    page = browser()

    def role():
        member = Membership.objects.filter(user=users["outsider"]).first()
        return member and member.role

    page.post("/p/shop/settings/members", {"username": "outsider", "role": "viewer"})
    assert role() == "viewer"
    page.post("/p/shop/settings/members", {"username": "outsider", "role": "editor"})
    assert role() == "editor"
    page.post("/p/shop/settings/members/remove", {"username": "outsider"})
    assert role() is None


def test_an_unknown_username_is_said_at_the_username(browser):
    response = browser().post("/p/shop/settings/members", {"username": "nobody", "role": "viewer"})

    field = re.search(r'<input[^>]*id="username"[^>]*>', response.content.decode())
    assert response.status_code == 404
    assert "there is no account nobody" in text_of(response)
    assert 'aria-invalid="true"' in field[0]


def test_an_unknown_role_is_refused(browser):
    response = browser().post("/p/shop/settings/members", {"username": "editor", "role": "king"})

    assert response.status_code == 422
    assert "expected one of viewer, editor, reviewer, admin" in text_of(response)


# One's own account


def test_the_profile_says_who_one_is_and_where(browser):
    page = text_of(browser("editor").get("/account"))

    assert "editor" in page
    assert "Shop" in page


NEW_PASSWORD = "another long password for tests"


def new_password(**typed):
    return {"current": PASSWORD, "password": NEW_PASSWORD, "again": NEW_PASSWORD, **typed}


def test_people_change_their_own_password_and_stay_signed_in(browser, users):
    page = browser("viewer")

    assert page.post("/account/signing-in", new_password()).status_code == 302

    assert page.get("/account").status_code == 200
    users["viewer"].refresh_from_db()
    assert users["viewer"].check_password(NEW_PASSWORD)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"current": "guess"}, "not your current password"),
        ({"again": "something else entirely"}, "once more"),
        ({"password": "12345", "again": "12345"}, "too short"),
        ({"password": "", "again": ""}, "too short"),
    ],
)
def test_a_password_is_not_changed_by_guessing_or_to_a_weak_one(browser, users, typed, said):
    response = browser("viewer").post("/account/signing-in", new_password(**typed))

    assert response.status_code == 422
    assert said in text_of(response)
    assert NEW_PASSWORD not in response.content.decode()
    users["viewer"].refresh_from_db()
    assert users["viewer"].check_password(PASSWORD)


@pytest.mark.parametrize(
    "change",
    [
        EditUser(username="viewer", is_superuser=True),
        EditUser(username="viewer", password_hash="x"),
        EditUser(username="viewer", is_active=False),
        ChangePassword(username="editor", password_hash="x"),
    ],
)
def test_nobody_changes_more_than_their_own_password(viewer, change):
    with pytest.raises(Denied):
        submit(change, actor=viewer)


def test_a_token_changes_no_password(viewer):
    by_token = replace(
        viewer, token="fst_1", scopes=frozenset({"read", "propose", "apply", "admin"})
    )

    with pytest.raises(Denied):
        submit(ChangePassword(username="viewer", password_hash="x"), actor=by_token)


def test_a_token_is_shown_once_and_revoked(browser, users):
    page = browser("editor")

    response = page.post(
        "/account/tokens",
        {"name": "deploys", "scopes": ["read", "propose", "apply"], "lifetime": "30"},
    )

    secret = re.search(r"fst_[0-9a-f]{12}_[\w-]{43}", response.content.decode())
    token = ApiToken.objects.get(user=users["editor"])
    assert secret
    assert token.hash == hash_of(secret[0])
    assert token.scopes == ["apply", "propose", "read"]
    assert token.expires_at is not None
    assert secret[0] not in page.get("/account/tokens").content.decode()

    page.post(f"/account/tokens/{token.public_id}/revoke")
    token.refresh_from_db()
    assert token.revoked_at is not None


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"name": "", "scopes": "read", "lifetime": "30"}, "expected a name"),
        ({"name": "x", "lifetime": "30"}, "expected some of read, propose, apply, review, admin"),
        (
            {"name": "x", "scopes": "root", "lifetime": "30"},
            "expected some of read, propose, apply, review, admin",
        ),
        ({"name": "x", "scopes": "read", "lifetime": "7"}, "expected one of the lifetimes"),
    ],
)
def test_a_token_that_says_too_little_is_refused_at_its_field(browser, sent, said):
    response = browser("editor").post("/account/tokens", sent)

    assert response.status_code == 422
    assert said in text_of(response)
    assert "field-problem" in response.content.decode()
    assert ApiToken.objects.count() == 0


def test_nobody_sees_or_revokes_tokens_of_others(browser, users):
    browser("editor").post("/account/tokens", {"name": "mine", "scopes": "read", "lifetime": ""})
    token = ApiToken.objects.get()
    other = browser("viewer")

    assert token.public_id not in other.get("/account/tokens").content.decode()
    assert other.post(f"/account/tokens/{token.public_id}/revoke").status_code == 403
    token.refresh_from_db()
    assert token.revoked_at is None


@pytest.mark.parametrize("page", ["/account", "/account/signing-in", "/account/tokens"])
def test_own_pages_ask_for_a_sign_in(client, db, page):
    assert client.get(page).status_code == 302

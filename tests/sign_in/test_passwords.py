"""Signing in with a password: where it leads, what is recorded, and what guessing meets."""

import html
import re
from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import Event
from flags.changes import EditUser, submit
from flags.models import User
from tests.cast import OPERATOR, PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_counted():
    cache.clear()
    yield
    cache.clear()


def sign_in(client: Client, name: str = "viewer", password: str = PASSWORD, **more: str):
    address = more.pop("address", "192.0.2.1")
    typed = {"login": name, "password": password, **more}
    return client.post("/sign-in", typed, REMOTE_ADDR=address)


def words(response) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())))


def told(kind: str) -> list[dict]:
    """The effects of this kind, the oldest first."""
    events = Event.objects.filter(stream="site").order_by("version")
    return [effect for event in events for effect in event.effects if effect["kind"] == kind]


def test_signing_in_leads_on_to_the_page_asked_for(client, project):
    assert sign_in(client, next="/p/shop/segments")["Location"] == "/p/shop/segments"


@pytest.mark.parametrize("place", ["https://elsewhere.example/", "//elsewhere.example/"])
def test_signing_in_never_leads_to_another_site(client, project, place):
    assert sign_in(client, next=place)["Location"] == "/"


def test_coming_and_going_are_told_without_a_word_about_the_person(client, users):
    sign_in(client)
    client.post("/sign-out")

    (came,), (went,) = told("user.signed_in"), told("user.signed_out")
    assert came["after"] == {"by": ["password"]}
    assert came["subject"] == went["subject"] == f"user:{users['viewer'].pk}"
    assert all(b"viewer" not in bytes(event.canonical) for event in Event.objects.all())
    assert client.get("/account").status_code == 302


def test_a_mail_address_is_as_good_as_the_username(client, users):
    submit(EditUser(username="viewer", email="Viewer@Example.org"), actor=OPERATOR)

    assert sign_in(client, "viewer@example.org").status_code == 302


def test_a_wrong_password_does_not_say_what_was_wrong(client, users):
    answers = {words(sign_in(client, name, "guess")).replace(name, "") for name in ("viewer", "x")}

    assert len(answers) == 1
    assert [row["subject"] for row in told("user.sign_in_failed")] == [
        f"user:{users['viewer'].pk}",
        "user:unknown",
    ]
    assert sign_in(client, "viewer", "guess").status_code == 422


def test_an_account_that_is_switched_off_has_no_way_in(client, users):
    submit(EditUser(username="viewer", is_active=False), actor=OPERATOR)

    assert sign_in(client)["Location"] == "/sign-in/inactive"
    assert client.get("/account").status_code == 302
    assert told("user.sign_in_failed")[0]["after"] == {"by": "inactive"}


def test_guessing_at_an_account_is_slowed_from_the_address_it_comes_from(client, users):
    answers = [sign_in(client, "viewer", "guess").status_code for _ in range(6)]

    assert answers == [422] * 5 + [429]
    assert sign_in(client).status_code == 429
    assert sign_in(Client(), address="192.0.2.2").status_code == 302


@pytest.mark.parametrize(
    ("name", "home", "near"),
    [("viewer", "192.0.2.1", "192.0.2.1"), ("Viewer", "2001:db8::1", "2001:db8::2")],
)
def test_guessing_from_everywhere_locks_nobody_out_where_they_are_signed_in(
    client, users, name, home, near
):
    User.objects.filter(username="viewer").update(username=name)
    sign_in(client, name, address=home)
    for number in range(52):
        last = sign_in(Client(), name, "guess", address=f"198.51.100.{number}")

    assert last.status_code == 429
    assert sign_in(Client(), name, address="2001:db8:1::1").status_code == 429
    assert sign_in(Client(), name, address=near).status_code == 302


def test_an_address_that_guesses_at_many_accounts_is_slowed(client, users):
    answers = [sign_in(client, f"name-{number}", "guess").status_code for number in range(31)]

    assert answers == [422] * 30 + [429]
    assert sign_in(client).status_code == 429


@pytest.mark.parametrize(
    ("form", "slowed"),
    [("2001:db8::{}", True), ("::ffff:192.0.2.1", True), ("2001:db8:0:{}::1", False)],
)
def test_a_network_of_ipv6_counts_as_one_address(users, form, slowed):
    for number in range(5):
        sign_in(Client(), "viewer", "guess", address=form.format(number + 1))

    last = form.format(9) if "{" in form else "192.0.2.1"
    assert (sign_in(Client(), address=last).status_code == 429) == slowed


@pytest.mark.parametrize(("proxies", "slowed"), [(0, True), (1, False)])
def test_the_address_behind_a_proxy_is_believed_only_where_one_is_configured(
    users, proxies, slowed
):
    with override_settings(ALLAUTH_TRUSTED_PROXY_COUNT=proxies):
        for number in range(6):
            answer = Client().post(
                "/sign-in",
                {"login": "viewer", "password": "guess"},
                headers={"X-Forwarded-For": f"198.51.100.{number}"},
            )

    assert (answer.status_code == 429) == slowed


def test_without_the_cache_people_sign_in_all_the_same(client, users):
    nowhere = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}

    with override_settings(CACHES={**settings.CACHES, "default": nowhere}):
        refused, let_in = sign_in(client, "viewer", "guess"), sign_in(client)

    assert (refused.status_code, let_in.status_code) == (422, 302)


def test_sessions_are_listed_and_signed_out_one_by_one(users):
    here, there = Client(HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux) Firefox/140.0"), Client()
    sign_in(here)
    sign_in(there, address="192.0.2.77")
    other = UserSession.objects.get(ip="192.0.2.77")

    page = words(here.get("/account/signing-in"))
    assert "Firefox on Linux" in page
    assert re.search("Last seen .* from 192.0.2.77, signed in", page)
    here.post(f"/account/sessions/{other.pk}/revoke")

    assert here.get("/account").status_code == 200
    assert there.get("/account").status_code == 302
    assert told("user.sessions_revoked")[0]["before"] == {"sessions": 1}


def test_when_and_where_a_browser_was_last_seen_is_written_once_in_five_minutes(users):
    here, there = Client(), Client()
    sign_in(here)
    sign_in(there, address="192.0.2.77")
    before = timezone.now() - timedelta(minutes=20)
    UserSession.objects.update(last_seen_at=before)
    events = Event.objects.count()
    cache.clear()

    with CaptureQueriesContext(connection) as first:
        there.get("/account", REMOTE_ADDR="192.0.2.78", HTTP_USER_AGENT="Firefox/140.0")
    with CaptureQueriesContext(connection) as second:
        there.get("/account", REMOTE_ADDR="192.0.2.79")

    seen = UserSession.objects.get(ip="192.0.2.78")
    assert seen.last_seen_at > before
    assert UserSession.objects.exclude(pk=seen.pk).get().last_seen_at == before
    assert [len([q for q in one if q["sql"].startswith("UPDATE")]) for one in (first, second)] == [
        1,
        0,
    ]
    assert "Firefox" in words(here.get("/account/signing-in"))
    assert Event.objects.count() == events


def test_a_site_administrator_signs_a_person_out_everywhere(users):
    theirs, others, admin = Client(), Client(), Client()
    for client, name in ((theirs, "viewer"), (others, "editor"), (admin, "owner")):
        sign_in(client, name)

    chosen = {"action": "end_sessions", "_selected_action": [users["viewer"].pk]}
    admin.post("/admin/flags/user/", chosen)

    assert theirs.get("/account").status_code == 302
    assert others.get("/account").status_code == 200
    assert told("user.sessions_revoked")[0]["before"] == {"sessions": 1}


def test_nobody_signs_somebody_else_out(users):
    mine, theirs = Client(), Client()
    sign_in(mine)
    sign_in(theirs, "editor")
    session = UserSession.objects.get(user=users["editor"])

    assert mine.post(f"/account/sessions/{session.pk}/revoke").status_code == 404
    assert theirs.get("/account").status_code == 200


def test_all_other_sessions_end_at_once_and_with_the_password(users):
    here, there = Client(), Client()
    sign_in(here)
    sign_in(there)
    here.post("/account/sessions/others/revoke")
    assert there.get("/account").status_code == 302

    sign_in(there)
    new = "another long password"
    here.post("/account/signing-in", {"current": PASSWORD, "password": new, "again": new})

    assert there.get("/account").status_code == 302
    assert here.get("/account").status_code == 200
    assert UserSession.objects.filter(user=users["viewer"]).count() == 1
    assert len(told("user.password_changed")) == 1


def test_who_found_an_open_session_does_not_guess_its_password(client, users):
    client.force_login(users["viewer"])
    new = "another long password"
    for current in (*["guess"] * 5, PASSWORD):
        sent = {"current": current, "password": new, "again": new}
        answer = client.post("/account/signing-in", sent)

    assert answer.status_code == 422
    assert "tried too often" in words(answer)
    assert not told("user.password_changed")


def test_the_admin_has_no_way_in_of_its_own(client, users):
    answer = client.get("/admin/")

    assert client.get(answer["Location"])["Location"] == "/sign-in?next=%2Fadmin%2F"
    assert (
        client.post("/admin/login/", {"username": "owner", "password": PASSWORD}).status_code == 302
    )
    assert not User.objects.exclude(last_login=None).exists()
    sign_in(client, "viewer")
    assert client.get("/admin/login/").status_code == 403
    client.post("/admin/logout/")
    assert len(told("user.signed_out")) == 1

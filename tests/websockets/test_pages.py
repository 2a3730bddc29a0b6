"""/ws/live: pages hear of every event of their project, as long as they may."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from flags.changes import CreateEnvironment, EditFlag, EditUser, RemoveMember, SwitchFlag
from flags.models import Project, User
from tests.served import OPERATOR, Served, change, close_code, next_frame, served


def signed_in(user: User) -> SessionStore:
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return session


def a_page(server: Served, session: SessionStore | None, **options: Any) -> ClientConnection:
    headers = {"Cookie": f"sessionid={session.session_key}"} if session else {}
    options = {"origin": server.url, **options}
    return server.websocket("/ws/live?project=shop", additional_headers=headers, **options)


def test_a_page_is_told_who_changed_what_and_where(
    server: Served, project: Project, users: dict[str, User], a_flag: Callable[..., Any]
) -> None:
    a_flag()
    with a_page(server, signed_in(users["viewer"])) as page:
        greeting = next_frame(page)

        outcome = change(
            SwitchFlag(project="shop", environment="staging", flag="new-checkout", on=True)
        )
        switched = next_frame(page)
        change(EditFlag(project="shop", flag="new-checkout", description="New"))
        edited = next_frame(page)

        assert greeting == {"type": "hello", "project": "shop"}
        assert switched.pop("at")
        assert switched == {
            "type": "changed",
            "environment": "staging",
            "version": outcome.versions["staging"],
            "subjects": ["flag:new-checkout"],
            "kinds": ["flag.switched"],
            "by": OPERATOR.name,
        }
        assert (edited["environment"], edited["kinds"]) == (None, ["flag.edited"])


def test_an_environment_made_later_is_followed_too(
    server: Served, project: Project, users: dict[str, User], a_flag: Callable[..., Any]
) -> None:
    a_flag()
    with a_page(server, signed_in(users["viewer"])) as page:
        next_frame(page)
        change(CreateEnvironment(project="shop", key="canary"))
        assert "environment:canary" in next_frame(page)["subjects"]

        change(SwitchFlag(project="shop", environment="canary", flag="new-checkout", on=True))

        frame = next_frame(page)
        while frame["environment"] != "canary" or "flag.switched" not in frame["kinds"]:
            frame = next_frame(page)


def test_a_lost_hint_is_made_up_for(
    server: Served, project: Project, users: dict[str, User], a_flag: Callable[..., Any]
) -> None:
    a_flag()
    with a_page(server, signed_in(users["viewer"])) as page:
        next_frame(page)

        change(EditFlag(project="shop", flag="new-checkout", name="New"), broadcast=False)

        assert next_frame(page)["subjects"] == ["flag:new-checkout"]


def test_who_is_not_signed_in_or_may_not_view_is_closed(
    server: Served, project: Project, users: dict[str, User]
) -> None:
    for session, code in ((None, 4401), (signed_in(users["outsider"]), 4403)):
        with a_page(server, session) as page:
            assert close_code(page) == code


def test_another_sites_page_is_refused(
    server: Served, project: Project, users: dict[str, User]
) -> None:
    for origin in ("https://elsewhere.example", None, "null", server.url + "0"):
        with pytest.raises(InvalidStatus) as refused:
            a_page(server, signed_in(users["viewer"]), origin=origin)

        assert refused.value.response.status_code == 403


def test_a_page_is_closed_soon_after_its_session_or_its_permission_ends(
    server: Served, project: Project, users: dict[str, User]
) -> None:
    session = signed_in(users["viewer"])
    with (
        a_page(server, session) as signed_out,
        a_page(server, signed_in(users["editor"])) as left,
        a_page(server, signed_in(users["reviewer"])) as switched_off,
    ):
        for page in (signed_out, left, switched_off):
            next_frame(page)

        session.flush()
        change(RemoveMember(project="shop", username="editor"))
        change(EditUser(username="reviewer", is_active=False))

        assert close_code(signed_out) == 4401
        assert close_code(left) == 4403
        assert close_code(switched_off) == 4401


def test_where_a_second_factor_is_required_who_has_none_hears_nothing(
    transactional_db: None, tmp_path: Path, project: Project, users: dict[str, User]
) -> None:
    Authenticator.objects.create(user=users["viewer"], type=Authenticator.Type.TOTP, data={})
    with served(tmp_path, FLAGSITE_REQUIRE_SECOND_FACTOR="1") as server:
        with a_page(server, signed_in(users["editor"])) as page:
            assert close_code(page) == 4403
        with a_page(server, signed_in(users["viewer"])) as page:
            assert next_frame(page)["type"] == "hello"

            Authenticator.objects.all().delete()

            assert close_code(page) == 4403


def test_where_pages_come_by_https_alone_a_page_without_it_is_another_sites(
    transactional_db: None, tmp_path: Path, project: Project, users: dict[str, User]
) -> None:
    with served(tmp_path, FLAGSITE_HTTPS="1") as server:
        session = signed_in(users["viewer"])
        with pytest.raises(InvalidStatus) as refused:
            a_page(server, session)
        with a_page(server, session, origin=server.url.replace("http:", "https:")) as page:
            assert next_frame(page)["type"] == "hello"

    assert refused.value.response.status_code == 403

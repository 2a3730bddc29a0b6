"""The list of flags: found, switched, taken back; and how many queries it costs."""

import html
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from flags.changes import (
    ArchiveFlag,
    ConfigureFlag,
    CreateProject,
    EditEnvironment,
    EditFlag,
    GrantLease,
    RestoreFlag,
    ReviewRequest,
    SwitchFlag,
    WithdrawRequest,
    submit,
)
from flags.dashboard.undo import way_back
from flags.models import Flag, FlagConfiguration, Lease, Request
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def signed_in(client: Client, users, project):
    def as_(name: str = "editor") -> Client:
        client.force_login(users[name])
        return client

    return as_


def words(response) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())))


def rows(response) -> list[str]:
    return re.findall(r'id="row-([^"]+)"', response.content.decode())


def is_on(flag: str, environment: str) -> bool:
    return FlagConfiguration.objects.get(flag__key=flag, environment__key=environment).enabled


def switch(client, flag="new-checkout", environment="production", *, on=True, **headers):
    return client.post(
        f"/p/shop/flags/{flag}/switch/{environment}",
        {"on": "true" if on else "false"},
        headers=headers,
    )


def test_who_is_not_signed_in_is_sent_to_sign_in(client, project):
    response = client.get("/p/shop/flags")

    assert response.status_code == 302
    assert response["Location"] == "/sign-in?next=/p/shop/flags"


def test_outsiders_find_no_such_project(signed_in, a_flag):
    a_flag()
    outsider = signed_in("outsider")

    assert outsider.get("/p/shop/flags").status_code == 404
    assert outsider.get("/p/shop/flags/new-checkout").status_code == 404
    assert switch(outsider).status_code == 404
    assert not is_on("new-checkout", "production")


def test_home_leads_to_the_only_project(signed_in):
    assert signed_in().get("/")["Location"] == "/p/shop/flags"


def test_home_leads_back_to_the_project_looked_at_last(signed_in):
    submit(CreateProject(project="depot"), actor=OPERATOR)
    owner = signed_in("owner")
    assert owner.get("/")["Location"] == "/projects"

    owner.get("/p/shop/flags")

    assert owner.get("/")["Location"] == "/p/shop/flags"


def test_a_site_administrator_makes_a_project_with_environments(signed_in):
    response = signed_in("owner").post("/projects", {"name": "Depot", "key": "depot"})

    assert response["Location"] == "/p/depot/flags"
    page = words(signed_in("owner").get("/p/depot/flags"))
    assert "No flag yet" in page
    assert "Staging" in page


def test_a_taken_project_key_is_said_and_what_was_typed_stays(signed_in):
    response = signed_in("owner").post("/projects", {"name": "Second shop", "key": "shop"})

    assert response.status_code == 409
    assert "there is a project shop already" in words(response)
    assert "Second shop" in response.content.decode()


def test_the_most_recently_changed_flag_comes_first(signed_in, a_flag):
    for key in ("first", "second", "third"):
        a_flag(key)
    submit(SwitchFlag(project="shop", environment="staging", flag="first", on=True), actor=OPERATOR)

    assert rows(signed_in().get("/p/shop/flags")) == ["first", "third", "second"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=checkout", {"new-checkout"}),
        ("q=CHECK+new", {"new-checkout"}),
        ("q=pricing", {"discount"}),
        ("state=on:production", {"new-checkout"}),
        ("state=off:production", {"discount", "banner"}),
        ("state=on:staging", set()),
        ("type=float", {"discount"}),
        ("tag=pricing", {"discount"}),
        ("owner=editor", {"banner"}),
        ("q=nothing-like-it", set()),
        ("q=%00", {"new-checkout", "discount", "banner"}),
        ("page=99999999999999", {"new-checkout", "discount", "banner"}),
    ],
)
def test_the_list_is_narrowed(signed_in, a_flag, query, found):
    a_flag("new-checkout", on=True)
    a_flag("discount", type="float", variations=[{"key": "ten", "value": 0.1}], tags=["pricing"])
    a_flag("banner", owner="editor")

    assert set(rows(signed_in().get(f"/p/shop/flags?{query}"))) == found


def test_archived_flags_are_apart(signed_in, a_flag):
    a_flag("kept")
    a_flag("gone")
    submit(ArchiveFlag(project="shop", flag="gone"), actor=OPERATOR)

    assert rows(signed_in().get("/p/shop/flags")) == ["kept"]
    assert rows(signed_in().get("/p/shop/flags?archived=1")) == ["gone"]


def test_a_thousand_flags_come_in_pages_for_the_same_queries(signed_in, project, a_flag):
    a_flag("original")
    editor = signed_in("editor")
    editor.get("/p/shop/flags")
    with CaptureQueriesContext(
        connection,
    ) as with_one:
        editor.get("/p/shop/flags")
    many_flags(1000)

    with CaptureQueriesContext(connection) as with_many:
        first = editor.get("/p/shop/flags")
    last = editor.get("/p/shop/flags?page=21")

    assert len(with_many) == len(with_one) <= 20
    assert len(rows(first)) == 50
    assert "1–50 of 1001" in words(first)
    assert len(rows(last)) == 1


def many_flags(count: int) -> None:
    """Rows as they would be; a thousand submits would only make the test slow."""
    original = Flag.objects.get(key="original")
    configurations = list(original.configurations.all())
    flags = []
    for number in range(count):
        fields = {f.attname: getattr(original, f.attname) for f in Flag._meta.concrete_fields}
        flags.append(Flag(**(fields | {"id": None, "key": f"flag-{number}"})))
        flags[-1].id = Flag._meta.pk.get_default()
    Flag.objects.bulk_create(flags)
    FlagConfiguration.objects.bulk_create(
        FlagConfiguration(
            flag=flag,
            environment_id=c.environment_id,
            fallthrough=c.fallthrough,
            changed_at=c.changed_at,
        )
        for flag in flags
        for c in configurations
    )


def test_switching_answers_with_the_row_and_an_undo(signed_in, a_flag):
    a_flag()
    editor = signed_in()

    response = switch(editor, on=True, **HTMX)

    assert is_on("new-checkout", "production")
    assert rows(response) == ["new-checkout"]
    assert "new-checkout is on in Production" in words(response)
    token = re.search(r'name="undo" value="([^"]+)"', response.content.decode())[1]
    taken_back = editor.post("/p/shop/undo", {"undo": token}, headers=HTMX)
    assert "Taken back" in words(taken_back)
    assert not is_on("new-checkout", "production")


def test_a_save_of_several_changes_is_taken_back_as_a_whole(signed_in, a_flag, editor):
    for key in ("checkout", "search"):
        a_flag(key)
    changes = [
        SwitchFlag(project="shop", environment="production", flag="checkout", on=True),
        SwitchFlag(project="shop", environment="production", flag="search", on=False),
        EditFlag(project="shop", flag="search", tags=["sale"]),
        SwitchFlag(project="shop", environment="production", flag="checkout", on=True),
        ConfigureFlag(
            project="shop", environment="production", flag="checkout",
            fallthrough={"variation": "off"},
        ),
    ]  # fmt: skip
    before = list(FlagConfiguration.objects.values_list("flag__key", "enabled", "fallthrough"))

    token = way_back(submit(*changes, actor=editor))
    signed_in().post("/p/shop/undo", {"undo": token})

    now = list(FlagConfiguration.objects.values_list("flag__key", "enabled", "fallthrough"))
    assert sorted(map(str, now)) == sorted(map(str, before))
    assert Flag.objects.get(key="search").tags == []


def test_switching_works_without_javascript(signed_in, a_flag):
    a_flag()

    response = switch(signed_in(), on=True)

    assert response["Location"] == "/p/shop/flags"
    assert is_on("new-checkout", "production")


def test_a_stale_switch_changes_nothing_and_shows_how_it_is(signed_in, a_flag):
    a_flag(on=True)

    response = switch(signed_in(), on=True, **HTMX)

    assert "already on in production" in words(response)
    assert (
        'aria-checked="true" aria-label="new-checkout in Production"' in response.content.decode()
    )


def test_a_viewer_sees_why_switches_rest(signed_in, a_flag):
    a_flag()
    viewer = signed_in("viewer")

    page = viewer.get("/p/shop/flags")
    refused = switch(viewer, on=True, **HTMX)

    assert "viewer is viewer in shop; this needs editor" in words(page)
    assert page.content.decode().count("disabled title=") == 3
    assert refused.status_code == 403
    assert not is_on("new-checkout", "production")


def test_a_switch_where_approval_is_required_becomes_a_request(signed_in, a_flag):
    a_flag()
    submit(
        EditEnvironment(project="shop", environment="production", requires_approval=True),
        actor=OPERATOR,
    )

    answer = switch(signed_in(), on=True, **HTMX)

    assert "Sent for approval as request #1: needs 1 more approval by a reviewer" in words(answer)
    assert 'href="/p/shop/requests/1"' in answer.content.decode()
    assert 'aria-checked="true"' not in answer.content.decode()


@pytest.fixture
def guarded(a_flag):
    for key in ("new-checkout", "search"):
        a_flag(key)
    submit(
        EditEnvironment(project="shop", environment="production", requires_approval=True),
        actor=OPERATOR,
    )


def test_a_lock_stands_where_approval_is_required(signed_in, guarded):
    editor = signed_in()
    locked = '<span class="switch-cell__name">Production</span><svg'

    rows = editor.get("/p/shop/flags").content.decode()
    page = editor.get("/p/shop/flags/new-checkout").content.decode()

    assert (rows.count(locked), page.count(locked)) == (2, 1)
    assert page.count(", requires approval") == 1


SWITCH_HERE = "/p/shop/flags/new-checkout/switch/{}"


def test_no_id_of_the_dialog_is_one_of_a_page_that_it_opens_on(signed_in, guarded):
    editor = signed_in()
    dialog = editor.get("/p/shop/flags/new-checkout/switch/production?on=true", headers=HTMX)
    named = set(re.findall(r'\bid="([^"]+)"', dialog.content.decode()))

    for page in ("", "/new-checkout", "/new-checkout/variations", "/new-checkout/settings"):
        there = re.findall(r'\bid="([^"]+)"', editor.get(f"/p/shop/flags{page}").content.decode())
        assert not named & set(there)


@pytest.mark.parametrize("headers", [HTMX, {}])
def test_a_switch_that_asks_others_says_so_first(signed_in, guarded, headers):
    editor = signed_in()
    listed = editor.get("/p/shop/flags").content.decode()
    assert f'action="{SWITCH_HERE.format("production")}" method="get"' in listed
    assert f'action="{SWITCH_HERE.format("staging")}" method="post"' in listed

    asked = editor.get(SWITCH_HERE.format("production"), {"on": "true"}, headers=headers)

    said = words(asked)
    assert "Turn new-checkout on in Production?" in said
    assert "Send for approval" in said
    assert "Turned on" in said
    assert "production: every change asks for approval" in said
    assert "1 more approval by a reviewer or above" in said
    assert "For a time, then back" in said
    assert "Add to my draft" in said
    assert asked.headers.get("HX-Retarget") == ("#review-body" if headers else None)
    assert not Request.objects.exists()


def test_a_switch_is_sent_for_approval_with_its_reason(signed_in, guarded):
    sent = {"on": "true", "reason": "Launch day", "back": "/p/shop/flags?q=new"}

    answer = signed_in().post(SWITCH_HERE.format("production"), sent)

    assert answer["Location"] == "/p/shop/flags?q=new"
    assert Request.objects.get().reason == "Launch day"
    elsewhere = {"on": "true", "back": "https://elsewhere.example/"}
    assert signed_in().post(SWITCH_HERE.format("staging"), elsewhere)["Location"] == "/p/shop/flags"


def test_any_switch_is_made_later_or_for_a_time(signed_in, a_flag):
    a_flag()
    editor = signed_in()
    page = words(editor.get("/p/shop/flags/new-checkout"))
    assert "Switch new-checkout in Production later or for a time" in page
    address = SWITCH_HERE.format("production")
    assert "Turn new-checkout on in Production?" in words(editor.get(address, {"on": "true"}))

    editor.post(address, {"on": "true", "when": "lease", "lasts": "2", "lasts_unit": "hours"})
    assert Lease.objects.get().lasts_seconds == 7_200
    editor.post(address, {"on": "false", "when": "later", "apply_at": "2100-06-01T09:00"})
    assert Request.objects.get().state == "scheduled"
    assert is_on("new-checkout", "production")


def test_what_is_wrong_with_the_time_is_said_in_the_dialog(signed_in, a_flag):
    a_flag()
    sent = {"on": "true", "when": "lease", "lasts": "soon", "lasts_unit": "hours"}

    answer = signed_in().post(SWITCH_HERE.format("production"), sent, headers=HTMX)

    assert answer.status_code == 422
    assert "Expected a whole number" in words(answer)
    assert answer["HX-Retarget"] == "#review-body"
    assert not is_on("new-checkout", "production")


def test_a_draft_collects_where_nobody_is_asked_too(signed_in, a_flag):
    a_flag()
    editor, address = signed_in(), SWITCH_HERE.format("staging")
    assert "Add to my draft" in words(editor.get(address, {"on": "true"}))

    answer = editor.post(
        address, {"on": "true", "goes": "draft", "draft_for": "staging"}, headers=HTMX
    )

    assert "Added to your draft for Staging, request #1" in words(answer)
    assert not is_on("new-checkout", "staging")
    assert "Nothing of it asks for approval" in words(editor.get("/p/shop/requests/1"))
    editor.post("/p/shop/requests/1/submit", {"title": "Two switches", "apply": "1"})
    assert is_on("new-checkout", "staging")
    assert Request.objects.get().state == "applied"


def test_a_save_is_put_into_a_request_of_ones_own(signed_in, guarded, editor, admin, reviewer):
    production = {"project": "shop", "environment": "production"}
    mine, theirs = (
        submit(SwitchFlag(**production, flag="search", on=True), actor=actor, reason="Sale").request
        for actor in (editor, admin)
    )
    submit(ReviewRequest(project="shop", request=mine, verdict="approved"), actor=reviewer)
    assert Request.objects.get(number=mine).state == "approved"
    browser, address = signed_in(), SWITCH_HERE.format("production")

    offered = words(browser.get(address, {"on": "true"}, headers=HTMX))
    assert f"Add to request #{mine} · search: switched" in offered
    assert "Verdicts given so far are asked for again" in offered
    assert f"#{theirs}" not in offered
    assert "Add to request" not in words(browser.get(SWITCH_HERE.format("staging"), {"on": "true"}))
    answer = browser.post(address, {"on": "true", "goes": "request", "request": str(mine)})

    found = Request.objects.get(number=mine)
    assert answer.status_code == 302
    assert [row["flag"] for row in found.changes] == ["search", "new-checkout"]
    assert found.state == "in_review"
    assert not is_on("new-checkout", "production")

    submit(WithdrawRequest(project="shop", request=mine), actor=editor)
    late = {"on": "true", "goes": "request", "request": str(mine)}
    refused = browser.post(address, late, headers=HTMX)
    assert refused.status_code == 409
    assert f"request {mine} is withdrawn" in words(refused)
    timed = late | {"when": "later", "apply_at": "2100-06-01T09:00"}
    assert "one time for all" in words(browser.post(address, timed, headers=HTMX))


def test_an_undo_of_somebody_elses_making_is_refused(signed_in):
    response = signed_in().post("/p/shop/undo", {"undo": "made-up"})

    assert response.status_code == 400


def test_a_row_of_a_flag_that_is_gone_is_nothing(signed_in, a_flag):
    a_flag()
    submit(ArchiveFlag(project="shop", flag="new-checkout"), actor=OPERATOR)

    assert signed_in().get("/p/shop/flags/new-checkout/row", headers=HTMX).content == b""


def test_a_row_of_the_archive_stays_there_until_its_flag_is_restored(signed_in, a_flag):
    a_flag("gone")
    submit(ArchiveFlag(project="shop", flag="gone"), actor=OPERATOR)
    editor = signed_in()
    page = editor.get("/p/shop/flags?archived=1").content.decode()
    again = re.search(r'id="row-gone"[^>]*hx-get="([^"]+)"', page)[1]

    assert rows(editor.get(again, headers=HTMX)) == ["gone"]
    submit(RestoreFlag(project="shop", flag="gone"), actor=OPERATOR)
    assert editor.get(again, headers=HTMX).content == b""


def test_a_row_drawn_again_still_tells_what_happens_by_itself(signed_in, a_flag, editor):
    a_flag()
    lent = SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True)
    submit(GrantLease(project="shop", changes=[lent.as_json()], seconds=3_600), actor=editor)

    page = signed_in().get("/p/shop/flags/new-checkout/row", headers=HTMX)

    assert "for a time" in words(page)
    assert "for a time" in words(switch(signed_in(), environment="staging", **HTMX))


@pytest.mark.parametrize(
    ("type_", "values", "stored"),
    [
        ("string", ["red", "7"], ["red", "7"]),
        ("integer", ["10", "-3"], [10, -3]),
        ("float", ["3", "0.5"], [3.0, 0.5]),
        ("json", ['{"a": [1]}', '"text"'], [{"a": [1]}, "text"]),
    ],
)
def test_a_flag_of_each_type_is_made(signed_in, type_, values, stored):
    response = signed_in().post(
        "/p/shop/new-flag",
        {
            "key": "made",
            "type": type_,
            "tags": "b, a",
            "variation_key": ["one", "two"],
            "variation_value": values,
            "variation_name": ["", "Second"],
            "variation_description": ["", ""],
        },
    )

    assert response["Location"] == "/p/shop/flags/made"
    flag = Flag.objects.get(key="made")
    found = [variation["value"] for variation in flag.variations]
    assert [(type(value), value) for value in found] == [(type(v), v) for v in stored]
    assert flag.tags == ["a", "b"]
    assert flag.variations[1]["name"] == "Second"
    assert flag.owner.username == "editor"


def test_a_value_of_the_wrong_type_is_said_at_its_field_and_nothing_typed_is_lost(signed_in):
    response = signed_in().post(
        "/p/shop/new-flag",
        {
            "key": "limit",
            "type": "integer",
            "variation_key": ["high", "low"],
            "variation_value": ["a lot", "1"],
            "variation_name": ["", ""],
            "variation_description": ["", ""],
        },
    )

    page = response.content.decode()
    assert response.status_code == 422
    assert 'data-problem="variations[0].value"' in page
    assert "expected a whole number, got &#x27;a lot&#x27;" in page
    assert 'data-field="variations[0].value">a lot</textarea>' in page
    assert not Flag.objects.exists()


def test_a_taken_key_is_said_at_the_key(signed_in, a_flag):
    a_flag()

    response = signed_in().post("/p/shop/new-flag", {"key": "new-checkout", "type": "boolean"})

    assert response.status_code == 409
    assert 'data-problem="key"' in response.content.decode()


def test_a_description_is_never_markup(signed_in, a_flag):
    a_flag()
    submit(
        EditFlag(project="shop", flag="new-checkout", name="<script>alert(1)</script>"),
        actor=OPERATOR,
    )

    assert "<script>alert" not in signed_in().get("/p/shop/flags").content.decode()


@pytest.mark.parametrize(
    "address",
    [
        "?tag=%00", "?owner=%00", "?state=on:%00", "?type=%00",
        "/banner/ramp?template=%00", "/ban%00ner", "/banner/history?actor=%00",
    ],
)  # fmt: skip
def test_what_no_text_can_hold_matches_nothing(signed_in, a_flag, address):
    a_flag("banner")

    answer = signed_in().get(f"/p/shop/flags{address}")

    assert answer.status_code == (404 if "ban%00" in address else 200)


def test_a_number_that_nothing_counts_to_is_no_number(signed_in, a_flag):
    a_flag()
    long = "1" * 5_000
    editor = signed_in()

    lent = {"on": "true", "when": "lease", "lasts": long, "lasts_unit": "days"}
    said = editor.post("/p/shop/flags/new-checkout/switch/production", lent, headers=HTMX)
    variations = {"variation_key": ["on", "off"], "variation_value": ["true", "false"]}
    edited = editor.post(
        "/p/shop/flags/new-checkout/variations", variations | {"revision": long}, headers=HTMX
    )

    assert said.status_code == 422
    assert edited.status_code == 302

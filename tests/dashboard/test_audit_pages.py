"""The audit pages: narrowed, opened, paged, and shown to those alone who may see them."""

import html
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import Event
from audit.signing import public_key, sign_heads
from flags.changes import (
    ApplyRequest,
    CreateInvitation,
    CreateProject,
    EditEnvironment,
    OpenRequest,
    ReviewBypass,
    SignIn,
    SwitchFlag,
    due,
    submit,
)
from flags.changes.invitations import accept
from flags.models import Invitation
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client, users, project):
    def signed_in_as(name: str = "viewer") -> Client:
        client.force_login(users[name])
        return client

    return signed_in_as


def text_of(response) -> str:
    """What a person reads on the page, with single spaces."""
    body = re.sub(r"<[^>]+>", " ", response.content.decode())
    return html.unescape(re.sub(r"\s+", " ", body))


def rows_of(response) -> list[str]:
    """The ids of the events that are listed."""
    return re.findall(r'id="event-([0-9a-f-]{36})"', response.content.decode())


def switch(actor, *, on=True, environment="production", reason=""):
    change = SwitchFlag(project="shop", environment=environment, flag="new-checkout", on=on)
    return submit(change, actor=actor, reason=reason).events[0]


def test_a_row_says_who_what_where_and_why(browser, a_flag, editor):
    a_flag()
    event = switch(editor, reason="Launch day")

    page = browser().get("/p/shop/audit?kind=flag.switched")

    assert rows_of(page) == [str(event.pk)]
    for said in ("editor", "new-checkout", "Turned on", "Launch day", event.hash):
        assert said in text_of(page)


@pytest.mark.parametrize(
    "query",
    [
        "environment=production&kind=flag.switched",
        "actor=person:{actor}",
        "subject=flag:new-checkout&environment=production&actor=person:{actor}",
        "subject=new-checkout&environment=production&actor=person:{actor}",
        "since={day}&until={day}&kind=flag.switched",
        "stream={stream}&kind=flag.switched",
        "until=9999-12-31&kind=flag.switched",
    ],
)
def test_events_are_found(browser, a_flag, editor, query):
    a_flag()
    event = switch(editor)
    asked = query.format(actor=editor.id, day=f"{event.at:%Y-%m-%d}", stream=event.stream_id)

    assert rows_of(browser().get(f"/p/shop/audit?{asked}")) == [str(event.pk)]


@pytest.mark.parametrize(
    "query",
    [
        "since=2001-01-01&until=2001-01-02",
        "subject=flag:other",
        "subject=other",
        "environment=nowhere",
    ],
)
def test_what_is_not_there_is_not_found(browser, a_flag, editor, query):
    a_flag()

    page = browser().get(f"/p/shop/audit?{query}")

    assert rows_of(page) == []
    assert "No event is like that" in text_of(page)


@pytest.mark.parametrize("query", ["since=yesterday", "request=seven"])
def test_what_cannot_be_understood_is_said(browser, query):
    page = browser().get(f"/p/shop/audit?{query}")

    assert page.status_code == 200
    assert rows_of(page) == []
    assert f"got {query.partition('=')[2]}" in text_of(page)


def test_a_request_leads_to_all_that_was_done_to_it_and_by_it(browser, a_flag, editor, admin):
    a_flag()
    change = SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True)
    number = submit(OpenRequest(project="shop", changes=[change.as_json()]), actor=editor).request
    submit(ApplyRequest(project="shop", request=number, bypass_reason="Now"), actor=admin)

    page = browser().get(f"/p/shop/audit?request={number}")
    history = browser().get("/p/shop/flags/new-checkout/history")

    kinds = {
        effect["kind"]
        for event in Event.objects.filter(pk__in=rows_of(page))
        for effect in event.effects
    }
    assert kinds == {"request.opened", "request.applied", "flag.switched"}
    assert f'href="/p/shop/requests/{number}"' in history.content.decode()


def test_pages_follow_each_other_without_gap_or_repeat(browser, a_flag, editor):
    a_flag()
    for number in range(60):
        switch(editor, on=number % 2 == 0)
    client, address, seen = browser(), "/p/shop/audit", []

    while address:
        page = client.get(address)
        seen += rows_of(page)
        older = re.search(r'rel="next" href="([^"]+)"', page.content.decode())
        address = f"/p/shop/audit{html.unescape(older[1])}" if older else None

    everything = Event.objects.exclude(stream_id="site").order_by("-at", "stream_id", "-version")
    assert seen == [str(pk) for pk in everything.values_list("pk", flat=True)]


def test_the_audit_of_the_site_tells_of_every_project_and_of_accounts(browser, a_flag):
    a_flag()
    submit(CreateProject(project="garden", name="Garden"), actor=OPERATOR)

    page = browser("owner").get("/audit?kind=project.created")
    accounts = browser("owner").get("/audit?stream=site")

    assert "Garden" in text_of(page) or "garden" in text_of(page)
    assert "shop" in text_of(page)
    assert len(rows_of(page)) == 2
    assert "made account editor" in text_of(accounts)


@pytest.mark.parametrize("name", ["viewer", "admin", "outsider"])
def test_the_audit_of_the_site_is_for_its_administrators(browser, name):
    event = Event.objects.filter(stream_id="site").first()

    assert browser(name).get("/audit").status_code == 403
    assert browser(name).get(f"/audit/{event.pk}/json").status_code == 403


def test_who_is_no_member_sees_no_audit(browser):
    assert browser("outsider").get("/p/shop/audit").status_code == 404


def test_json_of_a_row_of_the_site(browser):
    event = Event.objects.filter(stream_id="site").first()

    assert "is_superuser" in text_of(browser("owner").get(f"/audit/{event.pk}/json"))


def test_the_audit_shows_the_key_and_when_was_signed_last(browser):
    made = sign_heads(now=timezone.now())

    page = browser("viewer").get("/p/shop/audit")
    heads = browser("owner").get("/audit/heads.jsonl")
    by_api = browser("owner").get("/api/v1/heads.jsonl")

    assert public_key() in text_of(page)
    assert f"statement {made.number}" in text_of(page)
    assert made.hash.encode() in b"".join(heads.streaming_content)
    assert made.hash.encode() in b"".join(by_api.streaming_content)
    assert browser("admin").get("/audit/heads.jsonl").status_code == 403
    assert browser("admin").get("/api/v1/heads.jsonl").status_code == 403


def test_who_applied_a_request_is_said_and_that_it_was_the_clock(browser, a_flag, editor):
    a_flag()
    switch = SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True)
    at = timezone.now() + timedelta(hours=1)
    submit(OpenRequest(project="shop", changes=[switch.as_json()], apply_at=at), actor=editor)
    due.sweep(now=at, since=timezone.now())

    audit = text_of(browser().get("/p/shop/audit?request=1&environment=production"))
    activity = text_of(browser().get("/p/shop/activity"))

    assert "The clock switched flag new-checkout on" in audit
    assert "#1 , asked for by editor, applied by The clock" in audit
    assert "The clock applied #1 asked for by editor" in activity
    assert "The clock applied request #1" in text_of(
        browser().get("/p/shop/audit?kind=request.applied")
    )


def test_an_event_that_changed_no_fact_has_words_too(browser, a_flag, editor, admin, reviewer):
    a_flag()
    submit(EditEnvironment(project="shop", environment="production", requires_approval=True), actor=OPERATOR)  # fmt: skip
    switch = SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True)
    submit(switch, actor=editor)
    submit(ApplyRequest(project="shop", request=1, bypass_reason="fire"), actor=admin)
    submit(ReviewBypass(project="shop", request=1), actor=reviewer)

    page = browser().get("/p/shop/audit?kind=request.bypass_reviewed")

    assert "reviewer signed for the bypass of request #1" in text_of(page)
    assert "Signed for the bypass of a request" in text_of(page)
    said = text_of(browser().get("/p/shop/activity"))
    assert "applied request #1 without approval" in said


def test_the_site_s_audit_says_from_where_somebody_signed_in(browser, users):
    actor = replace(users["editor"].as_actor(), place="192.0.2.7, Firefox on Linux")
    submit(SignIn(username="editor", by=["password"]), actor=actor)

    page = browser("owner").get("/audit?kind=user.signed_in")

    assert "from 192.0.2.7, Firefox on Linux" in text_of(page)


def test_who_was_let_in_by_an_invitation_is_named(browser, admin):
    invitation = CreateInvitation(project="shop", email="x@example.org", role="viewer", mailed=True)
    submit(invitation, actor=admin)
    row = Invitation.objects.get()
    accept(row, "outsider")

    page = text_of(browser().get("/p/shop/audit?kind=invitation.accepted"))
    activity = text_of(browser().get("/p/shop/activity"))

    assert "admin let member outsider in, who accepted their invitation" in page
    assert "let member outsider in, who accepted their invitation" in activity


def test_a_bypass_with_an_end_is_headed_by_the_bypass(browser, a_flag, editor, admin):
    a_flag()
    submit(EditEnvironment(project="shop", environment="production", requires_approval=True), actor=OPERATOR)  # fmt: skip
    switch(editor)
    applying = ApplyRequest(project="shop", request=1, bypass_reason="fire", lasts_seconds=3_600)
    submit(applying, actor=admin)
    unguarded = SwitchFlag(project="shop", environment="staging", flag="new-checkout", on=True)
    submit(OpenRequest(project="shop", changes=[unguarded.as_json()]), actor=editor)
    submit(ApplyRequest(project="shop", request=2), actor=editor)

    page = browser().get("/p/shop/audit?kind=bypass")
    heads = re.findall(r'class="audit-row__subject">(.*?)</span>', page.content.decode())

    assert [re.sub(r"<[^>]+>", "", head) for head in heads] == [
        "applied request #1 without approval"
    ]

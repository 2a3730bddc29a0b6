"""History: what happened is told, to those who may see it, and can be brought back."""

import html
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import Event
from flags.changes import (
    ArchiveFlag,
    ChangeSegmentIds,
    ConfigureFlag,
    CreateSegment,
    DefineSegment,
    DeleteEnvironment,
    DeleteFlag,
    EditEnvironment,
    EditFlag,
    GrantLease,
    RemoveMember,
    SwitchFlag,
    submit,
)
from flags.changes.releases import clock
from flags.models import Environment, FlagConfiguration, Lease, SegmentDefinition

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client, users, project):
    def signed_in_as(name: str = "editor") -> Client:
        client.force_login(users[name])
        return client

    return signed_in_as


def text_of(response) -> str:
    """What a person reads on the page, with single spaces."""
    body = re.sub(r"<[^>]+>", " ", response.content.decode())
    return html.unescape(re.sub(r"\s+", " ", body))


def newest_event(environment="production") -> Event:
    stream = Environment.objects.get(key=environment).stream_key
    return Event.objects.filter(stream=stream).order_by("-version")[0]


def configuration(flag="new-checkout", environment="production"):
    return FlagConfiguration.objects.get(flag__key=flag, environment__key=environment)


def switch(actor, *, on=True, environment="production", flag="new-checkout", reason=""):
    change = SwitchFlag(project="shop", environment=environment, flag=flag, on=on)
    submit(change, actor=actor, reason=reason)


def test_history_of_a_flag_says_who_what_and_why(browser, a_flag, editor):
    a_flag()
    switch(editor, reason="Launch day")

    page = text_of(browser().get("/p/shop/flags/new-checkout/history"))

    assert "Turned on" in page
    assert "Launch day" in page
    assert "editor" in page
    assert "Added, turned off" in page


def test_history_leaves_out_other_flags(browser, a_flag, editor):
    a_flag()
    a_flag("other")
    switch(editor, flag="other", reason="Only the other")

    assert "Only the other" not in text_of(browser().get("/p/shop/flags/new-checkout/history"))


def test_history_of_one_environment(browser, a_flag, editor):
    a_flag()
    switch(editor, environment="staging", reason="Try it")

    page = browser()

    assert "Try it" in text_of(page.get("/p/shop/flags/new-checkout/history?environment=staging"))
    assert "Try it" not in text_of(
        page.get("/p/shop/flags/new-checkout/history?environment=production")
    )


def test_what_happened_alike_in_all_environments_is_said_once(browser, a_flag, admin):
    a_flag()
    submit(EditFlag(project="shop", flag="new-checkout", client_visible=True), actor=admin)

    page = text_of(browser().get("/p/shop/flags/new-checkout/history"))

    assert page.count("Client keys may now evaluate it") == 1


def test_a_deleted_flag_keeps_its_history(browser, a_flag, admin):
    a_flag()
    for change in (ArchiveFlag, DeleteFlag):
        submit(change(project="shop", flag="new-checkout"), actor=admin)

    response = browser().get("/p/shop/flags/new-checkout/history")

    assert response.status_code == 200
    assert "This flag is deleted" in text_of(response)


def test_a_flag_that_never_was_has_no_history(browser):
    assert browser().get("/p/shop/flags/never/history").status_code == 404


PAGES = [
    "/p/shop/activity",
    "/p/shop/flags/new-checkout/history",
    "/p/shop/segments/beta/history",
]


@pytest.mark.parametrize("page", PAGES)
def test_outsiders_do_not_learn_that_a_project_exists(browser, a_flag, page):
    a_flag()

    assert browser("outsider").get(page).status_code == 404


def test_activity_tells_everything_and_can_be_narrowed(browser, a_flag, admin, editor, users):
    a_flag()
    switch(editor, reason="Launch day")
    submit(RemoveMember(project="shop", username="reviewer"), actor=admin, reason="Left the team")
    page = browser()

    everything = text_of(page.get("/p/shop/activity"))
    assert "Launch day" in everything
    assert "removed member reviewer" in everything
    assert "Left the team" in everything

    def narrowed(query):
        return text_of(page.get(f"/p/shop/activity?{query}"))

    assert "Left the team" not in narrowed("kind=flag.switched")
    assert "Launch day" in narrowed("kind=flag.switched")
    assert "Launch day" not in narrowed("environment=staging")
    assert "Launch day" in narrowed("environment=production")
    assert "Launch day" not in narrowed(f"actor=person:{users['admin'].pk}")
    assert "Launch day" in narrowed(f"actor=person:{users['editor'].pk}")
    assert "Launch day" not in narrowed("subject=flag:other")
    assert "Nothing like that happened" in narrowed("kind=no.such")


def test_events_of_a_deleted_environment_stay(browser, a_flag, admin, editor):
    a_flag()
    switch(editor, environment="staging", reason="Before the end")
    submit(DeleteEnvironment(project="shop", environment="staging"), actor=admin)

    page = text_of(browser().get("/p/shop/activity"))

    assert "Before the end" in page
    assert "Staging (deleted)" in page


def test_activity_of_other_projects_is_not_shown(browser, a_flag, owner, editor):
    from flags.changes import CreateProject

    submit(CreateProject(project="elsewhere", name="Elsewhere"), actor=owner)

    assert "Elsewhere" not in text_of(browser().get("/p/shop/activity"))


def test_older_events_come_page_by_page_without_gap_or_repeat(browser, a_flag, editor):
    a_flag()
    for number in range(90):
        switch(editor, on=number % 2 == 0, reason=f"Step-{number}-")
    page = browser()

    seen, address = [], "/p/shop/flags/new-checkout/history"
    while address:
        response = page.get(address)
        seen += re.findall(r"Step-(\d+)-", response.content.decode())
        older = re.search(r'rel="next" href="([^"]+)"', response.content.decode())
        address = "/p/shop/flags/new-checkout/history" + html.unescape(older[1]) if older else None

    assert seen == [str(number) for number in reversed(range(90))]


@pytest.mark.parametrize("cursor", ["x", "2026-01-01T00:00:00~a~1", "a~b~c", "\0"])
def test_a_cursor_that_nobody_gave_is_no_page(browser, cursor):
    response = browser().get("/p/shop/activity", {"after": cursor})

    assert response.status_code == (200 if cursor == "\0" else 404)


@pytest.mark.parametrize(
    ("address", "queries"),
    [("/p/shop/activity", 19), ("/p/shop/flags/new-checkout/history", 19)],
)
def test_pages_take_the_same_queries_however_much_happened(
    browser, a_flag, editor, django_assert_num_queries, address, queries
):
    a_flag()
    for number in range(30):
        switch(editor, on=number % 2 == 0)
    page = browser()
    page.get(address)

    with django_assert_num_queries(queries):
        page.get(address)


def test_what_was_lent_says_so_and_that_it_is_back(browser, a_flag, editor):
    a_flag()
    lent = SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True)
    submit(GrantLease(project="shop", changes=[lent.as_json()], seconds=7_200), actor=editor)
    clock.sweep(now=timezone.now() + timedelta(hours=2))
    switch(editor)

    history = text_of(browser().get("/p/shop/flags/new-checkout/history"))
    activity = text_of(browser().get("/p/shop/activity"))

    for page in (history, activity):
        assert page.count("For 2 hours, as lease #1") == 1
        assert page.count("Back, at the end of lease #1") == 1
    assert Lease.objects.get().state == "ended"


def test_an_event_has_a_page_with_its_json_and_hash(browser, a_flag, editor):
    a_flag()
    switch(editor, reason="Launch day")
    event = newest_event()

    page = text_of(browser().get(f"/p/shop/activity/{event.pk}"))

    assert "Launch day" in page
    assert event.hash in page
    assert '"enabled": true' in page


def test_an_event_of_another_project_has_no_page_here(browser, owner):
    from flags.changes import CreateProject

    outcome = submit(CreateProject(project="elsewhere"), actor=owner)

    assert browser().get(f"/p/shop/activity/{outcome.events[0].pk}").status_code == 404


def test_json_of_one_subject_alone(browser, a_flag, editor):
    a_flag()
    a_flag("other")
    submit(
        SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True),
        SwitchFlag(project="shop", environment="production", flag="other", on=True),
        actor=editor,
    )
    address = f"/p/shop/activity/{newest_event().pk}/json"

    assert "flag:other" in browser().get(address).content.decode()
    part = browser().get(address, {"subject": "flag:new-checkout"})
    assert "flag:other" not in part.content.decode()


# Restoring


def restore_address(event, flag="new-checkout"):
    return f"/p/shop/flags/{flag}/history/{event.pk}/restore"


def test_a_version_is_restored_with_a_reason_and_a_way_back(browser, a_flag, editor):
    a_flag(on=True)
    wanted = newest_event()
    switch(editor, on=False)
    page = browser()

    shown = page.get(restore_address(wanted))
    assert "Turned on" in text_of(shown)
    assert not configuration().enabled

    done = page.post(
        restore_address(wanted),
        {"reason": "It was fine", "expected": configuration().version},
        follow=True,
    )

    assert configuration().enabled
    assert newest_event().reason == "It was fine"
    assert "Undo" in text_of(done)


def test_what_is_so_now_is_not_offered_to_be_restored(browser, a_flag, editor):
    a_flag(on=True)
    wanted = newest_event()
    switch(editor, on=False)

    page = browser().get("/p/shop/flags/new-checkout/history").content.decode()

    assert restore_address(wanted) in page
    assert restore_address(newest_event()) not in page


def test_restoring_says_so_when_somebody_was_faster(browser, a_flag, editor):
    a_flag(on=True)
    wanted = newest_event()
    switch(editor, on=False)
    seen = configuration().version
    submit(
        ConfigureFlag(
            project="shop", environment="production", flag="new-checkout", off_variation="on"
        ),
        actor=editor,
    )

    response = browser().post(restore_address(wanted), {"reason": "It was fine", "expected": seen})

    assert response.status_code == 409
    assert "somebody changed it meanwhile" in text_of(response)
    assert "It was fine" in text_of(response)
    assert "When off it serves off instead of on" in text_of(response)
    assert not configuration().enabled


def test_a_version_that_no_longer_fits_is_refused_before_anyone_presses(browser, a_flag, editor):
    a_flag(type="string", variations=[{"key": key, "value": key} for key in "abc"])
    submit(
        ConfigureFlag(
            project="shop",
            environment="production",
            flag="new-checkout",
            fallthrough={"variation": "b"},
        ),
        actor=editor,
    )
    wanted = newest_event()
    submit(
        ConfigureFlag(
            project="shop",
            environment="production",
            flag="new-checkout",
            fallthrough={"variation": "a"},
        ),
        EditFlag(
            project="shop",
            flag="new-checkout",
            variations=[{"key": key, "value": key} for key in "ac"],
        ),
        actor=editor,
    )

    response = browser().get(restore_address(wanted))

    assert "no longer fits" in text_of(response)
    assert "fallthrough" in text_of(response)
    assert b'name="reason"' not in response.content


def test_viewers_are_offered_no_restore_and_refused_one(browser, a_flag, editor):
    a_flag(on=True)
    wanted = newest_event()
    switch(editor, on=False)
    page = browser("viewer")

    assert "Restore" not in text_of(page.get("/p/shop/flags/new-checkout/history"))
    response = page.post(restore_address(wanted), {"reason": "Please"})

    assert response.status_code == 403
    assert "this needs editor" in text_of(response)
    assert not configuration().enabled


def test_restoring_where_approval_is_required_becomes_a_request(browser, a_flag, admin, editor):
    a_flag(on=True)
    wanted = newest_event()
    switch(editor, on=False)
    submit(
        EditEnvironment(project="shop", environment="production", requires_approval=True),
        actor=admin,
    )

    before = text_of(browser().get(restore_address(wanted)))
    after = browser().post(restore_address(wanted), {"reason": "Please"}, follow=True)

    assert "Send for approval" in before
    assert "Sent for approval as request #1" in text_of(after)
    assert not configuration().enabled


def test_an_event_that_left_no_state_cannot_be_restored(browser, a_flag, admin):
    a_flag()
    submit(ArchiveFlag(project="shop", flag="new-checkout"), actor=admin)

    assert browser().get(restore_address(newest_event())).status_code == 404


def test_a_segment_is_told_and_restored(browser, project, editor):
    submit(CreateSegment(project="shop", key="beta"), actor=editor)

    def define(country):
        submit(
            DefineSegment(
                project="shop",
                environment="production",
                segment="beta",
                when={"attribute": "country", "op": "in", "values": [country]},
            ),
            actor=editor,
        )

    define("DE")
    wanted = newest_event()
    define("FR")
    submit(
        ChangeSegmentIds(project="shop", environment="production", segment="beta", add=("user-1",)),
        actor=editor,
    )
    page = browser()

    told = text_of(page.get("/p/shop/segments/beta/history"))
    assert "Now holds contexts where country is DE" in told
    assert "user-1 was added to the included ids" in told

    address = f"/p/shop/segments/beta/history/{wanted.pk}/restore"
    assert page.get(address).status_code == 200
    assert page.post(address, {"reason": "Back"}).status_code == 302
    definition = SegmentDefinition.objects.get(segment__key="beta", environment__key="production")
    assert definition.when["values"] == ["DE"]
    assert definition.listed_ids.count() == 1

"""Two states beside each other, and what is copied from one environment to another."""

import html
import re
from datetime import timedelta

import pytest
from django.test import Client

from audit.models import Event
from flags.changes import (
    ChangeSegmentIds,
    ConfigureFlag,
    CreateSegment,
    DefineSegment,
    EditEnvironment,
    EditFlag,
    SwitchFlag,
    submit,
)
from flags.models import Environment, Flag, FlagConfiguration, Request, SegmentDefinition
from flags.queries.compare import entries_at, entries_now
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db
COPY = "/p/shop/compare?from=staging&to=production"
RULE = {
    "id": "r1",
    "name": "Germans",
    "when": {"attribute": "country", "op": "in", "values": ["DE"]},
    "serve": {"variation": "on"},
}


@pytest.fixture
def browser(client: Client, users, project):
    def signed_in_as(name: str = "editor") -> Client:
        client.force_login(users[name])
        return client

    return signed_in_as


@pytest.fixture
def apart(a_flag):
    """A flag and a segment that staging has otherwise than production, and a flag that is alike."""
    a_flag("new-checkout", on=True, environment="staging", rules=[RULE])
    a_flag("alike")
    submit(
        CreateSegment(project="shop", key="beta"),
        DefineSegment(project="shop", environment="staging", segment="beta", when=RULE["when"]),
        actor=OPERATOR,
    )


def text_of(response) -> str:
    body = re.sub(r"<[^>]+>", " ", response.content.decode())
    return html.unescape(re.sub(r"\s+", " ", body))


def configuration(environment="production") -> FlagConfiguration:
    return FlagConfiguration.objects.get(flag__key="new-checkout", environment__key=environment)


def versions_in(environment: str) -> dict[str, int]:
    """What the page's hidden fields hold."""
    flags = FlagConfiguration.objects.filter(environment__key=environment)
    segments = SegmentDefinition.objects.filter(environment__key=environment)
    return {f"version:flag:{row.flag.key}": row.version for row in flags} | {
        f"version:segment:{row.segment.key}": row.version for row in segments
    }


def test_two_environments_side_by_side(browser, apart):
    page = text_of(browser("viewer").get(COPY))

    assert "2 differ, 1 is alike" in page
    assert "On, 1 rule, else on" in page
    assert "Turned on" in page
    assert "Rule Germans was added" in page
    assert "Now holds contexts where country is DE" in page


def test_environments_that_are_alike(browser, a_flag):
    a_flag()

    assert "No difference" in text_of(browser("viewer").get(COPY))


def test_what_is_chosen_is_copied(browser, apart):
    chosen = {"subject": ["flag:new-checkout", "segment:beta"], "reason": "Promoted"}

    answer = browser().post(COPY, {**versions_in("production"), **chosen})

    assert answer.status_code == 302
    assert configuration().rules == [RULE]
    production, staging = (Environment.objects.get(key=key) for key in ("production", "staging"))
    assert {s: {**e, "version": 0} for s, e in entries_now(production).items()} == {
        s: {**e, "version": 0} for s, e in entries_now(staging).items()
    }
    assert Event.objects.filter(reason="Promoted").count() == 1


def test_copying_to_where_approval_is_required_becomes_a_request(browser, apart):
    guard = EditEnvironment(project="shop", environment="production", requires_approval=True)
    submit(guard, actor=OPERATOR)

    chosen = {"subject": ["flag:new-checkout"], "reason": "Promoted"}
    answer = browser().post(COPY, {**versions_in("production"), **chosen})

    assert not configuration().enabled
    assert answer["Location"] == f"/p/shop/requests/{Request.objects.get().number}"


def test_copying_over_what_somebody_changed_meanwhile_is_refused(browser, apart, editor):
    seen = versions_in("production")
    switch = SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True)
    submit(switch, actor=editor)

    chosen = {"subject": ["flag:new-checkout"], "reason": "Promoted"}
    answer = browser().post(COPY, {**seen, **chosen})

    assert answer.status_code == 409
    assert "somebody changed it meanwhile" in text_of(answer)
    assert configuration().rules == []


def test_copying_nothing_says_so(browser, apart):
    answer = browser().post(COPY, {"reason": "x"})

    assert answer.status_code == 422
    assert "expected at least one flag or segment" in text_of(answer)


def test_viewers_are_offered_no_copying_and_refused_it(browser, apart):
    client = browser("viewer")

    assert 'name="subject"' not in client.get(COPY).content.decode()
    answer = client.post(COPY, {"subject": ["flag:new-checkout"], "reason": "x"})
    assert answer.status_code == 403
    assert not configuration().enabled


def test_an_environment_as_it_was(apart, editor):
    environment = Environment.objects.get(key="production")
    before = entries_now(environment)
    then = Event.objects.filter(stream=environment.stream_key).latest("version").at
    here = {"project": "shop", "environment": "production"}
    later = then + timedelta(hours=1)
    submit(SwitchFlag(**here, flag="new-checkout", on=True), actor=editor, now=later)
    submit(ConfigureFlag(**here, flag="new-checkout", rules=[RULE]), actor=editor, now=later)
    submit(ChangeSegmentIds(**here, segment="beta", add=("user-1",)), actor=editor, now=later)
    submit(CreateSegment(project="shop", key="staff"), actor=editor, now=later)

    assert entries_at(environment, then) == before
    assert entries_at(environment, later) == entries_now(environment)


def test_two_instants_of_an_environment(browser, apart, editor):
    now = Event.objects.latest("at").at
    here = {"project": "shop", "environment": "production"}
    later = now + timedelta(hours=2)
    submit(SwitchFlag(**here, flag="new-checkout", on=True), actor=editor, now=later)
    submit(ChangeSegmentIds(**here, segment="beta", add=("user-1",)), actor=editor, now=later)
    since, until = now + timedelta(hours=1), now + timedelta(hours=3)

    address = "/p/shop/compare/instants?environment=production"
    page = browser("viewer").get(
        f"{address}&since={since:%Y-%m-%dT%H:%M}&until={until:%Y-%m-%dT%H:%M}"
    )

    assert "Turned on" in text_of(page)
    assert "user-1 was added to the included ids" in text_of(page)
    assert "alike" not in text_of(page)


def test_instants_in_the_wrong_order_are_said(browser, a_flag):
    address = "/p/shop/compare/instants?since=2026-01-02T00:00&until=2026-01-01T00:00"

    assert "expected an earlier instant first" in text_of(browser().get(address))


def events_on(stream_of: str) -> list[Event]:
    stream = Environment.objects.get(key=stream_of).stream_key
    return [
        event
        for event in Event.objects.filter(stream=stream).order_by("version")
        if any(effect["subject"] == "flag:new-checkout" for effect in event.effects)
    ]


def test_any_two_versions_of_a_flag(browser, apart, editor):
    off = SwitchFlag(project="shop", environment="staging", flag="new-checkout", on=False)
    submit(off, actor=editor)
    first, last = events_on("production")[0], events_on("staging")[-1]

    page = browser("viewer").get(
        f"/p/shop/flags/new-checkout/compare?pick={last.pk}&pick={first.pk}"
    )
    history = browser("viewer").get("/p/shop/flags/new-checkout/history").content.decode()

    assert "Rule Germans was added" in text_of(page)
    assert f'name="pick" value="{first.pk}"' in history


@pytest.mark.parametrize("picks", [0, 1, 3])
def test_two_have_to_be_picked(browser, apart, picks):
    event = events_on("production")[0]
    query = "&".join([f"pick={event.pk}"] * picks)

    answer = browser().get(f"/p/shop/flags/new-checkout/compare?{query}")

    assert (answer.status_code, "Pick two versions" in text_of(answer)) == (422, True)


def test_a_flag_is_described_again_as_it_was(browser, a_flag, editor):
    a_flag(tags=["checkout"])
    made = Event.objects.filter(effects__contains=[{"kind": "flag.created"}], stream__key__startswith="project:").get()  # fmt: skip
    submit(EditFlag(project="shop", flag="new-checkout", name="Other", tags=[]), actor=editor)
    address = f"/p/shop/flags/new-checkout/history/{made.pk}/describe"

    page = browser().get(address)
    history = browser().get("/p/shop/flags/new-checkout/history").content.decode()
    answer = browser().post(address, {"reason": "Back", "expected": "2"})

    assert "Tag checkout was added" in text_of(page)
    assert address in history
    assert answer.status_code == 302
    flag = Flag.objects.get(key="new-checkout")
    assert (flag.name, flag.tags) == ("new-checkout", ["checkout"])


def test_a_version_whose_variation_is_gone_says_how_to_bring_it_back(browser, a_flag, editor):
    red = [{"key": "red", "value": "r"}, {"key": "blue", "value": "b"}]
    a_flag(type="string", variations=red)
    here = {"project": "shop", "environment": "production", "flag": "new-checkout"}
    (old,) = submit(ConfigureFlag(**here, fallthrough={"variation": "blue"}), actor=editor).events
    submit(ConfigureFlag(**here, fallthrough={"variation": "red"}), actor=editor)
    for environment in ("development", "staging", "production"):
        submit(
            ConfigureFlag(**{**here, "environment": environment}, off_variation="red"), actor=editor
        )
    submit(EditFlag(project="shop", flag="new-checkout", variations=red[:1]), actor=editor)
    client = browser()

    page = client.get(f"/p/shop/flags/new-checkout/history/{old.pk}/restore")
    described = re.search(r'href="([^"]+/describe)"', page.content.decode())[1]
    client.post(described, {"reason": "First this"})
    answer = client.post(f"/p/shop/flags/new-checkout/history/{old.pk}/restore", {"reason": "Now"})

    assert "blue" in text_of(page)
    assert "no longer fits" in text_of(page)
    assert answer.status_code == 302
    assert configuration().fallthrough == {"variation": "blue"}

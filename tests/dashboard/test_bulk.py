"""Several flags of the list at once: what is said first, one submit, and who is left out."""

import html
import re

import pytest

from flags.changes import (
    ArchiveFlag,
    ConfigureFlag,
    EditEnvironment,
    EditFlag,
    SetMember,
    SwitchFlag,
    submit,
)
from flags.models import Flag, FlagConfiguration, Lease, Request
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
PREVIEW, SAVE = "/p/shop/bulk/preview", "/p/shop/bulk"
ON = {"what": "on", "environment": "production"}
TWO = {"flag": ["checkout", "search"]}


@pytest.fixture
def three(a_flag):
    for key in ("checkout", "search", "banner"):
        a_flag(key)


@pytest.fixture
def guarded(three):
    submit(
        EditEnvironment(project="shop", environment="production", requires_approval=True),
        actor=OPERATOR,
    )


@pytest.fixture
def browser(client, users, project):
    def signed_in_as(name: str = "editor"):
        client.force_login(users[name])
        return client

    return signed_in_as


def words(response) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())))


def offered(page: str) -> set[str]:
    return set(re.findall(r'<option value="(\w+)" data-lists="[^"]+">', page))


def on(environment="production") -> set[str]:
    rows = FlagConfiguration.objects.filter(environment__key=environment, enabled=True)
    return set(rows.values_list("flag__key", flat=True))


def test_flags_are_switched_together_and_taken_back_together(three, browser):
    editor = browser()

    said = words(editor.post(PREVIEW, ON | TWO, headers=HTMX))
    assert "Switch 2 flags on in Production?" in said
    assert "checkout search Production Turned on" in said
    assert not on()
    done = editor.post(SAVE, ON | TWO | {"reason": "Sale"}, headers=HTMX)

    assert on() == {"checkout", "search"}
    assert "Done: switch 2 flags on in Production" in words(done)
    assert {"close-dialogs", "bulk-done"} <= set(re.findall(r'"([a-z-]+)"', done["HX-Trigger"]))
    token = re.search(r'name="undo" value="([^"]+)"', done.content.decode())[1]
    editor.post("/p/shop/undo", {"undo": token})
    assert not on()


def test_without_javascript_a_page_stands_between(three, browser):
    editor = browser()

    page = editor.post(PREVIEW, ON | TWO, headers={"Referer": "http://testserver/p/shop/flags?q=c"})
    text = page.content.decode()
    assert "<h1" in text
    sent = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', text))
    answer = editor.post(SAVE, sent | TWO)

    assert answer["Location"].endswith("/p/shop/flags?q=c")
    assert on() == {"checkout", "search"}


def test_where_one_environment_asks_all_of_it_is_one_request(guarded, browser):
    editor = browser()

    said = words(editor.post(PREVIEW, ON | TWO, headers=HTMX))
    assert "Switch 2 flags on in Production?" in said
    assert "1 more approval by a reviewer or above" in said
    assert "Send for approval" in said
    editor.post(SAVE, ON | TWO | {"reason": "Sale"})

    assert not on()
    found = Request.objects.get()
    assert (found.state, found.reason) == ("in_review", "Sale")
    assert sorted(row["flag"] for row in found.changes) == ["checkout", "search"]


def test_they_are_lent_scheduled_and_drafted_together(three, browser):
    editor = browser()

    editor.post(SAVE, ON | TWO | {"goes": "draft", "draft_for": "production"})
    editor.post(SAVE, ON | TWO | {"when": "later", "apply_at": "2100-06-01T09:00"})
    assert [len(row.changes) for row in Request.objects.all()] == [2, 2]
    assert not on()
    editor.post(SAVE, ON | TWO | {"when": "lease", "lasts": "1", "lasts_unit": "days"})

    assert on() == {"checkout", "search"}
    assert len(Lease.objects.get().changes) == 2
    tags = {"what": "tag", "tag": "sale"}
    said = words(editor.post(PREVIEW, tags | TWO, headers=HTMX))
    assert "For a time, then back" not in said


def test_tags_are_added_and_removed(three, browser):
    submit(EditFlag(project="shop", flag="search", tags=["sale", "shop"]), actor=OPERATOR)
    editor = browser()

    said = words(editor.post(PREVIEW, {"what": "tag", "tag": "sale"} | TWO, headers=HTMX))
    assert "Add the tag sale to 1 flag?" in said
    assert "search : it has the tag sale already" in said
    editor.post(SAVE, {"what": "tag", "tag": "sale", "flag": ["checkout"]})
    assert Flag.objects.get(key="checkout").tags == ["sale"]
    editor.post(SAVE, {"what": "untag", "tag": "sale"} | TWO)

    assert list(Flag.objects.order_by("key").values_list("key", "tags")) == [
        ("banner", []), ("checkout", []), ("search", ["shop"]),
    ]  # fmt: skip
    for nothing in (" ", "\0"):
        empty = editor.post(PREVIEW, {"what": "tag", "tag": nothing} | TWO, headers=HTMX)
        assert empty.status_code == 422


def test_flags_are_archived_and_restored(three, browser):
    editor = browser()

    editor.post(SAVE, {"what": "archive"} | TWO)
    archived = editor.get("/p/shop/flags?archived=1").content.decode()
    assert offered(archived) == {"restore", "tag", "untag"}
    assert 'data-bulk-for="on off" hidden' in archived
    assert 'data-list="archived"' in archived
    assert set(Flag.objects.exclude(archived_at=None).values_list("key", flat=True)) == {
        "checkout", "search",
    }  # fmt: skip
    editor.post(SAVE, {"what": "restore"} | TWO)

    assert not Flag.objects.exclude(archived_at=None).exists()


def test_who_cannot_take_it_is_named_with_why_and_the_rest_goes_on(three, browser):
    submit(ArchiveFlag(project="shop", flag="banner"), actor=OPERATOR)
    submit(
        SwitchFlag(project="shop", environment="production", flag="search", on=True), actor=OPERATOR
    )
    chosen = {"flag": ["checkout", "search", "banner", "gone"]}

    said = words(browser().post(PREVIEW, ON | chosen, headers=HTMX))
    assert "Switch 1 flag on in Production?" in said
    assert "banner : it is archived" in said
    assert "gone : it is gone" in said
    assert "search : it is on already" in said
    browser().post(SAVE, ON | {"flag": ["checkout"]})

    assert on() == {"checkout", "search"}


def test_who_can_take_it_no_more_when_it_is_saved_is_said_before_the_rest_is_done(three, browser):
    editor = browser()
    editor.post(PREVIEW, ON | TWO, headers=HTMX)
    submit(ArchiveFlag(project="shop", flag="search"), actor=OPERATOR)

    late = editor.post(SAVE, ON | TWO | {"reason": "Sale"}, headers=HTMX)

    assert late.status_code == 409
    assert not on()
    assert "Not all of them can take it any more, so nothing is done yet" in words(late)
    assert "search : it is archived" in words(late)
    assert "Sale" in words(late)
    editor.post(SAVE, ON | {"flag": ["checkout"]})
    assert on() == {"checkout"}


def test_a_flag_that_others_need_is_named_unless_they_go_with_it(three, browser):
    needed = [{"flag": "search", "variations": ["on"]}]
    submit(
        ConfigureFlag(
            project="shop", environment="production", flag="checkout", prerequisites=needed
        ),
        actor=OPERATOR,
    )
    chosen = {"what": "archive", "flag": ["search", "banner"]}

    said = words(browser().post(PREVIEW, chosen, headers=HTMX))
    assert "Archive 1 flag?" in said
    assert re.search("search : .*checkout", said)
    assert "Archive 2 flags?" in words(browser().post(PREVIEW, {"what": "archive"} | TWO))


def test_who_may_not_chooses_nothing(three, browser):
    viewer = browser("viewer")
    assert 'name="flag"' not in viewer.get("/p/shop/flags").content.decode()

    said = words(viewer.post(PREVIEW, ON | TWO, headers=HTMX))
    assert "Nothing to do Nothing is left to do" in said
    assert "0 flags" not in said
    assert "this needs editor" in said
    viewer.post(SAVE, ON | TWO)
    assert not on()

    submit(
        SetMember(
            project="shop", username="viewer", role="viewer", environments={"staging": "editor"}
        ),
        actor=OPERATOR,
    )
    page = browser("viewer").get("/p/shop/flags").content.decode()
    assert 'name="flag"' in page
    assert offered(page) == {"on", "off"}
    bar = page.partition('id="bulk"')[2]
    assert '<option value="staging">' in bar
    assert '<option value="production">' not in bar
    assert 'name="flag"' not in viewer.get("/p/shop/flags/checkout/row?archived=1").content.decode()
    viewer.post(SAVE, ON | TWO | {"environment": "staging"})
    assert (on(), on("staging")) == (set(), {"checkout", "search"})


@pytest.mark.parametrize(
    ("sent", "status"),
    [({"what": "nothing"} | TWO, 404), (ON, 422), (ON | TWO | {"environment": "moon"}, 404)],
)
def test_what_makes_no_sense_is_refused(three, browser, sent, status):
    assert browser().post(PREVIEW, sent).status_code == status
    assert browser().post(SAVE, sent).status_code == status

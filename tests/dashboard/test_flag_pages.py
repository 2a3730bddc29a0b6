"""One flag's pages: what it serves, read and saved; its variations, settings and end."""

import html
import json
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from flagengine.operators import OPERATORS as ENGINE_OPERATORS
from flags.changes import (
    ArchiveFlag,
    ChangeSegmentIds,
    ConfigureFlag,
    CreateSegment,
    EditEnvironment,
    submit,
)
from flags.dashboard.conditions import OPERATORS, group_of
from flags.dashboard.segments import read_ids
from flags.models import Flag, FlagConfiguration, Request, Segment, SegmentDefinition
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
GERMANS = {"attribute": "country", "op": "in", "values": ["DE"]}


@pytest.fixture
def signed_in(client: Client, users, project):
    def as_(name: str = "editor") -> Client:
        client.force_login(users[name])
        return client

    return as_


def words(response) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())))


def configuration(flag="new-checkout") -> FlagConfiguration:
    return FlagConfiguration.objects.get(flag__key=flag, environment__key="production")


def post(client, configuration, *, version=1, step="", reason="", flag="new-checkout"):
    return client.post(
        f"/p/shop/flags/{flag}/targeting/production{step}",
        {
            "configuration": json.dumps(configuration),
            "expected_version": str(version),
            "reason": reason,
        },
        headers=HTMX,
    )


def rule(when=GERMANS, serve=None):
    return {"id": "r1", "name": "Germans", "when": when, "serve": serve or {"variation": "on"}}


def test_targeting_reads_as_sentences(signed_in, a_flag):
    submit(CreateSegment(project="shop", key="beta"), actor=OPERATOR)
    split = {"split": {"by": "company", "salt": "s", "shares": [["on", 12_500], ["off", 80_000]]}}
    when = {"all": [{"segment": "beta"}, {"not": {"any": [GERMANS, {"not": {"segment": "beta"}}]}}]}
    a_flag(on=True, rules=[rule(when, split)])

    said = words(signed_in("viewer").get("/p/shop/flags/new-checkout?environment=production"))

    assert "If in segment beta and none of ( country is DE or not in segment beta )" in said
    assert "on 12.5 % off 80 % 7.5 % goes on to the next rule by company" in said


def test_a_review_says_what_a_save_would_do_and_does_nothing(signed_in, a_flag):
    a_flag()

    response = post(signed_in(), {"rules": [rule()]}, step="/preview")

    assert response.status_code == 200
    assert "Germans" in words(response)
    assert configuration().rules == []


def test_a_save_keeps_the_reason_and_answers_with_the_sentences(signed_in, a_flag):
    a_flag()

    response = post(signed_in(), {"rules": [rule()]}, reason="Launch in Germany")

    assert "If country is DE" in words(response)
    assert "close-dialogs" in response["HX-Trigger"]
    assert configuration().rules[0]["when"] == GERMANS
    assert configuration().history.latest().history_change_reason == "Launch in Germany"


def test_a_save_from_an_old_editor_is_refused_into_the_dialog(signed_in, a_flag):
    a_flag()
    post(signed_in(), {"rules": [rule()]})

    response = post(signed_in(), {"rules": []}, version=1)

    assert response.status_code == 409
    assert response["HX-Retarget"] == "#review-body"
    assert "Compare with version 2" in words(response)
    assert len(configuration().rules) == 1


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ({"rules": [rule(serve={"variation": "maybe"})]}, "rules[0].serve.variation"),
        ({"rules": [rule({"segment": "nobody"})]}, "rules[0].when"),
        ({"prerequisites": [{"flag": "none", "variations": ["on"]}]}, "prerequisites[0].flag"),
        ({"fallthrough": {"split": {"shares": [["on", 100_001]]}}}, "fallthrough.split.shares"),
        ({"rules": "all"}, "configuration"),
        ([], "configuration"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(signed_in, a_flag, typed, path):
    a_flag()

    response = post(signed_in(), typed, step="/preview") if typed else None
    response = response or post(signed_in(), typed, step="/preview")

    assert response.status_code == 422
    assert f'data-problem="{path}"' in response.content.decode() or path in words(response)
    assert configuration().version == 1


def test_a_viewer_cannot_open_the_editor_or_save(signed_in, a_flag):
    a_flag()
    viewer = signed_in("viewer")

    page = viewer.get("/p/shop/flags/new-checkout?environment=production&edit=1").content.decode()
    refused = post(viewer, {"rules": [rule()]})

    assert "data-editor" not in page
    assert "this needs editor" in page
    assert refused.status_code == 403
    assert configuration().rules == []


def test_a_save_where_approval_is_required_asks_for_it_and_says_by_whom(signed_in, a_flag):
    a_flag()
    submit(
        EditEnvironment(project="shop", environment="production", requires_approval=True),
        actor=OPERATOR,
    )

    before = words(post(signed_in(), {"rules": [rule()]}, step="/preview"))
    after = words(post(signed_in(), {"rules": [rule()]}))

    assert "Rule Germans was added" in before
    assert "1 more approval by a reviewer or above: admin, owner, reviewer" in before
    assert "Send for approval" in before
    assert "Sent for approval as request #1: needs 1 more approval" in after
    assert configuration().rules == []
    assert Request.objects.get().state == "in_review"


def test_the_environment_looked_at_last_is_shown_again(signed_in, a_flag):
    a_flag()
    editor = signed_in()
    editor.get("/p/shop/flags/new-checkout?environment=staging")

    page = editor.get("/p/shop/flags/new-checkout").content.decode()

    assert 'aria-label="Targeting in Staging"' in page
    assert editor.get("/p/shop/flags/new-checkout?environment=moon").status_code == 404


def test_the_queries_of_a_page_do_not_grow_with_its_rules(signed_in, a_flag):
    a_flag()
    client = signed_in()
    address = "/p/shop/flags/new-checkout?environment=production&edit=1"
    client.get(address)
    with CaptureQueriesContext(connection) as few:
        client.get(address)
    rules = [rule() | {"id": f"r{number}"} for number in range(30)]
    submit(
        ConfigureFlag(project="shop", environment="production", flag="new-checkout", rules=rules),
        actor=OPERATOR,
    )

    with CaptureQueriesContext(connection) as many:
        client.get(address)

    assert len(many) == len(few) <= 22


def test_the_editor_knows_every_operator_of_the_engine():
    assert set(OPERATORS) == set(ENGINE_OPERATORS)


@pytest.mark.parametrize(
    ("when", "mode", "parts"),
    [
        (GERMANS, "all", 1),
        ({"any": [GERMANS, GERMANS]}, "any", 2),
        ({"not": {"all": [GERMANS]}}, "not-all", 1),
        ({"not": {"not": GERMANS}}, "none", 1),
        ({"all": []}, "all", 0),
    ],
)
def test_the_root_of_a_condition_is_a_group(when, mode, parts):
    root = group_of(when)

    assert (root.kind, root.mode, len(root.parts)) == ("group", mode, parts)


def save_variations(client, flag: Flag, *variations: tuple[str, str], **more):
    return client.post(
        f"/p/shop/flags/{flag.key}/variations",
        {
            "revision": str(flag.revision),
            "variation_key": [key for key, _ in variations],
            "variation_value": [value for _, value in variations],
            "variation_name": ["" for _ in variations],
            "variation_description": ["" for _ in variations],
            "json_schema": "",
            **more,
        },
    )


def test_variations_are_edited(signed_in, a_flag):
    flag = a_flag("limit", type="integer", variations=[{"key": "low", "value": 1}])

    response = save_variations(signed_in(), flag, ("low", "2"), ("high", "100"))

    assert response.status_code == 302
    flag.refresh_from_db()
    assert [variation["value"] for variation in flag.variations] == [2, 100]


def test_a_variation_that_is_served_cannot_go_and_what_was_typed_stays(signed_in, a_flag):
    flag = a_flag("limit", type="integer", variations=[{"key": "low", "value": 1}])

    response = save_variations(signed_in(), flag, ("high", "12345"))

    assert response.status_code == 422
    assert "12345</textarea>" in response.content.decode()
    flag.refresh_from_db()
    assert flag.variations[0]["key"] == "low"


def test_a_json_value_against_its_schema_is_said_at_the_value(signed_in, a_flag):
    flag = a_flag("banner", type="json", variations=[{"key": "a", "value": {}}])

    response = save_variations(
        signed_in(), flag, ("a", '{"x": 1}'), json_schema='{"required": ["title"]}'
    )

    assert response.status_code == 422
    assert 'data-problem="variations[0].value"' in response.content.decode()


def test_settings_are_saved_and_an_older_page_is_refused(signed_in, a_flag):
    flag = a_flag()
    typed = {"name": "Newest", "tags": "b,a", "owner": "admin", "revision": str(flag.revision)}
    address = "/p/shop/flags/new-checkout/settings"

    first = signed_in().post(address, typed)
    second = signed_in().post(address, typed | {"name": "Too late"})

    flag.refresh_from_db()
    assert first.status_code == 302
    assert (flag.name, flag.tags, flag.owner.username) == ("Newest", ["a", "b"], "admin")
    assert second.status_code == 409
    assert "somebody edited it meanwhile" in words(second)
    assert "Too late" in second.content.decode()


def test_a_description_can_be_saved_where_an_environment_requires_approval(signed_in, a_flag):
    flag = a_flag()
    submit(
        EditEnvironment(project="shop", environment="staging", requires_approval=True),
        actor=OPERATOR,
    )

    response = signed_in().post(
        "/p/shop/flags/new-checkout/settings",
        {"name": "x", "description": "For all", "revision": str(flag.revision)},
    )

    assert response.status_code == 302
    assert Flag.objects.get().description == "For all"


def test_a_flag_is_archived_restored_and_deleted_for_good(signed_in, a_flag):
    a_flag()
    editor, address = signed_in(), "/p/shop/flags/new-checkout/end"

    editor.post(f"{address}/archive")
    assert Flag.objects.get().is_archived
    editor.post(f"{address}/restore")
    assert not Flag.objects.get().is_archived
    submit(ArchiveFlag(project="shop", flag="new-checkout"), actor=OPERATOR)
    assert editor.post(f"{address}/delete", {"typed_key": "other"}).status_code == 422
    editor.post(f"{address}/delete", {"typed_key": "new-checkout"})
    assert not Flag.objects.exists()


def test_a_segment_is_made_defined_and_deleted(signed_in):
    editor = signed_in()
    editor.post("/p/shop/new-segment", {"key": "beta", "name": "Beta testers", "tags": "trial"})

    response = editor.post(
        "/p/shop/segments/beta/definition/production",
        {"configuration": json.dumps({"when": GERMANS}), "expected_version": "1"},
        headers=HTMX,
    )

    assert "Whoever matches country is DE" in words(response)
    assert "by condition in 1 environment" in words(editor.get("/p/shop/segments"))
    editor.post("/p/shop/segments/beta/delete", {"typed_key": "beta"})
    assert not Segment.objects.exists()


def test_a_segment_in_use_says_by_what_and_stays(signed_in, a_flag):
    submit(CreateSegment(project="shop", key="beta"), actor=OPERATOR)
    a_flag(rules=[rule({"all": [{"not": {"segment": "beta"}}]})])
    editor = signed_in()

    assert "new-checkout" in words(editor.get("/p/shop/segments"))
    assert "It is in use" in words(editor.get("/p/shop/segments/beta/settings"))
    assert editor.post("/p/shop/segments/beta/delete", {"typed_key": "beta"}).status_code == 409
    assert Segment.objects.exists()


def test_a_circle_of_segments_is_refused(signed_in):
    submit(CreateSegment(project="shop", key="beta"), actor=OPERATOR)

    response = signed_in().post(
        "/p/shop/segments/beta/definition/production/preview",
        {"configuration": json.dumps({"when": {"segment": "beta"}}), "expected_version": "1"},
        headers=HTMX,
    )

    assert response.status_code == 422
    assert "leads in a circle" in words(response)


def test_ids_are_pasted_searched_taken_off_and_brought_back(signed_in):
    submit(CreateSegment(project="shop", key="beta"), actor=OPERATOR)
    editor, address = signed_in(), "/p/shop/segments/beta/ids/production"

    added = editor.post(address, {"add": "a1\r\na2, a3\tb1\na1", "list": "excluded"}, headers=HTMX)
    found = editor.get("/p/shop/segments/beta?environment=production&ids=b")
    removed = editor.post(address, {"remove": "b1", "list": "excluded"}, headers=HTMX)

    definition = SegmentDefinition.objects.get(environment__key="production")
    assert "beta: 4 added" in words(added)
    assert "b1" in words(found)
    assert "a1" not in words(found)
    assert "beta: 1 removed" in words(removed)
    assert sorted(definition.listed_ids.values_list("value", flat=True)) == ["a1", "a2", "a3"]
    token = re.search(r'name="undo" value="([^"]+)"', removed.content.decode())[1]
    editor.post("/p/shop/undo", {"undo": token}, headers=HTMX)
    assert definition.listed_ids.filter(value="b1", list="excluded").exists()


def test_long_lists_are_counted_and_the_queries_stay_few(signed_in):
    submit(CreateSegment(project="shop", key="beta"), actor=OPERATOR)
    ids = tuple(f"user-{number:05}" for number in range(3000))
    submit(
        ChangeSegmentIds(project="shop", environment="production", segment="beta", add=ids),
        actor=OPERATOR,
    )
    viewer = signed_in("viewer")
    viewer.get("/p/shop/segments/beta?environment=production")

    with CaptureQueriesContext(connection) as queries:
        page = words(viewer.get("/p/shop/segments/beta?environment=production"))

    assert "Included 3000" in page
    assert "The first 100 of 3000" in page
    assert len(queries) <= 20


def test_ids_are_read_as_people_paste_them():
    assert read_ids(" a \r\nb,c\td\n\n,a") == ("a", "b", "c", "d")

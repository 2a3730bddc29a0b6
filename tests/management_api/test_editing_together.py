"""ETag, If-Match and Idempotency-Key: nobody overwrites unseen, nothing is created twice."""

import threading

import pytest
from django.core.cache import caches
from django.db import connection
from redis.exceptions import RedisError

from flags.changes import EditFlag, SwitchFlag, submit
from flags.management_api import configurations, idempotency
from flags.models import Flag, FlagConfiguration, SdkKey, Segment
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

THERE = "projects/shop/flags/x/environments/production"


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("projects/shop", "PATCH", {"name": "Another"}),
        ("projects/shop/environments/staging", "PATCH", {"name": "Another"}),
        ("projects/shop/environments/staging", "DELETE", None),
        ("projects/shop/flags/x", "PATCH", {"name": "Another"}),
        ("projects/shop/flags/x/archive", "POST", {}),
        (THERE, "PATCH", {"enabled": True}),
        (f"{THERE}/switch", "POST", {"on": True}),
        ("projects/shop/segments/s", "PATCH", {"name": "Another"}),
        ("projects/shop/segments/s", "DELETE", None),
        (
            "projects/shop/segments/s/environments/production",
            "PUT",
            {"when": {"attribute": "a", "op": "exists"}},
        ),
        ("projects/shop/members/viewer", "PUT", {"role": "editor"}),
        ("projects/shop/members/viewer", "DELETE", None),
    ],
)
def test_what_moved_is_not_edited(api, a_flag, path, method, body):
    a_flag("x")
    api.post("projects/shop/segments", {"key": "s"})
    seen = api.get(path.removesuffix("/archive").removesuffix("/switch")).etag

    moved = api.call(method, path, body, headers={"If-Match": '"000000000000-9"'})
    weak = api.call(method, path, body, headers={"If-Match": f"W/{seen}"})
    fits = api.call(method, path, body, headers={"If-Match": f'"other", {seen}'})

    assert (moved.status, weak.status) == (412, 412)
    assert fits.status in (200, 204)


def test_a_stale_version_in_the_body_is_a_conflict(api, a_flag):
    a_flag("x")

    stale_flag = api.patch("projects/shop/flags/x", {"name": "A", "expected_revision": 9})
    stale = api.patch(THERE, {"enabled": True, "expected_version": 9})
    fresh = api.patch(THERE, {"enabled": True, "expected_version": 1})

    assert (stale_flag.status, stale.status, fresh.status) == (409, 409, 200)
    assert stale.data["type"].endswith("stale")


def test_who_has_it_is_told_so(api, a_flag):
    a_flag("x")
    seen = api.get(THERE).etag

    assert api.get(THERE, headers={"If-None-Match": seen}).status == 304
    submit(SwitchFlag(project="shop", environment="production", flag="x", on=True), actor=OPERATOR)
    assert api.get(THERE, headers={"If-None-Match": seen}).status == 200


@pytest.mark.parametrize(("header", "status"), [("If-Match", 412), (None, 409)])
def test_a_race_that_is_lost_under_the_lock_is_noticed(api, a_flag, monkeypatch, header, status):
    """Somebody saves between the comparison and the lock."""
    a_flag("x")
    seen = api.get(THERE)
    compare = configurations.expected

    def overtaken(*args, **options):
        found = compare(*args, **options)
        submit(
            SwitchFlag(project="shop", environment="production", flag="x", on=True),
            actor=OPERATOR,
        )
        return found

    monkeypatch.setattr(configurations, "expected", overtaken)
    headers = {header: seen.etag} if header else {}
    body = {"fallthrough": {"variation": "off"}} | ({} if header else {"expected_version": 1})

    answer = api.patch(THERE, body, headers=headers)

    assert answer.status == status
    assert FlagConfiguration.objects.get(environment__key="production").fallthrough == {
        "variation": "on"
    }


def test_a_flag_made_anew_under_its_key_is_another(api, a_flag):
    a_flag("x")
    seen = api.get("projects/shop/flags/x").etag
    api.post("projects/shop/flags/x/archive", {})
    api.delete("projects/shop/flags/x")
    a_flag("x")

    answer = api.patch("projects/shop/flags/x", {"name": "A"}, headers={"If-Match": seen})

    assert answer.status == 412


def test_an_edit_of_the_flag_that_raced_a_removal_is_noticed(api, a_flag):
    a_flag("x")
    api.post("projects/shop/flags/x/archive", {})
    seen = api.get("projects/shop/flags/x").etag
    submit(EditFlag(project="shop", flag="x", name="Still needed"), actor=OPERATOR)

    assert api.delete("projects/shop/flags/x", headers={"If-Match": seen}).status == 412
    assert Flag.objects.filter(key="x").exists()


KEY = {"Idempotency-Key": "one"}


def test_the_same_request_creates_once(api):
    first = api.post("projects/shop/segments", {"key": "s"}, headers=KEY)
    again = api.post("projects/shop/segments", {"key": "s"}, headers=KEY)

    assert (first.status, again.status) == (201, 201)
    assert again.data == first.data
    assert (again.headers["Location"], again.etag) == (first.headers["Location"], first.etag)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert Segment.objects.count() == 1


def test_a_secret_is_not_kept_for_a_repeat(api):
    address = "projects/shop/environments/staging/sdk-keys"

    first = api.post(address, {"kind": "server"}, headers=KEY)
    again = api.post(address, {"kind": "server"}, headers=KEY)

    assert again.data == {**first.data, "secret": None}
    assert SdkKey.objects.count() == 1


def test_a_key_names_one_request(api):
    api.post("projects/shop/segments", {"key": "s"}, headers=KEY)

    other_body = api.post("projects/shop/segments", {"key": "t"}, headers=KEY)
    other_address = api.post("projects/shop/flags", {"key": "s"}, headers=KEY)

    assert (other_body.status, other_address.status) == (422, 422)
    assert (
        api.post("projects/shop/segments", {"key": "t"}, headers={"Idempotency-Key": ""}).status
        == 422
    )


def test_keys_of_two_callers_never_meet(api, calling):
    api.post("projects/shop/segments", {"key": "s"}, headers=KEY)

    answer = calling("editor").post("projects/shop/segments", {"key": "t"}, headers=KEY)

    assert answer.status == 201


def test_what_was_refused_may_be_tried_again(api):
    api.post("projects/shop/flags", {"key": "x", "type": "string"}, headers=KEY)

    answer = api.post("projects/shop/flags", {"key": "x"}, headers=KEY)

    assert answer.status == 201


@pytest.mark.django_db(transaction=True)
def test_of_two_that_come_at_once_one_creates(api):
    """Without keys of its own a project could get two SDK keys from one request sent twice."""
    address = "projects/shop/environments/staging/sdk-keys"
    together = threading.Barrier(2)
    answers = []

    def send():
        together.wait()
        answers.append(api.post(address, {"kind": "server"}, headers=KEY).status)
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert SdkKey.objects.count() == 1
    assert set(answers) <= {201, 409}
    assert 201 in answers


def test_a_request_that_is_being_handled_is_not_begun_again(api, monkeypatch):
    seen = []

    def repeated_meanwhile(place, fingerprint, response):
        seen.append(api.post("projects/shop/segments", {"key": "s"}, headers=KEY))

    with monkeypatch.context() as patch:
        patch.setattr(idempotency, "_keep", repeated_meanwhile)
        api.post("projects/shop/segments", {"key": "s"}, headers=KEY)

    assert (seen[0].status, seen[0].headers["Retry-After"]) == (409, "1")


def test_without_the_cache_nothing_is_promised(api, monkeypatch):
    def away(*args, **options):
        raise RedisError("connection refused")

    monkeypatch.setattr(caches["exact"], "add", away)

    refused = api.post("projects/shop/segments", {"key": "s"}, headers=KEY)
    made = api.post("projects/shop/segments", {"key": "s"})

    assert (refused.status, made.status) == (503, 201)


@pytest.mark.parametrize(
    "path",
    [
        "projects",
        "projects/shop/environments",
        "projects/shop/flags",
        "projects/shop/segments",
        "projects/shop/members",
        "projects/shop/events",
        "projects/shop/environments/production/flags",
        "projects/shop/environments/production/sdk-keys",
        "tokens",
    ],
)
def test_lists_take_as_many_queries_whatever_their_length(
    api, a_flag, path, django_assert_max_num_queries, users
):
    for number in range(12):
        a_flag(f"flag-{number}", owner="editor")
        api.post("projects/shop/segments", {"key": f"segment-{number}"})

    with django_assert_max_num_queries(8):
        answer = api.get(path)

    assert answer.status == 200

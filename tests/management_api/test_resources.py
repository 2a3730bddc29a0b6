"""Each resource, from its making to its end; conftest.py validates every answer."""

import pytest

from audit.models import Event
from flags.models import ApiToken, Flag, FlagConfiguration, SdkKey, SegmentDefinition
from flags.models.secrets import hash_of

pytestmark = pytest.mark.django_db


def test_projects(calling):
    owner = calling("owner")

    made = owner.post("projects", {"key": "garden", "name": "Garden", "reason": "Spring"})
    named = owner.patch("projects/garden", {"description": "Green"})

    assert (made.status, made.headers["Location"]) == (201, "/api/v1/projects/garden")
    assert (named.data["description"], named.data["revision"]) == ("Green", 2)
    assert [row["key"] for row in owner.get("projects").data["results"]] == ["garden", "shop"]
    assert Event.objects.filter(reason="Spring").exists()


def test_environments(api):
    made = api.post("projects/shop/environments", {"key": "preview", "position": 7})
    edited = api.patch("projects/shop/environments/preview", {"name": "Preview"})
    listed = api.get("projects/shop/environments").data["results"]
    removed = api.delete("projects/shop/environments/preview?reason=Over")

    assert (made.status, made.data["version"]) == (201, 1)
    assert edited.data["name"] == "Preview"
    assert [row["key"] for row in listed] == ["development", "staging", "production", "preview"]
    assert removed.status == 204
    assert api.get("projects/shop/environments/preview").status == 404
    assert Event.objects.filter(reason="Over").exists()


def test_flags(api):
    flag = {
        "key": "limit",
        "type": "integer",
        "variations": [{"key": "low", "value": 1, "name": "Low"}, {"key": "high", "value": 9}],
        "owner": "editor",
        "tags": ["b", "a"],
    }

    made = api.post("projects/shop/flags", flag)
    edited = api.patch("projects/shop/flags/limit", {"client_visible": True, "owner": None})
    archived = api.post("projects/shop/flags/limit/archive", {"reason": "Done"})
    restored = api.post("projects/shop/flags/limit/restore", {})
    api.post("projects/shop/flags/limit/archive", {})
    removed = api.delete("projects/shop/flags/limit")

    assert (made.status, made.data["tags"], made.data["owner"]) == (201, ["a", "b"], "editor")
    assert (edited.data["client_visible"], edited.data["owner"]) == (True, None)
    assert archived.data["archived_at"] is not None
    assert restored.data["archived_at"] is None
    assert removed.status == 204
    assert not Flag.objects.exists()


def test_flags_are_filtered(api, a_flag):
    a_flag("new-checkout", tags=["web"])
    a_flag("limit", type="integer", variations=[{"key": "a", "value": 1}], owner="editor")
    a_flag("gone")
    api.post("projects/shop/flags/gone/archive", {})

    def keys(query):
        return [row["key"] for row in api.get(f"projects/shop/flags{query}").data["results"]]

    assert keys("") == ["limit", "new-checkout"]
    assert keys("?q=CHECK") == ["new-checkout"]
    assert keys("?type=integer") == ["limit"]
    assert keys("?tag=web") == ["new-checkout"]
    assert keys("?owner=editor") == ["limit"]
    assert keys("?archived=true") == ["gone"]
    assert keys("?archived=all") == ["gone", "limit", "new-checkout"]


def test_configurations(api, a_flag):
    a_flag("new-checkout")
    address = "projects/shop/flags/new-checkout/environments/production"
    rule = {
        "when": {"attribute": "country", "op": "in", "values": ["DE"]},
        "serve": {"split": {"shares": [["on", 25_000], ["off", 75_000]]}},
    }

    switched = api.post(f"{address}/switch", {"on": True, "was": False, "reason": "Launch"})
    configured = api.patch(address, {"rules": [rule]})
    whole = {name: configured.data[name] for name in configured.data if name in _WHOLE}
    replaced = api.put(address, {**whole, "rules": []})

    assert (switched.data["enabled"], switched.data["version"]) == (True, 2)
    assert configured.data["rules"][0]["serve"]["split"]["salt"]
    assert (replaced.data["rules"], replaced.data["version"]) == ([], 4)
    assert api.post(f"{address}/switch", {"on": True, "was": False}).status == 409


_WHOLE = {"enabled", "off_variation", "prerequisites", "targets", "rules", "fallthrough"}


def test_configurations_are_listed_by_flag_and_by_environment(api, a_flag):
    a_flag("b", on=True)
    a_flag("a")

    by_flag = api.get("projects/shop/flags/b/environments").data["results"]
    by_environment = api.get("projects/shop/environments/production/flags").data["results"]

    assert [row["environment"] for row in by_flag] == ["development", "staging", "production"]
    assert [(row["flag"], row["enabled"]) for row in by_environment] == [("a", False), ("b", True)]


def test_segments(api):
    address = "projects/shop/segments/beta"
    there = f"{address}/environments/production"

    made = api.post("projects/shop/segments", {"key": "beta", "name": "Beta"})
    edited = api.patch(address, {"tags": ["x"]})
    when = {"attribute": "email", "op": "ends_with", "values": ["@x.test"]}
    defined = api.put(there, {"when": when})
    listed = api.post(f"{there}/ids", {"add": ["u1", "u2"], "list": "excluded"})
    api.post(f"{there}/ids", {"remove": ["u1"], "list": "excluded"})

    assert (made.status, edited.data["tags"]) == (201, ["x"])
    assert defined.data["when"] == when
    assert listed.data["lists"] == [{"list": "excluded", "by": "targetingKey", "count": 2}]
    ids = api.get(f"{there}/ids?list=excluded").data["results"]
    assert [row["value"] for row in ids] == ["u2"]
    assert [row["key"] for row in api.get("projects/shop/segments?tag=x").data["results"]] == [
        "beta"
    ]
    assert api.put(there, {"when": None}).data["when"] is None
    assert api.delete(address).status == 204


def test_a_large_upload_of_ids_is_taken(api):
    api.post("projects/shop/segments", {"key": "beta"})
    there = "projects/shop/segments/beta/environments/production"
    ids = [f"customer-{number:020d}" for number in range(60_000)]

    answer = api.post(f"{there}/ids", {"add": ids})

    assert answer.data["lists"] == [{"list": "included", "by": "targetingKey", "count": 60_000}]


def test_sdk_keys(api):
    address = "projects/shop/environments/production/sdk-keys"

    made = api.post(address, {"kind": "client", "name": "Web"})
    public_id = made.data["public_id"]
    listed = api.get(address).data["results"]
    revoked = api.delete(f"{address}/{public_id}")

    assert SdkKey.objects.get(hash=hash_of(made.data["secret"])).public_id == public_id
    assert [(row["kind"], "secret" in row) for row in listed] == [("client", False)]
    assert revoked.status == 204
    assert api.get(f"{address}/{public_id}").data["revoked_at"] is not None


def test_api_tokens_are_made_by_who_is_signed_in(users, calling):
    caller = calling("editor")
    caller.token = None
    caller.client.force_login(users["editor"])

    made = caller.post("tokens", {"scopes": ["read"], "name": "CI"})
    listed = caller.get("tokens").data["results"]
    revoked = caller.delete(f"tokens/{made.data['public_id']}")

    assert ApiToken.objects.get(hash=hash_of(made.data["secret"])).scopes == ["read"]
    assert {row["username"] for row in listed} == {"editor"}
    assert revoked.status == 204


def test_members(api):
    listed = api.get("projects/shop/members").data["results"]
    added = api.put("projects/shop/members/outsider", {"role": "viewer"})
    raised = api.put("projects/shop/members/outsider", {"role": "editor"})
    removed = api.delete("projects/shop/members/outsider")

    assert [row["username"] for row in listed] == ["admin", "editor", "reviewer", "viewer"]
    assert (added.data["role"], raised.data["role"]) == ("viewer", "editor")
    assert removed.status == 204
    assert api.get("projects/shop/members/outsider").status == 404


def test_events_are_filtered(api, a_flag, users):
    a_flag("new-checkout")
    api.post(
        "projects/shop/flags/new-checkout/environments/production/switch",
        {"on": True, "reason": "Launch"},
    )

    def reasons(query):
        return [row["reason"] for row in api.get(f"projects/shop/events?{query}").data["results"]]

    newest = api.get("projects/shop/events").data["results"][0]
    assert (newest["environment"], newest["reason"]) == ("production", "Launch")
    assert newest["actor"] == {"kind": "person", "id": str(users["admin"].pk), "name": "admin"}
    assert reasons(f"actor=person:{users['admin'].pk}") == ["Launch"]
    assert reasons("kind=flag.switched&environment=production") == ["Launch"]
    assert reasons("subject=flag:new-checkout&environment=staging") == [""]
    assert reasons("subject=flag:nothing") == []
    assert reasons(f"since={newest['at'].replace('+', '%2B')}") == ["Launch"]
    assert "Launch" not in reasons(f"until={newest['at'].replace('+', '%2B')}")


def test_events_come_in_pages(api, a_flag):
    for number in range(4):
        a_flag(f"flag-{number}")

    seen, address = [], "projects/shop/events?page_size=3"
    while address:
        page = api.get(address).data
        seen += [row["id"] for row in page["results"]]
        address = page["next"] and page["next"].removeprefix("http://testserver")

    assert len(seen) == len(set(seen))
    assert len(seen) == Event.objects.exclude(stream_id="site").count()


def test_the_site_has_events_for_its_administrators(api, calling):
    kinds = {
        effect["kind"]
        for row in calling("owner").get("events").data["results"]
        for effect in row["effects"]
    }

    assert "user.created" in kinds
    assert api.get("events").status == 403


def test_a_flag_is_restored_from_its_history(api, a_flag):
    a_flag("new-checkout")
    there = "projects/shop/flags/new-checkout/environments/production"
    api.post(f"{there}/switch", {"on": True})
    api.patch(there, {"fallthrough": {"variation": "off"}, "enabled": False})

    history = api.get("projects/shop/flags/new-checkout/history?environment=production").data
    switched = history["results"][1]
    restored = api.post(f"{there}/restore", {"event": switched["id"]})

    assert (restored.data["enabled"], restored.data["fallthrough"]) == (True, {"variation": "on"})
    assert FlagConfiguration.objects.get(environment__key="production").version == 4


def test_a_segment_is_restored_from_its_history(api):
    api.post("projects/shop/segments", {"key": "beta"})
    there = "projects/shop/segments/beta/environments/production"
    first = {"attribute": "a", "op": "exists"}
    api.put(there, {"when": first})
    api.put(there, {"when": None})
    api.post(f"{there}/ids", {"add": ["u1"]})

    events = api.get("projects/shop/segments/beta/history?environment=production").data["results"]
    restored = api.post(f"{there}/restore", {"event": events[2]["id"]})

    assert restored.data["when"] == first
    assert SegmentDefinition.objects.get(environment__key="production").when == first
    assert api.post(f"{there}/restore", {"event": events[0]["id"]}).status == 409


def test_what_an_event_does_not_hold_cannot_be_restored(api, a_flag):
    a_flag("one")
    a_flag("other")
    events = api.get("projects/shop/flags/one/history?environment=staging").data["results"]
    there = "projects/shop/flags/{}/environments/{}/restore"

    assert api.post(there.format("other", "staging"), {"event": events[0]["id"]}).status == 404
    assert api.post(there.format("one", "production"), {"event": events[0]["id"]}).status == 404
    assert api.post(there.format("one", "staging"), {"event": "no-uuid"}).status == 422


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "projects/shop/flags", {"key": "x"}),
        ("PATCH", "projects/shop/flags/old", {"name": "Another", "client_visible": True}),
        ("POST", "projects/shop/flags/old/archive", {}),
        ("POST", "projects/shop/flags/old/environments/staging/switch", {"on": True}),
        ("POST", "projects/shop/environments", {"key": "x"}),
        ("POST", "projects/shop/environments/staging/sdk-keys", {"kind": "server"}),
        ("DELETE", "projects/shop/environments/staging", None),
        ("PUT", "projects/shop/members/outsider", {"role": "viewer"}),
    ],
)
def test_a_dry_run_answers_what_would_happen_and_does_nothing(api, a_flag, method, path, body):
    a_flag("old")
    before = Event.objects.count()

    answer = api.call(method, f"{path}?dry_run=true", body)

    assert (answer.status, answer.data["dry_run"], answer.data["changed"]) == (200, True, True)
    assert answer.data["effects"]
    assert Event.objects.count() == before


def test_a_dry_run_names_the_version_an_environment_would_get(api, a_flag):
    a_flag("old")
    now = api.get("projects/shop/environments/staging").data["version"]

    answer = api.post(
        "projects/shop/flags/old/environments/staging/switch?dry_run=true", {"on": True}
    )

    assert answer.data["versions"] == {"staging": now + 1}

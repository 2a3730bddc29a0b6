"""OFREP, single and bulk: every answer is checked against the protocol's own OpenAPI file."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flags.changes import ConfigureFlag, CreateSegment, SwitchFlag
from flags.models import FlagConfiguration
from tests.evaluation_api.schema import check
from tests.served import Served, an_sdk_key, change, wait_until

ONE = "/ofrep/v1/evaluate/flags/new-checkout"
ALL = "/ofrep/v1/evaluate/flags"
FLOATS = [{"key": "whole", "value": 3}, {"key": "part", "value": 2.5}]


def values(*pairs: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in pairs]


@pytest.mark.parametrize(
    ("type_", "value", "written"),
    [
        ("boolean", True, b'"value":true'),
        ("string", "Größe ☃ \u2028", '"value":"Größe ☃ \u2028"'.encode()),
        ("integer", 9007199254740991, b'"value":9007199254740991'),
        ("integer", 3.0, b'"value":3}'),
        ("float", 3, b'"value":3.0'),
        ("float", 1e22, b'"value":1e+22'),
        ("json", {"a": [1, None]}, b'"value":{"a":[1,null]}'),
    ],
)
def test_a_value_of_each_type_is_written_as_its_type_says(
    server: Served,
    server_key: str,
    a_flag: Callable[..., Any],
    type_: str,
    value: Any,
    written: bytes,
) -> None:
    other = {"boolean": False, "string": "", "integer": 0, "float": 0.5, "json": {}}[type_]
    a_flag(type=type_, on=True, variations=values(("a", value), ("b", other)))

    response = server.evaluate(server_key, "new-checkout")

    said = check(response)
    assert written in response.content
    assert said["key"] == "new-checkout"
    assert (said["variant"], said["reason"]) == ("a", "STATIC")
    assert response.headers["cache-control"] == "private"


def test_a_server_key_is_told_the_rule_and_the_prerequisite_and_a_client_key_is_not(
    server: Served, server_key: str, client_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag("billing-v2", on=False, client_visible=True)
    a_flag(
        "ruled",
        on=True,
        client_visible=True,
        rules=[
            {
                "id": "r1",
                "when": {"attribute": "country", "op": "in", "values": ["DE"]},
                "serve": {"variation": "on"},
            }
        ],
    )
    a_flag(
        on=True,
        client_visible=True,
        prerequisites=[{"flag": "billing-v2", "variations": ["on"]}],
    )

    failed = check(server.evaluate(server_key, "new-checkout"))
    ruled = check(server.evaluate(server_key, "ruled", {"country": "DE"}))
    seen = [
        server.evaluate(client_key, "new-checkout"),
        server.evaluate(client_key, "ruled", {"country": "DE"}),
        server.evaluate(client_key, "", {"country": "DE"}),
    ]

    assert (failed["reason"], failed["metadata"]["prerequisite"]) == ("DISABLED", "billing-v2")
    assert (ruled["reason"], ruled["metadata"]["rule"]) == ("TARGETING_MATCH", "r1")
    assert ruled["metadata"]["flagVersion"] >= 1
    for response in seen:
        check(response)
        assert b"r1" not in response.content
        assert b"prerequisite" not in response.content
        assert b"rule" not in response.content.replace(b'"ruled"', b"")


def test_a_client_key_sees_client_visible_flags_only(
    server: Served, server_key: str, client_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag("shown", client_visible=True)
    a_flag("hidden")

    shown = check(server.evaluate(client_key, "shown"))
    hidden = server.evaluate(client_key, "hidden")
    missing = server.evaluate(client_key, "missing")
    everything = check(server.evaluate(client_key))

    assert shown["value"] is False
    assert (hidden.status_code, missing.status_code) == (404, 404)
    assert check(hidden)["errorCode"] == "FLAG_NOT_FOUND"
    assert hidden.content.replace(b"hidden", b"missing") == missing.content
    assert [flag["key"] for flag in everything["flags"]] == ["shown"]
    assert len(check(server.evaluate(server_key))["flags"]) == 2


def test_a_null_off_variation_means_the_apps_own_default(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag(on=False)
    change(
        ConfigureFlag(
            project="shop", environment="production", flag="new-checkout", off_variation=None
        )
    )

    said = check(server.evaluate(server_key, "new-checkout"))

    assert "value" not in said
    assert (said["variant"], said["reason"]) == ("", "DISABLED")


def test_only_flags_that_need_the_targeting_key_fail_without_it(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag("plain")
    split = {"split": {"by": "targetingKey", "shares": [["on", 50_000], ["off", 50_000]]}}
    a_flag(on=True, fallthrough=split)

    one = server.evaluate(server_key, "new-checkout")
    everything = check(server.evaluate(server_key))

    assert one.status_code == 400
    assert check(one)["errorCode"] == "TARGETING_KEY_MISSING"
    assert check(one)["errorDetails"]
    by_key = {flag["key"]: flag for flag in everything["flags"]}
    assert by_key["new-checkout"]["errorCode"] == "TARGETING_KEY_MISSING"
    assert by_key["plain"]["value"] is False


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "PARSE_ERROR"),
        (b"{", "PARSE_ERROR"),
        (b"nothing", "PARSE_ERROR"),
        (b'{"context":{}} x', "PARSE_ERROR"),
        (b'{"context":{"a":NaN}}', "PARSE_ERROR"),
        (b'{"context":{"a":Infinity}}', "PARSE_ERROR"),
        (b'{"context":{"a":"\xff"}}', "PARSE_ERROR"),
        (b'{"context":{"a":"\x01"}}', "PARSE_ERROR"),
        (b"[]", "PARSE_ERROR"),
        (b"7", "PARSE_ERROR"),
        (b"null", "PARSE_ERROR"),
        (b'{"context":[]}', "INVALID_CONTEXT"),
        (b'{"context":"x"}', "INVALID_CONTEXT"),
        (b'{"context":7}', "INVALID_CONTEXT"),
        (b'{"context":true}', "INVALID_CONTEXT"),
        (b'{"context":null}', "INVALID_CONTEXT"),
        (b'{"context":{"a":' + b"[" * 65 + b"]" * 65 + b"}}", "INVALID_CONTEXT"),
        (b'{"context":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "INVALID_CONTEXT"),
    ],
)
def test_a_body_that_cannot_be_evaluated_with_is_400(
    server: Served, server_key: str, a_flag: Callable[..., Any], body: bytes, code: str
) -> None:
    a_flag()
    for path in (ONE, ALL):
        response = server.http.post(
            path, content=body, headers={"Authorization": f"Bearer {server_key}"}
        )

        said = check(response)
        assert (response.status_code, said["errorCode"]) == (400, code)
        assert said["errorDetails"]
        assert ("key" in said) is (path == ONE)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"context":{}}',
        b'{"context":{"a":"\\ud800"},"x":1}',
        b'{"context":{"\\udfff":"\\ud800","targetingKey":"\\ud800"}}',
        b'{"context":{"a":' + b"9" * 5000 + b"}}",
        b'{"context":{"a":-' + b"9" * 5000 + b"}}",
        b'{"context":{"a":1e400}}',
        b'{"context":{"a":1,"a":2}}',
        b'{"context":{"a":-0.0,"b":123456789012345678901234567890}}',
        b'{"context":{"a":' + b"[" * 63 + b"]" * 63 + b"}}",
        b'{"context":{"targetingKey":7}}',
        b'{"context":{"targetingKey":null,"":""}}',
        b'\n\t {"context" : {"x" : "' + b"y" * 900_000 + b'"}}',
    ],
)
def test_any_context_that_json_can_say_is_evaluated(
    server: Served, server_key: str, a_flag: Callable[..., Any], body: bytes
) -> None:
    a_flag(
        on=True,
        rules=[
            {
                "when": {"attribute": "a", "op": "lt", "values": [0]},
                "serve": {"variation": "off"},
            }
        ],
    )
    for path in (ONE, ALL):
        response = server.http.post(path, content=body, headers={"X-API-Key": server_key})

        assert response.status_code == 200
        check(response)


def test_a_body_past_1_mb_is_413(server: Served, server_key: str) -> None:
    body = json.dumps({"context": {"a": "x" * (1024 * 1024)}}).encode()

    def pieces() -> Any:
        yield body[:5]
        yield body[5:]

    for content in (body, pieces()):
        response = server.http.post(ALL, content=content, headers={"X-API-Key": server_key})

        assert response.status_code == 413
        assert response.json()["errorCode"] == "PARSE_ERROR"


def test_no_key_and_an_unknown_one_are_401_with_json(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    for headers in (
        {},
        {"Authorization": "Bearer fss_nobody"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic " + server_key},
        {"X-API-Key": server_key + "x"},
    ):
        response = server.http.post(ONE, json={"context": {}}, headers=headers)

        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert set(response.json()) == {"key", "errorCode", "errorDetails"}
    lower = {"authorization": "bearer " + server_key}
    assert server.http.post(ONE, json={"context": {}}, headers=lower).status_code == 200


def test_a_key_works_the_moment_it_is_made(server: Served, a_flag: Callable[..., Any]) -> None:
    a_flag()
    for _ in range(3):
        assert server.evaluate(an_sdk_key(), "new-checkout").status_code == 200


def test_flag_keys_come_percent_encoded_or_not(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag("a.b_c-d")
    for written in ("a.b_c-d", "a%2Eb_c%2dd", "%61.b_c-d"):
        response = server.http.post(f"{ALL}/{written}", json={}, headers={"X-API-Key": server_key})

        assert check(response)["key"] == "a.b_c-d"
    for written in ("no such flag", "%ff", "a%2Fb", "a/b", "%00", "ü", "x" * 3000):
        response = server.http.post(f"{ALL}/{written}", json={}, headers={"X-API-Key": server_key})

        assert response.status_code == 404
        assert check(response)["errorCode"] == "FLAG_NOT_FOUND"


def test_browsers_may_ask_from_anywhere(
    server: Served, client_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag(client_visible=True)
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,if-none-match,x-api-key",
    }
    for path in (ONE, ALL):
        preflight = server.http.options(path, headers=asked)
        response = server.http.post(
            path, json={}, headers={"X-API-Key": client_key, "Origin": "https://app.example"}
        )

        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "*"
        assert preflight.headers["access-control-allow-methods"] == "POST, OPTIONS"
        allowed = preflight.headers["access-control-allow-headers"].split(", ")
        assert {"authorization", "x-api-key", "content-type", "if-none-match"} <= set(allowed)
        assert response.headers["access-control-allow-origin"] == "*"
        exposed = response.headers["access-control-expose-headers"].split(", ")
        assert {"ETag", "Retry-After"} <= set(exposed)
    refused = server.http.post(ONE, json={})
    assert refused.headers["access-control-allow-origin"] == "*"


def test_other_methods_and_addresses_are_refused_with_json(server: Served) -> None:
    get = server.http.get(ONE)
    elsewhere = server.http.post("/ofrep/v2/evaluate/flags", json={})

    assert (get.status_code, get.headers["allow"]) == (405, "POST, OPTIONS")
    assert elsewhere.status_code == 404
    assert get.json()["errorCode"] == elsewhere.json()["errorCode"] == "GENERAL"


def test_the_etag_changes_when_an_answer_could(
    server: Served, server_key: str, client_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag(client_visible=True)
    first = server.evaluate(server_key, "", {"targetingKey": "a"})
    etag = first.headers["etag"]
    check(first)

    same = server.evaluate(server_key, "", {"targetingKey": "a"}, **{"If-None-Match": etag})
    other_context = server.evaluate(server_key, "", {}, **{"If-None-Match": etag})
    other_kind = server.evaluate(client_key, "", {"targetingKey": "a"}, **{"If-None-Match": etag})
    bare = server.evaluate(
        server_key, "", {"targetingKey": "a"}, **{"If-None-Match": f'"x", W/{etag}'}
    )
    change(SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True))

    def moved() -> bool:
        response = server.evaluate(server_key, "", {"targetingKey": "a"}, **{"If-None-Match": etag})
        return response.status_code == 200 and response.json()["flags"][0]["value"] is True

    assert (same.status_code, bare.status_code) == (304, 304)
    assert same.headers["etag"] == etag
    check(same)
    assert (other_context.status_code, other_kind.status_code) == (200, 200)
    wait_until(moved, "the change is in the answer")


def test_a_time_condition_that_passes_changes_the_etag_and_the_answer(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2.5)
    a_flag(
        on=True,
        fallthrough={"variation": "off"},
        rules=[
            {
                "when": {"attribute": "now", "op": "after", "values": [soon.isoformat()]},
                "serve": {"variation": "on"},
            }
        ],
    )
    first = server.evaluate(server_key)
    etag = first.headers["etag"]
    before = server.evaluate(server_key, **{"If-None-Match": etag})

    changed = wait_until(
        lambda: (
            (response := server.evaluate(server_key, **{"If-None-Match": etag})).status_code == 200
            and response
        ),
        "the instant passes",
    )

    assert first.json()["flags"][0]["value"] is False
    assert before.status_code == 304
    assert changed.json()["flags"][0]["value"] is True


def test_now_in_a_context_is_honoured_for_server_keys_only(
    server: Served, server_key: str, client_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag(
        on=True,
        client_visible=True,
        fallthrough={"variation": "off"},
        rules=[
            {
                "when": {"attribute": "now", "op": "before", "values": ["2000-01-01T00:00:00Z"]},
                "serve": {"variation": "on"},
            }
        ],
    )
    then = {"now": "1999-06-01T00:00:00Z"}

    assert check(server.evaluate(server_key, "new-checkout", then))["value"] is True
    assert check(server.evaluate(client_key, "new-checkout", then))["value"] is False
    assert check(server.evaluate(server_key, "", then))["flags"][0]["value"] is True
    assert check(server.evaluate(client_key, "", then))["flags"][0]["value"] is False


def test_a_broken_flag_hurts_only_itself_and_tells_a_client_key_nothing(
    server: Served, server_key: str, client_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag("well", client_visible=True)
    a_flag(on=True, client_visible=True)
    change(CreateSegment(project="shop", key="beta"))
    # Past every check, as a fault in the store would: a cycle cannot be saved.
    FlagConfiguration.objects.filter(flag__key="new-checkout").update(
        prerequisites=[{"flag": "new-checkout", "variations": ["on"]}]
    )
    key = an_sdk_key("server", "staging")

    broken = server.evaluate(key, "new-checkout")
    public = server.evaluate(an_sdk_key("client", "staging"), "new-checkout")

    assert (broken.status_code, broken.json()["errorCode"]) == (500, "GENERAL")
    assert "cycle" in broken.json()["errorDetails"]
    assert "cycle" not in public.json()["errorDetails"]
    everything = check(server.evaluate(key))
    assert {flag["key"]: "errorCode" in flag for flag in everything["flags"]} == {
        "new-checkout": True,
        "well": False,
    }

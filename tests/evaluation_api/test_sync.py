"""/sdk/v1: rulesets and deltas for SDKs that evaluate for themselves."""

import gzip
from collections.abc import Callable
from typing import Any

import pytest

from audit.models import Stream
from flagengine import Ruleset
from flags.changes import SwitchFlag
from flags.models import Environment
from tests.served import Served, change, wait_until

RULESET = "/sdk/v1/ruleset"


def test_the_ruleset_has_the_state_as_its_etag(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag(on=True)
    stream = production_stream()

    response = server.get(RULESET, server_key)
    again = server.get(RULESET, server_key, **{"If-None-Match": response.headers["etag"]})
    other = server.get(RULESET, server_key, **{"If-None-Match": '"1-0123456789abcdef"'})

    assert response.headers["etag"] == f'"{stream.state}"'
    assert response.headers["cache-control"] == "private"
    assert response.json()["version"] == stream.version
    assert Ruleset.compile(response.json(), clock=lambda: 0.0).evaluate("new-checkout", {}).value
    assert (again.status_code, again.content) == (304, b"")
    assert other.status_code == 200


def test_the_ruleset_is_compressed_for_who_takes_it(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag(type="string", variations=[{"key": k, "value": "x" * 2000 + k} for k in "ab"])

    with server.http.stream(
        "GET", RULESET, headers={"X-API-Key": server_key, "Accept-Encoding": "br, gzip;q=0.5"}
    ) as response:
        raw = b"".join(response.iter_raw())
    plain = server.get(RULESET, server_key, **{"Accept-Encoding": "identity, gzip;q=0"})

    assert response.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(raw) == plain.content
    assert response.headers["vary"] == plain.headers["vary"] == "accept-encoding"
    assert response.headers["etag"] == plain.headers["etag"]


def test_head_is_get_without_a_body(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    got = server.get(RULESET, server_key, **{"Accept-Encoding": "identity"})

    head = server.http.head(
        RULESET, headers={"X-API-Key": server_key, "Accept-Encoding": "identity"}
    )

    assert head.status_code == 200
    assert head.headers["content-length"] == str(len(got.content))


def test_deltas_lead_from_a_state_to_the_newest(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    before = production_stream()
    ruleset = Ruleset.compile(server.get(RULESET, server_key).json(), clock=lambda: 0.0)
    for on in (True, False, True):
        switch = SwitchFlag(project="shop", environment="production", flag="new-checkout", on=on)
        change(switch)

    said = wait_until(
        lambda: (
            (found := server.get(f"{RULESET}/since/{before.state}", server_key).json())["version"]
            == before.version + 3
            and found
        ),
        "the server has heard of all three",
    )
    for delta in said["deltas"]:
        ruleset = ruleset.advance(delta)
    newest = server.get(f"{RULESET}/since/{production_stream().state}", server_key)

    assert ruleset.state == production_stream().state
    assert ruleset.evaluate("new-checkout", {}).value is True
    assert newest.json() == {"version": before.version + 3, "deltas": []}


def test_a_state_that_is_not_in_the_log_is_gone_and_a_malformed_one_is_refused(
    server: Served, server_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    version = production_stream().version
    for state, status in (
        (f"{version}-0123456789abcdef", 410),
        (f"{version + 9}-0123456789abcdef", 410),
        ("42", 400),
        ("0-0123456789abcdef", 400),
        ("x-0123456789abcdef", 400),
        (f"{version}-0123456789ABCDEF", 400),
        (f"{'9' * 30}-0123456789abcdef", 400),
    ):
        response = server.get(f"{RULESET}/since/{state}", server_key)

        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == status


def test_client_keys_and_strangers_get_no_ruleset(
    server: Served, client_key: str, a_flag: Callable[..., Any]
) -> None:
    a_flag()
    for path in (RULESET, f"{RULESET}/since/1-0123456789abcdef", "/sdk/v1/segment-ids/" + "0" * 64):
        forbidden = server.get(path, client_key)
        stranger = server.get(path, "fss_nobody")

        assert (forbidden.status_code, stranger.status_code) == (403, 401)
        for response in (forbidden, stranger):
            assert response.headers["content-type"] == "application/problem+json"
            assert {"type", "title", "status", "detail"} <= set(response.json())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/sdk/v1/counts", 404),
        ("GET", "/sdk/v1/nothing", 404),
        ("GET", "/sdk/v2/ruleset", 404),
        ("POST", "/sdk/v1/ruleset", 405),
        ("GET", "/sdk/v1/segment-ids/xyz", 404),
        ("GET", "/sdk/v1/ruleset/until/1-0123456789abcdef", 404),
    ],
)
def test_what_is_not_there_is_said_so_as_a_problem(
    server: Served, server_key: str, method: str, path: str, status: int
) -> None:
    response = server.http.request(method, path, headers={"X-API-Key": server_key})

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


def test_health_and_readiness(server: Served, server_key: str) -> None:
    health, ready = server.http.get("/healthz"), server.http.get("/readyz")

    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    assert ready.status_code == 200
    assert ready.json()["database"] == "reachable"


def production_stream() -> Stream:
    environment = Environment.objects.get(project__key="shop", key="production")
    return Stream.objects.get(key=environment.stream_key)

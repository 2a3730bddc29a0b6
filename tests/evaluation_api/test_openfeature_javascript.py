"""OpenFeature's own OFREP providers for Node and for browsers, unchanged, against the server."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flags.changes import ConfigureFlag
from tests.served import Served, change

FOLDER = Path(__file__).with_name("javascript")


@pytest.fixture(scope="session")
def node_modules() -> None:
    """The providers that package-lock.json pins, installed by the first run."""
    if not (FOLDER / "node_modules" / "@openfeature" / "ofrep-web-provider").exists():
        install = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(install, cwd=FOLDER, check=True, timeout=100)


def values(*pairs: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in pairs]


def test_both_providers_understand_every_answer(
    server: Served,
    server_key: str,
    client_key: str,
    a_flag: Callable[..., Any],
    node_modules: None,
) -> None:
    shown = {"on": True, "client_visible": True}
    a_flag("boolean", **shown)
    a_flag("string", type="string", variations=values(("a", "ü"), ("b", "")), **shown)
    a_flag("integer", type="integer", variations=values(("a", 7), ("b", 0)), **shown)
    a_flag("float", type="float", variations=values(("a", 3.0), ("b", 0.5)), **shown)
    a_flag("json", type="json", variations=values(("a", {"x": [1]}), ("b", {})), **shown)
    rule = {
        "id": "r1",
        "when": {"attribute": "plan", "op": "in", "values": ["pro"]},
        "serve": {"variation": "off"},
    }
    a_flag("ruled", rules=[rule], **shown)
    a_flag("off")
    a_flag("failed", on=True, prerequisites=[{"flag": "off", "variations": ["on"]}])
    a_flag("undecided", client_visible=True)
    change(
        ConfigureFlag(
            project="shop", environment="production", flag="undecided", off_variation=None
        )
    )
    split = {"split": {"by": "targetingKey", "shares": [["on", 50_000], ["off", 50_000]]}}
    a_flag("split", on=True, fallthrough=split)

    run = subprocess.run(
        ["node", "clients.mjs", server.url, server_key, client_key],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout.splitlines()[-1])
    node, browser = said["onServer"], said["inBrowser"]
    expected = {"boolean": True, "string": "ü", "integer": 7, "float": 3, "json": {"x": [1]}}
    assert {key: node[key]["value"] for key in expected} == expected
    assert (node["ruled"]["value"], node["ruled"]["reason"]) == (False, "TARGETING_MATCH")
    assert node["ruled"]["flagMetadata"]["rule"] == "r1"
    assert (node["failed"]["value"], node["failed"]["reason"]) == (False, "DISABLED")
    # The provider for Node calls an answer without a value an error; the app gets its default.
    assert node["undecided"]["value"] is True
    assert node["missing"]["errorCode"] == "FLAG_NOT_FOUND"
    assert node["keyless"]["errorCode"] == "TARGETING_KEY_MISSING"
    assert [browser[key]["value"] for key in ("boolean", "string", "float")] == [True, "ü", 3]
    assert browser["ruled"]["value"] is False
    assert browser["ruledForAnother"]["value"] is True
    assert browser["hidden"]["errorCode"] == "FLAG_NOT_FOUND"
    assert (browser["undecided"]["value"], browser["undecided"].get("errorCode")) == (True, None)

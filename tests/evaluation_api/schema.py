"""Answers checked against OFREP's own OpenAPI file (see ofrep.NOTICE.md)."""

from functools import cache
from pathlib import Path
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator

FILE = Path(__file__).with_name("ofrep.yaml")
SINGLE = "/ofrep/v1/evaluate/flags/{key}"
BULK = "/ofrep/v1/evaluate/flags"


def check(response: httpx.Response) -> Any:
    """The body of an answer whose status and form the file allows."""
    path = BULK if response.request.url.path == BULK else SINGLE
    described = document()["paths"][path]["post"]["responses"]
    status = str(response.status_code)
    assert status in described, f"{path} has no {status}"
    for name in described[status].get("headers", {}):
        assert name in response.headers, f"{status} lacks {name}"
    content = described[status].get("content", {}).get("application/json")
    if status == "304":
        assert response.content == b""
        return None
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    if content is not None:
        validator(content["schema"]["$ref"]).validate(body)
    return body


@cache
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return loaded


@cache
def validator(reference: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": reference, "components": document()["components"]})

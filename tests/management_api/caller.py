"""A caller of the management API, whose every answer is held against the OpenAPI document."""

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonschema
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

ROOT = "/api/v1/"
PROBLEM = {"$ref": "#/components/schemas/Problem"}


@cache
def openapi() -> dict[str, Any]:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return json.loads(json.dumps(schema))


@dataclass
class Answer:
    """What came back."""

    status: int
    data: Any
    headers: Any

    @property
    def etag(self) -> str:
        return self.headers["ETag"]


@dataclass
class Caller:
    """Calls the API, with a token or as whoever the client's session says."""

    client: Client
    token: str | None = None

    def get(self, path: str, **options: Any) -> Answer:
        return self.call("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.call("POST", path, body, **options)

    def patch(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.call("PATCH", path, body, **options)

    def put(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.call("PUT", path, body, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        return self.call("DELETE", path, **options)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """A body that is bytes is sent as it is."""
        sent = dict(headers or {})
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = self.client.generic(
            method,
            path if path.startswith("/") else ROOT + path,
            data if body is not None else b"",
            content_type=content_type if body is not None else "",
            headers=sent,
        )
        answer = Answer(
            status=response.status_code,
            data=json.loads(response.content) if response.content else None,
            headers=response.headers,
        )
        _validate(method.lower(), response, answer)
        return answer


def _validate(method: str, response: Any, answer: Answer) -> None:
    assert answer.status != 500, answer.data
    kind = response.headers.get("Content-Type", "")
    if answer.status >= 400:
        assert kind == "application/problem+json"
        assert answer.data["status"] == answer.status
    if answer.data is None:
        assert answer.status in (204, 304)
        return
    schema = PROBLEM
    match = getattr(response, "resolver_match", None)
    path = "/" + re.sub(r"<(?:str|int|uuid):(\w+)>", r"{\1}", match.route) if match else ""
    declared = openapi()["paths"].get(path, {}).get(method, {}).get("responses", {})
    if str(answer.status) in declared:
        schema = declared[str(answer.status)]["content"][kind.partition(";")[0]]["schema"]
    else:
        assert answer.status in (404, 405, 406, 411, 413, 415), f"{method} {path}: {answer}"
    jsonschema.Draft202012Validator({**schema, "components": openapi()["components"]}).validate(
        answer.data
    )

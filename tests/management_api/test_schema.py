"""The OpenAPI document."""

import pytest
from django.core.management import call_command
from django.test import Client

from tests.management_api.caller import openapi


def test_the_document_is_made_without_a_warning(tmp_path):
    call_command(
        "spectacular", "--file", str(tmp_path / "schema.yaml"), "--validate", "--fail-on-warn"
    )


@pytest.mark.django_db
def test_the_document_is_open_to_everybody():
    answer = Client().get("/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})

    assert answer.status_code == 200
    assert answer.json()["openapi"].startswith("3.1")


def test_every_operation_says_how_it_fails():
    for path, operations in openapi()["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            if path != "/api/v1/schema/":
                assert {"401", "403", "404"} <= operation["responses"].keys(), (method, path)

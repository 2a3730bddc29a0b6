"""What migrations make of rows that an earlier release wrote."""

from importlib import import_module

import pytest
from django.db import connection

from flags.changes import CreateApiToken, submit
from flags.models import ApiToken
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

SCOPES = import_module("flags.migrations.0007_services_and_scopes_of_tokens")


def test_a_token_that_could_write_may_propose_and_apply_and_the_way_back(users):
    before = {
        "fst_1": ["read"],
        "fst_2": ["read", "write"],
        "fst_3": ["admin", "read", "review", "write"],
    }
    after = {
        "fst_1": ["read"],
        "fst_2": ["apply", "propose", "read"],
        "fst_3": ["admin", "apply", "propose", "read", "review"],
    }
    for public_id in before:
        token = CreateApiToken(
            username="editor", public_id=public_id, hash=public_id, scopes=["read"]
        )
        submit(token, actor=OPERATOR)

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        # As the migration does first; the test's transaction brings it back.
        cursor.execute(
            "ALTER TABLE flags_apitoken DROP CONSTRAINT flags_api_token_scopes_are_known"
        )
        for public_id, scopes in before.items():
            ApiToken.objects.filter(public_id=public_id).update(scopes=scopes)
        cursor.execute(SCOPES.SPLIT)
        split = dict(ApiToken.objects.values_list("public_id", "scopes"))
        cursor.execute(SCOPES.JOIN)
        joined = dict(ApiToken.objects.values_list("public_id", "scopes"))

    assert split == after
    assert joined == before

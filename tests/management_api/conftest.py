"""Callers of the management API in the name of the cast."""

from typing import Any

import pytest
from django.core.cache import cache as django_cache
from django.test import Client

from flags.changes import CreateApiToken, submit
from flags.models.secrets import new_secret
from tests.cast import OPERATOR
from tests.management_api.caller import Caller


@pytest.fixture
def calling(project: Any, users: Any) -> Any:
    """`calling("editor", scopes=["read"])` calls with a token of that person."""
    django_cache.clear()

    def build(
        username: str, *, scopes: Any = ("read", "propose", "apply", "admin"), **made: Any
    ) -> Caller:
        secret = new_secret("fst")
        submit(
            CreateApiToken(
                username=username,
                public_id=secret.public_id,
                hash=secret.hash,
                scopes=list(scopes),
                **made,
            ),
            actor=OPERATOR,
        )
        return Caller(Client(), secret.text)

    return build


@pytest.fixture
def api(calling: Any) -> Caller:
    """Calls as `admin` of the project `shop`."""
    return calling("admin")

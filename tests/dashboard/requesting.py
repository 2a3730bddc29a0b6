"""A request for a switch in production, and what tests of its pages share."""

import html
import re
from datetime import timedelta

import pytest
from django.test import Client

from flags.changes import (
    EditEnvironment,
    SwitchFlag,
    submit,
)
from flags.models import Flag, Request
from tests.cast import OPERATOR

LIST = "/p/shop/requests"
ONE = "/p/shop/requests/1"
POLICY = "/p/shop/settings/environments/production/policy"
PRODUCTION = {"project": "shop", "environment": "production"}
HOUR = timedelta(hours=1)
SWITCH = SwitchFlag(**PRODUCTION, flag="new-checkout", on=True)
HALF = {"split": {"salt": "s", "shares": [["on", 50_000], ["off", 50_000]]}}


@pytest.fixture
def browser(client: Client, users, project):
    def signed_in_as(name: str = "reviewer") -> Client:
        client.force_login(users[name])
        return client

    return signed_in_as


@pytest.fixture
def asked(project, a_flag, editor):
    """The editor's request to switch new-checkout on in production, which asks for one approval."""
    a_flag("new-checkout")
    a_flag("other")
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)
    submit(SWITCH, actor=editor, reason="Launch day")
    return Request.objects.get()


def words(response) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())))


def typed_in(page, field: str) -> str:
    return re.search(rf'id="{field}"[^>]*>([^<]*)<', page.content.decode())[1]


def behaviour_on(page) -> str:
    return re.search(r'name="behaviour" value="(\w+)"', page.content.decode())[1]


def is_on(flag="new-checkout") -> bool:
    return Flag.objects.get(key=flag).configurations.get(environment__key="production").enabled


def state(number=1) -> str:
    return Request.objects.get(number=number).state

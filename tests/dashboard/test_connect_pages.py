"""Connecting an app: lines that work as they are, and the sight of who connected."""

import html
import re
import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import Stream
from flags.models import Delivery, Environment, Instance, SdkKey
from flags.queries.connections import within

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client, users, project):
    def signed_in_as(name: str = "admin") -> Client:
        client.force_login(users[name])
        return client

    return signed_in_as


@pytest.fixture
def production(project) -> Environment:
    return Environment.objects.get(key="production")


def text_of(response) -> str:
    body = re.sub(r"<[^>]+>", " ", response.content.decode())
    return html.unescape(re.sub(r"\s+", " ", body))


def connect(environment, **facts) -> Instance:
    now = timezone.now()
    return Instance.objects.create(
        **{
            "environment": environment,
            "instance": uuid.uuid4(),
            "kind": "server",
            "sdk": "python/0.1.0",
            "connected_at": now,
            "seen_at": now,
            **facts,
        }
    )


def version_of(environment) -> int:
    return Stream.objects.get(key=environment.stream_key).version


def lines(response, language: str) -> str:
    found = re.search(rf'id="lines-{language}">(.*?)</code>', response.content.decode(), re.DOTALL)
    return html.unescape(found[1])


def test_the_lines_name_this_address_and_a_flag_of_the_project(browser, a_flag):
    a_flag("checkout-v2")

    response = browser().get("/p/shop/connect?environment=production")

    for language in ("python", "openfeature", "curl"):
        assert "http://testserver" in lines(response, language)
        assert "checkout-v2" in lines(response, language)
        assert "YOUR_SERVER_KEY" in lines(response, language)


@pytest.mark.parametrize("language", ["python", "openfeature"])
def test_the_lines_in_python_are_python(browser, language):
    compile(lines(browser().get("/p/shop/connect"), language), language, "exec")


def test_a_key_made_in_place_is_in_the_lines_this_once(browser, production):
    page = browser()

    response = page.post("/p/shop/connect/production/key", {"name": "checkout"})

    secret = re.search(r"fss_[0-9a-f]{12}_[\w-]{43}", response.content.decode())[0]
    assert SdkKey.objects.get(environment=production).name == "checkout"
    assert all(
        secret in lines(response, language) for language in ("python", "openfeature", "curl")
    )
    assert "no-store" in response["Cache-Control"]
    assert secret not in page.get("/p/shop/connect?environment=production").content.decode()


def test_who_may_make_no_key_is_told_whom_to_ask(browser):
    page = browser("editor")

    assert "Ask an admin for a server key" in text_of(page.get("/p/shop/connect"))
    assert page.post("/p/shop/connect/production/key").status_code == 403
    assert SdkKey.objects.count() == 0


def test_outsiders_see_nobody_connect(browser):
    page = browser("outsider")

    assert page.get("/p/shop/connect").status_code == 404
    assert page.get("/p/shop/connect/production/connections").status_code == 404


def test_an_instance_appears_when_it_connects(browser, production):
    page = browser()
    part = "/p/shop/connect/production/connections"
    assert "Waiting for the first instance" in text_of(page.get(part))

    connect(production, name="checkout-7f9c", version=version_of(production))

    shown = text_of(page.get(part))
    assert "1 instance connected , all at version" in shown
    assert "checkout-7f9c" in shown
    assert "python/0.1.0" in shown


def test_instances_that_are_behind_gone_or_silent_are_told_apart(browser, production):
    now = timezone.now()
    connect(production, name="current", version=version_of(production))
    connect(production, name="behind", version=1 if version_of(production) > 1 else None)
    connect(production, name="left", version=1, disconnected_at=now)
    connect(production, name="died", version=1, seen_at=now - timedelta(minutes=10))

    shown = text_of(browser().get("/p/shop/connect/production/connections"))

    assert "2 instances connected" in shown
    assert "1 not yet at version" in shown
    assert shown.count("seen ") == 2


def test_instances_of_other_environments_are_not_shown(browser, project):
    connect(Environment.objects.get(key="staging"), name="elsewhere")

    shown = browser().get("/p/shop/connect/production/connections")

    assert "elsewhere" not in text_of(shown)


def test_receipts_are_counted_against_who_was_connected(browser, a_flag, production):
    a_flag(on=True)
    Delivery.objects.create(
        environment=production,
        version=version_of(production),
        committed_at=timezone.now(),
        expected=3,
        receipts=2,
        histogram={"10": 1, "50": 1},
    )

    shown = text_of(browser().get("/p/shop/connect/production/connections"))

    assert "2 of 3" in shown
    assert "≤ 10 ms" in shown
    assert "≤ 50 ms" in shown
    history = text_of(browser().get("/p/shop/flags/new-checkout/history"))
    assert "2 of 3 instances, p99 ≤ 50 ms" in history


def test_a_project_without_environments_says_what_to_do_first(browser, admin):
    for key in ("development", "staging", "production"):
        browser().post(f"/p/shop/settings/environments/{key}/delete", {"confirmation": key})

    response = browser().get("/p/shop/connect")

    assert response.status_code == 200
    assert "Make the first environment" in text_of(response)


@pytest.mark.parametrize(
    ("histogram", "part", "expected"),
    [
        ({}, 0.5, None),
        ({"10": 99, "50": 1}, 0.99, "≤ 10 ms"),
        ({"10": 98, "50": 2}, 0.99, "≤ 50 ms"),
        ({"5": 1, "2000": 9}, 0.99, "≤ 2 s"),
        ({"10": 1, "more": 9}, 0.99, "later than measured"),
        ({"5": 1, "20": 1, "100": 1}, 0.5, "≤ 20 ms"),
    ],
)
def test_percentiles_are_read_from_the_bounds(histogram, part, expected):
    assert within(histogram, part) == expected

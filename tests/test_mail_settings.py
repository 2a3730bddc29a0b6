"""How mail is configured: one address, read once, and never repeated in an error."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from flagsite import environment


@pytest.fixture
def given(monkeypatch):
    return lambda name, value: monkeypatch.setitem(environment.VARIABLES, name, value)


@pytest.mark.parametrize(
    ("address", "port", "tls"),
    [
        ("smtp://mail.example.org", 587, "starttls"),
        ("smtp://mail.example.org?tls=implicit", 465, "implicit"),
        ("smtp://mail.example.org:2525?tls=none", 2525, "none"),
    ],
)
def test_the_port_follows_from_the_kind_of_tls(given, address, port, tls):
    given("MAIL", address)

    server = environment.mail_server("MAIL")

    assert (server.host, server.port, server.tls) == ("mail.example.org", port, tls)


def test_user_and_password_may_hold_any_character(given):
    given("MAIL", "smtp://flags%40example.org:a%2Fb%3Ac@mail.example.org")

    server = environment.mail_server("MAIL")

    assert (server.user, server.password) == ("flags@example.org", "a/b:c")


def test_without_an_address_no_mail_is_sent(given):
    given("MAIL", "")

    assert environment.mail_server("MAIL") is None


@pytest.mark.parametrize(
    "address",
    [
        "mail.example.org",
        "http://u:s3cret@mail.example.org",
        "smtp://u:s3cret@mail.example.org:port",
        "smtp://u:s3cret@mail.example.org?tls=maybe",
    ],
)
def test_what_makes_no_sense_stops_the_start_without_repeating_a_password(given, address):
    given("MAIL", address)

    with pytest.raises(ImproperlyConfigured, match="MAIL makes no sense") as refused:
        environment.mail_server("MAIL")

    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("address", ["flags.example.org", "https://flags.example.org/here"])
def test_the_public_address_is_an_origin(given, address):
    given("URL", address)

    with pytest.raises(ImproperlyConfigured, match="expected an origin"):
        environment.origin("URL", "http://localhost:8000")

"""Signing in as people do: passkeys with Chromium's own authenticator, codes, several browsers."""

import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Page, expect

from tests.cast import PASSWORD
from tests.dashboard.conftest import Visitor, chromium, running, server, violations, visit

__all__ = ["chromium", "running", "server", "visit"]


@pytest.fixture
def visitor(visit, server):
    """Somebody who is not signed in, at a host name: an address of numbers has no passkeys."""
    found: Visitor = visit("viewer")
    found.context.clear_cookies()
    found.url = server.url.replace("127.0.0.1", "localhost")
    return found


def signed_in(visitor: Visitor) -> Page:
    page = visitor.open("/sign-in?next=/account/signing-in", live=False)
    assert violations(page) == []
    page.get_by_label("Username").fill("viewer")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    return page


def with_authenticator(visitor: Visitor, page: Page) -> None:
    """A device that has passkeys and whose person is always there."""
    tools = visitor.context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
    }
    tools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def code_of(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def test_a_passkey_is_added_and_signs_in_alone(visitor):
    page = signed_in(visitor)
    with_authenticator(visitor, page)
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    assert violations(page) == []
    page.get_by_label("Name").fill("My laptop")
    page.get_by_role("button", name="Add this device").click()

    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name="I have kept them").click()
    expect(page.locator("strong", has_text="My laptop")).to_be_visible()
    assert violations(page) == []
    page.locator(".account__button").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(re.compile("/p/shop/flags$"))

    page.goto(visitor.url + "/account/signing-in")
    page.get_by_role("link", name="Remove My laptop").click()
    # A passkey that signed in alone is not yet a fresh proof: it is asked for again.
    page.get_by_role("button", name="Use your passkey").click()
    page.get_by_role("button", name="Remove the passkey").click()
    expect(page.get_by_role("link", name="Add a passkey")).to_be_visible()
    assert not Authenticator.objects.exists()
    assert visitor.complaints == []


def test_a_passkey_that_is_cancelled_is_told(visitor):
    page = visitor.open("/sign-in", live=False)
    page.evaluate(
        """() => { navigator.credentials.get = () =>
            Promise.reject(new DOMException("", "NotAllowedError")); }"""
    )

    page.get_by_role("button", name="Use a passkey").click()

    expect(page.get_by_role("alert")).to_contain_text("was cancelled")


def test_an_app_is_enrolled_by_its_square_and_asked_for(visitor):
    page = signed_in(visitor)
    page.get_by_role("link", name="Enrol an app").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("img", name="The square")).to_be_visible()
    assert violations(page) == []
    page.get_by_text("Or type this secret").click()
    secret = page.locator(".sign-in__secret").inner_text()
    page.get_by_label("Type the code").fill(code_of(secret))
    page.get_by_role("button", name="Enrol").click()

    code = page.locator("#codes li").first.inner_text()
    visitor.context.clear_cookies()
    page = signed_in(visitor)
    expect(page.get_by_role("heading", name="Your second factor")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("9 left")).to_be_visible()
    assert visitor.complaints == []


def test_an_open_page_of_a_revoked_session_closes_within_seconds(visitor, visit, server):
    page = signed_in(visitor)
    other = visit("viewer")
    other.context.clear_cookies()
    other.url = visitor.url
    signed_in(other)
    flags = other.open("/p/shop/flags")

    page.reload()
    page.get_by_role("button", name="Sign out everywhere else").click()
    expect(page.get_by_text("All other browsers are signed out")).to_be_visible()
    expect(page.get_by_role("button", name="Sign out everywhere else")).to_be_hidden()

    expect(flags).to_have_url(re.compile(r"/sign-in\?next="), timeout=10_000)

"""A real browser before a real server."""

import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from flags.models import Project, User
from tests.serving import Served, running, server

__all__ = ["running", "server"]

AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium if there is one, else the one Playwright installed."""
    # Playwright's loop runs in this thread, which Django takes for an asynchronous caller.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    path = next(
        (p for p in ("/usr/bin/chromium", "/usr/bin/google-chrome") if Path(p).exists()), None
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


class Visitor:
    """A signed-in person's browser; collects what a page complains of."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.complaints: list[str] = []

    def open(self, path: str, *, live: bool = True) -> Page:
        """A new tab at this path, once its websocket is open."""
        page = self.context.new_page()
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(self.url + path)
        if live:
            page.locator('[data-connection][data-state="live"]').wait_for(state="attached")
        return page

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)


@pytest.fixture
def visit(
    chromium: Browser, server: Served, users: dict[str, User], project: Project
) -> Iterator[Callable[..., Visitor]]:
    """`visit("editor", width=390, scheme="dark")`: a visitor of their own cookies and storage."""
    contexts = []

    def as_(name: str = "editor", *, width: int = 1440, scheme: Any = "light") -> Visitor:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        context.set_default_timeout(15_000)
        context.add_cookies(
            [
                {
                    "name": settings.SESSION_COOKIE_NAME,
                    "value": session_of(users[name]),
                    "url": server.url,
                }
            ]
        )
        return Visitor(context, server.url)

    yield as_
    for context in contexts:
        context.close()


def session_of(user: User) -> str:
    """The key of a session in which this person is signed in."""
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    key: str = session.session_key
    return key


def faults(visitor: Visitor, path: str, *, live: bool = True) -> list[str]:
    """What is wrong with a page, on a light desktop and then on a dark phone.

    Its colours and its layout are two things: each is seen with both values in these two.
    """
    page = visitor.open(path, live=live)
    found = []
    for width, scheme in ((1440, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        page.locator(f"html[data-bs-theme={scheme}]").wait_for(state="attached")
        wide = page.evaluate("document.documentElement.scrollWidth")
        sideways = [f"{wide} px wide"] if wide > width else []
        found += [f"{scheme} at {width} px: {fault}" for fault in violations(page) + sideways]
    page.close()
    return found


def violations(page: Page) -> list[str]:
    """What axe-core finds on the page, one line a finding."""
    # A colour on its way to another is none that anybody reads.
    page.evaluate(
        """() => Promise.allSettled(document.getAnimations().filter((animation) =>
        Number.isFinite(animation.effect.getComputedTiming().endTime))
        .map((animation) => animation.finished))"""
    )
    # Evaluated by the browser's tools, not by the page: the page's policy refuses foreign scripts.
    page.evaluate(AXE.read_text())
    found = page.evaluate(
        """async () => (await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a",
        "wcag21aa", "wcag22aa", "best-practice"]})).violations.flatMap((violation) =>
        violation.nodes.map((node) => `${violation.id}: ${node.target.join(" ")}: ` +
        node.failureSummary.replace(/\\s+/g, " ")))"""
    )
    return list(found)

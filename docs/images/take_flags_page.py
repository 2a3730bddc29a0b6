"""Takes flags-page.png: `python docs/images/take_flags_page.py URL PASSWORD` beside a new demo."""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def main(url: str, password: str) -> None:
    installed = Path("/usr/bin/chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=installed if installed.exists() else None, args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
        page.goto(url)
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.locator('[data-connection][data-state="live"]').wait_for(state="attached")
        page.screenshot(path=Path(__file__).with_name("flags-page.png"))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

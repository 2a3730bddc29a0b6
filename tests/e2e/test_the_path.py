"""A newcomer's whole way: one command, a switch in the browser, and every app has it."""

import json
import re
import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.e2e.apps import EXAMPLES, answer_of_curl
from tests.stack.running import CHECKOUT

pytestmark = pytest.mark.timeout(600)

SHOPS = ("shop.py", "shop_openfeature.py", "shop_ofrep.py")
FLAG = "new-checkout"
KEY_REVOKED = 4409
SNIPPETS = re.findall(r"```python\n(.*?)```", (CHECKOUT / "README.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def key(up) -> str:
    """A server key of the environment in which newcomers play."""
    return an_sdk_key(up, environment="development")


def an_sdk_key(up, *, environment: str, kind: str = "server") -> str:
    printed = up.manage(
        "create_sdk_key", "--project", "demo", "--environment", environment, "--kind", kind
    )
    assert re.fullmatch(r"fs[sc]_\S+\n", printed), "expected the key alone on its line"
    return printed.strip()


def served(url: str, key: str) -> httpx.Response:
    """The flag over OFREP, as any client asks for it."""
    return httpx.post(
        f"{url}/ofrep/v1/evaluate/flags/{FLAG}",
        json={"context": {"targetingKey": "customer-1", "country": "DE"}},
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
    )


@pytest.fixture
def sign_in(chromium, up, url) -> Iterator[Callable[[], Page]]:
    """Open the printed address in a browser of its own and sign in with the printed password."""
    contexts = []

    def open_browser() -> Page:
        contexts.append(chromium.new_context())
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.goto(url)
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(up.generated_password())
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/p/demo/flags")
        page.locator('[data-connection][data-state="live"]').wait_for(state="attached")
        return page

    yield open_browser
    for context in contexts:
        context.close()


def code_when_closed(socket: ClientConnection) -> int:
    try:
        while True:
            socket.recv(timeout=60)
    except ConnectionClosed as closed:
        return closed.rcvd.code


def switch_on(page: Page):
    return page.get_by_role("switch", name=f"{FLAG} in Development")


def test_a_switch_in_the_browser_reaches_every_app_and_every_browser(url, key, sign_in, start_app):
    apps = [start_app(EXAMPLES / "shop" / name, key=key) for name in SHOPS]
    was = served(url, key).json()["value"]
    for app in apps:
        app.until_it_prints(f"{FLAG} is {was},")
    page, another = sign_in(), sign_in()
    another.evaluate("window.wasNotReloaded = true")

    page.get_by_role("link", name="New checkout", exact=True).click()
    page.wait_for_url(f"**/p/demo/flags/{FLAG}")
    expect(switch_on(page)).to_have_attribute("aria-checked", json.dumps(was))
    switch_on(page).click()

    for app in apps:
        app.until_it_prints(f"{FLAG} is {not was},")
    assert served(url, key).json()["value"] is not was
    for each in (page, another):
        expect(switch_on(each)).to_have_attribute(
            "aria-checked", json.dumps(not was), timeout=60_000
        )
    assert another.evaluate("window.wasNotReloaded")


def test_curl_alone_gets_one_flag_and_all_of_them(url, key):
    one, every = map(json.loads, answer_of_curl(url=url, key=key).splitlines())

    assert one["key"] == FLAG
    assert one in every["flags"]
    assert len(every["flags"]) > 15


def test_what_the_management_api_changes_reaches_the_apps(url, api, key, start_app):
    app = start_app(EXAMPLES / "shop" / "shop.py", key=key)
    was = served(url, key).json()["value"]
    app.until_it_prints(f"{FLAG} is {was},")

    answer = api.patch(f"flags/{FLAG}/environments/development", json={"enabled": not was})

    assert answer.status_code == 200, answer.text
    app.until_it_prints(f"{FLAG} is {not was},")


def test_a_key_that_is_revoked_is_of_no_use_any_more(up, url, api):
    key = an_sdk_key(up, environment="production")
    assert served(url, key).status_code == 200
    with connect(url.replace("http", "ws", 1) + "/ws/v1/ruleset", compression=None) as socket:
        hello = {"type": "hello", "key": key, "instance": str(uuid.uuid4()), "sdk": "test/1"}
        socket.send(json.dumps(hello))
        assert json.loads(socket.recv(timeout=60))["type"] in ("ruleset", "fetch")

        api.delete(
            f"environments/production/sdk-keys/{key[: key.index('_', 4)]}"
        ).raise_for_status()

        assert code_when_closed(socket) == KEY_REVOKED
    assert served(url, key).status_code == 401


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda code: code.split("(")[0].split()[-1])
def test_what_the_readme_says_connects_an_app(url, api, key, start_app, tmp_path, snippet):
    script = tmp_path / "app.py"
    script.write_text(snippet.replace("http://localhost:8000", url))
    was = served(url, key).json()["value"]

    app = start_app(script, key=key)
    app.until_it_prints(f"{FLAG} is {was}")
    api.patch(
        f"flags/{FLAG}/environments/development", json={"enabled": not was}
    ).raise_for_status()

    app.until_it_prints(f"{FLAG} is {not was}")


def test_the_log_of_all_this_is_whole(up):
    up.manage("verify_events")

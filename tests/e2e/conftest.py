"""All of Flagsite as `bin/up` runs it, and whoever uses it: browsers, apps, the API's callers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.dashboard.conftest import chromium
from tests.e2e.apps import App
from tests.stack.running import RunningUp, an_open_folder

__all__ = ["chromium"]

# The machine may be busy: nothing here is measured, and what never answers fails all the same.
PATIENCE = 60


@pytest.fixture(scope="module")
def up() -> Iterator[RunningUp]:
    """What a newcomer has after the first `bin/up`: the demo, and a password that was printed."""
    with an_open_folder() as folder:
        running = RunningUp(folder)
        try:
            yield running.until_ready()
        finally:
            running.stop()


@pytest.fixture(scope="module")
def url(up: RunningUp) -> str:
    return f"http://127.0.0.1:{up.port}"


@pytest.fixture(scope="module")
def api(up: RunningUp, url: str) -> Iterator[httpx.Client]:
    """The management API of the demo project, by a token that a second shell made."""
    token = up.manage("create_api_token", "--user", "admin").strip()
    with httpx.Client(
        base_url=f"{url}/api/v1/projects/demo/",
        headers={"Authorization": f"Bearer {token}"},
        timeout=PATIENCE,
    ) as client:
        yield client


@pytest.fixture
def start_app(url: str) -> Iterator[Callable[..., App]]:
    """Run a script beside Flagsite with this key; it is stopped at the end."""
    started: list[App] = []

    def start(script: Path, *, key: str) -> App:
        started.append(App(script, url=url, key=key))
        return started[-1]

    yield start
    for app in started:
        app.stop()

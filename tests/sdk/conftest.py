import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flagclient import FlagClient, Pace

from tests.sdk.loopback import KEY, PATIENCE, LoopbackServer, a_flag, a_ruleset

# As in production, only sooner.
QUICK = Pace(
    connect_timeout=2.0,
    answer_timeout=5.0,
    hello_timeout=5.0,
    poll_interval=0.1,
    poll_after_loss=0.05,
    first_retry=0.05,
    longest_retry=0.2,
    refused_retry=0.2,
    save_interval=0.01,
)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """A server whose ruleset has one boolean flag, `new-checkout`, which is on."""
    with LoopbackServer(a_ruleset(a_flag("new-checkout"))) as running:
        yield running


@pytest.fixture
def connect(server: LoopbackServer) -> Iterator[Callable[..., FlagClient]]:
    """Make clients of the server; they are closed at the end."""
    clients = []

    def make(**options: Any) -> FlagClient:
        client = FlagClient(
            options.pop("url", server.url), options.pop("key", KEY), **{"pace": QUICK, **options}
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Wait until a condition about the client holds; return what it returned."""

    def wait(condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.002)
        return found

    return wait

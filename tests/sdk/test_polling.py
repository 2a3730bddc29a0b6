"""Polling while the websocket is away, and servers that are not there at all."""

import contextlib
import dataclasses
import socket
import threading

import pytest

from tests.sdk.conftest import QUICK
from tests.sdk.loopback import KEY, LoopbackServer, a_flag, a_ruleset


@pytest.fixture
def polled(server):
    """A server behind something that lets no websocket through."""
    server.statuses["websocket"] = 403
    return server


def test_without_a_websocket_changes_arrive_by_polling(polled, connect, until):
    client = connect()
    assert client.wait_until_ready(10)
    assert (client.state.status, client.state.connected) == ("ready", False)

    polled.change(a_flag("new-checkout", value=False, version=2))

    until(lambda: client.boolean("new-checkout", True) is False)
    assert client.state.version == 2


def test_a_poll_names_what_it_has_and_sends_the_key_in_a_header(polled, connect):
    connect()
    polled.wait_for(lambda: len(polled.requests) >= 2)

    (_, path, first), (_, _, second) = polled.requests[:2]
    assert path == "/sdk/v1/ruleset"
    assert first["authorization"] == f"Bearer {KEY}"
    assert "if-none-match" not in first
    assert second["if-none-match"] == f'"1-{polled.ruleset["digest"]}"'


def test_the_websocket_is_taken_up_again_when_it_comes_back(polled, connect, until):
    client = connect()
    assert client.wait_until_ready(10)

    del polled.statuses["websocket"]

    until(lambda: client.state.connected)
    asked = len(polled.requests)
    polled.change(a_flag("new-checkout", value=False, version=2))
    until(lambda: client.boolean("new-checkout", True) is False)
    assert len(polled.requests) == asked


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_server_that_only_errs_leaves_the_defaults(polled, connect, until, status):
    polled.statuses["/sdk/"] = status
    client = connect()

    until(lambda: client.state.problem)

    assert client.wait_until_ready(0) is False
    assert client.state.status == "starting"
    assert client.boolean("new-checkout", False) is False
    del polled.statuses["/sdk/"]
    assert client.wait_until_ready(10) is True


def test_a_redirect_is_not_followed(polled, connect, until):
    with LoopbackServer(a_ruleset(a_flag("evil"))) as elsewhere:
        polled.statuses["/sdk/"] = 302
        polled.headers.append((b"location", f"{elsewhere.url}/sdk/v1/ruleset".encode()))
        client = connect()

        until(lambda: client.state.problem)

        assert elsewhere.requests == []
        assert client.wait_until_ready(0) is False


def test_nobody_listening_is_noticed_at_once(connect):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = connect(url=f"http://127.0.0.1:{unused.getsockname()[1]}")

        assert client.wait_until_ready(0.05) is False
        assert client.string("color", "mine") == "mine"


@contextlib.contextmanager
def black_hole():
    """An address that accepts connections and never says a word."""
    held = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    held.append(listening.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        # Wakes accept(), which closing alone does not on Linux.
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()
    for connection in held:
        connection.close()


def test_a_black_hole_blocks_neither_calls_nor_closing(connect, until):
    pace = dataclasses.replace(QUICK, connect_timeout=0.2)
    with black_hole() as url:
        client = connect(url=url, pace=pace)

        assert client.string("color", "mine") == "mine"
        until(lambda: client.state.problem)
        client.close()

    assert client.state.status == "closed"


def test_a_server_that_never_answers_hello_is_left_for_polling(server, connect):
    server.script = lambda hello: []
    client = connect(pace=dataclasses.replace(QUICK, hello_timeout=0.1))

    assert client.wait_until_ready(10)

    assert client.boolean("new-checkout", False) is True
    server.wait_for(lambda: len(server.hellos) >= 2)


def test_an_answer_that_drips_for_ever_is_given_up(connect, until):
    pace = dataclasses.replace(QUICK, answer_timeout=0.3)
    stop = threading.Event()

    def drip(connection):
        with contextlib.suppress(OSError), connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not stop.wait(0.01):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection = listening.accept()[0]
                    threading.Thread(target=drip, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        client = connect(url=f"http://127.0.0.1:{listening.getsockname()[1]}", pace=pace)
        until(lambda: client.state.problem and "did not end" in client.state.problem)
        stop.set()
        client.close()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()

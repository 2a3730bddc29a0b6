"""Pages behind the ASGI server: what WSGI cannot see is settled before a view."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

from tests.served import Served, served


def test_a_page_is_served_and_an_unknown_one_is_not_found(server: Served) -> None:
    page = server.http.get("/sign-in")

    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert server.http.get("/no/such/page").status_code in (302, 404)


def test_a_body_past_the_bound_is_refused_before_a_view(server: Served) -> None:
    response = server.http.post("/sign-in", content=b"x" * (12 * 1024 * 1024))

    assert response.status_code == 413


def test_an_upload_that_breaks_off_leaves_the_server_well(server: Served) -> None:
    address = urlsplit(server.url)
    for _ in range(30):
        with socket.create_connection((address.hostname, address.port)) as peer:
            peer.sendall(
                b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf"
            )

    # More than there are threads: none of them is held.
    assert server.http.get("/sign-in").status_code == 200
    assert server.http.get("/healthz").status_code == 200


def test_a_client_cannot_speak_for_the_proxy(transactional_db: None, tmp_path: Path) -> None:
    with served(tmp_path, FLAGSITE_HTTPS="1") as server:
        spoken = server.http.get("/sign-in", headers={"X_Forwarded_Proto": "https"})
        proxied = server.http.get("/sign-in", headers={"X-Forwarded-Proto": "https"})

    assert spoken.status_code == 301
    assert proxied.status_code == 200

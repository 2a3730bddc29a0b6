"""The file with the last known rules: a start without the server."""

import json
import logging
import stat

import pytest

from tests.sdk.loopback import KEY, a_flag, a_ruleset, digest_of

ABOUT = ("format", "environment", "owner", "sha256")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "flags.json"


@pytest.fixture
def written(server, connect, path, until):
    """The file as a client left it; the server is gone."""
    server.ruleset = a_ruleset(
        a_flag("new-checkout"), a_flag("unicode", value="ü\u2028", kind="string"), version=4
    )
    client = connect(cache_path=path)
    assert client.wait_until_ready(10)
    until(path.exists)
    client.close()
    server.stop()
    return path


def version_in(path):
    return json.loads(path.read_text().partition("\n")[2])["version"]


def test_a_start_without_the_server_answers_from_the_file(written, connect):
    client = connect(cache_path=written)

    assert client.wait_until_ready(10) is True

    assert client.boolean("new-checkout", False) is True
    assert client.string("unicode", "") == "ü\u2028"
    assert (client.state.status, client.state.version) == ("stale", 4)
    assert client.state.age_seconds is None


def test_the_server_is_asked_only_for_what_the_file_lacks(written, server, connect, until):
    server.start()

    client = connect(cache_path=written)
    assert client.wait_until_ready(10)

    assert client.state.status == "ready"
    assert (server.hellos[-1]["version"], server.hellos[-1]["digest"]) == (4, digest_of(4))


def test_each_version_reaches_the_file(server, connect, path, until):
    client = connect(cache_path=path)
    assert client.wait_until_ready(10)
    until(path.exists)

    server.change(a_flag("new-checkout", value=False, version=2))

    until(lambda: version_in(path) == 2)


def test_closing_writes_what_is_not_written_yet(server, connect, path):
    client = connect(cache_path=path)
    assert client.wait_until_ready(10)
    server.change(a_flag("new-checkout", value=False, version=2))
    server.wait_for(lambda: 2 in server.receipts)

    client.close()

    assert version_in(path) == 2


def test_the_file_is_private_whole_and_without_the_key(written):
    text = written.read_text()

    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert tuple(json.loads(text.partition("\n")[0])) == ABOUT
    assert KEY not in text
    assert KEY.rsplit("_", 1)[1] not in text
    assert list(written.parent.iterdir()) == [written]


def _with_head(path, **changes):
    head, _, body = path.read_text().partition("\n")
    path.write_text(json.dumps({**json.loads(head), **changes}) + "\n" + body)


DAMAGES = {
    "emptied": lambda path: path.write_text(""),
    "cut short": lambda path: path.write_text(path.read_text()[:-20]),
    "edited": lambda path: path.write_text(
        path.read_text().replace("new-checkout", "old-checkout")
    ),
    "not text": lambda path: path.write_bytes(b"\xff\xfe\x00" * 50),
    "of another format": lambda path: _with_head(path, format=99),
    "for another key": lambda path: _with_head(path, owner="0" * 64),
    "for another environment": lambda path: _with_head(path, environment="elsewhere"),
    "a list": lambda path: path.write_text("[]\n[]"),
    "endless nesting": lambda path: path.write_text("[" * 100_000),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_file_of_no_use_is_ignored_with_a_warning(written, connect, caplog, damage, until):
    damage(written)

    client = connect(cache_path=written)
    until(lambda: client.state.problem)

    assert client.wait_until_ready(0) is False
    assert client.boolean_details("new-checkout", False).error_code == "PROVIDER_NOT_READY"
    warnings = [record for record in caplog.records if "last_known.ignored" in record.getMessage()]
    assert [record.levelno for record in warnings] == [logging.WARNING]


def test_the_file_of_another_key_is_not_used(written, connect, until):
    client = connect(cache_path=written, key=f"{KEY}x")
    until(lambda: client.state.problem)

    assert client.wait_until_ready(0) is False


def test_a_path_that_cannot_be_written_harms_nothing(server, connect, tmp_path, caplog, until):
    client = connect(cache_path=tmp_path / "missing" / "flags.json")
    assert client.wait_until_ready(10)

    until(lambda: any("last_known.not_written" in r.getMessage() for r in caplog.records))

    server.change(a_flag("new-checkout", value=False, version=2))
    server.wait_for(lambda: 2 in server.receipts)
    assert client.boolean("new-checkout", True) is False

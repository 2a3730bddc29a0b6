"""Old events in files: nothing is lost, the chain goes on, and nobody else can remove a thing."""

import gzip
import io
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from audit.lines import line
from audit.models import Archive, Event, OutboxEntry, Stream
from audit.signing import public_key, sign_heads, statement_lines
from audit.verification import faults
from flags.changes import SwitchFlag, submit
from flags.errors import NotFound
from flags.models import Environment
from flags.queries.compare import entries_at
from flags.queries.history import Filters, all_streams
from flags.snapshots import deltas_since
from flags.transfer.events import Export

pytestmark = pytest.mark.django_db
VERIFIER = Path(__file__).parents[2] / "docs" / "verify_export.py"


@pytest.fixture
def old(a_flag, editor, settings, tmp_path):
    """Events of now that a day's retention will find old the day after tomorrow."""
    settings.ARCHIVE = tmp_path / "archive"
    settings.EVENTS_KEPT = timedelta(0)
    a_flag()
    for on in (True, False, True):
        switch(editor, on=on)
    OutboxEntry.objects.all().delete()


def switch(actor, *, on) -> Event:
    change = SwitchFlag(project="shop", environment="production", flag="new-checkout", on=on)
    return submit(change, actor=actor).events[0]


def archive(*arguments) -> list[Path]:
    out = io.StringIO()
    call_command("archive_events", "--days", "0", *arguments, stdout=out)
    return [Path(text) for text in out.getvalue().split()]


def unpacked(file: Path) -> bytes:
    return gzip.decompress(file.read_bytes())


def production() -> Environment:
    return Environment.objects.get(key="production")


def test_all_but_the_newest_events_go_and_the_chain_stays_whole(old):
    before = {event.hash for event in Event.objects.all()}

    files = archive()

    left = {event.hash for event in Event.objects.exclude(effects__contains=[{"kind": "events.archived"}])}  # fmt: skip
    written = [json.loads(text) for file in files for text in unpacked(file).splitlines()]
    assert {row["hash"] for row in written} | left == before
    assert {row["hash"] for row in written}.isdisjoint(left)
    assert Event.objects.filter(stream=production().stream_key).count() == 1
    assert list(faults()) == []
    call_command("verify_events", "--archive")


def test_each_span_is_on_record(old):
    archive()

    span = Archive.objects.get(stream=production().stream_key)
    (event,) = Event.objects.filter(effects__contains=[{"subject": f"stream:{span.stream_id}"}])
    assert event.effects[0]["after"]["last_hash"] == span.last_hash
    assert (span.first, span.last, span.previous_hash) == (1, 4, "")
    assert event.stream_id == "site"


def test_the_files_name_nobody(old):
    rows = [json.loads(text) for file in archive() for text in unpacked(file).splitlines()]

    assert rows
    assert not any("actor" in row for row in rows)
    assert {len(json.loads(row["canonical"])["actor"]) for row in rows} == {64}


def test_archiving_again_goes_on_where_it_ended(old, editor):
    archive()
    switch(editor, on=False)
    OutboxEntry.objects.all().delete()

    archive()

    spans = Archive.objects.filter(stream=production().stream_key).order_by("first")
    assert [(span.first, span.last) for span in spans] == [(1, 4), (5, 5)]
    assert list(faults()) == []


def test_what_is_young_stays(old):
    before = Event.objects.count()

    call_command("archive_events", "--days", "1", stdout=io.StringIO())

    assert Event.objects.count() == before


def test_what_was_not_delivered_stays(old, editor):
    waiting = switch(editor, on=False)
    switch(editor, on=True)

    archive()

    assert Event.objects.filter(pk=waiting.pk).exists()


@pytest.mark.parametrize("role", ["", "SET LOCAL ROLE flagsite_archivist;"])
@pytest.mark.parametrize(
    "statement", ["DELETE FROM audit_event", "UPDATE audit_event SET reason = 'x'"]
)
def test_the_database_lets_nothing_go_that_is_not_archived(old, role, statement):
    with (
        pytest.raises(Exception, match=r"events are final|permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"{role} {statement}")


def test_the_owner_of_the_table_may_not_remove_what_is_archived_either(old):
    span = {"stream_id": production().stream_key, "first": 1, "last": 1, "last_hash": "a"}
    Archive.objects.create(**span, at=timezone.now(), file="x", file_sha256="b")

    with (
        pytest.raises(IntegrityError, match="events are final"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("DELETE FROM audit_event WHERE version = 1")


def test_the_record_of_the_archive_is_final(old):
    archive()

    with (
        pytest.raises(IntegrityError, match="rows of audit_archive are final"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE audit_archive SET last = last + 1")


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda file: file.unlink(), "is not in"),
        (lambda file: file.write_bytes(file.read_bytes() + b"x"), "does not have the SHA-256"),
    ],
)
def test_a_file_that_was_lost_or_changed_shows(old, harm, what):
    harm(archive()[0])
    out = io.StringIO()

    with pytest.raises(CommandError, match="in 1 places"):
        call_command("verify_events", "--archive", stdout=out)

    assert what in out.getvalue()
    call_command("verify_events")


def test_what_was_signed_before_holds_for_what_is_archived(old, tmp_path):
    sign_heads(now=timezone.now())
    files = archive()
    sign_heads(now=timezone.now())
    assert list(faults()) == []
    export = Export(all_streams(), Filters(), "jsonl")
    (tmp_path / "events.jsonl").write_bytes(b"".join(export))
    export.close()
    (tmp_path / "heads.jsonl").write_bytes(b"".join(map(line, statement_lines())))

    def verified(*names):
        ended = subprocess.run(
            [
                sys.executable,
                "-I",
                VERIFIER,
                "--heads",
                "heads.jsonl",
                "--key",
                public_key(),
                *names,
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        return ended.returncode, ended.stdout

    assert verified(*files, "events.jsonl") == (0, "")
    assert verified("events.jsonl") == (0, "")
    code, words = verified(*files[1:], *files[:1], "events.jsonl")
    assert (code, words) == (0, "")
    unsigned = subprocess.run(
        [sys.executable, "-I", VERIFIER, "events.jsonl"], cwd=tmp_path, capture_output=True
    )
    assert unsigned.returncode == 1


def test_an_app_that_was_away_for_long_is_given_the_whole_ruleset(old, editor):
    stream = Stream.objects.get(key=production().stream_key)
    long_ago = Event.objects.get(stream=stream, version=2)
    archive()
    switch(editor, on=False)

    assert deltas_since(production(), 2, long_ago.digest) is None
    assert len(deltas_since(production(), stream.version, stream.digest)) == 1


def test_pages_go_on_without_the_events(old, users, client: Client):
    then = Event.objects.get(stream=production().stream_key, version=2).at
    archive()
    client.force_login(users["owner"])

    for address in (
        "/p/shop/activity",
        "/p/shop/audit",
        "/audit",
        "/p/shop/flags/new-checkout",
        "/p/shop/flags/new-checkout/history",
        "/p/shop/connect",
        "/p/shop/compare",
        "/p/shop/compare/instants",
        "/p/shop/requests",
    ):
        assert client.get(address).status_code == 200, address
    page = client.get("/p/shop/audit").content.decode()
    project = Archive.objects.exclude(stream="site")
    assert f"{sum(span.last - span.first + 1 for span in project)} older events are" in page
    with pytest.raises(NotFound, match="is archived"):
        entries_at(production(), then)


def test_without_the_role_one_line_says_what_to_do(old):
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE flagsite_tests_plain NOLOGIN")
        cursor.execute("SET LOCAL SESSION AUTHORIZATION flagsite_tests_plain")

    with pytest.raises(CommandError, match="CREATE ROLE flagsite_archivist NOLOGIN; GRANT"):
        archive()

    with connection.cursor() as cursor:
        cursor.execute("RESET SESSION AUTHORIZATION")


def test_without_a_retention_nothing_is_archived(old, settings):
    settings.EVENTS_KEPT = timedelta(0)

    with pytest.raises(CommandError, match="kept for ever"):
        call_command("archive_events")


def test_a_folder_that_cannot_be_written_changes_nothing(old, settings, tmp_path):
    settings.ARCHIVE = tmp_path / "file"
    settings.ARCHIVE.write_text("no folder")

    with pytest.raises(CommandError, match="the archive cannot be written"):
        archive()

    assert not Archive.objects.exists()

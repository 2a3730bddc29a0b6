"""Signed heads: what was rewritten or cut off afterwards shows, here and on another machine."""

import base64
import io
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from audit.lines import line
from audit.models import Event, Statement, Stream
from audit.signing import public_key, sign_heads, sign_when_due, statement_lines
from audit.verification import faults
from flags.changes import SwitchFlag, submit
from flags.queries.history import Filters, all_streams
from flags.transfer.events import Export

pytestmark = pytest.mark.django_db
VERIFIER = Path(__file__).parents[2] / "docs" / "verify_export.py"


@pytest.fixture
def signed(a_flag, editor):
    """Three events in production's stream, signed after the second and after the third."""
    a_flag()
    switch(editor, on=True)
    sign_heads(now=timezone.now())
    switch(editor, on=False)
    return sign_heads(now=timezone.now())


def switch(actor, *, on):
    change = SwitchFlag(project="shop", environment="production", flag="new-checkout", on=on)
    return submit(change, actor=actor, reason="because").events[0]


def tamper(statement: str) -> None:
    """As somebody would who owns the tables."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in ("event", "statement"):
            cursor.execute(
                f"ALTER TABLE audit_{table} DISABLE TRIGGER audit_{table}_refuses_change"
            )
        cursor.execute(statement)


def said() -> str:
    return "\n".join(f"{fault.stream}@{fault.version} {fault.what}" for fault in faults())


def test_statements_follow_each_other_and_name_every_head(signed):
    first, second = Statement.objects.order_by("number")

    stated = json.loads(bytes(second.canonical))
    assert (stated["number"], stated["previous"], stated["key"]) == (2, first.hash, public_key())
    assert stated["heads"] == {
        stream.key: [stream.version, stream.head_hash] for stream in Stream.objects.all()
    }
    assert said() == ""


def test_one_is_signed_a_day(a_flag):
    a_flag()
    now = timezone.now()

    made = [sign_when_due(now=now + timedelta(hours=hours)) for hours in (0, 1, 23, 24, 25, 48)]

    assert [one.number if one else None for one in made] == [1, None, None, 2, None, 3]


def test_nothing_is_signed_without_a_key(a_flag, settings):
    settings.SIGNING_KEY = None

    assert sign_when_due(now=timezone.now()) is None
    with pytest.raises(CommandError, match="FLAGSITE_SIGNING_KEY is not set"):
        call_command("sign_heads")


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_statement SET key = ''", "DELETE FROM audit_statement"]
)
def test_the_database_refuses_to_change_a_statement(signed, statement):
    with (
        pytest.raises(IntegrityError, match="rows of audit_statement are final"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_a_log_that_was_cut_off_shows_though_its_counter_was_put_back(signed):
    last = Event.objects.filter(reason="because").latest("version")
    tamper(f"DELETE FROM audit_outboxentry; DELETE FROM audit_event WHERE id = '{last.pk}'")
    before = Event.objects.filter(stream=last.stream_id).latest("version")
    Stream.objects.filter(pk=last.stream_id).update(version=before.version, head_hash=before.hash)

    assert said() == f"{last.stream_id}@{last.version} is missing: statement 2 signed it"


def test_a_log_that_was_rewritten_whole_shows(signed):
    """Canonical bytes, hash and counter fit each other: only the signature knows better."""
    last = Event.objects.filter(reason="because").latest("version")
    tamper(
        "UPDATE audit_event SET reason = 'forged', canonical = convert_to(replace(convert_from("
        "canonical, 'UTF8'), 'because', 'forged'), 'UTF8'), hash = encode(sha256(convert_to(replace("
        f"convert_from(canonical, 'UTF8'), 'because', 'forged'), 'UTF8')), 'hex') WHERE id = '{last.pk}'"
    )
    forged = Event.objects.get(pk=last.pk)
    Stream.objects.filter(pk=last.stream_id).update(head_hash=forged.hash)

    assert said() == f"{last.stream_id}@{last.version} was rewritten: statement 2 signed another"


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM audit_statement WHERE number = 1", "statements@1 is missing"),
        (
            "UPDATE audit_statement SET signature = repeat('0', 128)",
            "statements@1 is not what was signed",
        ),
    ],
)
def test_statements_that_were_tampered_with_show(signed, statement, what):
    tamper(statement)

    assert what in said()


def test_a_key_that_nobody_trusts_shows_and_a_former_one_does_not(signed, settings):
    former = public_key()
    settings.SIGNING_KEY = b"another key".ljust(32)

    assert "statements@1 is signed by a key that is not trusted" in said()
    settings.FORMER_SIGNING_KEYS = [former]
    assert said() == ""


def verify(tmp_path, *arguments, events=None, heads=None) -> tuple[int, str]:
    """Runs the script as an auditor would, away from Flagsite."""
    export = Export(all_streams(), Filters(), "jsonl")
    (tmp_path / "events.jsonl").write_bytes(b"".join(export) if events is None else events)
    export.close()
    written = b"".join(map(line, statement_lines())) if heads is None else heads
    (tmp_path / "heads.jsonl").write_bytes(written)
    ended = subprocess.run(
        [sys.executable, "-I", VERIFIER, *arguments, "events.jsonl"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_a_file_that_is_not_there_is_one_line(signed, tmp_path):
    code, words = verify(tmp_path, "nowhere.jsonl")

    assert (code, words) == (1, "cannot read nowhere.jsonl: No such file or directory\n")


def test_an_export_is_verified_elsewhere(signed, tmp_path):
    code, words = verify(tmp_path, "--heads", "heads.jsonl", "--key", public_key())

    assert (code, "everything fits" in words) == (0, True), words


def exported() -> list[bytes]:
    export = Export(all_streams(), Filters(), "jsonl")
    lines = b"".join(export).splitlines(keepends=True)
    export.close()
    return lines


@pytest.mark.parametrize(
    ("forge", "what"),
    [
        (lambda lines: lines[:3] + lines[4:], "is missing: the next event is"),
        (lambda lines: [row.replace(b"because", b"forged") for row in lines], "does not have the hash"),
        (lambda lines: [row.replace(b'"reason":"because"', b'"reason":"x"', 1) for row in lines], "says another reason"),
        (lambda lines: lines[:-1], "is missing: statement 2 signed it"),
        (lambda lines: [*lines, lines[-1]], "comes again"),
    ],
)  # fmt: skip
def test_an_export_that_was_tampered_with_shows_elsewhere(signed, tmp_path, forge, what):
    code, words = verify(tmp_path, "--heads", "heads.jsonl", events=b"".join(forge(exported())))

    assert code == 1
    assert what in words
    assert (": 1 fault\n" in words) == (words.count("\n") == 2)


@pytest.mark.parametrize(
    ("forge", "what"),
    [
        (lambda lines: lines[1:], "does not follow the one before it"),
        (lambda lines: [row.replace(b'"signature":"', b'"signature":"00') for row in lines], "is not what was signed"),
    ],
)  # fmt: skip
def test_statements_that_were_tampered_with_show_elsewhere(signed, tmp_path, forge, what):
    heads = b"".join(forge([line(values) for values in statement_lines()]))

    code, words = verify(tmp_path, "--heads", "heads.jsonl", heads=heads)

    assert (code, what in words) == (1, True), words


def test_a_key_that_is_not_trusted_shows_elsewhere(signed, tmp_path):
    code, words = verify(tmp_path, "--heads", "heads.jsonl", "--key", "00" * 32)

    assert (code, "which is not trusted" in words) == (1, True), words


def test_a_part_of_an_export_is_verified_for_what_it_holds(signed, tmp_path):
    part = b"".join(row for row in exported() if b'"version":2,' not in row)

    assert verify(tmp_path, "--partial", events=part)[0] == 0
    assert verify(tmp_path, events=part)[0] == 1


def test_the_command_prints_what_it_signs(a_flag):
    a_flag()
    out = io.StringIO()

    call_command("sign_heads", stdout=out)
    call_command("sign_heads", "--all", stdout=out)

    first, again = (json.loads(text) for text in out.getvalue().splitlines())
    assert first == again
    assert first["key"] == public_key()


def test_a_signing_key_that_is_none_stops_the_start():
    text = base64.b64encode(b"too short").decode()
    ended = subprocess.run(
        [sys.executable, "manage.py", "check"],
        env={"FLAGSITE_SIGNING_KEY": text, "PATH": "", "FLAGSITE_SECRET_KEY": "x"}
        | {"DATABASE_URL": "postgresql://a@b/c", "REDIS_URL": "redis://b"},
        cwd=VERIFIER.parents[1],
        capture_output=True,
        text=True,
    )

    assert ended.returncode != 0
    assert "FLAGSITE_SIGNING_KEY is not 32 bytes in base64" in ended.stderr
    assert text not in ended.stderr

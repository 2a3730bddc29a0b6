"""Events as files: complete, in order, safe to open, and proof of themselves."""

import csv
import io
import json
from uuid import uuid4

import pytest
from django.test import Client

from audit.canonical import sha256
from audit.models import Event
from flags.changes import EditFlag, SwitchFlag, submit
from flags.errors import Busy
from flags.queries.history import Filters, all_streams, streams_of
from flags.transfer.events import EXPORTS_AT_ONCE, Export

pytestmark = pytest.mark.django_db


@pytest.fixture
def history(project, a_flag, editor):
    a_flag()
    switch = SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True)
    submit(switch, actor=editor, reason="=HYPERLINK(1)")
    edit = EditFlag(project="shop", flag="new-checkout", description='a "quoted", text\nin lines')
    submit(edit, actor=editor, reason="+1")
    return project


def exported(streams, form, filters=None) -> bytes:
    export = Export(streams, filters or Filters(), form)
    try:
        return b"".join(export)
    finally:
        export.close()


def test_json_lines_hold_every_event_in_order_with_its_proof(history):
    rows = [json.loads(line) for line in exported(all_streams(), "jsonl").splitlines()]

    everything = Event.objects.order_by("at", "stream_id", "version")
    assert [row["id"] for row in rows] == [str(event.pk) for event in everything]
    for row in rows:
        assert sha256(row["canonical"].encode()) == row["hash"]
        assert json.loads(row["canonical"])["effects"] == row["effects"]
    switched = next(row for row in rows if row["reason"].startswith("=") and row["environment"])
    assert (switched["project"], switched["environment"]) == ("shop", "production")
    assert switched["actor"]["name"] == "editor"


def test_csv_has_a_row_for_each_effect_in_words(history):
    rows = list(csv.DictReader(io.StringIO(exported(streams_of(history), "csv").decode())))

    events = Event.objects.exclude(stream_id="site")
    assert len(rows) == sum(len(event.effects) for event in events)
    switched = next(row for row in rows if row["kind"] == "flag.switched")
    assert (switched["what"], switched["actor"]) == ("Turned on", "editor")
    assert json.loads(switched["after"])["enabled"] is True


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_taken_for_a_formula(project, a_flag, editor, begins):
    a_flag()
    edit = EditFlag(project="shop", flag="new-checkout", name="Another")
    event = submit(edit, actor=editor, reason="x").events[0]
    # What a reason may begin with after it was trimmed is not for the export to rely on.
    event.reason = f"{begins}1+1"

    export = Export(streams_of(project), Filters(), "csv")
    written = export._written(event).decode()
    export.close()

    assert f"'{begins}1+1" in written


def test_filters_narrow_an_export(history):
    only = Filters(kind="flag.switched", environment="production")

    assert len(exported(streams_of(history), "jsonl", only).splitlines()) == 1


def test_it_tells_how_far_it_is(history):
    told = []

    export = Export(
        streams_of(history),
        Filters(),
        "csv",
        tell=lambda written, total: told.append((written, total)),
    )
    list(export)
    export.close()

    assert told[-1] == (export.total, export.total)


def test_only_a_few_run_at_once_and_each_makes_room_when_it_ends(history):
    running = [Export(streams_of(history), Filters(), "csv") for _ in range(EXPORTS_AT_ONCE)]

    with pytest.raises(Busy):
        Export(streams_of(history), Filters(), "csv")

    for export in running:
        export.close()
        export.close()
    Export(streams_of(history), Filters(), "csv").close()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_the_page_sends_what_it_shows_and_tells_how_far_it_is(history, users, client: Client, form):
    client.force_login(users["viewer"])
    token = uuid4()

    answer = client.get(f"/p/shop/audit.{form}?kind=flag.switched&progress={token}")
    body = b"".join(answer.streaming_content)
    progress = client.get(f"/audit/exports/{token}").content.decode()

    assert body == exported(streams_of(history), form, Filters(kind="flag.switched"))
    assert answer["Content-Disposition"].endswith(f'.{form}"')
    assert "1 of 1 event, complete" in progress
    client.force_login(users["editor"])
    assert "complete" not in client.get(f"/audit/exports/{token}").content.decode()


def test_who_may_not_see_events_gets_no_file(history, users, client: Client):
    client.force_login(users["outsider"])

    assert client.get("/p/shop/audit.csv").status_code == 404
    assert client.get("/audit.csv").status_code == 403
    assert client.get("/api/v1/projects/shop/events.jsonl").status_code == 404
    assert client.get("/api/v1/events.jsonl").status_code == 403


def test_the_api_streams_with_the_total(history, users, client: Client):
    client.force_login(users["owner"])

    answer = client.get("/api/v1/projects/shop/events.csv", headers={"Accept": "text/csv"})
    body = b"".join(answer.streaming_content)
    whole = client.get("/api/v1/events.jsonl?project=shop", headers={"Accept": "*/*"})
    lines = b"".join(whole.streaming_content).splitlines()

    assert body == exported(streams_of(history), "csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert int(answer["Total-Count"]) == int(whole["Total-Count"]) == len(lines)
    assert client.get("/api/v1/events.csv?since=never").status_code == 400

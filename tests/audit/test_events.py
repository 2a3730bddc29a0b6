"""Events: chained, numbered without gaps, final."""

import json
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from audit.canonical import sha256
from audit.models import Event, Person, Stream
from audit.verification import faults
from flags.changes import SwitchFlag, submit

pytestmark = pytest.mark.django_db


def switch(actor, *, on, environment="production"):
    change = SwitchFlag(project="shop", environment=environment, flag="new-checkout", on=on)
    return submit(change, actor=actor, reason="because")


def test_each_event_carries_the_hash_of_the_one_before(editor, a_flag):
    a_flag()
    (first,) = switch(editor, on=True).events
    (second,) = switch(editor, on=False).events

    assert second.version == first.version + 1
    assert second.previous_hash == first.hash == sha256(bytes(first.canonical))
    assert Stream.objects.get(key=second.stream_id).head_hash == second.hash


def test_the_delta_is_stored_with_its_event(editor, a_flag):
    a_flag()
    before = Stream.objects.get(
        key=a_flag("other").configurations.get(environment__key="production").environment.stream_key
    )

    (event,) = switch(editor, on=True).events

    delta = json.loads(bytes(event.delta))
    assert delta["previous"] == before.state
    assert (delta["version"], delta["digest"]) == (event.version, event.hash[:16])
    assert [(row["kind"], row["key"]) for row in delta["changes"]] == [("flag", "new-checkout")]
    assert delta["changes"][0]["value"]["enabled"] is True


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET reason = 'another'",
        "DELETE FROM audit_event",
    ],
)
def test_the_database_refuses_to_change_an_event(editor, a_flag, statement):
    a_flag()

    with (
        pytest.raises(IntegrityError, match="events are final"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_a_whole_log_has_no_faults(editor, a_flag):
    a_flag()
    switch(editor, on=True)

    assert list(faults()) == []


@pytest.mark.parametrize(
    ("tampering", "what"),
    [
        ("UPDATE audit_event SET reason = 'forged' WHERE reason = 'because'", "columns that differ"),
        ("UPDATE audit_event SET canonical = 'x' WHERE reason = 'because'", "hash of its canonical"),
        ("UPDATE audit_event SET effects = '[]' WHERE reason = 'because'", "columns that differ"),
        ("UPDATE audit_event SET delta = replace(convert_from(delta, 'UTF8'), 'true', 'false')::bytea WHERE reason = 'because'", "columns that differ"),
        ("UPDATE audit_event SET effects = replace(effects::text, 'true', '1')::jsonb WHERE reason = 'because'", "columns that differ"),
        ("UPDATE audit_stream SET version = version + 1 WHERE key LIKE 'environment:%%'", "says it ends"),
        ("DELETE FROM audit_outboxentry; DELETE FROM audit_event WHERE reason = 'because'", "says it ends"),
    ],
)  # fmt: skip
def test_what_was_tampered_with_is_found(editor, a_flag, tampering, what):
    a_flag()
    switch(editor, on=True)
    with connection.cursor() as cursor:
        # Rows of this transaction still have checks of their references waiting.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_event DISABLE TRIGGER audit_event_refuses_change")
        cursor.execute(tampering)

    assert any(what in fault.what for fault in faults())


def test_erasing_a_person_leaves_the_chain_whole(editor, a_flag):
    a_flag()
    (event,) = switch(editor, on=True).events
    assert str(event.actor) == "editor"

    Person.objects.filter(pk=event.actor_id).update(identity=None, salt="")

    assert str(Person.objects.get(pk=event.actor_id)) == "erased"
    assert list(faults()) == []
    assert b"editor" not in bytes(Event.objects.get(pk=event.pk).canonical)


def test_time_never_runs_backwards_in_a_stream(editor, a_flag):
    a_flag()
    (event,) = switch(editor, on=True).events

    change = SwitchFlag(project="shop", environment="production", flag="new-checkout", on=False)
    (later,) = submit(change, actor=editor, now=event.at - timedelta(hours=1)).events

    assert later.at == event.at

"""The outbox: in order, at least once, nobody held back by another's failure."""

import logging
import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from audit import outbox
from audit.models import OutboxEntry
from flags.changes import SwitchFlag, submit
from flags.errors import Busy

RECEIVED: list[tuple[str, int]] = []
REFUSED: set[str] = set()
BUSY: dict[str, str] = {}
PROJECT_STREAM = "project:"


def note(event):
    """A subscriber that notes what it gets, and fails for the streams it was told to."""
    if event.stream_id in REFUSED:
        raise ConnectionError("the far end is down")
    if BUSY.get(event.stream_id) == "by saying so":
        raise Busy("somebody else is saving here")
    if event.stream_id in BUSY:
        with connection.cursor() as cursor:
            cursor.execute(
                "DO $$ BEGIN RAISE EXCEPTION 'held' USING ERRCODE = 'lock_not_available'; END $$"
            )
    RECEIVED.append((event.stream_id, event.version))


@pytest.fixture(autouse=True)
def subscribers(settings):
    RECEIVED.clear()
    REFUSED.clear()
    BUSY.clear()
    settings.EVENT_SUBSCRIBERS = {"noted": {"calls": f"{__name__}.note", "queue": "default"}}


def switch(actor, environment, on):
    change = SwitchFlag(project="shop", environment=environment, flag="new-checkout", on=on)
    (event,) = submit(change, actor=actor).events
    return event


@pytest.mark.django_db
def test_each_event_is_handed_over_once_and_in_order(editor, a_flag):
    a_flag()
    outbox.deliver("default")
    RECEIVED.clear()
    events = [switch(editor, "production", on) for on in (True, False, True)]

    assert outbox.deliver("default") == 3

    assert [(event.stream_id, event.version) for event in events] == RECEIVED
    assert not OutboxEntry.objects.exists()
    assert outbox.deliver("default") == 0


@pytest.mark.django_db
def test_a_failure_holds_back_its_own_stream_only_and_is_tried_again(editor, a_flag):
    a_flag()
    outbox.deliver("default")
    RECEIVED.clear()
    held = [switch(editor, "production", on) for on in (True, False)]
    other = switch(editor, "staging", True)
    REFUSED.add(held[0].stream_id)

    outbox.deliver("default")

    assert [(other.stream_id, other.version)] == RECEIVED
    waiting = OutboxEntry.objects.order_by("version")
    assert [entry.event_id for entry in waiting] == [event.pk for event in held]
    assert waiting[0].attempts == 1
    assert "the far end is down" in waiting[0].last_error
    assert outbox.deliver("default") == 0

    REFUSED.clear()
    OutboxEntry.objects.update(not_before=timezone.now() - timedelta(seconds=1))
    outbox.deliver("default")

    assert RECEIVED[1:] == [(event.stream_id, event.version) for event in held]


@pytest.mark.django_db
@pytest.mark.parametrize("way", ["by saying so", "by a lock that was not free"])
def test_who_says_later_is_called_again_soon_and_has_not_failed(editor, a_flag, caplog, way):
    a_flag()
    outbox.deliver("default")
    event = switch(editor, "production", True)
    BUSY[event.stream_id] = way
    with caplog.at_level(logging.INFO):
        outbox.deliver("default")

    entry = OutboxEntry.objects.get()
    assert entry.attempts == 0
    assert entry.not_before <= timezone.now() + timedelta(seconds=1)
    (line,) = [row for row in caplog.records if row.name == "audit.outbox"]
    assert (line.levelname, line.exc_info) == ("INFO", None)

    BUSY.clear()
    OutboxEntry.objects.update(not_before=timezone.now())
    outbox.deliver("default")
    assert RECEIVED[-1] == (event.stream_id, event.version)


@pytest.mark.django_db(transaction=True)
def test_who_finds_a_stream_being_delivered_leaves_it_alone(editor, a_flag):
    a_flag()
    outbox.deliver("default")
    RECEIVED.clear()
    event = switch(editor, "production", True)
    switch(editor, "production", False)
    delivered = []

    def another_worker():
        try:
            delivered.append(outbox.deliver("default"))
        finally:
            connection.close()

    with transaction.atomic():
        OutboxEntry.objects.select_for_update().get(event=event)
        thread = threading.Thread(target=another_worker)
        thread.start()
        thread.join()

    assert delivered == [0]
    assert RECEIVED == []
    assert outbox.deliver("default") == 2


@pytest.mark.django_db
def test_a_submit_that_fails_leaves_nothing_to_deliver(editor, a_flag):
    a_flag()
    outbox.deliver("default")

    with pytest.raises(Exception, match="no flag missing"):
        submit(
            SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True),
            SwitchFlag(project="shop", environment="production", flag="missing", on=True),
            actor=editor,
        )

    assert not OutboxEntry.objects.exists()

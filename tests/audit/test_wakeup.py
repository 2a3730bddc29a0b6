"""A save and its broker: the save never waits, whatever the broker does."""

import socket
import threading
from contextlib import closing

import pytest
from celery import current_app
from django.conf import settings

from audit import wakeup
from audit.models import OutboxEntry
from flags.changes import SwitchFlag, submit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sender(monkeypatch):
    """A sender of this test's own, in place of the process's."""
    sender = wakeup.Sender()
    monkeypatch.setattr(wakeup, "_sender", sender)
    return sender


@pytest.fixture
def broker_at(monkeypatch):
    def point(url):
        monkeypatch.setattr(current_app.conf, "broker_url", url)

    return point


class BlackHole:
    """A broker that accepts connections and never answers."""

    def __init__(self):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.accepted: list[socket.socket] = []
        self.connected = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.listening.getsockname()[1]}/0"

    def _accept(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.accepted.append(connection)
            self.connected.set()

    def close(self):
        self.listening.close()
        for connection in self.accepted:
            connection.close()


def switch(actor, on):
    change = SwitchFlag(project="shop", environment="production", flag="new-checkout", on=on)
    return submit(change, actor=actor)


def test_a_save_is_done_while_the_broker_still_owes_an_answer(
    editor, a_flag, sender, broker_at, monkeypatch
):
    a_flag()
    sender.finish(5)
    # Longer than this test may run: were the save to wait for the broker, it would not return.
    monkeypatch.setattr(wakeup, "TIMEOUT_SECONDS", 600)
    with closing(BlackHole()) as broker:
        broker_at(broker.url)
        sender._drop()

        outcome = switch(editor, on=True)

        assert broker.connected.wait(10)
        assert not sender._idle
        owed = OutboxEntry.objects.filter(event=outcome.events[0])
        assert set(owed.values_list("subscriber", flat=True)) == set(settings.EVENT_SUBSCRIBERS)


def test_after_a_failure_the_broker_is_left_alone_for_a_while(editor, a_flag, sender, broker_at):
    a_flag()
    sender.finish(5)
    with closing(socket.create_server(("127.0.0.1", 0))) as refused:
        port = refused.getsockname()[1]
    broker_at(f"redis://127.0.0.1:{port}/0")
    sender._drop()

    switch(editor, on=True)
    sender.finish(5)
    pause = sender._pause_seconds
    switch(editor, on=False)
    sender.finish(5)

    assert pause == 2 * wakeup.FIRST_PAUSE_SECONDS
    assert sender._pause_seconds == pause, "it was tried again during the pause"


def test_one_message_a_queue_reaches_the_broker(editor, a_flag, sender):
    a_flag()
    sender.finish(5)
    with current_app.connection_for_read() as connection:
        queues = {name: connection.SimpleQueue(name) for name in ("broadcast", "default")}
        for queue in queues.values():
            queue.clear()

        switch(editor, on=True)
        sender.finish(5)

        for name, queue in queues.items():
            message = queue.get(timeout=5)
            message.ack()
            assert message.payload[0] == [name]
            with pytest.raises(queue.Empty):
                queue.get(block=False)

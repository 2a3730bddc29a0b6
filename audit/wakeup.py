"""Waking the workers after a commit, without ever making a save wait for the broker.

A thread per process sends one Celery message per queue; messages for a queue that is already
waiting to be woken fold into one. Connect and read time out after 100 ms, nothing is retried, and
after a failure the broker is left alone for a while: the rows are in the outbox, and beat's sweep
finds them.
"""

import atexit
import logging
import os
import threading
import time
from typing import Any

from celery import current_app
from kombu import Connection

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 0.1
# How long the broker is left alone after a failure: doubled each time, so that a broker that
# accepts and never answers costs one thread a tenth of a second now and then, and no save anything.
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


def wake(queue: str) -> None:
    """Ask the workers of `queue` to deliver what is in the outbox. Returns at once; never raises."""
    _sender.ask(queue)


class Sender:
    """The thread that talks to the broker, made on first use (and again after a fork)."""

    def __init__(self) -> None:
        self._wanted: set[str] = set()
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._idle = True
        self._producer: Any = None
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._closed_until = 0.0

    def ask(self, queue: str) -> None:
        with self._condition:
            self._wanted.add(queue)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="wakeup", daemon=True)
                self._thread.start()
            self._condition.notify()

    def finish(self, timeout_seconds: float) -> None:
        """Give a process that is about to end (a management command) time to send what it asked for."""
        with self._condition:
            self._condition.wait_for(lambda: not self._wanted and self._idle, timeout_seconds)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._idle = True
                self._condition.notify_all()
                self._condition.wait_for(lambda: bool(self._wanted))
                queues, self._wanted = self._wanted, set()
                self._idle = False
            # Broadcast goes first: people wait for it.
            for queue in sorted(queues):
                self._send(queue)

    def _send(self, queue: str) -> None:
        if time.monotonic() < self._closed_until:
            return
        try:
            current_app.send_task(
                "audit.tasks.deliver",
                args=[queue],
                queue=queue,
                producer=self._connected(),
                retry=False,
                ignore_result=True,
                expires=60,
            )
            self._pause_seconds = FIRST_PAUSE_SECONDS
        except Exception as error:
            self._drop()
            self._closed_until = time.monotonic() + self._pause_seconds
            logger.warning(
                "wakeup.failed queue=%s error=%s pause_seconds=%s",
                queue,
                type(error).__name__,
                self._pause_seconds,
            )
            self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    def _connected(self) -> Any:
        if self._producer is None:
            connection = Connection(
                current_app.conf.broker_url,
                connect_timeout=TIMEOUT_SECONDS,
                transport_options={
                    "socket_connect_timeout": TIMEOUT_SECONDS,
                    "socket_timeout": TIMEOUT_SECONDS,
                    "max_retries": 0,
                },
            )
            self._producer = current_app.amqp.Producer(connection, auto_declare=False)
        return self._producer

    def _drop(self) -> None:
        producer, self._producer = self._producer, None
        try:
            if producer is not None:
                producer.connection.collapse()
        except Exception:
            # It is being thrown away because it failed; that it fails again says nothing new.
            logger.debug("wakeup.drop_failed", exc_info=True)


_sender = Sender()


def _after_fork() -> None:
    global _sender
    _sender = Sender()


os.register_at_fork(after_in_child=_after_fork)
# Threads are daemons, so a process that ends at once would take an unsent message with it.
atexit.register(lambda: _sender.finish(4 * TIMEOUT_SECONDS))

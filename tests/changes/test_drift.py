"""Open requests are looked at again when something moved, beside people who save meanwhile."""

import threading
import time
from typing import Any

import pytest
from django.db import connection, transaction

from audit import outbox
from audit.log import lock_streams
from audit.models import OutboxEntry
from flags.changes import OpenRequest, SetMember, SwitchFlag, submit
from flags.models import Environment, Project
from tests.cast import OPERATOR

SHOP: dict[str, Any] = {"project": "shop"}


@pytest.mark.django_db(transaction=True)
def test_who_saves_meanwhile_is_in_nobodys_way(editor, a_flag, project, settings):
    settings.EVENT_SUBSCRIBERS = {
        "drift": {"calls": "flags.changes.drift.look_again", "queue": "default"}
    }
    a_flag()
    first, last = sorted(
        Environment.objects.filter(key__in=["staging", "production"]),
        key=lambda row: row.stream_key,
    )
    for environment in (last, first):
        change = SwitchFlag(**SHOP, environment=environment.key, flag="new-checkout", on=True)
        submit(OpenRequest(**SHOP, changes=[change.as_json()]), actor=editor)
    OutboxEntry.objects.all().delete()
    submit(SetMember(**SHOP, username="viewer", role="reviewer"), actor=OPERATOR)
    trouble = saves_in(
        last, Project.objects.get(), while_this_runs=lambda: outbox.deliver("default")
    )

    assert trouble == []
    assert not OutboxEntry.objects.exists()


def saves_in(environment, project, *, while_this_runs):
    """Take the locks of a save, the second when the other already waits for the first."""
    trouble: list[Exception] = []
    holds = threading.Event()

    def save():
        try:
            with transaction.atomic():
                lock_streams([environment.stream_key])
                holds.set()
                await_somebody_waiting()
                lock_streams([project.stream_key])
        except Exception as error:
            trouble.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=save)
    thread.start()
    assert holds.wait(10)
    while_this_runs()
    thread.join()
    return trouble


def await_somebody_waiting():
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
    raise TimeoutError("nobody came to wait for the lock")

"""The clock killed in the middle, and two clocks at once: what is due happens, and happens once."""

import itertools
import os
import signal
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from audit import outbox
from audit.models import Event, OutboxEntry
from audit.verification import faults
from flags.changes import (
    ArchiveFlag,
    EditEnvironment,
    GrantLease,
    OpenRequest,
    StartRamp,
    SwitchFlag,
    due,
    submit,
)
from flags.changes.releases import clock
from flags.models import Environment, FlagConfiguration, Lease, Notice, Ramp, Request
from tests.cast import OPERATOR

in_earnest = pytest.mark.django_db(transaction=True)

SHOP: dict[str, Any] = {"project": "shop"}
PRODUCTION: dict[str, Any] = {**SHOP, "environment": "production"}
SWITCH = SwitchFlag(**PRODUCTION, flag="new-checkout", on=True)
STEPS = [{"share": 1_000, "hold": {"seconds": 60}}, {"share": 5_000, "hold": {"approval": True}}, {"share": 9_000}]  # fmt: skip
BEGIN = timezone.now() - timedelta(hours=1)
LONG_AGO = BEGIN - timedelta(days=31)
NOW = BEGIN + timedelta(minutes=30)


def scheduled():
    at = BEGIN + timedelta(minutes=1)
    submit(OpenRequest(**SHOP, changes=[SWITCH.as_json()], apply_at=at), actor=OPERATOR, now=BEGIN)


def ramping():
    submit(
        StartRamp(**PRODUCTION, flag="new-checkout", variation="on", steps=STEPS),
        actor=OPERATOR,
        now=BEGIN,
    )


def leased():
    change = GrantLease(**SHOP, changes=[SWITCH.as_json()], seconds=60)
    submit(change, actor=OPERATOR, now=BEGIN)


def sweep():
    return due.sweep(now=NOW, since=BEGIN) + clock.sweep(now=NOW)


def where_it_stands():
    return [
        *Request.objects.values_list("state", flat=True),
        *Ramp.objects.values_list("state", "step"),
        *Lease.objects.values_list("state", flat=True),
    ]


every_kind_of_work = pytest.mark.parametrize(
    ("begin", "becomes"),
    [(scheduled, "applied"), (ramping, ("awaiting_approval", 1)), (leased, "ended")],
    ids=["scheduled request", "step of a ramp", "end of a lease"],
)
# What somebody else holds, so that the clock waits just there.
HELD = {
    "before it has its locks": "SELECT 1 FROM audit_stream WHERE key = %(stream)s FOR UPDATE",
    "nothing recorded yet": "LOCK TABLE audit_event IN SHARE MODE",
    "recorded and not committed": "LOCK TABLE audit_outboxentry IN SHARE MODE",
}


@in_earnest
@every_kind_of_work
@pytest.mark.parametrize("point", HELD)
def test_a_clock_that_is_killed_leaves_all_or_nothing(a_flag, begin, becomes, point, settings):
    settings.LOCK_TIMEOUT = timedelta(seconds=60)
    a_flag("new-checkout", fallthrough={"variation": "off"})
    begin()
    production = Environment.objects.get(key="production")
    before = where_it_stands(), version(), Event.objects.count()

    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(HELD[point], {"stream": production.stream_key})
        clock_process = in_a_process_of_its_own(sweep)
        until_somebody_waits_for_a_lock()
        os.kill(clock_process, signal.SIGKILL)
        os.waitpid(clock_process, 0)
    until_we_are_alone()

    assert (where_it_stands(), version(), Event.objects.count()) == before
    assert sweep() == 1
    assert where_it_stands() == [becomes]
    assert version() == before[1] + 1
    assert sweep() == 0
    assert version() == before[1] + 1
    assert list(faults()) == []


@in_earnest
@every_kind_of_work
def test_of_two_clocks_one_is_first(a_flag, begin, becomes, settings):
    settings.LOCK_TIMEOUT = timedelta(seconds=30)
    a_flag("new-checkout", fallthrough={"variation": "off"})
    begin()
    before = version()
    done, start = [], threading.Barrier(2)

    def run():
        start.wait(10)
        try:
            done.append(sweep())
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(done) == [0, 1]
    assert where_it_stands() == [becomes]
    assert version() == before + 1


class Killed(BaseException):
    """The process is gone: nobody answers this, as nobody answers SIGKILL."""


def killed_at(number):
    """Ends whoever runs within before so many writes and locks: between them nothing differs."""
    writes = itertools.count(1)

    def run(execute, sql, params, many, context):
        is_write = sql.startswith(("INSERT", "UPDATE", "DELETE")) or "FOR UPDATE" in sql
        if is_write and next(writes) == number:
            raise Killed
        return execute(sql, params, many, context)

    return connection.execute_wrapper(run)


def is_killed(work, number):
    try:
        with killed_at(number):
            work()
    except Killed:
        return True
    return False


def expiring():
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR, now=LONG_AGO)
    submit(OpenRequest(**SHOP, changes=[SWITCH.as_json()]), actor=OPERATOR, now=LONG_AGO)


def failing():
    scheduled()
    submit(ArchiveFlag(**SHOP, flag="new-checkout"), actor=OPERATOR, now=BEGIN)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("begin", "becomes"),
    [
        (scheduled, "applied"),
        (failing, "failed"),
        (expiring, "expired"),
        (ramping, ("awaiting_approval", 1)),
        (leased, "ended"),
    ],
    ids=["scheduled request", "one that fails", "one that expires", "step of a ramp", "end of a lease"],
)  # fmt: skip
def test_killed_before_any_write_the_next_clock_finishes_it_once(a_flag, begin, becomes):
    a_flag("new-checkout", fallthrough={"variation": "off"})
    begin()
    before, was = where_it_stands(), version()
    steps = 0 if becomes in ("expired", "failed") else 1

    for number in itertools.count(1):
        with transaction.atomic():
            killed = is_killed(sweep, number)
            assert (where_it_stands(), version()) in [(before, was), ([becomes], was + steps)]
            sweep()
            assert (where_it_stands(), version()) == ([becomes], was + steps), number
            transaction.set_rollback(True)
        if not killed:
            break

    assert number > 5
    assert list(faults()) == []


@pytest.mark.django_db
def test_an_event_whose_delivery_was_killed_anywhere_is_told_of_once(a_flag, settings, editor):
    settings.EVENT_SUBSCRIBERS = {
        name: {"calls": calls, "queue": "default"}
        for name, calls in {
            "notices": "flags.notices.telling.tell",
            "drift": "flags.changes.drift.look_again",
        }.items()
    }
    a_flag("new-checkout")
    OutboxEntry.objects.all().delete()
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)
    submit(SWITCH, actor=editor)

    told = set()
    for number in itertools.count(1):
        with transaction.atomic():
            killed = is_killed(lambda: outbox.deliver("default"), number)
            outbox.deliver("default")
            assert not OutboxEntry.objects.exists(), number
            told.add(tuple(sorted(Notice.objects.values_list("person__username", "kind"))))
            transaction.set_rollback(True)
        if not killed:
            break

    assert number > 5
    assert [len(one) > 0 for one in told] == [True]


def version():
    return FlagConfiguration.objects.get(environment__key="production").version


def in_a_process_of_its_own(body):
    """Runs the body in a fork with a connection of its own; gives its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        # The parent's connection is the parent's: left alone, not closed.
        connection.inherited, connection.connection = connection.connection, None
        connection.in_atomic_block, connection.savepoint_ids = False, []
        connection.needs_rollback, connection.run_on_commit = False, []
        body()
    finally:
        os._exit(0)


def until_somebody_waits_for_a_lock():
    until("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
          "AND wait_event_type = 'Lock'", 1)  # fmt: skip


def until_we_are_alone():
    """PostgreSQL has noticed that the other end is gone."""
    until("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()", 1)


def until(query, wanted):
    with connection.cursor() as cursor:
        while True:
            cursor.execute(query)
            if cursor.fetchone()[0] == wanted:
                return
            cursor.execute("SELECT pg_stat_clear_snapshot()")

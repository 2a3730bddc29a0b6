"""Two people saving at once: numbered one after the other, and nobody waits for ever."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction

from audit.log import lock_streams
from audit.models import Stream
from audit.verification import faults
from flags.changes import (
    CreateFlag,
    EditEnvironment,
    Outcome,
    RemoveMember,
    SwitchFlag,
    submit,
)
from flags.errors import Busy, StaleChange
from flags.models import Environment

pytestmark = pytest.mark.django_db(transaction=True)


def in_threads(*bodies):
    """Run the bodies at once; what each gave or raised, in order."""
    results = [None] * len(bodies)
    start = threading.Barrier(len(bodies))

    def run(index, body):
        start.wait(10)
        try:
            results[index] = body()
        except Exception as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(bodies)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def switch(flag, on, actor, **options):
    change = SwitchFlag(project="shop", environment="production", flag=flag, on=on, **options)
    return submit(change, actor=actor)


def test_concurrent_saves_are_numbered_without_gaps(project, editor, a_flag, settings):
    settings.LOCK_TIMEOUT = timedelta(seconds=30)
    flags = [f"flag-{number}" for number in range(6)]
    for flag in flags:
        a_flag(flag)
    production = Environment.objects.get(project=project, key="production")
    before = Stream.objects.get(key=production.stream_key).version

    results = in_threads(*(lambda flag=flag: switch(flag, True, editor) for flag in flags))

    versions = sorted(result.versions["production"] for result in results)
    assert versions == list(range(before + 1, before + 1 + len(flags)))
    assert list(faults()) == []


def test_of_two_who_saw_the_same_state_one_is_told_it_moved(editor, a_flag, settings):
    settings.LOCK_TIMEOUT = timedelta(seconds=30)
    a_flag("new-checkout")

    results = in_threads(*[lambda: switch("new-checkout", True, editor, was=False)] * 2)

    assert sorted(type(result).__name__ for result in results) == ["Outcome", "StaleChange"]
    assert any(isinstance(result, StaleChange) for result in results)


def test_creating_flags_at_once_does_not_deadlock(editor, project, settings):
    settings.LOCK_TIMEOUT = timedelta(seconds=30)

    results = in_threads(
        *(
            lambda key=key: submit(CreateFlag(project="shop", key=key), actor=editor)
            for key in ("a", "b", "c", "d")
        )
    )

    assert [type(result).__name__ for result in results] == ["Outcome"] * 4


def test_who_waits_too_long_for_a_lock_is_told_to_try_again(project, editor, a_flag, settings):
    settings.LOCK_TIMEOUT = timedelta(milliseconds=50)
    a_flag("new-checkout")
    production = Environment.objects.get(project=project, key="production")

    with transaction.atomic():
        lock_streams([production.stream_key])
        (result,) = in_threads(lambda: switch("new-checkout", True, editor))

    assert isinstance(result, Busy)


@pytest.mark.parametrize(
    ("meanwhile", "becomes"),
    [
        (
            EditEnvironment(project="shop", environment="production", requires_approval=True),
            "a request",
        ),
        (RemoveMember(project="shop", username="editor"), "Denied"),
    ],
    ids=["approval is asked for", "the permission is lost"],
)
def test_what_counts_is_what_holds_under_the_locks(
    editor, owner, a_flag, settings, meanwhile, becomes
):
    settings.LOCK_TIMEOUT = timedelta(seconds=30)
    flag = a_flag("new-checkout")
    results = []

    def save():
        results.extend(in_threads(lambda: switch("new-checkout", True, editor)))

    with transaction.atomic():
        submit(meanwhile, actor=owner)
        waiting = threading.Thread(target=save)
        waiting.start()
        until_somebody_waits_for_a_lock()
    waiting.join()

    (result,) = results
    if isinstance(result, Outcome):
        assert (becomes, result.request) == ("a request", 1)
    else:
        assert type(result).__name__ == becomes
    assert not flag.configurations.filter(enabled=True).exists()


def until_somebody_waits_for_a_lock():
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.datname = current_database() "
                "WHERE NOT granted"
            )
            if cursor.fetchone()[0]:
                return

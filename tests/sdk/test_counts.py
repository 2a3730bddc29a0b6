"""Evaluations are counted in memory and reported now and then."""

import dataclasses
import threading

from flagclient import Count, counts

from tests.sdk.conftest import QUICK
from tests.sdk.loopback import a_flag


def count_of(client, flag):
    return sum(row.count for row in client.counts() if row.flag == flag)


def test_every_answer_is_counted_by_what_decided_it(connect):
    client = connect()
    assert client.wait_until_ready(10)

    for _ in range(3):
        client.boolean("new-checkout", False)
    client.string("new-checkout", "")
    client.boolean("nowhere", False)

    assert sorted(client.counts(), key=str) == sorted(
        [
            Count("new-checkout", "served", None, "STATIC", None, 3),
            Count("new-checkout", None, None, "ERROR", "TYPE_MISMATCH", 1),
            Count("nowhere", None, None, "ERROR", "FLAG_NOT_FOUND", 1),
        ],
        key=str,
    )


def test_counting_from_many_threads_loses_nothing(server, connect):
    client = connect()
    assert client.wait_until_ready(10)
    evaluations, threads = 5_000, 8
    done = threading.Event()

    def read_all_the_time():
        while not done.is_set():
            client.counts()

    def evaluate():
        for _ in range(evaluations):
            client.boolean("new-checkout", False)

    reader = threading.Thread(target=read_all_the_time)
    workers = [threading.Thread(target=evaluate) for _ in range(threads)]
    reader.start()
    for worker in workers:
        worker.start()
    # Rulesets change meanwhile: answers are prepared anew, counters go on.
    for version in range(2, 12):
        server.change(a_flag("new-checkout", version=version))
    for worker in workers:
        worker.join()
    done.set()
    reader.join()

    assert count_of(client, "new-checkout") == evaluations * threads


def test_counts_are_reported_and_then_off_the_books(server, connect):
    client = connect(pace=dataclasses.replace(QUICK, report_interval=0.05))
    assert client.wait_until_ready(10)

    for _ in range(4):
        client.boolean("new-checkout", False)
    client.boolean("nowhere", False)
    server.wait_for(lambda: sum(r["count"] for r in reported(server, "counts")) == 4)
    server.wait_for(lambda: [r["flag"] for r in reported(server, "unknown")] == ["nowhere"])
    client.close()

    assert client.counts() == []
    row = reported(server, "counts")[0]
    assert (row["flag"], row["variation"], row["reason"]) == ("new-checkout", "served", "STATIC")
    assert row["first"] <= row["last"]


def reported(server, list_name):
    return [row for report in server.count_reports for row in report[list_name]]


def test_close_reports_what_is_left(server, connect):
    client = connect()
    assert client.wait_until_ready(10)
    client.boolean("new-checkout", False)

    client.close()

    assert [row["count"] for row in reported(server, "counts")] == [1]


def test_a_server_that_collects_no_counts_leaves_them_to_the_app(server, connect):
    server.statuses["/sdk/v1/counts"] = 404
    client = connect(pace=dataclasses.replace(QUICK, report_interval=0.02))
    assert client.wait_until_ready(10)
    client.boolean("new-checkout", False)
    server.wait_for(lambda: any(path == "/sdk/v1/counts" for _, path, _ in server.requests))
    del server.statuses["/sdk/v1/counts"]

    client.boolean("new-checkout", False)
    client.close()

    assert server.count_reports == []
    assert count_of(client, "new-checkout") == 2


def test_counts_survive_a_server_that_fails(server, connect, until):
    server.statuses["/sdk/v1/counts"] = 500
    client = connect(pace=dataclasses.replace(QUICK, report_interval=0.02))
    assert client.wait_until_ready(10)
    client.boolean("new-checkout", False)
    server.wait_for(lambda: any(path == "/sdk/v1/counts" for _, path, _ in server.requests))

    del server.statuses["/sdk/v1/counts"]

    server.wait_for(lambda: [row["count"] for row in reported(server, "counts")] == [1])


def test_made_up_flag_names_take_bounded_memory(connect):
    client = connect()
    assert client.wait_until_ready(10)
    asked = counts.UNKNOWN_LIMIT + 500

    for number in range(asked):
        client.boolean(f"made-up-{number}", False)

    rows = client.counts()
    assert len(rows) == counts.UNKNOWN_LIMIT + 1
    assert sum(row.count for row in rows) == asked

import os
import shutil
import stat
import uuid

import psycopg
import pytest

from flagsite.embedded.account import OPEN_PLACE, reachable_copy, run_as, unprivileged_account
from flagsite.embedded.errors import CannotStart
from flagsite.embedded.keeper import is_alive
from flagsite.embedded.postgres import carried_installations, start_postgres
from tests.stack.waiting import wait_until


@pytest.fixture
def start(home):
    started = []

    def start_once():
        started.append(start_postgres(home, throwaway=True))
        return started[-1]

    yield start_once
    for postgres in started:
        postgres.stop()


def execute(postgres, statement):
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        answer = connection.execute(statement)
        return answer.fetchall() if answer.description else None


def test_a_second_start_continues_on_the_same_data_and_port(start):
    first = start()
    execute(first, "create table kept as select 42 as answer")
    first.stop()

    second = start()

    assert execute(second, "select answer from kept") == [(42,)]
    assert second.url == first.url


def test_nobody_enters_without_the_password(start):
    postgres = start()

    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgres.url.replace(postgres.password, "wrong"))


def test_it_listens_on_loopback_only_and_lets_many_in(start):
    postgres = start()

    assert execute(postgres, "show listen_addresses") == [("127.0.0.1",)]
    assert execute(postgres, "show unix_socket_directories") == [("",)]
    assert int(execute(postgres, "show max_connections")[0][0]) >= 200


def test_password_and_data_are_private(start, home):
    start()

    assert stat.S_IMODE((home / "postgres.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "postgres").resolve().stat().st_mode) == 0o700


def test_a_server_left_over_from_a_killed_run_makes_way(start, home):
    left_over = start()
    execute(left_over, "create table kept as select 42 as answer")
    server = int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
    left_over.program.keeper.kill()  # nobody is left to stop the server

    successor = start()

    wait_until(lambda: not is_alive(server), what="its parent has taken note of its end")
    assert execute(successor, "select answer from kept") == [(42,)]


def test_a_lock_file_whose_number_now_belongs_to_another_program_is_no_obstacle(start, home):
    start().stop()
    lock_file = home / "postgres" / "data" / "postmaster.pid"
    lock_file.write_text(f"{os.getpid()}\n{home}\n")

    assert execute(start(), "select 1") == [(1,)]


def test_a_killed_server_comes_back_with_its_data(start, home):
    postgres = start()
    execute(postgres, "create table kept as select 42 as answer")
    lock_file = home / "postgres" / "data" / "postmaster.pid"
    killed = int(lock_file.read_text().split()[0])

    os.kill(killed, 9)

    def answers():
        try:
            return execute(postgres, "select answer from kept")
        except psycopg.OperationalError:
            return None

    assert wait_until(answers, what="the server is back") == [(42,)]


def test_making_the_data_may_be_interrupted(start, home):
    unfinished = home / "postgres" / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")

    assert execute(start(), "select 1") == [(1,)]


def test_data_of_another_major_version_is_refused_in_one_line(start, home):
    (home / "postgres" / "data").mkdir(parents=True)
    (home / "postgres" / "data" / "PG_VERSION").write_text("9\n")
    (home / "postgres.json").write_text('{"password": "known"}')

    with pytest.raises(CannotStart, match=r"written by PostgreSQL 9, .* carries .*18") as refusal:
        start()

    assert "\n" not in str(refusal.value)


def test_data_without_its_password_is_refused_with_a_way_on(start, home):
    start().stop()
    (home / "postgres.json").unlink()

    with pytest.raises(CannotStart, match="restore it from a backup"):
        start()


def test_data_below_a_closed_folder_is_kept_where_its_account_can_reach_it(start, home):
    home.chmod(0o700)

    first = start()
    execute(first, "create table kept as select 42 as answer")
    first.stop()

    place = OPEN_PLACE if os.geteuid() == 0 else home
    assert (home / "postgres").resolve().is_relative_to(place)
    assert execute(start(), "select answer from kept") == [(42,)]


def test_programs_below_a_closed_folder_run_where_their_account_can_reach_them(home):
    installation = carried_installations()[-1].folder
    package = installation.parent
    closed = home / "closed"
    shutil.copytree(installation, closed / package.name / installation.name)
    libraries = f"{package.name}.libs"
    shutil.copytree(package.with_name(libraries), closed / libraries)
    closed.chmod(0o700)
    version = f"of-a-test-{uuid.uuid4().hex}"
    account = unprivileged_account()

    try:
        folder = reachable_copy(closed / package.name / installation.name, version, account)
        answer = run_as(account, [folder / "bin" / "initdb", "--version"])
    finally:
        shutil.rmtree(OPEN_PLACE / f"postgresql-{version}", ignore_errors=True)

    assert answer.stdout.startswith("initdb (PostgreSQL)"), answer.stderr

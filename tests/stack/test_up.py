"""`bin/up` as a person meets it: real processes, real stores, a data folder of its own."""

import os
import signal
import subprocess
import urllib.request

import pytest

from flagsite.embedded.keeper import is_alive
from tests.stack.running import CHECKOUT, RunningUp, an_open_folder, refusal
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.timeout(300)


def answers(up: RunningUp) -> bool:
    try:
        with urllib.request.urlopen(f"http://localhost:{up.port}/readyz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def accounts(up: RunningUp) -> list[str]:
    script = (
        "from django.contrib.auth import get_user_model;"
        "print(*get_user_model().objects.values_list('username', flat=True))"
    )
    return up.manage("shell", "--no-imports", "-c", script).split()


@pytest.fixture(scope="module")
def up():
    """One empty Flagsite for the tests that leave it running."""
    with an_open_folder() as folder:
        running = RunningUp(folder, FLAGSITE_DEMO="0")
        try:
            yield running.until_ready()
        finally:
            running.stop()


def test_it_prints_the_address_where_it_answers(up):
    assert f"Flagsite runs at http://localhost:{up.port}" in up.printed
    assert answers(up)


def test_the_printed_password_is_the_one_of_admin(up):
    script = (
        "from django.contrib.auth import authenticate; import sys;"
        "print(authenticate(username='admin', password=sys.stdin.readline().strip()))"
    )

    assert (
        up.manage("shell", "--no-imports", "-c", script, typed=up.generated_password()).strip()
        == "admin"
    )


def test_an_empty_start_has_no_demo(up):
    assert "demo project" not in up.printed
    assert accounts(up) == ["admin"]


def test_a_second_start_on_the_same_data_is_refused_in_one_line(up):
    said = refusal(up.home)

    assert said.count("\n") == 1
    assert f"already runs on {up.home} (process {up.process.pid})" in said


def test_a_taken_port_is_refused_in_one_line(up, home):
    said = refusal(home, FLAGSITE_PORT=str(up.port))

    assert said.count("\n") == 1
    assert f"Port {up.port} on 127.0.0.1 is taken" in said


@pytest.mark.parametrize("process", ["uvicorn", "default@", "broadcast@", " beat ", "bin/postgres"])
def test_a_killed_process_comes_back(up, process):
    keepers = [pid for pid in up.pids(process) if "keeper.py" in command_of(pid)]
    killed = [pid for pid in up.pids(process) if pid not in keepers]
    assert keepers
    assert killed

    os.kill(killed[0], signal.SIGKILL)

    wait_until(
        lambda: set(up.pids(process)) - set(keepers) - set(killed), what=f"{process} is back"
    )
    wait_until(lambda: answers(up), what="the web process is ready again")


def command_of(pid: int) -> str:
    shown = subprocess.run(["ps", "-wwo", "args=", "-p", str(pid)], capture_output=True, text=True)
    return shown.stdout


def test_each_start_continues_where_the_last_one_ended_however_it_ended(start_up):
    first = start_up(FLAGSITE_DEMO="0")
    first.manage("set_admin", "somebody", typed="a long enough password")
    everything = first.pids("")

    assert first.stop(signal.SIGTERM) == 0, first.printed

    assert "Traceback" not in first.printed
    assert [pid for pid in everything if is_alive(pid)] == []
    second = start_up()
    assert sorted(accounts(second)) == ["admin", "somebody"]
    assert "shown this once" not in second.printed
    everything = second.pids("")

    second.stop(signal.SIGKILL)

    wait_until(
        lambda: not any(is_alive(pid) for pid in everything), what="the other processes followed"
    )
    third = start_up()
    assert sorted(accounts(third)) == ["admin", "somebody"]


def test_a_given_password_is_taken_and_ctrl_c_stops_everything(start_up):
    up = start_up(FLAGSITE_DEMO="0", FLAGSITE_ADMIN_PASSWORD="chosen by a person")
    script = (
        "from django.contrib.auth import authenticate;"
        "print(authenticate(username='admin', password='chosen by a person'))"
    )
    everything = up.pids("")

    assert up.manage("shell", "--no-imports", "-c", script).strip() == "admin"
    assert "chosen by a person" not in up.printed
    assert up.stop(signal.SIGINT) == 0
    assert [pid for pid in everything if is_alive(pid)] == []


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"FLAGSITE_PORT": "http"}, "FLAGSITE_PORT is 'http', expected a whole number"),
        ({"WEB_CONCURRENCY": "0"}, "WEB_CONCURRENCY is '0', expected a whole number from 1"),
        (
            {"FLAGSITE_HOST": "203.0.113.7"},
            "FLAGSITE_HOST 203.0.113.7, FLAGSITE_PORT 8000: Cannot assign",
        ),
        ({"FLAGSITE_HOME": "/dev/null/home"}, "The data folder /dev/null/home cannot be written"),
    ],
)
def test_a_wrong_variable_is_named_in_one_line(home, variables, line):
    ended = subprocess.run(
        [CHECKOUT / "bin" / "up"],
        env={"PATH": os.environ["PATH"], "FLAGSITE_HOME": str(home), **variables},
        capture_output=True,
        text=True,
    )

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert line in ended.stderr


def test_without_a_suitable_python_it_says_what_to_install(tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("up", "venv.sh"):
        (tmp_path / "bin" / name).write_bytes((CHECKOUT / "bin" / name).read_bytes())
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "dirname"):
        found = subprocess.run(["sh", "-c", f"command -v {name}"], capture_output=True, text=True)
        (programs / name).symlink_to(found.stdout.strip())
    too_old = programs / "python3"
    too_old.write_text("#!/bin/sh\nexit 1\n")
    too_old.chmod(0o755)

    ended = subprocess.run(
        [programs / "sh", tmp_path / "bin" / "up"],
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
    )

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "install Python 3.11 or later" in ended.stderr

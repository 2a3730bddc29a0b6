"""keeper.py with real programs: small shell scripts that write down when they start."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flagsite.embedded import keeper
from flagsite.embedded.keeper import is_alive
from tests.stack.waiting import wait_until


@pytest.fixture
def keep(tmp_path):
    """Start a keeper of a shell script, watching a process; all are gone afterwards."""
    keepers = []

    def start(script: str, *, watched: int | None = None) -> subprocess.Popen:
        command = [sys.executable, "-I", "-S", keeper.__file__, "--grace", "1"]
        command += ["--while", str(watched or os.getpid()), "--", "sh", "-c", script]
        keepers.append(subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True))
        return keepers[-1]

    yield start
    for each in keepers:
        each.terminate()
        each.communicate()


def starts(folder: Path) -> list[int]:
    """The process numbers that the script wrote, oldest first."""
    file = folder / "starts"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def test_a_killed_program_is_started_again(keep, tmp_path):
    keep("echo $$ >> starts; exec sleep 1000")
    first = wait_until(lambda: starts(tmp_path), what="it started")[0]

    os.kill(first, signal.SIGKILL)

    wait_until(lambda: len(starts(tmp_path)) == 2, what="it was started again")
    assert is_alive(starts(tmp_path)[1])


def test_a_program_that_gives_up_at_its_start_is_not_started_again(keep, tmp_path):
    kept = keep("echo $$ >> starts; exit 7")

    assert kept.wait(timeout=30) == 7
    assert len(starts(tmp_path)) == 1


def test_a_stopped_keeper_takes_its_program_along(keep, tmp_path):
    kept = keep("echo $$ >> starts; exec sleep 1000")
    program = wait_until(lambda: starts(tmp_path), what="it started")[0]

    kept.terminate()

    assert kept.wait(timeout=30) == 0
    assert not is_alive(program)


def test_a_program_that_ignores_its_signal_is_killed_after_the_grace(keep, tmp_path):
    kept = keep("trap '' TERM; echo $$ >> starts; while :; do sleep 0.1; done")
    program = wait_until(lambda: starts(tmp_path), what="it started")[0]

    kept.terminate()

    assert kept.wait(timeout=30) == 0
    assert not is_alive(program)


def test_a_killed_keeper_takes_its_program_along(keep, tmp_path):
    kept = keep("echo $$ >> starts; exec sleep 1000")
    program = wait_until(lambda: starts(tmp_path), what="it started")[0]

    kept.kill()

    wait_until(lambda: not is_alive(program), what="the program followed")


def test_a_program_ends_with_the_process_that_is_watched(keep, tmp_path):
    watched = subprocess.Popen(["sleep", "1000"])
    kept = keep("echo $$ >> starts; exec sleep 1000", watched=watched.pid)
    program = wait_until(lambda: starts(tmp_path), what="it started")[0]

    watched.kill()
    watched.wait()

    assert kept.wait(timeout=30) == 0
    assert not is_alive(program)

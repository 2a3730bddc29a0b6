"""A real `bin/up` in a process of its own, with what it printed so far."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from flagsite.embedded.ports import free_port
from tests.services import remove
from tests.stack.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
LEFT_OUT = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}


@contextlib.contextmanager
def an_open_folder() -> Iterator[Path]:
    """A data folder that every account may pass through, as bin/up would make it."""
    folder = Path(tempfile.mkdtemp(prefix="flagsite-stack-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        remove(folder)


def without_services() -> dict[str, str]:
    """This process's variables as a person's shell has them: none of Flagsite's."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in LEFT_OUT and not name.startswith(("FLAGSITE_", "PYTEST_"))
    }


class RunningUp:
    """Start `bin/up` on a data folder; `printed` grows as it speaks."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        self.port = int(variables.pop("FLAGSITE_PORT", "0")) or free_port()
        self.printed = ""
        self.process = subprocess.Popen(
            [CHECKOUT / "bin" / "up"],
            env={
                **without_services(),
                "FLAGSITE_HOME": str(home),
                "FLAGSITE_PORT": str(self.port),
                **variables,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed += line

    def until_ready(self) -> "RunningUp":
        wait_until(
            lambda: "Sign in as" in self.printed or self.process.poll() is not None,
            what="bin/up said how to sign in",
            otherwise=lambda: self.printed,
        )
        assert self.process.poll() is None, self.printed
        return self

    def generated_password(self) -> str:
        found = re.search(r"Sign in as admin, password (\S+)", self.printed)
        assert found, self.printed
        return found[1]

    def manage(self, *arguments: str, typed: str = "") -> str:
        """The answer of `manage.py` in a second shell, which is told the data folder only."""
        ended = subprocess.run(
            [CHECKOUT / ".venv" / "bin" / "python", "manage.py", *arguments],
            cwd=CHECKOUT,
            env={**without_services(), "FLAGSITE_HOME": str(self.home)},
            input=typed,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def pids(self, words: str) -> list[int]:
        """The processes below this bin/up whose command line has these words."""
        table = subprocess.run(
            ["ps", "-ewwo", "pid,ppid,args"], capture_output=True, text=True, check=True
        ).stdout.splitlines()[1:]
        rows = [line.split(None, 2) for line in table]
        parents = {int(pid): int(parent) for pid, parent, *_ in rows}
        return [
            int(pid)
            for pid, _, *command in rows
            if command and words in command[0] and self.is_below(int(pid), parents)
        ]

    def is_below(self, pid: int, parents: dict[int, int]) -> bool:
        while pid in parents and pid != self.process.pid:
            pid = parents[pid]
        return pid == self.process.pid

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal, wait for the end, and give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=60)
        self.reader.join(timeout=10)
        return code


def refusal(home: Path, **variables: str) -> str:
    """What a `bin/up` says that cannot start."""
    attempt = RunningUp(home, **variables)
    wait_until(lambda: attempt.process.poll() is not None, what="bin/up gave up")
    attempt.stop()
    assert attempt.process.returncode == 1
    return attempt.printed

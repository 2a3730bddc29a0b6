"""A program under a keeper (keeper.py), as the process that started it sees it."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KEEPER = Path(__file__).with_name("keeper.py")


def keeper_command(
    program: Sequence[str | Path],
    *,
    name: str,
    user: tuple[int, int] | None = None,
    stop_signal: str = "TERM",
    grace_seconds: float = 4,
) -> list[str]:
    """The command line that keeps `program` running for as long as this process lives."""
    command = [sys.executable, "-I", "-S", str(KEEPER), "--while", str(os.getpid())]
    command += ["--name", name, "--stop-signal", stop_signal, "--grace", str(grace_seconds)]
    if user is not None:
        command += ["--user", f"{user[0]}:{user[1]}"]
    return [*command, "--", *map(str, program)]


def as_shell(command: Sequence[str]) -> str:
    """The command for a runner that takes a shell line; the shell itself does not stay."""
    return "exec " + shlex.join(command)


@dataclass
class KeptProgram:
    """A store's server, writing to its own log file."""

    keeper: subprocess.Popen[bytes]
    log: Path
    grace_seconds: float

    @classmethod
    def start(
        cls,
        program: Sequence[str | Path],
        *,
        name: str,
        log: Path,
        user: tuple[int, int] | None = None,
        stop_signal: str = "TERM",
        grace_seconds: float = 20,
    ) -> "KeptProgram":
        command = keeper_command(
            program, name=name, user=user, stop_signal=stop_signal, grace_seconds=grace_seconds
        )
        with log.open("wb") as output:
            keeper = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A Ctrl-C in the terminal is for bin/up, which stops the stores last.
                start_new_session=True,
                # Some place every account may be in: PostgreSQL may run as another one.
                cwd="/",
            )
        return cls(keeper=keeper, log=log, grace_seconds=grace_seconds)

    def has_ended(self) -> bool:
        return self.keeper.poll() is not None

    def last_words(self) -> str:
        """The last line of its log, or a remark that there is none."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"{self.log} is empty"

    def stop(self) -> None:
        if not self.has_ended():
            self.keeper.terminate()
            self.keeper.wait(timeout=self.grace_seconds + 10)

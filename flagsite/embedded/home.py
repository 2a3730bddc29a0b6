"""The data folder of `bin/up`: its lock, its secrets, and what it tells other shells."""

import base64
import contextlib
import fcntl
import os
import secrets
import shlex
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from flagsite.embedded.errors import CannotStart
from flagsite.embedded.keeper import is_alive
from flagsite.embedded.private_files import write_private

ENVIRONMENT_FILE = "environment"  # flagsite/environment.py reads it
LEAVING_SECONDS = 10  # a keeper notices within half a second and grants its program four
ROOM_BYTES = 200 * 1024 * 1024  # an empty PostgreSQL takes 40 MB, its log of changes up to 80 MB


def open_home(folder: Path) -> None:
    """Make the folder where it is missing, and see that it can be used."""
    # Under root PostgreSQL runs as another account, which must be able to pass through; what is
    # private in here is private by its own mode.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        write_private(folder / "probe", "can be written\n")
        (folder / "probe").unlink()
        space = os.statvfs(folder)
    except OSError as problem:
        raise CannotStart(
            f"The data folder {folder} cannot be written ({problem.strerror}): "
            "set FLAGSITE_HOME to one that can."
        ) from None
    free_bytes = space.f_bavail * space.f_frsize
    if free_bytes < ROOM_BYTES:
        raise CannotStart(
            f"The disk of {folder} is full: {free_bytes // 2**20} MB are free, "
            f"{ROOM_BYTES // 2**20} MB are needed."
        )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process and the ones it starts; refuse when another holds it."""
    with (folder / "lock").open("a+") as file:
        until = time.monotonic() + LEAVING_SECONDS
        while not try_lock(file):
            file.seek(0)
            holder = file.read().strip()
            # After a kill -9 the processes it started hold the lock until they notice.
            if holder.isdigit() and not is_alive(int(holder)) and time.monotonic() < until:
                time.sleep(0.1)
                continue
            raise CannotStart(
                f"Flagsite already runs on {folder} (process {holder or 'unknown'}): "
                "stop it first, or give this one a FLAGSITE_HOME of its own."
            )
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def try_lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def secret_key(folder: Path) -> str:
    """Django's secret key, made once."""
    file = folder / "secret-key"
    if not file.exists():
        write_private(file, secrets.token_urlsafe(50) + "\n")
    return file.read_text().strip()


def signing_key(folder: Path) -> str:
    """The key that signs what the streams of events end at, made once."""
    file = folder / "signing-key"
    if not file.exists():
        write_private(file, base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
    return file.read_text().strip()


@contextlib.contextmanager
def announced(folder: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """While this lasts, `manage.py` in any other shell uses these variables."""
    file = folder / ENVIRONMENT_FILE
    lines = ["# What the running bin/up uses; removed when it stops."]
    lines += [f"{name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    write_private(file, "\n".join(lines) + "\n")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)

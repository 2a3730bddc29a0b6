"""The last known state on disk, so that a process that starts during an outage can answer.

FLAGSITE_HOME/rulesets holds one file per environment and `keys.json` with the hashes of the keys
(never a key). Files are replaced as a whole and readable by their owner alone.
"""

import contextlib
import json
import logging
import os
import tempfile
import uuid
from pathlib import Path

logger = logging.getLogger(__name__)

KeyRow = tuple[str, str, str, str]


class Kept:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep_ruleset(self, environment: str, body: bytes) -> None:
        self._write(f"{uuid.UUID(environment)}.json", body)

    def ruleset(self, environment: str) -> bytes | None:
        return self._read(f"{uuid.UUID(environment)}.json")

    def forget_ruleset(self, environment: str) -> None:
        with contextlib.suppress(OSError):
            (self._folder / f"{uuid.UUID(environment)}.json").unlink()

    def keep_keys(self, rows: list[KeyRow], *, confirmed_at: float) -> None:
        """`confirmed_at`: when, in Unix seconds, the database said so."""
        self._write("keys.json", json.dumps({"confirmed_at": confirmed_at, "keys": rows}).encode())

    def keys(self) -> tuple[list[KeyRow], float] | None:
        """The rows and when they were confirmed; None when there are none that can be read."""
        body = self._read("keys.json")
        if body is None:
            return None
        try:
            said = json.loads(body)
            rows = [(str(h), str(p), str(k), str(uuid.UUID(e))) for h, p, k, e in said["keys"]]
            return rows, float(said["confirmed_at"])
        except (ValueError, KeyError, TypeError):
            logger.warning("kept.unreadable file=keys.json")
            return None

    def _read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            return None

    def _write(self, name: str, body: bytes) -> None:
        """A full disk costs the next start during an outage, and nothing now."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # mkstemp makes it 0600.
            handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=f".{name}-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(body)
                os.replace(temporary, self._folder / name)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            logger.warning("kept.not_written file=%s error=%s", name, error)

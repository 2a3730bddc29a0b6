"""The last known good ruleset, kept in a file for a start without the server.

The file is two lines of JSON: what it is (format, environment, whose key, a checksum) and the
ruleset. It never holds the key, only a digest of it that differs from the one the server keeps.
"""

import contextlib
import hashlib
import json
import logging
import os
import secrets
from pathlib import Path
from typing import Any

from flagclient.decoding import decode_ruleset, encode_ruleset

logger = logging.getLogger("flagclient")

FORMAT = 1


class LastKnown:
    """One file for one key. Several processes may share it: each write replaces it whole."""

    def __init__(self, path: str | os.PathLike[str], key: str) -> None:
        self.path = Path(path)
        self._owner = hashlib.sha256(f"flagclient last known ruleset:{key}".encode()).hexdigest()

    def read(self) -> dict[str, Any] | None:
        """Return the ruleset of the file; None, with a warning, when the file is of no use."""
        try:
            head, _, body = self.path.read_text(encoding="utf-8").partition("\n")
            return self._checked(head, body)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            logger.warning("last_known.ignored: %s: %s", self.path, error)
            return None

    def write(self, document: dict[str, Any]) -> None:
        """Replace the file; a failure is logged and harms nothing."""
        temporary = self.path.with_name(f"{self.path.name}.{secrets.token_hex(6)}")
        try:
            self._write_to(temporary, document)
            temporary.replace(self.path)
        except (OSError, ValueError) as error:
            logger.warning("last_known.not_written: %s: %s", self.path, error)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _write_to(self, path: Path, document: dict[str, Any]) -> None:
        body = [piece.encode() for piece in encode_ruleset(document)]
        checksum = hashlib.sha256()
        for piece in body:
            checksum.update(piece)
        head = {
            "format": FORMAT,
            "environment": document["environment"],
            "owner": self._owner,
            "sha256": checksum.hexdigest(),
        }
        # Rules may name customers: the file is for this account only, from its first byte on.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(head).encode() + b"\n")
            file.writelines(body)
            file.flush()
            os.fsync(file.fileno())

    def _checked(self, head: str, body: str) -> dict[str, Any]:
        about = json.loads(head)
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise ValueError(f"expected a file of format {FORMAT}")
        if about.get("owner") != self._owner:
            raise ValueError("it was written for another SDK key")
        if hashlib.sha256(body.encode()).hexdigest() != about.get("sha256"):
            raise ValueError("its checksum does not match: it is damaged")
        document = decode_ruleset(body)
        if not isinstance(document, dict):
            raise ValueError(f"expected a ruleset, got {type(document).__name__}")
        if document.get("environment") != about.get("environment"):
            raise ValueError("its two lines name different environments")
        return document

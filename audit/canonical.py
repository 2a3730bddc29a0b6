"""The one way bytes are made of JSON before they are hashed: RFC 8785's spirit, Python's numbers.

Keys sorted, no white space, UTF-8 as it is. The bytes are kept as written, so a later release that
would write a number differently still verifies what was written.
"""

import hashlib
import json
from typing import Any


def canonical_bytes(value: Any) -> bytes:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

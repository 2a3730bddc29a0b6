"""Small JSON files that only their owner may read."""

import json
import os
from pathlib import Path
from typing import Any


def read_private(file: Path) -> dict[str, Any]:
    """What the file holds; empty when there is none."""
    try:
        return dict(json.loads(file.read_text()))
    except FileNotFoundError:
        return {}


def write_private(file: Path, text: str) -> None:
    """Replace the file in one step, so that no reader and no crash ever sees half of it."""
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
        output.write(text)
    unfinished.replace(file)

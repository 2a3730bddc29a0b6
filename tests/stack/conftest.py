import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import remove


@pytest.fixture
def home() -> Iterator[Path]:
    """A data folder that every account may pass through, as bin/up would make it."""
    folder = Path(tempfile.mkdtemp(prefix="flagsite-stack-"))
    folder.chmod(0o711)
    yield folder
    remove(folder)

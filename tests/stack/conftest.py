import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.services import remove
from tests.stack.running import RunningUp


@pytest.fixture
def home() -> Iterator[Path]:
    """A data folder that every account may pass through, as bin/up would make it."""
    folder = Path(tempfile.mkdtemp(prefix="flagsite-stack-"))
    folder.chmod(0o711)
    yield folder
    remove(folder)


@pytest.fixture
def start_up(home: Path) -> Iterator[Callable[..., RunningUp]]:
    """Start `bin/up` on the data folder with these variables, and wait until it is ready."""
    started: list[RunningUp] = []

    def start(**variables: str) -> RunningUp:
        started.append(RunningUp(home, **variables))
        return started[-1].until_ready()

    yield start
    for each in started:
        each.stop()

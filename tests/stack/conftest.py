from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stack.running import RunningUp, an_open_folder


@pytest.fixture
def home() -> Iterator[Path]:
    with an_open_folder() as folder:
        yield folder


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

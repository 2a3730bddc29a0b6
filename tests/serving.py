"""Fixtures around a running server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flags.models import Project
from tests.served import Served, an_sdk_key, served


@pytest.fixture(scope="session")
def running(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for the run. Tables are emptied between tests; it has to live with that."""
    home: Path = tmp_path_factory.mktemp("home")
    with served(home) as server:
        yield server


@pytest.fixture
def server(running: Served, transactional_db: None) -> Served:
    return running


@pytest.fixture
def server_key(transactional_db: None, project: Project) -> str:
    """The secret of a server key for production."""
    return an_sdk_key("server")


@pytest.fixture
def client_key(transactional_db: None, project: Project) -> str:
    """The secret of a client key for production."""
    return an_sdk_key("client")

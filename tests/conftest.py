"""The stack below every test: a PostgreSQL and a Valkey of this run's own."""

import os
from typing import Any

import hypothesis
import pytest

from tests.services import ensure_services

# Before anything imports Django's settings, which read these variables once.
ensure_services()

import django  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402

# The machine may be busy, and how long one example takes is nothing that a test is about.
hypothesis.settings.register_profile("flagsite", deadline=None)
hypothesis.settings.load_profile("flagsite")

# The cast imports models, and plugins are imported before pytest-django sets Django up.
django.setup()
pytest_plugins = ["tests.cast", "tests.serving"]

if os.environ["REDIS_URL"] != settings.REDIS_URL:
    raise pytest.UsageError("Django's settings were read before this process had its own stores")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Workers name the settings themselves, as pytest-django reads at once what it finds named.

    It would do so before a worker has chosen its own Valkey database (see ensure_services).
    """
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Under CI nothing may be skipped: what is missing there (a browser) is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Tests with real transactions truncate the tables between them, which events refuse."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table in ("audit_event", "audit_statement", "audit_archive"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_refuses_truncate")

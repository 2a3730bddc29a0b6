"""The stack below every test: a PostgreSQL and a Valkey of this run's own."""

from tests.services import ensure_services

# Before anything imports Django's settings, which read these variables once.
ensure_services()

from django.conf import settings  # noqa: E402

# pytest-django sets Django up in its last pytest_configure, provided the settings were read.
assert settings.DATABASES

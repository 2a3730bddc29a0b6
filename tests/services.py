"""PostgreSQL and Valkey for one test run, started on demand and gone afterwards."""

import atexit
import base64
import os
import shutil
import tempfile
from pathlib import Path

from flagsite.embedded.postgres import start_postgres
from flagsite.embedded.valkey import start_valkey


def ensure_services() -> None:
    """Set DATABASE_URL, REDIS_URL and what else the settings need, starting what is missing.

    Runs before Django reads its settings. Workers of xdist inherit the controller's variables, so
    one run has one stack; each worker has its own test database and its own Valkey database.
    """
    home = Path(os.environ.get("FLAGSITE_HOME") or new_home())
    os.environ["FLAGSITE_HOME"] = str(home)
    os.environ["DJANGO_SETTINGS_MODULE"] = "flagsite.settings"
    os.environ.setdefault("FLAGSITE_SECRET_KEY", "only-for-tests-" + "0123456789" * 5)
    os.environ.setdefault("FLAGSITE_DEVELOPMENT", "1")
    os.environ.setdefault("FLAGSITE_SIGNING_KEY", base64.b64encode(b"only for tests".ljust(32)).decode())  # fmt: skip
    if not os.environ.get("DATABASE_URL"):
        postgres = start_postgres(home, throwaway=True)
        atexit.register(postgres.stop)
        os.environ["DATABASE_URL"] = postgres.url
    if not os.environ.get("REDIS_URL"):
        valkey = start_valkey(home)
        atexit.register(valkey.stop)
        os.environ["REDIS_URL"] = valkey.url
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker:
        address = os.environ["REDIS_URL"].rpartition("/")[0]
        os.environ["REDIS_URL"] = f"{address}/{1 + int(worker.removeprefix('gw'))}"


def new_home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="flagsite-test-"))
    # Under root PostgreSQL runs as another account, which must be able to pass through.
    home.chmod(0o711)
    atexit.register(remove, home)
    return home


def remove(home: Path) -> None:
    data = home / "postgres"
    if data.is_symlink():
        shutil.rmtree(data.resolve(), ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)

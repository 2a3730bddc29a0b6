"""Servers that fork: each child is an instance of its own and stays current."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.sdk.forking_app import WORKERS
from tests.sdk.loopback import KEY, PATIENCE, a_flag

ROOT = Path(__file__).resolve().parents[2]


def test_every_forked_worker_follows_the_server_by_itself(server):
    app = subprocess.Popen(
        [sys.executable, "-m", "tests.sdk.forking_app"],
        cwd=ROOT,
        env={
            **os.environ,
            "FLAGSITE_URL": server.url,
            "FLAGSITE_KEY": KEY,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'sdk' / 'python'}",
        },
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        server.wait_for(lambda: len(instances(server)) == WORKERS + 1)
        names = ["parent", *(f"worker {number}" for number in range(WORKERS))]
        assert sorted(app.stdout.readline().strip() for _ in names) == [f"{n} True" for n in names]

        server.change(a_flag("new-checkout", value=False, version=2))

        rest, _ = app.communicate(timeout=PATIENCE)
        assert sorted(rest.splitlines()) == [f"{name} False" for name in names]
        assert app.returncode == 0
        # The children left the parent's connection alone: it never had to come back.
        assert len(server.hellos) == WORKERS + 1
        assert server.receipts.count(2) == WORKERS + 1
    finally:
        # The workers too, should one hang.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(app.pid, signal.SIGKILL)
        app.wait()


def instances(server):
    return {hello["instance"] for hello in server.hellos}

"""Stores of the benchmark's own, with a project of 54 flags in them."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.http.servers import CHECKOUT
from flagsite.embedded.postgres import start_postgres
from flagsite.embedded.valkey import start_valkey

FLAGS = 54


@dataclass(frozen=True)
class Stack:
    variables: dict[str, str]
    server_key: str
    client_key: str


@contextlib.contextmanager
def stack() -> Iterator[Stack]:
    with (
        tempfile.TemporaryDirectory(prefix="flagsite-bench-") as folder,
        contextlib.ExitStack() as end,
    ):
        home = Path(folder)
        # Under root PostgreSQL runs as another account, which must be able to pass through.
        home.chmod(0o711)
        postgres = start_postgres(home, throwaway=True)
        end.callback(postgres.stop)
        valkey = start_valkey(home)
        end.callback(valkey.stop)
        variables = {
            "FLAGSITE_HOME": str(home),
            "FLAGSITE_DEVELOPMENT": "1",
            "FLAGSITE_SECRET_KEY": "only-for-benchmarks-" + "0123456789" * 4,
            "DATABASE_URL": postgres.url,
            "REDIS_URL": valkey.url,
        }
        os.environ.update(variables, DJANGO_SETTINGS_MODULE="flagsite.settings")
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
        subprocess.run(migrate, cwd=CHECKOUT, check=True)
        yield Stack(variables, *_filled())


def _filled() -> tuple[str, str]:
    """A project of flags without rules, with rules and with splits, a third each; its two keys."""
    import django

    django.setup()
    from audit.facts import Actor
    from flags.changes import (
        ConfigureFlag,
        CreateEnvironment,
        CreateFlag,
        CreateProject,
        CreateSdkKey,
        submit,
    )
    from flags.models.secrets import new_secret

    actor = Actor.system("bench")
    submit(CreateProject(project="bench"), actor=actor)
    submit(CreateEnvironment(project="bench", key="production"), actor=actor)
    serves = [
        {},
        {
            "rules": [
                {
                    "when": {"attribute": "country", "op": "in", "values": ["FR", "DE", "AT"]},
                    "serve": {"variation": "on"},
                }
            ]
        },
        {
            "fallthrough": {
                "split": {"by": "targetingKey", "shares": [["on", 30_000], ["off", 70_000]]}
            }
        },
    ]
    changes = []
    for number in range(FLAGS):
        key = f"flag-{number:02}"
        changes.append(CreateFlag(project="bench", key=key, client_visible=True))
        changes.append(
            ConfigureFlag(
                project="bench",
                environment="production",
                flag=key,
                enabled=True,
                **serves[number % 3],
            )
        )
    submit(*changes, actor=actor)
    keys = []
    for prefix, kind in (("fss", "server"), ("fsc", "client")):
        secret = new_secret(prefix)
        submit(
            CreateSdkKey.of(secret, project="bench", environment="production", key_kind=kind),
            actor=actor,
        )
        keys.append(secret.text)
    return keys[0], keys[1]

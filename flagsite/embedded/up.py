"""What `bin/up` runs once the requirements are there: the whole of Flagsite, until it is stopped.

Stores first, then the schema, the account and the demo, then the processes. Everything that can go
wrong on the way is said in one line.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flagsite.embedded import home
from flagsite.embedded.errors import CannotStart
from flagsite.embedded.ports import is_free
from flagsite.embedded.postgres import start_postgres
from flagsite.embedded.processes import Processes, quiet_when_unheard, web_is_ready
from flagsite.embedded.valkey import start_valkey

CHECKOUT = Path(__file__).resolve().parent.parent.parent
ADMIN = "admin"


@dataclass(frozen=True)
class Options:
    """The variables that steer bin/up itself; docs/configuration.md describes them."""

    home: Path
    host: str
    port: int
    web_processes: int
    with_demo: bool
    admin_password: str

    @property
    def address(self) -> str:
        # Passkeys need a name.
        named = {"127.0.0.1": "localhost", "0.0.0.0": "localhost", "::": "[::1]"}  # noqa: S104
        host = named.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host and '[' not in host else host}:{self.port}"


def main() -> int:
    signal.signal(signal.SIGTERM, raise_stop)
    try:
        options = read_options(os.environ)
        return run(options)
    except CannotStart as problem:
        print(f"flagsite: {problem}", file=sys.stderr)
        return 1
    except OSError as problem:  # a full disk, most likely
        print(f"flagsite: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def raise_stop(*_signal_and_frame: object) -> None:
    raise KeyboardInterrupt


def read_options(variables: Mapping[str, str]) -> Options:
    return Options(
        home=Path(variables.get("FLAGSITE_HOME") or CHECKOUT / ".flagsite").expanduser().resolve(),
        host=variables.get("FLAGSITE_HOST") or "127.0.0.1",
        port=whole_number(variables, "FLAGSITE_PORT", 8000, at_most=65535),
        web_processes=whole_number(variables, "WEB_CONCURRENCY", 1, at_most=1000),
        with_demo=variables.get("FLAGSITE_DEMO", "1") not in {"0", "false", "no", "off"},
        admin_password=variables.get("FLAGSITE_ADMIN_PASSWORD", ""),
    )


def whole_number(variables: Mapping[str, str], name: str, default: int, *, at_most: int) -> int:
    value = variables.get(name) or str(default)
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= at_most):
        raise CannotStart(f"{name} is {value!r}, expected a whole number from 1 to {at_most}.")
    return int(value)


def run(options: Options) -> int:
    home.open_home(options.home)
    with home.locked(options.home), contextlib.ExitStack() as until_the_end:
        refuse_taken_port(options)
        variables = until_the_end.enter_context(stores_and_variables(options))
        until_the_end.enter_context(home.announced(options.home, variables))
        os.environ.update(variables, FLAGSITE_HOME=str(options.home))
        sign_in = prepare(options)
        processes = Processes(
            host=options.host,
            port=options.port,
            web_processes=options.web_processes,
            home=options.home,
        )
        processes.run(
            once_started=lambda: announce_when_ready(options, sign_in),
        )
        # From here on everything is being stopped; a second Ctrl-C must not leave a store behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if processes.were_stopped:
        say("Flagsite is stopped.")
        return 0
    print(
        "flagsite: a process ended by itself (see above); everything is stopped.", file=sys.stderr
    )
    return 1


def refuse_taken_port(options: Options) -> None:
    try:
        free = is_free(options.port, host=options.host)
    except OSError as problem:
        raise CannotStart(
            f"Nothing can listen on FLAGSITE_HOST {options.host}, FLAGSITE_PORT {options.port}: "
            f"{problem.strerror}."
        ) from None
    if not free:
        raise CannotStart(
            f"Port {options.port} on {options.host} is taken: stop what listens there, "
            f"or choose another, as in FLAGSITE_PORT={options.port + 1} bin/up."
        )


@contextlib.contextmanager
def stores_and_variables(options: Options) -> Iterator[dict[str, str]]:
    """Start the stores that are not given, and name what the processes and other shells need."""
    given = {name: value for name, value in os.environ.items() if name.startswith("FLAGSITE_")}
    for name in ("FLAGSITE_HOME", "FLAGSITE_ADMIN_PASSWORD", "FLAGSITE_DEMO"):
        given.pop(name, None)
    variables = {
        "FLAGSITE_DEVELOPMENT": "1",
        "FLAGSITE_SECRET_KEY": home.secret_key(options.home),
        "FLAGSITE_SIGNING_KEY": home.signing_key(options.home),
        **given,
    }
    with contextlib.ExitStack() as stores:
        if address := os.environ.get("DATABASE_URL"):
            variables["DATABASE_URL"] = address
        else:
            postgres = start_postgres(options.home)
            stores.callback(postgres.stop)
            variables["DATABASE_URL"] = postgres.url
        if address := os.environ.get("REDIS_URL"):
            variables["REDIS_URL"] = address
        else:
            valkey = start_valkey(options.home)
            stores.callback(valkey.stop)
            variables["REDIS_URL"] = valkey.url
        yield variables


def prepare(options: Options) -> str:
    """Bring schema, account and demo up to date; how to sign in, in words."""
    manage("migrate", "--no-input", "--verbosity=0")
    # Static files are served from their sources in development, but the folder has to be there.
    (options.home / "static").mkdir(exist_ok=True)
    if os.environ["FLAGSITE_DEVELOPMENT"] == "0":
        manage("collectstatic", "--no-input", "--verbosity=0")
    first_run_done = options.home / "first-run-done"
    is_first = not first_run_done.exists()
    if options.admin_password:
        manage("set_admin", ADMIN, typed=options.admin_password)
        sign_in = f"{ADMIN}, with the password in FLAGSITE_ADMIN_PASSWORD"
    elif is_first:
        password = secrets.token_urlsafe(12)
        manage("set_admin", ADMIN, typed=password)
        sign_in = f"{ADMIN}, password {password} (shown this once)"
    else:
        sign_in = f"{ADMIN} (FLAGSITE_ADMIN_PASSWORD=… bin/up sets a new password)"
    if is_first and options.with_demo:
        say("Making the demo project …")
        manage("seed_demo")
    first_run_done.touch()
    return sign_in


def manage(*arguments: str, typed: str = "") -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=CHECKOUT, input=typed + "\n", text=True
    )
    if ended.returncode:
        raise CannotStart(f"`manage.py {' '.join(arguments)}` failed, as said above.")


def say(text: str) -> None:
    with quiet_when_unheard():
        print(text, flush=True)


def announce_when_ready(options: Options, sign_in: str) -> None:
    def announce() -> None:
        if web_is_ready(options.host, options.port):
            say(
                f"\n  Flagsite runs at {options.address}\n  Sign in as {sign_in}\n"
                "  Ctrl-C stops everything.\n"
            )
        else:
            say("flagsite: the web process is still not ready; what keeps it is said above.")

    threading.Thread(target=announce, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())

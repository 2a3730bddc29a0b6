"""What `bin/test` runs: every check in turn, then the tests, all on stores of this run's own.

Each check is one line with its time; one that fails shows its output, and the others run all the
same. pytest comes last, so the last line is its summary. The exit code is 0 when all passed.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
os.chdir(CHECKOUT)
sys.path.insert(0, str(CHECKOUT))

from tests.services import ensure_services  # noqa: E402

TOOLS = CHECKOUT / ".venv" / "bin"
TYPED = [
    *("flagengine", "sdk/python/flagclient", "audit", "flags/changes", "flagsite"),
    *("bin/checks.py", "manage.py"),
]
# Two processes, as the smallest machine has two cores; a file's tests stay together. Files begin in
# this order, the ones that start whole servers first, so that no process is left with one of them
# while the other has nothing to do.
IN_PARALLEL = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
LONGEST_FIRST = [
    *("tests/e2e", "tests/stack", "tests/dashboard", "tests/live", "tests/changes"),
    *("tests/evaluation_api", "tests/websockets", "tests"),
]


@dataclass
class Check:
    name: str
    command: list[str]
    variables: dict[str, str] = field(default_factory=dict)

    def passes(self) -> bool:
        started = time.monotonic()
        ended = subprocess.run(
            self.command,
            env={**os.environ, **self.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        verdict = "FAILED" if ended.returncode else "ok"
        print(f"{self.name:<12} {verdict:<7} {time.monotonic() - started:6.1f} s", flush=True)
        if ended.returncode:
            print(ended.stdout, flush=True)
        return ended.returncode == 0


def checks() -> list[Check]:
    # Nothing but what an installation would set: the settings of production are what remains.
    production = {"FLAGSITE_DEVELOPMENT": "0"}
    return [
        Check("format", [tool("ruff"), "format", "--check", "."]),
        Check("lint", [tool("ruff"), "check", "."]),
        Check("types", [tool("mypy"), *TYPED]),
        Check("floors", [tool("lint-imports")], {"PYTHONPATH": f"{CHECKOUT}:sdk/python"}),
        Check("templates", [tool("djhtml"), "--check", "templates"]),
        Check("settings", manage("check", "--deploy", "--fail-level", "WARNING"), production),
        Check("migrations", manage("makemigrations", "--check", "--dry-run"), production),
        Check("static", manage("collectstatic", "--no-input"), production),
    ]


def tool(name: str) -> str:
    return str(TOOLS / name)


def manage(*arguments: str) -> list[str]:
    return [sys.executable, "manage.py", *arguments]


def run_pytest(arguments: list[str]) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments]).returncode


def main(arguments: list[str]) -> int:
    ensure_services()
    if arguments:
        return run_pytest(arguments)
    passed = [check.passes() for check in checks()]
    return max(run_pytest([*IN_PARALLEL, "-q", *LONGEST_FIRST]), 0 if all(passed) else 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

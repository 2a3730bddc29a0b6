"""Measure W1 to W5 and print a table: ratios first, raw figures below.

The other SDKs live in a venv of the bench's own, which is made on the first run.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.engine.contenders import Contender

CHECKOUT = Path(__file__).resolve().parents[2]
VENV = CHECKOUT / ".venv-bench"
REQUIREMENTS = CHECKOUT / "bench" / "requirements.txt"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    parser.add_argument("--blocks", type=int, default=120, help="timed blocks per contender")
    arguments = parser.parse_args()
    if Path(sys.prefix).resolve() != VENV.resolve():
        run_in_own_venv("bench.engine")
    report(blocks=arguments.blocks)


def run_in_own_venv(module: str) -> None:
    """Become `python -m module` under the bench's venv; does not return."""
    python = VENV / "bin" / "python"
    wanted, have = REQUIREMENTS.read_text(), VENV / "requirements.txt"
    if not have.exists() or have.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", REQUIREMENTS], check=True)
        have.write_text(wanted)
    os.chdir(CHECKOUT)
    os.execv(python, [str(python), "-m", module, *sys.argv[1:]])


def report(*, blocks: int, sdk: "Callable[[dict[str, Any]], Contender] | None" = None) -> None:
    """Print the table for the engine, or for an SDK made of the ruleset and the engine beside it."""
    # Only the bench's venv has what these import.
    from bench.engine.contenders import Engine, GrowthBook, LaunchDarkly, Limit, Statsig
    from bench.engine.measuring import measured
    from bench.engine.workloads import WORKLOADS, document

    ruleset = document()
    engine = Engine(ruleset)
    own = engine if sdk is None else sdk(ruleset)
    peers = [Statsig(ruleset), LaunchDarkly(ruleset), GrowthBook(ruleset)]
    contenders = [own, *([] if own is engine else [engine]), Limit(), *peers]
    results = {each.name: measured(contenders, each, blocks=blocks) for each in WORKLOADS}
    for each in contenders:
        each.close()
    columns = list(results)
    row("", columns)
    row("", ["---:" for _ in columns], first="---")
    for peer in peers:
        ratios = [results[name][peer.name] / results[name][own.name] for name in columns]
        row(f"times faster than {peer.name}", [f"{ratio:.1f}" for ratio in ratios])
    to_limit = [results[name][own.name] / results[name]["written by hand"] for name in columns]
    row("times the limit written by hand", [f"{ratio:.1f}" for ratio in to_limit])
    for each in contenders:
        row(f"{each.name}, µs", [f"{results[name][each.name]:.3g}" for name in columns])
    sys.stdout.flush()
    os._exit(0)  # some SDKs leave threads behind that wait for the network


def row(name: str, cells: list[str], *, first: str | None = None) -> None:
    print(f"| {first or name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

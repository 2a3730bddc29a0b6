"""Measure W1 to W5 through the SDK's public calls, then what loading a ruleset does to asyncio."""

import argparse
import sys
from pathlib import Path

from bench.client.loading import report_loading
from bench.engine.__main__ import CHECKOUT, VENV, report, run_in_own_venv


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.client", description=__doc__)
    parser.add_argument("--blocks", type=int, default=120, help="timed blocks per contender")
    parser.add_argument("--flags", type=int, default=10_000, help="flags of the loaded ruleset")
    arguments = parser.parse_args()
    if Path(sys.prefix).resolve() != VENV.resolve():
        run_in_own_venv("bench.client")
    sys.path.insert(0, str(CHECKOUT / "sdk" / "python"))
    report_loading(flags=arguments.flags)
    # Only the bench's venv and the path above have what this imports.
    from bench.client.sdk import Sdk

    report(blocks=arguments.blocks, sdk=Sdk)


if __name__ == "__main__":
    main()

"""Apps as their owners run them: processes of their own, of which only what they print is seen."""

import subprocess
import sys
import threading
from pathlib import Path

from tests.stack.running import CHECKOUT, without_services
from tests.stack.waiting import wait_until

EXAMPLES = CHECKOUT / "examples"


class App:
    """A Python script that runs beside Flagsite; `lines` grows as it prints."""

    def __init__(self, script: Path, *, url: str, key: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-u", script],
            cwd=CHECKOUT,
            env=app_environment(url=url, key=key),
            stdout=subprocess.PIPE,
            text=True,
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def until_it_prints(self, words: str) -> None:
        """Wait until its last line has these words."""
        wait_until(
            lambda: self.lines and words in self.lines[-1],
            what=f"the app printed {words!r}",
            otherwise=lambda: f"; it printed {self.lines}",
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)
        self.reader.join(timeout=10)


def app_environment(*, url: str, key: str) -> dict[str, str]:
    """What examples/README.md tells a person to set."""
    return {
        **without_services(),
        "FLAGSITE_URL": url,
        "FLAGSITE_KEY": key,
        "SHOP_PORT": "0",
        "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'sdk' / 'python'}",
    }


def answer_of_curl(*, url: str, key: str) -> str:
    """What examples/curl.sh prints."""
    ended = subprocess.run(
        [EXAMPLES / "curl.sh"],
        env=app_environment(url=url, key=key),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return ended.stdout

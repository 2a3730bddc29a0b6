"""An app that forks workers after it has made its client, as a preloading server does.

Each worker evaluates, says what it got, and says it again when that changes; so does the parent.
"""

import os
import sys
import threading

from flagclient import FlagClient

from tests.sdk.conftest import QUICK

WORKERS = 3


def main() -> None:
    client = FlagClient(os.environ["FLAGSITE_URL"], os.environ["FLAGSITE_KEY"], pace=QUICK)
    changed = threading.Event()
    assert client.wait_until_ready(20)
    client.on_change(lambda flags, version: changed.set())
    client.boolean("new-checkout", False)

    children = []
    for number in range(WORKERS):
        child = os.fork()
        if child == 0:
            work(f"worker {number}", client, changed)
            # Counts of the parent are the parent's to report.
            counted = sum(row.count for row in client.counts())
            client.close()
            os._exit(0 if counted == 2 else 1)
        children.append(child)
    work("parent", client, changed)
    client.close()
    sys.exit(any(os.waitpid(child, 0)[1] for child in children))


def work(name: str, client: FlagClient, changed: threading.Event) -> None:
    assert client.wait_until_ready(20)
    # One write a line: the workers share the pipe.
    os.write(1, f"{name} {client.boolean('new-checkout', False)}\n".encode())
    assert changed.wait(20)
    os.write(1, f"{name} {client.boolean('new-checkout', True)}\n".encode())


if __name__ == "__main__":
    main()

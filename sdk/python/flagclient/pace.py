"""How long the client waits, and for what."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Every wait of a client, in seconds. The defaults suit production."""

    # Opening a connection, and each read of an HTTP answer.
    connect_timeout: float = 5.0
    # A whole HTTP answer, however slowly its bytes drip in.
    answer_timeout: float = 30.0
    # The server's first word after `hello`: a peer that accepts and stays silent is as good as away.
    hello_timeout: float = 10.0
    # Pings of our own, so that a connection through a black hole is noticed.
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    # Between two polls while the websocket is away.
    poll_interval: float = 30.0
    # From the loss of the websocket to the first poll: most come back before that.
    poll_after_loss: float = 1.0
    # Back-off between attempts to open the websocket: full jitter up to first × 2ⁿ, at most longest.
    first_retry: float = 0.5
    longest_retry: float = 30.0
    # A connection that lived this long was a good one: the back-off starts anew.
    good_connection: float = 10.0
    # A refused key seldom becomes a good one; a server restored from a backup may know it again.
    refused_retry: float = 60.0
    # Between two reports of counts, and the least time between two writes of the file.
    report_interval: float = 60.0
    save_interval: float = 5.0
    # A server process may lag behind the one that told us first; an older version than ours is not
    # believed until ours is this old. After that it is a restored backup.
    lag_tolerance: float = 30.0

    def retry_after(self, failures: int) -> float:
        """Draw the wait before the next attempt after `failures` in a row, at least one."""
        # 2 ** 20 is past any sensible cap; without it a long outage would overflow a float.
        ceiling = self.first_retry * 2 ** min(failures - 1, 20)
        return random.uniform(0, min(ceiling, self.longest_retry))  # noqa: S311  spreads load only

    def poll_after(self, seconds: float) -> float:
        """Draw a wait around `seconds`, so that many clients do not ask in step."""
        return seconds * random.uniform(0.75, 1.25)  # noqa: S311  spreads load only

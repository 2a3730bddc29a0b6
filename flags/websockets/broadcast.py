"""The `broadcast` subscriber: tells every web process that a stream moved."""

from audit.models import Event
from flags.live import hints


def send_hint(event: Event) -> None:
    """Send one hint to the group; raises when the channel layer is away, and is called again."""
    hints.send_hint(event.stream_id, event.version)

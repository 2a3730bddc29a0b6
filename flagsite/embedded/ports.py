"""Free ports on the loopback interface."""

import errno
import socket

LOOPBACK = "127.0.0.1"


def free_port(*, preferred: int | None = None) -> int:
    """A port nobody listens on: `preferred` when it is free, else one the system picks."""
    if preferred is not None and is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int, *, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there; OSError when it is not for us to listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # Servers set this too: without it, a port they just left would look taken for a minute.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                return False
            raise
        return True

"""Database work of the reading side: in threads of its own, so that the event loop never waits."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, close_old_connections, connection

P = ParamSpec("P")
T = TypeVar("T")

# What a call raises when the database cannot be reached, or stopped answering.
UNREACHABLE = (OperationalError, InterfaceError)


class DatabaseThread:
    """One thread with one database connection; calls to it wait for each other.

    A connection that died is dropped, so that the next call makes a new one.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"live-{name}")

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: _fresh(call, *args, **kwargs))

    def close(self) -> None:
        """Let go of the thread without waiting for a database that may never answer."""
        self._executor.submit(connection.close)
        self._executor.shutdown(wait=False, cancel_futures=False)


def _fresh(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    close_old_connections()
    try:
        return call(*args, **kwargs)
    except UNREACHABLE:
        connection.close()
        raise

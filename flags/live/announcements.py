"""What open pages are told: for each event of their project, who changed what and where."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from flags.models import Environment
from flags.queries.streams import events_after, version_of

Run = Callable[..., Awaitable[Any]]

# More events than this at once are summed up: a page then asks for what it shows anyway.
MOST_AT_ONCE = 200


class Page(Protocol):
    """An open page of a project; `tell` returns at once."""

    def tell(self, text: str) -> None: ...


class Announcements:
    """Follows the streams of each project that has a page open in this process."""

    def __init__(self) -> None:
        self._pages: dict[str, set[Page]] = defaultdict(set)
        # Stream → project, the environment's key (None for the project's own), version told.
        self._followed: dict[str, tuple[str, str | None]] = {}
        self._told: dict[str, int] = {}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def follow(self, project: str, page: Page, run: Run) -> None:
        """Tell `page` of every event of the project (by id) from now on."""
        await self._find_streams(project, run)
        self._pages[project].add(page)

    def leave(self, project: str, page: Page) -> None:
        self._pages[project].discard(page)
        if not self._pages[project]:
            del self._pages[project]
            for stream in [name for name, (of, _) in self._followed.items() if of == project]:
                del self._followed[stream], self._told[stream]
                self._locks.pop(stream, None)

    def streams(self) -> list[str]:
        return list(self._followed)

    def wants(self, stream: str) -> bool:
        return stream in self._followed

    async def catch_up(self, stream: str, run: Run) -> None:
        """Read what is new in the stream and tell the pages of its project."""
        async with self._locks[stream]:
            if stream not in self._followed:
                return
            project, environment = self._followed[stream]
            told = self._told[stream]
            events = await run(events_after, stream, told, most=MOST_AT_ONCE)
            if not events or self._told.get(stream) != told:
                return
            self._told[stream] = events[-1]["version"]
            if environment is None and any(
                kind.startswith("environment.") for event in events for kind in event["kinds"]
            ):
                await self._find_streams(project, run)
        for event in events:
            text = json.dumps({"type": "changed", "environment": environment, **event})
            for page in tuple(self._pages.get(project, ())):
                page.tell(text)

    def say(self, project: str, subject: str) -> None:
        """Tell the pages of a project (by id) of something that no stream holds."""
        text = json.dumps({"type": "changed", "environment": None, "subjects": [subject]})
        for page in tuple(self._pages.get(project, ())):
            page.tell(text)

    async def _find_streams(self, project: str, run: Run) -> None:
        found = await run(_streams_of, project)
        for stream, (environment, version) in found.items():
            self._followed.setdefault(stream, (project, environment))
            self._told.setdefault(stream, version)


def _streams_of(project: str) -> dict[str, tuple[str | None, int]]:
    """Stream → (the environment's key, its version now), the project's own stream among them."""
    streams: dict[str, str | None] = {f"project:{project}": None}
    for environment in Environment.objects.filter(project_id=project):
        streams[environment.stream_key] = environment.key
    return {stream: (key, version_of(stream)) for stream, key in streams.items()}

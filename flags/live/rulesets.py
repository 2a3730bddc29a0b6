"""A ruleset as a process holds it: compiled, with the bytes that apps download."""

import gzip
import json
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from audit.models import Event, Stream
from flagengine import Ruleset
from flags.live.outbox import Frame
from flags.models import Environment, SegmentIdBatch
from flags.snapshots import deltas_since, encoded, ruleset_document

# Fast rather than small: at level 6 a ruleset of 10 MB takes three times as long for 10 % less.
GZIP_LEVEL = 4


class LoadedRuleset:
    """A compiled ruleset; encoded forms are made when first asked for, and kept."""

    def __init__(self, ruleset: Ruleset, body: bytes | None = None) -> None:
        self.ruleset = ruleset
        self.etag = f'"{ruleset.state}"'.encode()
        # Encoded answers, for each door that gives them: they are good as long as this ruleset.
        self.answers: dict[str, dict[int, Any]] = {"server": {}, "client": {}, "socket": {}}
        self._body = body
        self._gzipped: bytes | None = None

    @property
    def state(self) -> str:
        return self.ruleset.state

    @property
    def version(self) -> int:
        return self.ruleset.version

    @property
    def is_encoded(self) -> bool:
        return self._body is not None

    @property
    def is_gzipped(self) -> bool:
        return self._gzipped is not None

    def body(self) -> bytes:
        """The ruleset's JSON. The first call encodes it: not on the event loop."""
        if self._body is None:
            self._body = encoded(self.ruleset.document)
        return self._body

    def gzipped(self) -> bytes:
        """The same, compressed. The first call takes long: not on the event loop."""
        if self._gzipped is None:
            self._gzipped = gzip.compress(self.body(), compresslevel=GZIP_LEVEL, mtime=0)
        return self._gzipped


@dataclass(frozen=True)
class Delta:
    """A stored delta: its text as it is sent, and the states it leads from and to."""

    text: str
    previous: str | None
    version: int
    digest: str
    at: str

    @property
    def state(self) -> str:
        return f"{self.version}-{self.digest}"

    @cached_property
    def frame(self) -> Frame:
        """The delta as it is pushed: one text, shared by all sockets."""
        return Frame(f'{{"type":"delta",{self.text[1:]}', self.state)

    @cached_property
    def committed_at(self) -> datetime:
        return datetime.fromisoformat(self.at)

    @classmethod
    def of(cls, stored: bytes) -> "Delta":
        said = json.loads(stored)
        return cls(
            text=stored.decode(),
            previous=said["previous"],
            version=said["version"],
            digest=said["digest"],
            at=said["at"],
        )


@dataclass(frozen=True)
class Advance:
    """What a ruleset became, and by which deltas; none when the whole was read instead."""

    loaded: LoadedRuleset
    deltas: tuple[Delta, ...]


def compiled(body: bytes) -> LoadedRuleset:
    return LoadedRuleset(Ruleset.compile(json.loads(body), clock=time.time), body)


def read_whole(environment: str) -> LoadedRuleset | None:
    """The environment's ruleset from its rows; None when there is no such environment."""
    row = Environment.objects.filter(pk=environment).first()
    if row is None:
        return None
    document = ruleset_document(row)
    return LoadedRuleset(Ruleset.compile(document, clock=time.time))


def read_deltas(environment: str, state: str) -> list[Delta] | None:
    """What came after a state, oldest first; None when that state is not in the log."""
    version, _, digest = state.partition("-")
    stored = deltas_since(Environment(id=uuid.UUID(environment)), int(version), digest)
    return None if stored is None else [Delta.of(delta) for delta in stored]


def read_newer(environment: str, loaded: LoadedRuleset) -> Advance | None:
    """What the ruleset has become; None when it is the newest.

    By its deltas where the log knows the state that is held; else the whole is read. Raises
    EnvironmentGone when there is no such environment any more.
    """
    stream = Stream.objects.filter(key=f"environment:{environment}").first()
    if stream is not None and stream.state == loaded.state:
        return None
    deltas = read_deltas(environment, loaded.state) if stream is not None else None
    if deltas:
        try:
            return Advance(advanced(loaded, deltas), tuple(deltas))
        except ValueError:
            # A delta this engine does not know, or one that is missing: the whole is always right.
            pass
    whole = read_whole(environment)
    if whole is None:
        raise EnvironmentGone(environment)
    return Advance(whole, ())


class EnvironmentGone(LookupError):
    """The environment was deleted."""


def advanced(loaded: LoadedRuleset, deltas: list[Delta]) -> LoadedRuleset:
    ruleset = loaded.ruleset
    for delta in deltas:
        ruleset = ruleset.advance(_with_ids(json.loads(delta.text)))
    return LoadedRuleset(ruleset)


def _with_ids(delta: dict[str, Any]) -> dict[str, Any]:
    """The delta with the ids that travel beside it, where there are such."""
    changes = [
        {**change, **SegmentIdBatch.objects.get(digest=change["digest"]).ids}
        if "digest" in change
        else change
        for change in delta["changes"]
    ]
    return {**delta, "changes": changes}


def read_id_batch(environment: str, digest: str) -> bytes | None:
    """`{"add": […], "remove": […]}` that a change of this environment carried; None if none did."""
    belongs = Event.objects.filter(
        stream_id=f"environment:{environment}", effects__contains=[{"after": {"digest": digest}}]
    ).exists()
    batch = SegmentIdBatch.objects.filter(digest=digest).first() if belongs else None
    return None if batch is None else bytes(batch.body)

"""Writing the log: the only place that numbers an event, and the only `on_commit`.

Errors: `StreamMissing` when a stream to be locked does not exist.
"""

import json
import secrets
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from audit.canonical import canonical_bytes, sha256
from audit.facts import Actor, Effect
from audit.models import Event, OutboxEntry, Person, Stream
from audit.wakeup import wake


class StreamMissing(LookupError):
    """A stream was asked for that nobody opened."""


def open_stream(key: str) -> None:
    """Make an empty stream. Opening one that is there changes nothing."""
    Stream.objects.get_or_create(key=key)


def lock_streams(keys: Iterable[str]) -> dict[str, Stream]:
    """Lock the counters of these streams until the transaction ends, always in the order of keys."""
    wanted = sorted(set(keys))
    found = {
        stream.key: stream
        for stream in Stream.objects.select_for_update().filter(key__in=wanted).order_by("key")
    }
    if missing := [key for key in wanted if key not in found]:
        raise StreamMissing(f"no stream {', '.join(missing)}")
    return found


def record(
    stream: Stream,
    effects: Sequence[Effect],
    *,
    actor: Actor,
    reason: str,
    now: datetime,
    submission: uuid.UUID,
    request: str | None = None,
    has_ruleset: bool = False,
) -> Event:
    """Append one event to a locked stream, with its delta and an outbox entry per subscriber.

    `has_ruleset` says that the stream is compared by SDKs: the event then carries the delta that
    the effects add up to, later entries for the same subject taking the place of earlier ones.
    """
    at = max(now, stream.at) if stream.at else now
    version = stream.version + 1
    person = _person(actor)
    changes = _coalesced(effects) if has_ruleset else None
    canonical = canonical_bytes(
        {
            "stream": stream.key,
            "version": version,
            "previous": stream.head_hash,
            "at": rfc3339(at),
            "actor": person.digest,
            "reason": reason,
            "request": request,
            "submission": str(submission),
            "effects": [effect.as_json() for effect in effects],
            "delta": None if changes is None else sha256(canonical_bytes(changes)),
        }
    )
    digest = sha256(canonical)
    event = Event(
        id=uuid.uuid4(),
        stream=stream,
        version=version,
        at=at,
        actor=person,
        reason=reason,
        request=request,
        submission=submission,
        effects=[effect.as_json() for effect in effects],
        delta=None
        if changes is None
        else _encoded_delta(
            version, digest[:16], stream.state if stream.version else None, at, changes
        ),
        canonical=canonical,
        previous_hash=stream.head_hash,
        hash=digest,
    )
    event.save(force_insert=True)
    OutboxEntry.objects.bulk_create(
        OutboxEntry(event=event, subscriber=name, stream=stream.key, version=version)
        for name in settings.EVENT_SUBSCRIBERS
    )
    stream.version, stream.head_hash, stream.at = version, digest, at
    stream.save(update_fields=["version", "head_hash", "at"])
    transaction.on_commit(_wake_subscribers)
    return event


def rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _wake_subscribers() -> None:
    for queue in sorted(
        {subscriber["queue"] for subscriber in settings.EVENT_SUBSCRIBERS.values()}
    ):
        wake(queue)


def _person(actor: Actor) -> Person:
    """The row that stands for this actor, made on first sight and after an erasure anew."""
    identity = actor.identity()
    known = Person.objects.filter(identity=identity).order_by("digest").first()
    if known:
        return known
    salt = secrets.token_hex(16)
    return Person.objects.create(
        digest=sha256(salt.encode() + canonical_bytes(identity)), salt=salt, identity=identity
    )


def _coalesced(effects: Sequence[Effect]) -> list[dict[str, Any]]:
    """The delta's entries without those that the very next one for their subject overwrites.

    A deletion stays: what is made anew under the key starts from nothing. So does what increments
    (entries without a value) build upon.
    """
    entries = [entry for effect in effects for entry in effect.delta]
    kept: list[dict[str, Any]] = []
    following: dict[str, dict[str, Any]] = {}
    for entry in reversed(entries):
        after = following.get(entry["key"])
        is_overwritten = (
            after is not None
            and entry.get("value") is not None
            and after["kind"] == entry["kind"]
            and "value" in after
        )
        if not is_overwritten:
            kept.append(entry)
        following[entry["key"]] = entry
    return kept[::-1]


def _encoded_delta(
    version: int, digest: str, previous: str | None, at: datetime, changes: list[dict[str, Any]]
) -> bytes:
    delta = {
        "version": version,
        "digest": digest,
        "previous": previous,
        "at": rfc3339(at),
        "changes": changes,
    }
    return json.dumps(delta, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

"""Signed heads: what every stream ended at, said with a key that the database does not hold.

Each statement carries the hash of the one before, so that none can be taken out between two. What
a statement says is its canonical bytes; the signature is Ed25519 (RFC 8032) over these.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings
from django.db import connection, transaction

from audit.canonical import canonical_bytes, sha256
from audit.log import rfc3339
from audit.models import Archive, Statement, Stream

SIGNED_EVERY = timedelta(days=1)


class NoSigningKey(LookupError):
    """FLAGSITE_SIGNING_KEY is not set, so nothing can be signed."""


def public_key() -> str | None:
    """The key by which statements made from now on are verified, in hexadecimal; None without one."""
    seed: bytes | None = settings.SIGNING_KEY
    if seed is None:
        return None
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw().hex()


def trusted_keys() -> set[str]:
    """The keys whose statements count: the one of now and those that it followed."""
    return {key for key in (public_key(), *settings.FORMER_SIGNING_KEYS) if key}


def sign_heads(*, now: datetime) -> Statement:
    """State what all streams end at. Raises NoSigningKey."""
    seed: bytes | None = settings.SIGNING_KEY
    if seed is None:
        raise NoSigningKey("FLAGSITE_SIGNING_KEY is not set: there is no key to sign with")
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Two that sign at once would both follow the same statement.
            cursor.execute("LOCK TABLE audit_statement IN SHARE ROW EXCLUSIVE MODE")
        before = Statement.objects.order_by("-number").first()
        key = Ed25519PrivateKey.from_private_bytes(seed)
        canonical = canonical_bytes(
            {
                "number": before.number + 1 if before else 1,
                "at": rfc3339(now),
                "previous": before.hash if before else "",
                "key": public_key(),
                "heads": _heads(),
                "archived": _archived(),
            }
        )
        return Statement.objects.create(
            number=before.number + 1 if before else 1,
            at=now,
            key=public_key() or "",
            canonical=canonical,
            hash=sha256(canonical),
            signature=key.sign(canonical).hex(),
        )


def sign_when_due(*, now: datetime) -> Statement | None:
    """The statement of the day, made by whoever asks first; None when it is there or without a key."""
    newest = Statement.objects.order_by("-number").values_list("at", flat=True).first()
    if settings.SIGNING_KEY is None or (newest is not None and newest > now - SIGNED_EVERY):
        return None
    return sign_heads(now=now)


def newest_statement() -> Statement | None:
    """What was signed last. One query."""
    return Statement.objects.order_by("-number").defer("canonical").first()


def is_signed_by(statement: Statement) -> bool:
    """Whether the signature is that of the key that the statement names."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(statement.key))
        key.verify(bytes.fromhex(statement.signature), bytes(statement.canonical))
    except (ValueError, InvalidSignature):
        return False
    return True


def statement_lines() -> Iterator[dict[str, Any]]:
    """Every statement for a reader elsewhere, oldest first."""
    for statement in Statement.objects.order_by("number").iterator(chunk_size=50):
        yield statement_line(statement)


def statement_line(statement: Statement) -> dict[str, Any]:
    return {
        "number": statement.number,
        "at": rfc3339(statement.at),
        "key": statement.key,
        "hash": statement.hash,
        "signature": statement.signature,
        "canonical": bytes(statement.canonical).decode(),
    }


def _heads() -> dict[str, list[Any]]:
    rows = Stream.objects.filter(version__gt=0).values_list("key", "version", "head_hash")
    return {key: [version, head] for key, version, head in rows}


def _archived() -> dict[str, list[Any]]:
    """Up to where each stream is archived, and the hash of its last archived event."""
    rows = Archive.objects.order_by("stream_id", "last").values_list(
        "stream_id", "last", "last_hash"
    )
    return {key: [last, last_hash] for key, last, last_hash in rows}

"""The table of SDK keys: every key that is good, by the SHA-256 of its secret."""

import hashlib
import time
from collections.abc import Iterable

from flags.models import SdkKey

# Unknown keys remembered, so that guessing costs the database nothing; beyond it they are forgotten.
UNKNOWN_REMEMBERED = 10_000


class KnownKey:
    """A key that is good; rate limits are counted on it."""

    __slots__ = ("allowance", "counted_at", "environment", "hash", "is_server", "public_id")

    def __init__(self, *, hash: str, public_id: str, kind: str, environment: str) -> None:  # noqa: A002
        self.hash = hash
        self.public_id = public_id
        self.is_server = kind == "server"
        self.environment = environment
        self.allowance = 0.0
        self.counted_at = 0.0

    @property
    def kind(self) -> str:
        return "server" if self.is_server else "client"

    def __repr__(self) -> str:
        return f"KnownKey({self.public_id})"


class KeyTable:
    """Answers whose key a secret is, from memory alone."""

    def __init__(self) -> None:
        self._known: dict[str, KnownKey] = {}
        self._unknown: dict[str, None] = {}
        self.is_loaded = False

    def find(self, secret: bytes) -> KnownKey | None:
        return self._known.get(hashlib.sha256(secret).hexdigest())

    def is_remembered_as_unknown(self, secret: bytes) -> bool:
        return hashlib.sha256(secret).hexdigest() in self._unknown

    def remember_as_unknown(self, secret: bytes) -> None:
        if len(self._unknown) >= UNKNOWN_REMEMBERED:
            self._unknown.clear()
        self._unknown[hashlib.sha256(secret).hexdigest()] = None

    def replace(self, rows: Iterable[tuple[str, str, str, str]]) -> list[KnownKey]:
        """Take over (hash, public id, kind, environment) of every good key; which keys are gone.

        A key that stays keeps its object, and with it what was counted on it.
        """
        before, known = self._known, {}
        for hash_, public_id, kind, environment in rows:
            old = before.get(hash_)
            known[hash_] = old or KnownKey(
                hash=hash_, public_id=public_id, kind=kind, environment=environment
            )
        if known.keys() != before.keys():
            self._unknown.clear()
        self._known = known
        self.is_loaded = True
        return [key for hash_, key in before.items() if hash_ not in known]

    def holds(self, key: KnownKey) -> bool:
        """Whether the key is good still."""
        return self._known.get(key.hash) is key

    def rows(self) -> list[tuple[str, str, str, str]]:
        return [
            (key.hash, key.public_id, key.kind, key.environment) for key in self._known.values()
        ]

    def environments(self) -> list[str]:
        """The environments that some key may read, each once."""
        return list(dict.fromkeys(key.environment for key in self._known.values()))


def good_keys() -> list[tuple[str, str, str, str]]:
    """(hash, public id, kind, environment) of every key that is not revoked. One query."""
    rows = SdkKey.objects.filter(revoked_at=None).order_by()
    return [
        (hash_, public_id, kind, str(environment))
        for hash_, public_id, kind, environment in rows.values_list(
            "hash", "public_id", "kind", "environment_id"
        )
    ]


def within_rate(key: KnownKey, per_second: int) -> float:
    """Take one from the key's bucket: 0.0, or how many seconds until there is one again."""
    now = time.monotonic()
    allowance = min(per_second, key.allowance + (now - key.counted_at) * per_second)
    key.counted_at = now
    if allowance < 1:
        key.allowance = allowance
        return (1 - allowance) / per_second
    key.allowance = allowance - 1
    return 0.0

"""The values that go into the log: who acted, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

PrincipalKind = Literal["person", "service", "system"]


@dataclass(frozen=True)
class Actor:
    """Who acts. `id` is stable (a user's primary key, a command's name); `name` may change.

    `scopes` limits what a token may do; None means no limit beyond the person's own. `token` is the
    public id of the API token that spoke for the person, if one did. `second_factor_at` is when the
    person last proved a second factor in the session they act in. `place` is from where they act, an
    address and a browser in words, of what they do to their own account.
    """

    kind: PrincipalKind
    id: str
    name: str
    scopes: frozenset[str] | None = None
    token: str | None = None
    second_factor_at: datetime | None = None
    place: str | None = None

    @classmethod
    def system(cls, name: str) -> "Actor":
        """The operator's own hand: a management command or a scheduled sweep."""
        return cls(kind="system", id=name, name=name)

    def identity(self) -> dict[str, str]:
        """What the log keeps about this actor, apart from the chain so that it can be erased."""
        more = {"token": self.token, "place": self.place}
        return {"kind": self.kind, "id": self.id, "name": self.name} | {
            name: value for name, value in more.items() if value
        }


@dataclass(frozen=True)
class Effect:
    """One fact: `subject` (such as `flag:new-checkout`) went from `before` to `after`.

    `before` and `after` are JSON, None where the subject did not exist. `environment` is the key of
    the environment whose ruleset it altered, None for everything else; `delta` then holds the
    entries of the ruleset's delta that say so.
    """

    kind: str
    subject: str
    before: Any
    after: Any
    environment: str | None = None
    delta: tuple[dict[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "subject": self.subject,
            "before": self.before,
            "after": self.after,
        }

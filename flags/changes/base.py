"""What a change is: a small frozen value with a `perform`, registered by the kind of its event.

A change can be stored as JSON and performed later: as a request, on a schedule, as a dry run. Its
JSON carries the project, the kind and the schema's number:
`{"kind": "flag.switched", "schema": 1, "project": "demo", "environment": …}`.
"""

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar

import msgspec
from django.core.exceptions import ValidationError
from django.db import models
from msgspec import UNSET, UnsetType, structs

from audit.facts import Actor, Effect
from flagengine import Problem
from flags import access
from flags.access import Action, Rights
from flags.errors import Invalid, NotFound, StaleChange, Unreadable
from flags.models import Environment, Flag, FlagConfiguration, Policy, Project, Segment, User

__all__ = ["ALL_ENVIRONMENTS", "UNSET", "Change", "Effect", "Scope", "UnsetType", "change"]

ALL_ENVIRONMENTS = "*"


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root of all changes; each names its project by key."""

    kind: ClassVar[str]
    # Grows with each change of the fields that an older form does not fit; `upcast` mends those.
    schema: ClassVar[int] = 1
    needs: ClassVar[Action] = Action.EDIT
    # Whether it may wait in a request: secrets and requests themselves may not.
    can_wait: ClassVar[bool] = True
    # Whether it is submitted by itself: what lets it through must let nothing through beside it.
    is_alone: ClassVar[bool] = False
    # Changes to the site itself (creating a project, an account) are judged without a project.
    on_site: ClassVar[bool] = False

    project: str

    def touches(self) -> Sequence[str]:
        """Keys of the environments it may alter, or (ALL_ENVIRONMENTS,)."""
        return ()

    def perform(self, scope: "Scope") -> list[Effect]:
        """Save the rows and say what came of it. Called by `apply` alone, under its locks."""
        raise NotImplementedError

    def undo(self, effects: Sequence[Effect]) -> "list[Change] | None":
        """The changes that take this one back, given what it did; None when there is no way back."""
        raise NotImplementedError

    def kept(self, effects: Sequence[Effect]) -> "Change":
        """The change as a request keeps it, given what it does to what its author saw.

        Without what it expects, since the request itself remembers what its author saw, and with
        nothing that it leaves as it is, so that others may change that meanwhile.
        """
        return self

    def only_altered(self, effects: Sequence[Effect]) -> Self:
        """The change without what it sets to what the project's facts have already."""
        facts = [effect for effect in effects if effect.environment is None]
        left_as_it_is = {
            name: UNSET
            for effect in facts
            for name in effect.before or {}
            if getattr(self, name, UNSET) is not UNSET
            and effect.after is not None
            and not _is_new(effect.after.get(name), effect.before[name])
        }
        return structs.replace(self, **left_as_it_is)

    @classmethod
    def upcast(cls, schema: int, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields that an older schema stored, as this one has them."""
        raise NotImplementedError

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "schema": self.schema, **msgspec.to_builtins(self)}


C = TypeVar("C", bound=type[Change])
KINDS: dict[str, type[Change]] = {}


def change(kind: str) -> Callable[[C], C]:
    """Registers a change under the kind of its event, `noun.past`."""

    def register(cls: C) -> C:
        if kind in KINDS:
            raise ValueError(
                f"{kind} is registered twice: {KINDS[kind].__name__} and {cls.__name__}"
            )
        cls.kind = kind
        KINDS[kind] = cls
        return cls

    return register


def from_json(stored: object) -> Change:
    """The change that `as_json` stored, in this release or an earlier one.

    Raises Invalid for anything else, and Unreadable for an unknown kind: a worker of an older
    release puts such a change back rather than guess.
    """
    if not isinstance(stored, dict):
        raise Invalid.at("", f"expected a change as an object, got {type(stored).__name__}")
    fields = dict(stored)
    kind, schema = fields.pop("kind", None), fields.pop("schema", None)
    cls = KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise Unreadable.at("kind", f"expected a registered kind of change, got {kind!r}")
    if type(schema) is not int or not 1 <= schema <= cls.schema:
        raise Unreadable.at("schema", f"expected at most {cls.schema} for {kind}, got {schema!r}")
    try:
        if schema < cls.schema:
            fields = cls.upcast(schema, fields)
        return msgspec.convert(fields, cls)
    except msgspec.ValidationError as error:
        raise Invalid.at(kind or "", str(error)) from error


@dataclass
class Scope:
    """What `perform` works on: the locked project, its touched environments, who acts and when."""

    project: Project | None
    environments: dict[str, Environment]
    actor: Actor
    # What the actor may do in the project, read under the locks and before anything is done.
    rights: Rights
    reason: str
    now: datetime
    submission: uuid.UUID = field(default_factory=uuid.uuid4)
    # Environments that came into being in this submit: nobody can have approved anything in them.
    exempt_from_approval: set[str] = field(default_factory=set)
    # Environments that this submit removed: of what it does to them before, events are recorded.
    removed: set[str] = field(default_factory=set)
    # The policies of the environments that require approval, read under the locks.
    guards: dict[str, Policy] = field(default_factory=dict)
    # Environments for which this submit carries the approval that their policy asks for.
    approved: set[str] = field(default_factory=set)
    # The id of the request that is being applied, for its events.
    request: str | None = None

    def the_project(self) -> Project:
        assert self.project is not None, "a change on the site has no project"
        return self.project

    def environment(self, key: str) -> Environment:
        """Raises NotFound for one that was removed after the change was written down."""
        if key not in self.environments or key in self.removed:
            raise NotFound(f"there is no environment {key} in {self._named()}")
        return self.environments[key]

    def flag(self, key: str) -> Flag:
        return _found(
            Flag.objects.filter(project=self.project, key=key), f"flag {key} in {self._named()}"
        )

    def segment(self, key: str) -> Segment:
        return _found(
            Segment.objects.filter(project=self.project, key=key),
            f"segment {key} in {self._named()}",
        )

    def user(self, username: str) -> User:
        return _found(User.objects.filter(username=username), f"account {username}")

    def configurations(self, flag: Flag) -> list[FlagConfiguration]:
        """The flag's configuration in each touched environment, in the environments' order."""
        rows = FlagConfiguration.objects.filter(
            flag=flag, environment__in=self.environments.values()
        )
        return list(rows.select_related("environment").order_by("environment__position", "pk"))

    def _named(self) -> str:
        return self.the_project().key

    def account(self) -> User | None:
        """The account that acts, a person's or a service's; None for the system."""
        if self.actor.kind == "system":
            return None
        return User.objects.filter(pk=self.actor.id).first()

    def require_site_administrator(self) -> None:
        """Raises Denied unless the actor may administer the whole site."""
        access.require(self.actor, Action.ADMINISTER, None)

    def create(self, row: models.Model) -> None:
        _refuse_what_its_columns_cannot_hold(row)
        self._explained(row)
        row.save(force_insert=True)

    def save(self, row: models.Model, *fields: str) -> None:
        _refuse_what_its_columns_cannot_hold(row)
        self._explained(row)
        row.save(update_fields=fields)

    def edit(
        self,
        row: "Project | Environment | Flag | Segment",
        values: dict[str, Any],
        *,
        expected_revision: int | None,
    ) -> bool:
        """Set the values that were given (not UNSET); whether any of them was new to the row.

        Raises StaleChange when the row is no longer at the revision its editor saw.
        """
        if expected_revision is not None and row.revision != expected_revision:
            raise StaleChange(
                f"{row.key} is at revision {row.revision}, expected {expected_revision}: "
                "somebody edited it meanwhile"
            )
        new = {
            name: value
            for name, value in values.items()
            if value is not UNSET and _is_new(value, getattr(row, name))
        }
        if not new:
            return False
        for name, value in new.items():
            setattr(row, name, value)
        row.revision += 1
        if isinstance(row, Flag | Segment):
            row.changed_at = self.now
            new["changed_at"] = self.now
        self.save(row, "revision", *new)
        return True

    def delete(self, row: models.Model) -> None:
        self._explained(row)
        row.delete()

    def _explained(self, row: models.Model) -> None:
        """Who, when and why, for the row copy that simple-history keeps."""
        row._history_user = self.account()  # type: ignore[attr-defined]
        row._history_date = self.now  # type: ignore[attr-defined]
        row._change_reason = self.reason or None  # type: ignore[attr-defined]


def _refuse_what_its_columns_cannot_hold(row: models.Model) -> None:
    """Raises Invalid for text that is too long and numbers out of range, before PostgreSQL would."""
    problems = []
    for column in row._meta.concrete_fields:
        value = getattr(row, column.attname)
        if isinstance(value, str | int | list) and not isinstance(column, models.JSONField):
            try:
                column.run_validators(value)
            except ValidationError as error:
                problems += [Problem(column.name, message) for message in error.messages]
    if problems:
        raise Invalid(problems)


def refuse_what_no_text_may_hold(value: Any, where: str = "") -> None:
    """Raises Invalid with the place of a NUL or a lone surrogate, which no store keeps."""
    if isinstance(value, str):
        if "\0" in value:
            raise Invalid.at(where, "holds the character NUL")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Invalid.at(where, "holds a lone surrogate, which is no character") from None
    elif isinstance(value, dict):
        for key, inner in value.items():
            refuse_what_no_text_may_hold(key, where)
            refuse_what_no_text_may_hold(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            refuse_what_no_text_may_hold(inner, f"{where}[{index}]")


def _is_new(value: Any, old: Any) -> bool:
    """Whether it would be written differently: inside JSON, Python takes 1 and true for equal."""
    if isinstance(value, list | dict):
        return json.dumps(value, sort_keys=True) != json.dumps(old, sort_keys=True)
    return bool(value != old)


M = TypeVar("M", bound=models.Model)


def _found(rows: "models.QuerySet[M]", what: str) -> M:
    row = rows.first()
    if row is None:
        raise NotFound(f"there is no {what}")
    return row

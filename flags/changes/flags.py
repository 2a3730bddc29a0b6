"""Flags: created, edited, archived; what they are in every environment of their project."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import structs

from flagengine import problems_in_flag
from flags.changes.base import ALL_ENVIRONMENTS, UNSET, Change, Effect, Scope, UnsetType, change
from flags.changes.rulesets import checked_variations, entries_of, flag_effect, settle
from flags.errors import AlreadyExists, Conflict, Invalid
from flags.models import Flag, FlagConfiguration, User
from flags.models.keys import KEY_MEANS, is_key
from flags.snapshots import flag_entry

ON_AND_OFF = ({"key": "on", "value": True}, {"key": "off", "value": False})


def facts(flag: Flag) -> dict[str, Any]:
    """What the project's stream says of a flag: all that no ruleset holds, and its variations."""
    return {
        "name": flag.name,
        "description": flag.description,
        "type": flag.type,
        "variations": flag.variations,
        "json_schema": flag.json_schema,
        "owner": None if flag.owner_id is None else str(flag.owner_id),
        "tags": flag.tags,
        "is_permanent": flag.is_permanent,
        "client_visible": flag.client_visible,
        "is_archived": flag.is_archived,
    }


@change("flag.created")
class CreateFlag(Change, frozen=True, kw_only=True):
    """Make a flag, off in every environment.

    Without variations a boolean flag gets `on` and `off`. The first variation is served when the
    flag is on and the last when it is off, unless `on_variation` and `off_variation` say otherwise.
    """

    key: str
    name: str = ""
    description: str = ""
    type: Literal["boolean", "string", "integer", "float", "json"] = "boolean"
    variations: list[dict[str, Any]] | UnsetType = UNSET
    json_schema: Any = None
    owner: str | None = None
    tags: list[str] = []
    is_permanent: bool = False
    client_visible: bool = False
    on_variation: str | UnsetType = UNSET
    off_variation: str | UnsetType | None = UNSET

    def touches(self) -> Sequence[str]:
        return (ALL_ENVIRONMENTS,)

    def perform(self, scope: Scope) -> list[Effect]:
        flag = self._created(scope)
        effects = []
        for key, environment in scope.environments.items():
            configuration = FlagConfiguration(
                flag=flag,
                environment=environment,
                off_variation=flag.variations[-1]["key"]
                if self.off_variation is UNSET
                else self.off_variation,
                fallthrough={
                    "variation": flag.variations[0]["key"]
                    if self.on_variation is UNSET
                    else self.on_variation
                },
                changed_at=scope.now,
            )
            entry = flag_entry(flag, configuration)
            if problems := problems_in_flag(entry):
                raise Invalid(problems)
            scope.create(configuration)
            effects.append(flag_effect(self.kind, key, flag, None, entry))
        return [*effects, Effect(self.kind, f"flag:{flag.key}", None, facts(flag))]

    def _created(self, scope: Scope) -> Flag:
        if not is_key(self.key):
            raise Invalid.at("key", f"expected {KEY_MEANS}, got {self.key!r}")
        if Flag.objects.filter(project=scope.project, key=self.key).exists():
            raise AlreadyExists(f"there is a flag {self.key} in {self.project} already")
        variations = self.variations
        if variations is UNSET:
            if self.type != "boolean":
                raise Invalid.at("variations", f"a {self.type} flag needs at least one variation")
            variations = list(ON_AND_OFF)
        if not variations:
            raise Invalid.at("variations", "expected at least one variation, got none")
        flag = Flag(
            project=scope.the_project(),
            key=self.key,
            name=self.name or self.key,
            description=self.description,
            type=self.type,
            variations=checked_variations(variations, self.type, self.json_schema),
            json_schema=self.json_schema,
            owner=scope.user(self.owner) if self.owner else None,
            tags=_clean_tags(self.tags),
            is_permanent=self.is_permanent,
            client_visible=self.client_visible,
            created_at=scope.now,
            changed_at=scope.now,
        )
        scope.create(flag)
        return flag

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            ArchiveFlag(project=self.project, flag=self.key),
            DeleteFlag(project=self.project, flag=self.key),
        ]


@change("flag.edited")
class EditFlag(Change, frozen=True, kw_only=True):
    """Say something else about a flag; what is not given stays."""

    flag: str
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    owner: str | UnsetType | None = UNSET
    tags: list[str] | UnsetType = UNSET
    is_permanent: bool | UnsetType = UNSET
    client_visible: bool | UnsetType = UNSET
    variations: list[dict[str, Any]] | UnsetType = UNSET
    json_schema: Any | UnsetType = UNSET
    expected_revision: int | None = None

    def touches(self) -> Sequence[str]:
        # A policy may ask for approval by tags, so who takes one away meets each environment's.
        reaches = self._is_of_rulesets or self.tags is not UNSET
        return (ALL_ENVIRONMENTS,) if reaches else ()

    @property
    def _is_of_rulesets(self) -> bool:
        return self.variations is not UNSET or self.client_visible is not UNSET

    def perform(self, scope: Scope) -> list[Effect]:
        flag = scope.flag(self.flag)
        if flag.is_archived and self._is_of_rulesets:
            raise Conflict(
                f"flag {flag.key} is archived; restore it before changing what it serves"
            )
        configurations = scope.configurations(flag)
        for configuration in configurations:
            configuration.flag = flag
        entries, before = entries_of(flag, configurations), facts(flag)
        if not scope.edit(
            flag, self._values(scope, flag), expected_revision=self.expected_revision
        ):
            return []
        effects = settle(scope, self.kind, flag, configurations, entries)
        return [*effects, Effect(self.kind, f"flag:{flag.key}", before, facts(flag))]

    def _values(self, scope: Scope, flag: Flag) -> dict[str, Any]:
        values: dict[str, Any] = {
            "name": self.name,
            "description": self.description,
            "is_permanent": self.is_permanent,
            "client_visible": self.client_visible,
            "tags": UNSET if self.tags is UNSET else _clean_tags(self.tags),
            "json_schema": self.json_schema,
        }
        if self.owner is not UNSET:
            values["owner"] = scope.user(self.owner) if self.owner else None
        if self.variations is not UNSET or self.json_schema is not UNSET:
            variations = flag.variations if self.variations is UNSET else self.variations
            schema = flag.json_schema if self.json_schema is UNSET else self.json_schema
            values["variations"] = checked_variations(variations, flag.type, schema)
        return values

    def kept(self, effects: Sequence[Effect]) -> Change:
        return structs.replace(self.only_altered(effects), expected_revision=None)

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            described_as(effect.before, project=self.project, flag=self.flag)
            for effect in _on_project(effects)
        ]


@change("flag.archived")
class ArchiveFlag(Change, frozen=True, kw_only=True):
    """Take a flag out of every ruleset and keep it; refused while another flag requires it."""

    flag: str

    def touches(self) -> Sequence[str]:
        return (ALL_ENVIRONMENTS,)

    def perform(self, scope: Scope) -> list[Effect]:
        flag = scope.flag(self.flag)
        if flag.is_archived:
            return []
        entries, before = entries_of(flag, scope.configurations(flag)), facts(flag)
        scope.edit(flag, {"archived_at": scope.now}, expected_revision=None)
        effects = [
            flag_effect(self.kind, environment, flag, entry, None)
            for environment, entry in entries.items()
        ]
        return [*effects, Effect(self.kind, f"flag:{flag.key}", before, facts(flag))]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [RestoreFlag(project=self.project, flag=self.flag)]


@change("flag.restored")
class RestoreFlag(Change, frozen=True, kw_only=True):
    """Bring an archived flag back, as it was in each environment."""

    flag: str

    def touches(self) -> Sequence[str]:
        return (ALL_ENVIRONMENTS,)

    def perform(self, scope: Scope) -> list[Effect]:
        flag = scope.flag(self.flag)
        if not flag.is_archived:
            return []
        before = facts(flag)
        scope.edit(flag, {"archived_at": None}, expected_revision=None)
        effects = [
            flag_effect(self.kind, environment, flag, None, entry)
            for environment, entry in entries_of(flag, scope.configurations(flag)).items()
        ]
        return [*effects, Effect(self.kind, f"flag:{flag.key}", before, facts(flag))]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [ArchiveFlag(project=self.project, flag=self.flag)]


@change("flag.deleted")
class DeleteFlag(Change, frozen=True, kw_only=True):
    """Remove an archived flag for good; its events stay. There is no way back."""

    flag: str

    def perform(self, scope: Scope) -> list[Effect]:
        flag = scope.flag(self.flag)
        if not flag.is_archived:
            raise Conflict(f"flag {flag.key} is not archived; only an archived flag can be deleted")
        before = facts(flag)
        for configuration in flag.configurations.all():
            scope.delete(configuration)
        scope.delete(flag)
        return [Effect(self.kind, f"flag:{self.flag}", before, None)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


def _clean_tags(tags: Sequence[str]) -> list[str]:
    cleaned = sorted({tag.strip() for tag in tags} - {""})
    for tag in cleaned:
        if len(tag) > 100:
            raise Invalid.at("tags", f"expected at most 100 characters a tag, got {len(tag)}")
    return cleaned


def _on_project(effects: Sequence[Effect]) -> list[Effect]:
    return [effect for effect in effects if effect.environment is None]


def described_as(
    facts: Mapping[str, Any], *, project: str, flag: str, expected_revision: int | None = None
) -> EditFlag:
    """The change that makes what is said of a flag what these facts say: undo, restore.

    An owner who has no account any more is left out.
    """
    owner = User.objects.filter(pk=facts["owner"]).first() if facts["owner"] else None
    kept = {
        name: facts[name]
        for name in (
            "name",
            "description",
            "tags",
            "is_permanent",
            "client_visible",
            "variations",
            "json_schema",
        )
    }
    return EditFlag(
        project=project,
        flag=flag,
        owner=owner.get_username() if owner else None,
        expected_revision=expected_revision,
        **kept,
    )

"""Environments: created, edited, deleted."""

from collections.abc import Sequence
from copy import copy
from typing import Any

from msgspec import structs

from audit.log import lock_streams, open_stream
from flags.access import Action
from flags.changes.base import UNSET, Change, Effect, Scope, UnsetType, change
from flags.changes.rulesets import flag_effect
from flags.changes.segments import segment_effect
from flags.errors import AlreadyExists, Invalid
from flags.models import Environment, Flag, FlagConfiguration, Segment, SegmentDefinition
from flags.models.keys import KEY_MEANS, is_key
from flags.snapshots import flag_entry, segment_entry


def facts(environment: Environment) -> dict[str, Any]:
    return {
        "name": environment.name,
        "position": environment.position,
        "requires_approval": environment.requires_approval,
    }


@change("environment.created")
class CreateEnvironment(Change, frozen=True, kw_only=True):
    """Make an environment, in which every flag is off and nobody is in any segment."""

    needs = Action.ADMINISTER

    key: str
    name: str = ""
    position: int | None = None  # None puts it last
    requires_approval: bool = False

    def perform(self, scope: Scope) -> list[Effect]:
        project = scope.the_project()
        if not is_key(self.key):
            raise Invalid.at("key", f"expected {KEY_MEANS}, got {self.key!r}")
        if project.environments.filter(key=self.key).exists():
            raise AlreadyExists(f"there is an environment {self.key} in {project.key} already")
        last = project.environments.order_by("-position").first()
        environment = Environment(
            project=project,
            key=self.key,
            name=self.name or self.key,
            position=(last.position + 1 if last else 0) if self.position is None else self.position,
            requires_approval=self.requires_approval,
            created_at=scope.now,
        )
        scope.create(environment)
        open_stream(environment.stream_key)
        lock_streams([environment.stream_key])
        scope.environments[self.key] = environment
        scope.removed.discard(self.key)
        if self.key not in scope.guards:
            # Its first ruleset is made before anyone can have approved anything in it. One that
            # takes the place of a guarded environment deleted beside it is no such case.
            scope.exempt_from_approval.add(self.key)
        return [
            Effect(
                self.kind,
                f"environment:{self.key}",
                None,
                facts(environment),
                environment=self.key,
            ),
            *self._flags_off(scope, environment),
            *self._segments_empty(scope, environment),
            Effect(self.kind, f"environment:{self.key}", None, facts(environment)),
        ]

    def _flags_off(self, scope: Scope, environment: Environment) -> list[Effect]:
        effects = []
        for flag in Flag.objects.filter(project=scope.project):
            configuration = FlagConfiguration(
                flag=flag,
                environment=environment,
                off_variation=flag.variations[-1]["key"],
                fallthrough={"variation": flag.variations[0]["key"]},
                changed_at=scope.now,
            )
            scope.create(configuration)
            if not flag.is_archived:
                entry = flag_entry(flag, configuration)
                effects.append(flag_effect(self.kind, self.key, flag, None, entry))
        return effects

    def _segments_empty(self, scope: Scope, environment: Environment) -> list[Effect]:
        effects = []
        for segment in Segment.objects.filter(project=scope.project):
            definition = SegmentDefinition(
                segment=segment, environment=environment, changed_at=scope.now
            )
            scope.create(definition)
            entry = segment_entry(segment, definition)
            effects.append(segment_effect(self.kind, self.key, segment, None, entry))
        return effects

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [DeleteEnvironment(project=self.project, environment=self.key)]


@change("environment.edited")
class EditEnvironment(Change, frozen=True, kw_only=True):
    """Name, order or guard an environment differently; what is not given stays.

    Lifting the need for approval is itself something to approve.
    """

    needs = Action.ADMINISTER

    environment: str
    name: str | UnsetType = UNSET
    position: int | UnsetType = UNSET
    requires_approval: bool | UnsetType = UNSET
    expected_revision: int | None = None

    def perform(self, scope: Scope) -> list[Effect]:
        environment = scope.environment(self.environment)
        before = facts(environment)
        values = {
            "name": self.name,
            "position": self.position,
            "requires_approval": self.requires_approval,
        }
        if not scope.edit(environment, values, expected_revision=self.expected_revision):
            return []
        return [Effect(self.kind, f"environment:{self.environment}", before, facts(environment))]

    def touches(self) -> Sequence[str]:
        return (self.environment,)

    def kept(self, effects: Sequence[Effect]) -> Change:
        return structs.replace(self.only_altered(effects), expected_revision=None)

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            EditEnvironment(project=self.project, environment=self.environment, **effect.before)
            for effect in effects
        ]


@change("environment.deleted")
class DeleteEnvironment(Change, frozen=True, kw_only=True):
    """Remove an environment with its keys and configurations; its events stay. No way back."""

    needs = Action.ADMINISTER

    environment: str

    def perform(self, scope: Scope) -> list[Effect]:
        environment = scope.environment(self.environment)
        before = facts(environment)
        # Held against what connected apps report, which else would come in between and bar the way.
        Environment.objects.select_for_update().get(pk=environment.pk)
        for configuration in environment.configurations.all():
            scope.delete(configuration)
        for definition in environment.segment_definitions.all():
            scope.delete(definition)
        # A copy, since Django takes its key from what it deletes, and its stream has this name.
        scope.delete(copy(environment))
        scope.removed.add(self.environment)
        return [Effect(self.kind, f"environment:{self.environment}", before, None)]

    def touches(self) -> Sequence[str]:
        return (self.environment,)

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None

"""Projects: created and edited."""

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from audit.log import lock_streams, open_stream
from flags.access import Action
from flags.changes.base import UNSET, Change, Effect, Scope, UnsetType, change
from flags.errors import AlreadyExists, Invalid
from flags.models import Membership, Project, Role, User
from flags.models.keys import KEY_MEANS, is_key


def facts(project: Project) -> dict[str, Any]:
    return {"name": project.name, "description": project.description}


@change("project.created")
class CreateProject(Change, frozen=True, kw_only=True):
    """Make a project; the person who does becomes its admin."""

    on_site = True
    needs = Action.ADMINISTER

    name: str = ""
    description: str = ""

    def perform(self, scope: Scope) -> list[Effect]:
        if not is_key(self.project):
            raise Invalid.at("key", f"expected {KEY_MEANS}, got {self.project!r}")
        if Project.objects.filter(key=self.project).exists():
            raise AlreadyExists(f"there is a project {self.project} already")
        project = Project(
            key=self.project,
            name=self.name or self.project,
            description=self.description,
            created_at=scope.now,
        )
        scope.create(project)
        open_stream(project.stream_key)
        lock_streams([project.stream_key])
        scope.project = project
        effects = [Effect(self.kind, f"project:{project.key}", None, facts(project))]
        if scope.actor.kind == "person":
            user = User.objects.get(pk=scope.actor.id)
            scope.create(Membership(project=project, user=user, role=Role.ADMIN))
            effects.append(
                Effect("member.set", f"member:{user.pk}", None, {"role": Role.ADMIN.value})
            )
        return effects

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


@change("project.edited")
class EditProject(Change, frozen=True, kw_only=True):
    """Name or describe a project differently; what is not given stays."""

    needs = Action.ADMINISTER

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    expected_revision: int | None = None

    def perform(self, scope: Scope) -> list[Effect]:
        project = scope.the_project()
        before = facts(project)
        values = {"name": self.name, "description": self.description}
        if not scope.edit(project, values, expected_revision=self.expected_revision):
            return []
        return [Effect(self.kind, f"project:{project.key}", before, facts(project))]

    def kept(self, effects: Sequence[Effect]) -> Change:
        return structs.replace(self.only_altered(effects), expected_revision=None)

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [EditProject(project=self.project, **effect.before) for effect in effects]

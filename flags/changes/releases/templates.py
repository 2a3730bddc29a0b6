"""Templates: the steps of ramps, under a name."""

from collections.abc import Sequence
from typing import Any

from flags.changes.base import Change, Effect, Scope, change
from flags.changes.releases.plans import checked_steps
from flags.errors import Invalid, NotFound
from flags.models import RampTemplate
from flags.models.keys import KEY_MEANS, is_key


@change("ramp_template.set")
class SetRampTemplate(Change, frozen=True, kw_only=True):
    """Keep steps under a name; ramps that were started with others go on as they were."""

    key: str
    name: str = ""
    steps: list[dict[str, Any]]

    def perform(self, scope: Scope) -> list[Effect]:
        if not is_key(self.key):
            raise Invalid.at("key", f"expected {KEY_MEANS}, got {self.key!r}")
        steps = checked_steps(self.steps)
        template = RampTemplate.objects.filter(project=scope.project, key=self.key).first()
        before = _facts(template) if template else None
        if template is None:
            template = RampTemplate(project=scope.the_project(), key=self.key, name=self.key)
        template.name, template.steps = self.name or template.name, steps
        after = _facts(template)
        if before is None:
            scope.create(template)
        elif before == after:
            return []
        else:
            scope.save(template, "name", "steps")
        return [Effect(self.kind, f"ramp_template:{self.key}", before, after)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            RemoveRampTemplate(project=self.project, key=self.key)
            if effect.before is None
            else SetRampTemplate(project=self.project, key=self.key, **effect.before)
            for effect in effects
        ]


@change("ramp_template.removed")
class RemoveRampTemplate(Change, frozen=True, kw_only=True):
    """Forget a template; ramps that were started with it go on."""

    key: str

    def perform(self, scope: Scope) -> list[Effect]:
        template = RampTemplate.objects.filter(project=scope.project, key=self.key).first()
        if template is None:
            raise NotFound(f"there is no ramp template {self.key} in {self.project}")
        before = _facts(template)
        scope.delete(template)
        return [Effect(self.kind, f"ramp_template:{self.key}", before, None)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            SetRampTemplate(project=self.project, key=self.key, **effect.before)
            for effect in effects
        ]


def _facts(template: RampTemplate) -> dict[str, Any]:
    return {"name": template.name, "steps": template.steps}

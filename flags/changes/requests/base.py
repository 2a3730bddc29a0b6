"""What every change of a request starts from: the row it names, and what events say of it."""

from collections.abc import Sequence
from typing import Any

from flags.changes.base import ALL_ENVIRONMENTS, Change, Effect, Scope
from flags.changes.requests.kept import stored, touched_by
from flags.errors import NotFound, WrongState
from flags.models import Request, State


class OnRequest(Change, frozen=True, kw_only=True):
    """A change of one request; its environments are those of the changes inside it."""

    can_wait = False
    # The approval that a request brings is for what it does, and for nothing beside it.
    is_alone = True

    request: int

    def touches(self) -> Sequence[str]:
        row = (
            Request.objects.filter(project__key=self.project, number=self.request)
            .select_related("project")
            .first()
        )
        if row is None:
            return ()
        wanted = touched_by(stored(row.changes))
        # One that was removed meanwhile cannot be locked, and must not hold up giving it up.
        there = set(row.project.environments.values_list("key", flat=True)) | {ALL_ENVIRONMENTS}
        return tuple(key for key in wanted if key in there)

    def found(self, scope: Scope, *states: State) -> Request:
        request = Request.objects.filter(project=scope.project, number=self.request).first()
        if request is None:
            raise NotFound(f"there is no request {self.request} in {self.project}")
        if states and request.state not in states:
            raise WrongState(
                f"request {request.number} is {request.state.replace('_', ' ')}, "
                f"expected {' or '.join(state.replace('_', ' ') for state in states)}"
            )
        return request

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


def facts(request: Request) -> dict[str, Any]:
    """What the project's stream says of a request; its changes are named by their kinds."""
    return {
        "number": request.number,
        "title": request.title,
        "state": str(request.state),
        "environments": request.environments,
        "changes": [row["kind"] for row in request.changes],
        "revision": request.revision,
        "armed": request.is_armed,
        "apply_at": request.apply_at and request.apply_at.isoformat(),
        "outcome": request.outcome,
        "behaviour": request.behaviour,
        "policies": request.asked,
    }


def effect_on(kind: str, before: dict[str, Any] | None, request: Request, **more: Any) -> Effect:
    return Effect(kind, f"request:{request.number}", before, facts(request) | more)

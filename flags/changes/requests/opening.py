"""Opening a request, collecting a draft, editing, asking for review and giving up."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Max

from flags.access import Action
from flags.changes.base import UNSET, Change, Effect, Scope, UnsetType, change
from flags.changes.requests.base import OnRequest, effect_on, facts, person
from flags.changes.requests.kept import (
    require_what_they_do,
    require_what_they_need,
    stored,
    take_in,
    touched_by,
)
from flags.changes.requests.standing import ask_for_review, close, settle_state
from flags.errors import Invalid, StaleChange
from flags.models import OPEN, Request, State


@change("request.opened")
class OpenRequest(Change, frozen=True, kw_only=True):
    """Keep changes until they are approved; `submit` asks for review at once."""

    can_wait = False

    changes: list[dict[str, Any]]
    title: str = ""
    submit: bool = True
    armed: bool = False
    apply_at: datetime | None = None

    def touches(self) -> Sequence[str]:
        return touched_by(stored(self.changes))

    def perform(self, scope: Scope) -> list[Effect]:
        project = scope.the_project()
        last = Request.objects.filter(project=project).aggregate(last=Max("number"))["last"]
        request = Request(
            project=project,
            number=(last or 0) + 1,
            reason=scope.reason,
            author=person(scope),
            is_armed=self.armed,
            apply_at=_to_come(self.apply_at, scope),
            armed_by=person(scope) if self.armed or self.apply_at else None,
            created_at=scope.now,
        )
        take_in(scope, request, stored(self.changes))
        request.title = self.title or _titled(request)
        scope.create(request)
        if self.submit:
            ask_for_review(scope, request)
        return [effect_on(self.kind, None, request)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            WithdrawRequest(project=self.project, request=effect.after["number"])
            for effect in effects
        ]


@change("request.drafted")
class DraftChanges(Change, frozen=True, kw_only=True):
    """Put changes into one's own draft for an environment, which is opened when there is none."""

    can_wait = False

    environment: str
    changes: list[dict[str, Any]]

    def touches(self) -> Sequence[str]:
        return (*touched_by(stored(self.changes)), self.environment)

    def perform(self, scope: Scope) -> list[Effect]:
        author = person(scope)
        draft = Request.objects.filter(
            project=scope.project,
            author=author,
            state=State.DRAFT,
            environments__contains=[self.environment],
        ).first()
        if draft is None:
            opened = OpenRequest(project=self.project, changes=self.changes, submit=False)
            return opened.perform(scope)
        before = facts(draft)
        take_in(scope, draft, [*stored(draft.changes), *stored(self.changes)])
        draft.revision += 1
        scope.save(draft, "changes", "seen", "environments", "revision")
        return [effect_on(self.kind, before, draft)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


@change("request.edited")
class EditRequest(OnRequest, frozen=True, kw_only=True):
    """Change what a request asks for, its words or its schedule.

    Verdicts are bound to what the request does and when; those that this overtakes become stale.
    """

    title: str | UnsetType = UNSET
    changes: list[dict[str, Any]] | UnsetType = UNSET
    armed: bool | UnsetType = UNSET
    apply_at: datetime | UnsetType | None = UNSET
    expected_revision: int | None = None

    def touches(self) -> Sequence[str]:
        new = () if self.changes is UNSET else touched_by(stored(self.changes))
        return (*super().touches(), *new)

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope, *OPEN)
        before = facts(request)
        if self.expected_revision is not None and request.revision != self.expected_revision:
            raise StaleChange(
                f"request {request.number} is at revision {request.revision}, "
                f"expected {self.expected_revision}: somebody edited it meanwhile"
            )
        editor = person(scope)
        if self.title is not UNSET:
            request.title = self.title
        if self.armed is not UNSET:
            request.is_armed, request.armed_by = self.armed, editor
        if self.apply_at is not UNSET:
            request.apply_at, request.armed_by = _to_come(self.apply_at, scope), editor
        if self.changes is UNSET:
            # Who arms it or moves its instant lets it happen, so they must be allowed what it does.
            require_what_they_do(scope, stored(request.changes))
        else:
            require_what_they_need(scope, stored(request.changes))
            take_in(scope, request, stored(self.changes))
            if editor is not None and editor != request.author:
                request.contributors.add(editor)
        request.revision += 1
        scope.save(
            request, "title", "is_armed", "armed_by", "apply_at", "changes", "seen",
            "environments", "revision",
        )  # fmt: skip
        if request.state != State.DRAFT:
            settle_state(scope, request)
        return [effect_on(self.kind, before, request)]


@change("request.submitted")
class SubmitRequest(OnRequest, frozen=True, kw_only=True):
    """Ask for review of a draft, or again after changes were asked for or a conflict was mended."""

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(
            scope, State.DRAFT, State.CHANGES_REQUESTED, State.CONFLICTED, State.FAILED
        )
        before = facts(request)
        # What is asked for is what its author sees now.
        take_in(scope, request, stored(request.changes))
        scope.save(request, "changes", "seen", "environments")
        ask_for_review(scope, request)
        return [effect_on(self.kind, before, request)]


@change("request.withdrawn")
class WithdrawRequest(OnRequest, frozen=True, kw_only=True):
    """Give a request up: its author may, and who administers the project."""

    needs = Action.WITHDRAW

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope, *OPEN)
        if request.author is None or request.author != person(scope):
            scope.rights.require(Action.ADMINISTER)
        before = facts(request)
        close(scope, request, State.WITHDRAWN, scope.reason)
        return [effect_on(self.kind, before, request)]


def _to_come(instant: datetime | None, scope: Scope) -> datetime | None:
    if instant is not None and instant.tzinfo is None:
        raise Invalid.at("apply_at", "expected an instant with its offset, got one without")
    if instant is not None and instant <= scope.now:
        raise Invalid.at("apply_at", "expected an instant to come, got one that has passed")
    return instant


def _titled(request: Request) -> str:
    subjects = sorted({row["subject"].partition(":")[2] for row in request.seen})
    verbs = sorted({row["kind"].partition(".")[2].replace("_", " ") for row in request.changes})
    return f"{', '.join(subjects[:3])}: {', '.join(verbs)}"[:200]

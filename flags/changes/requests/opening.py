"""Opening a request, collecting a draft, editing, asking for review and giving up."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from django.db.models import Max

from flags.access import Action
from flags.changes.base import ALL_ENVIRONMENTS, UNSET, Change, Effect, Scope, UnsetType, change
from flags.changes.rehearsal import Moved, as_seen, rehearse
from flags.changes.releases import GrantLease
from flags.changes.requests.base import OnRequest, effect_on, facts
from flags.changes.requests.kept import (
    happens_by_itself,
    holding,
    parts_of,
    require_what_it_does,
    require_what_they_need,
    set_going,
    stored,
    subject_of,
    subjects_of,
    take_in,
    touched_by,
    without,
)
from flags.changes.requests.merging import brought_together, on_top
from flags.changes.requests.standing import ask_for_review, close, settle_state, standing_of
from flags.changes.requests.titles import titled
from flags.errors import Conflicting, Denied, Invalid, NotFound, StaleChange, WrongState
from flags.models import OPEN, Request, State


@change("request.opened")
class OpenRequest(Change, frozen=True, kw_only=True):
    """Keep changes until they are approved; `submit` asks for review at once."""

    can_wait = False
    needs = Action.PROPOSE

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
            author=scope.account(),
            is_armed=self.armed,
            apply_at=_to_come(self.apply_at, scope),
            created_at=scope.now,
        )
        set_going(request, scope.account())
        take_in(scope, request, stored(self.changes))
        request.title = self.title or titled(request.seen, request.changes)
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
    # Each change in it is judged where it belongs (`take_in`), rather than all of it everywhere.
    needs = Action.VIEW

    environment: str
    changes: list[dict[str, Any]]

    def touches(self) -> Sequence[str]:
        # What the draft holds already may be of any environment, and whose draft is not known here.
        return (ALL_ENVIRONMENTS,)

    def perform(self, scope: Scope) -> list[Effect]:
        author = scope.account()
        if author is None:
            raise Denied("a draft is collected by an account, not by the system")
        scope.environment(self.environment)
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
        # An earlier change in it may have been overtaken, and is not forgiven by a later one.
        _hold(scope, draft, _on_top_of(scope, draft, self.changes), seen_before=draft.seen)
        _say_why(scope, draft)
        draft.revision += 1
        scope.save(draft, "title", "reason", "changes", "seen", "environments", "revision")
        return [effect_on(self.kind, before, draft)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


@change("request.edited")
class EditRequest(OnRequest, frozen=True, kw_only=True):
    """Change what a request asks for, its words or its schedule.

    `changes` takes the place of those that it holds, `add` is put on top of them. Verdicts are
    bound to what the request does and when; those that this overtakes become stale.
    """

    needs = Action.PROPOSE

    title: str | UnsetType = UNSET
    # The request's own reason, in place of what it has; the submit's is put below where more is
    # asked for.
    reason: str | UnsetType = UNSET
    changes: list[dict[str, Any]] | UnsetType = UNSET
    add: list[dict[str, Any]] | UnsetType = UNSET
    armed: bool | UnsetType = UNSET
    apply_at: datetime | UnsetType | None = UNSET
    expected_revision: int | None = None

    def touches(self) -> Sequence[str]:
        given = [rows for rows in (self.changes, self.add) if rows is not UNSET]
        return (*super().touches(), *(key for rows in given for key in touched_by(stored(rows))))

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope, *OPEN)
        before = facts(request)
        _refuse_stale(request, self.expected_revision)
        editor = scope.account()
        if self.title is not UNSET:
            request.title = _some_title(self.title)
        if self.reason is not UNSET:
            request.reason = self.reason.strip()
        if self.armed is not UNSET:
            request.is_armed = self.armed
        if self.apply_at is not UNSET:
            request.apply_at = _to_come(self.apply_at, scope)
        given = (self.changes, self.add, self.armed, self.apply_at)
        is_set_going_anew = any(one is not UNSET for one in given)
        if is_set_going_anew:
            set_going(request, editor)
        if self.changes is UNSET and self.add is UNSET:
            require_what_it_does(scope, request)
        else:
            self._take_in(scope, request)
            _say_why(scope, request)
            if editor is not None and editor != request.author:
                request.contributors.add(editor)
        request.revision += 1
        scope.save(
            request, "title", "reason", "is_armed", "armed_by", "apply_at", "changes", "seen",
            "environments", "revision",
        )  # fmt: skip
        if request.state != State.DRAFT:
            settle_state(scope, request, set_going_anew=is_set_going_anew)
        return [effect_on(self.kind, before, request)]

    def _take_in(self, scope: Scope, request: Request) -> None:
        if self.add is not UNSET:
            if self.changes is not UNSET:
                raise Invalid.at("add", "expected either changes or what to add, got both")
            new = _on_top_of(scope, request, self.add)
            _hold(scope, request, new, seen_before=request.seen)
            return
        assert self.changes is not UNSET
        asking = not happens_by_itself(request)
        require_what_they_need(scope, stored(request.changes), asking=asking)
        left_alone = _left_alone(request.changes, self.changes)
        seen = [row for row in request.seen if row["subject"] in left_alone]
        _hold(scope, request, stored(self.changes), seen_before=seen)


@change("request.rebased")
class RebaseRequest(OnRequest, frozen=True, kw_only=True):
    """Settle the conflict in one flag, segment or setting that somebody else changed meanwhile.

    `merge` keeps both edits and is refused where both changed the same piece; `theirs` leaves such
    pieces to them and makes the request's other edits again; `mine` makes all of them over theirs;
    `drop` leaves the subject out of the request. What is made as a whole, such as the start of a
    ramp, has no pieces: there it is `mine` or `drop`.
    """

    needs = Action.PROPOSE

    subject: str
    choice: Literal["merge", "theirs", "mine", "drop"]
    expected_revision: int | None = None

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope, *OPEN)
        _refuse_stale(request, self.expected_revision)
        before, editor, changes = facts(request), scope.account(), stored(request.changes)
        left = self._without(changes) if self.choice == "drop" else self._settled(scope, request)
        others = [row for row in request.seen if row["subject"] != self.subject]
        require_what_they_need(scope, changes, asking=not happens_by_itself(request))
        _hold(scope, request, left, seen_before=others)
        set_going(request, editor)
        if editor is not None and editor != request.author:
            request.contributors.add(editor)
        request.revision += 1
        scope.save(request, "title", "changes", "seen", "environments", "revision", "armed_by")
        if request.state != State.DRAFT:
            settle_state(scope, request, set_going_anew=True)
        return [effect_on(self.kind, before, request, subject=self.subject, choice=self.choice)]

    def _without(self, changes: Sequence[Change]) -> list[Change]:
        left = [row for whole in changes if (row := without(whole, self.subject)) is not None]
        if left == list(changes):
            raise NotFound(f"request {self.request} changes nothing of {self.subject}")
        return self._some(left)

    def _settled(self, scope: Scope, request: Request) -> list[Change]:
        moved = [row for row in standing_of(scope, request).moved if row.subject == self.subject]
        if not moved:
            raise WrongState(f"nothing of {self.subject} is in conflict in request {self.request}")
        changes = stored(request.changes)
        if self.choice == "mine":
            return changes
        named = self.subject.replace(":", " ")
        if any(row.is_whole for row in moved):
            raise Conflicting(
                f"what this request does to {named} is done as a whole, so nothing of it can be "
                "left to them; choose yours, or leave it out"
            )
        settled, overlaps = [], []
        for row in changes:
            parts, both = self._brought_together(scope, row, moved)
            overlaps += both
            if parts:
                settled.append(holding(row, parts))
        if self.choice == "merge" and overlaps:
            raise Conflicting(
                f"both changed {', '.join(overlaps)} of {named}; choose theirs or yours"
            )
        return self._some([row for row, done in rehearse(scope, settled) if done])

    def _brought_together(
        self, scope: Scope, row: Change, moved: Sequence[Moved]
    ) -> tuple[list[Change], list[str]]:
        """The parts of a change with both edits, and the pieces in which both cannot be kept."""
        parts, overlaps = [], []
        for part in parts_of(row):
            if subject_of(part) == self.subject:
                part, both = brought_together(part, moved)
                overlaps += both
            parts.append(part)
        if parts == parts_of(row) or not isinstance(row, GrantLease):
            return parts, overlaps
        # A lease of nothing is refused, so what theirs leaves nothing to do for is left out of it.
        return [part for part, done in rehearse(scope, parts) if done], overlaps

    def _some(self, changes: list[Change]) -> list[Change]:
        if not changes:
            raise Invalid.at(
                "subject", "nothing of this request would be left to do; withdraw it instead"
            )
        return changes


@change("request.submitted")
class SubmitRequest(OnRequest, frozen=True, kw_only=True):
    """Ask for review of a draft, or again after changes were asked for or a conflict was mended."""

    needs = Action.PROPOSE

    title: str | UnsetType = UNSET

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(
            scope, State.DRAFT, State.CHANGES_REQUESTED, State.CONFLICTED, State.FAILED
        )
        before = facts(request)
        require_what_it_does(scope, request)
        if self.title is not UNSET and self.title.strip():
            request.title = self.title.strip()
        if request.state == State.DRAFT and scope.reason:
            request.reason = scope.reason
        set_going(request, scope.account())
        scope.save(request, "title", "reason", "armed_by")
        self._answer_who_wanted_changes(scope, request)
        ask_for_review(scope, request)
        return [effect_on(self.kind, before, request)]

    def _answer_who_wanted_changes(self, scope: Scope, request: Request) -> None:
        """They are asked again; what they said stays on record and holds nothing up any more."""
        for verdict in request.verdicts.filter(verdict="changes_requested", undone_at=None):
            verdict.undone_at = scope.now
            scope.save(verdict, "undone_at")


@change("request.withdrawn")
class WithdrawRequest(OnRequest, frozen=True, kw_only=True):
    """Give a request up: its author may, and who administers the project."""

    needs = Action.WITHDRAW

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope, *OPEN)
        if request.author is None or request.author != scope.account():
            scope.rights.require(Action.ADMINISTER)
        before = facts(request)
        close(scope, request, State.WITHDRAWN, scope.reason)
        return [effect_on(self.kind, before, request)]


def _hold(
    scope: Scope,
    request: Request,
    changes: Sequence[Change],
    *,
    seen_before: Sequence[dict[str, Any]],
) -> None:
    """Take the changes in, under a title that says what they do unless somebody gave another."""
    is_called_by_its_changes = request.title == titled(request.seen, request.changes)
    take_in(scope, request, changes, seen_before=seen_before)
    if is_called_by_its_changes:
        request.title = titled(request.seen, request.changes)


def _say_why(scope: Scope, request: Request) -> None:
    """Whoever approves it reads why more was asked for, too."""
    if scope.reason and scope.reason not in request.reason.split("\n"):
        request.reason = f"{request.reason}\n{scope.reason}".strip()


def _on_top_of(scope: Scope, request: Request, rows: Sequence[dict[str, Any]]) -> list[Change]:
    """All of the request's changes, then the new ones, which were written in sight of neither."""
    collected = stored(request.changes)
    earlier = as_seen([effect for _, done in rehearse(scope, collected) for effect in done])
    new = [
        on_top(row.kept(done), earlier, as_seen(done))
        for row, done in rehearse(scope, stored(rows))
        if done
    ]
    if not new:
        raise Invalid.at("add", "everything is as these changes would make it already")
    return [*collected, *new]


def _left_alone(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> set[str]:
    """The subjects of which an edit leaves every change as it was: what moved of them still counts."""
    by_subject: list[dict[str, list[dict[str, Any]]]] = [{}, {}]
    for rows, found in zip((old, new), by_subject, strict=True):
        for row in stored(rows):
            for subject in subjects_of(row):
                found.setdefault(subject, []).append(row.as_json())
    before, after = by_subject
    return {subject for subject, rows in before.items() if after.get(subject) == rows}


def _some_title(title: str) -> str:
    if not title.strip():
        raise Invalid.at("title", "expected a title, got nothing")
    return title.strip()


def _refuse_stale(request: Request, expected_revision: int | None) -> None:
    if expected_revision is not None and request.revision != expected_revision:
        raise StaleChange(
            f"request {request.number} is at revision {request.revision}, "
            f"expected {expected_revision}: somebody edited it meanwhile"
        )


def _to_come(instant: datetime | None, scope: Scope) -> datetime | None:
    if instant is not None and instant.tzinfo is None:
        raise Invalid.at("apply_at", "expected an instant with its offset, got one without")
    if instant is not None and instant <= scope.now:
        raise Invalid.at("apply_at", "expected an instant to come, got one that has passed")
    return instant

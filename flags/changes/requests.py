"""Requests: changes that wait for approval; opened, edited, reviewed, applied.

The state follows from what happened; `_standing` is the only place that derives it:

    draft → in_review → approved → scheduled → applied
              ↕ changes_requested · rejected · withdrawn · expired · conflicted · failed
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db.models import Max

from flags import access, approval
from flags.access import Action
from flags.approval import Demand, Missing
from flags.changes.base import (
    ALL_ENVIRONMENTS,
    UNSET,
    Change,
    Effect,
    Scope,
    UnsetType,
    change,
    from_json,
)
from flags.changes.rehearsal import Moved, as_seen, moved, rehearse
from flags.errors import (
    ApprovalNeeded,
    Conflicting,
    Denied,
    Invalid,
    NotFound,
    StaleChange,
    WrongState,
)
from flags.models import Comment, Project, Request, State, User, Verdict

OPEN = (
    State.DRAFT,
    State.IN_REVIEW,
    State.CHANGES_REQUESTED,
    State.APPROVED,
    State.SCHEDULED,
    State.CONFLICTED,
    State.FAILED,
)
REVIEWED = tuple(state for state in OPEN if state is not State.DRAFT)


@dataclass(frozen=True)
class Standing:
    """What a request would do now, and what it still needs."""

    effects: list[Effect]
    behaviour: str
    demands: list[Demand]
    missing: list[Missing]
    moved: list[Moved]
    closed: list[str]  # why it may not be applied at this instant, an entry an environment


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
    }


class OnRequest(Change, frozen=True, kw_only=True):
    """A change of one request; its environments are those of the changes inside it."""

    can_wait = False

    request: int

    def touches(self) -> Sequence[str]:
        row = (
            Request.objects.filter(project__key=self.project, number=self.request)
            .select_related("project")
            .first()
        )
        if row is None:
            return ()
        wanted = _touched_by(_stored(row.changes))
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
        return _touched_by(_stored(self.changes))

    def perform(self, scope: Scope) -> list[Effect]:
        project = scope.the_project()
        last = Request.objects.filter(project=project).aggregate(last=Max("number"))["last"]
        request = Request(
            project=project,
            number=(last or 0) + 1,
            reason=scope.reason,
            author=_person(scope),
            is_armed=self.armed,
            apply_at=_to_come(self.apply_at, scope),
            armed_by=_person(scope) if self.armed or self.apply_at else None,
            created_at=scope.now,
        )
        _take_in(scope, request, _stored(self.changes))
        request.title = self.title or _titled(request)
        scope.create(request)
        if self.submit:
            _ask_for_review(scope, request)
        return [_effect(self.kind, None, request)]

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
        return (*_touched_by(_stored(self.changes)), self.environment)

    def perform(self, scope: Scope) -> list[Effect]:
        author = _person(scope)
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
        _take_in(scope, draft, [*_stored(draft.changes), *_stored(self.changes)])
        draft.revision += 1
        scope.save(draft, "changes", "seen", "environments", "revision")
        return [_effect(self.kind, before, draft)]

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
        new = () if self.changes is UNSET else _touched_by(_stored(self.changes))
        return (*super().touches(), *new)

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope, *OPEN)
        before = facts(request)
        if self.expected_revision is not None and request.revision != self.expected_revision:
            raise StaleChange(
                f"request {request.number} is at revision {request.revision}, "
                f"expected {self.expected_revision}: somebody edited it meanwhile"
            )
        editor = _person(scope)
        if self.title is not UNSET:
            request.title = self.title
        if self.armed is not UNSET:
            request.is_armed, request.armed_by = self.armed, editor
        if self.apply_at is not UNSET:
            request.apply_at, request.armed_by = _to_come(self.apply_at, scope), editor
        # Who arms it or moves its instant lets it happen, so they must be allowed what it does.
        _require_what_they_need(scope, _stored(request.changes))
        if self.changes is not UNSET:
            _take_in(scope, request, _stored(self.changes))
            if editor is not None and editor != request.author:
                request.contributors.add(editor)
        request.revision += 1
        scope.save(
            request, "title", "is_armed", "armed_by", "apply_at", "changes", "seen",
            "environments", "revision",
        )  # fmt: skip
        if request.state != State.DRAFT:
            _settle_state(scope, request)
        return [_effect(self.kind, before, request)]


@change("request.submitted")
class SubmitRequest(OnRequest, frozen=True, kw_only=True):
    """Ask for review of a draft, or again after changes were asked for or a conflict was mended."""

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(
            scope, State.DRAFT, State.CHANGES_REQUESTED, State.CONFLICTED, State.FAILED
        )
        before = facts(request)
        # What is asked for is what its author sees now.
        _take_in(scope, request, _stored(request.changes))
        scope.save(request, "changes", "seen", "environments")
        _ask_for_review(scope, request)
        return [_effect(self.kind, before, request)]


@change("request.reviewed")
class ReviewRequest(OnRequest, frozen=True, kw_only=True):
    """Give one's verdict on what the request does now; a rejection takes a reason."""

    needs = Action.REVIEW

    verdict: Literal["approved", "changes_requested", "rejected"]
    # What the reviewer had on the screen; another behaviour by now is not what they approve.
    behaviour: str | None = None

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope, *REVIEWED)
        before, reviewer = facts(request), _person(scope)
        if reviewer is None:
            raise Denied("a verdict is a person's to give")
        standing = standing_of(scope, request)
        self._refuse_who_may_not(scope, request, reviewer, standing)
        if self.verdict == "rejected" and not scope.reason:
            raise Invalid.at("reason", "a rejection takes a reason")
        if self.behaviour is not None and self.behaviour != standing.behaviour:
            raise Conflicting(
                f"request {request.number} does something else by now; look at it again"
            )
        _undo_verdicts(scope, request, reviewer)
        scope.create(
            Verdict(
                request=request,
                reviewer=reviewer,
                verdict=self.verdict,
                reason=scope.reason,
                behaviour=standing.behaviour,
                by_token=scope.actor.token or "",
                at=scope.now,
            )
        )
        _settle_state(scope, request)
        return [
            _effect(
                self.kind, before, request, verdict=self.verdict, behaviour=standing.behaviour,
                policies={row.environment: policy_facts(row.policy) for row in standing.demands},
            )
        ]  # fmt: skip

    def _refuse_who_may_not(
        self, scope: Scope, request: Request, reviewer: User, standing: Standing
    ) -> None:
        if reviewer == request.author and self.verdict == "approved":
            raise Denied("nobody approves a request of their own")
        for demand in standing.demands:
            eligible = approval.eligible_reviewers(
                demand.policy,
                scope.environment(demand.environment),
                author=request.author,
                contributors=list(request.contributors.all()),
            )
            if reviewer in eligible:
                return
        if standing.demands:
            raise Denied(
                f"{reviewer.get_username()} is not among those whose verdict "
                f"{' or '.join(demand.environment for demand in standing.demands)} asks for"
            )


@change("request.verdict_undone")
class UndoVerdict(OnRequest, frozen=True, kw_only=True):
    """Take one's own verdict back."""

    needs = Action.REVIEW

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope, *REVIEWED)
        before, reviewer = facts(request), _person(scope)
        if reviewer is None or not _undo_verdicts(scope, request, reviewer):
            raise NotFound(f"there is no verdict of yours on request {request.number}")
        _settle_state(scope, request)
        return [_effect(self.kind, before, request, verdict=None)]


@change("request.withdrawn")
class WithdrawRequest(OnRequest, frozen=True, kw_only=True):
    """Give a request up: its author may, and who administers the project."""

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope, *OPEN)
        if request.author is None or request.author != _person(scope):
            access.require(scope.actor, Action.ADMINISTER, scope.project)
        before = facts(request)
        _close(scope, request, State.WITHDRAWN, scope.reason)
        return [_effect(self.kind, before, request)]


@change("request.commented")
class CommentOnRequest(OnRequest, frozen=True, kw_only=True):
    """Say something about a request, about one line of its difference, or in answer to a comment."""

    needs = Action.VIEW

    body: str
    line: str = ""
    answers: str | None = None

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope)
        author = _person(scope)
        if author is None:
            raise Denied("a comment is a person's to make")
        if not self.body.strip():
            raise Invalid.at("body", "expected something to say, got nothing")
        answered = None
        if self.answers is not None:
            answered = Comment.objects.filter(request=request, pk=self.answers).first()
            if answered is None:
                raise NotFound(f"there is no comment {self.answers} on request {request.number}")
        comment = Comment(
            request=request,
            author=author,
            answers=answered,
            line=self.line,
            body=self.body.strip(),
            at=scope.now,
        )
        scope.create(comment)
        # What was said may name people, so the chain holds where it stands and not the words.
        after = {"comment": str(comment.pk), "line": comment.line}
        return [Effect(self.kind, f"request:{request.number}", None, after)]


@change("request.applied")
class ApplyRequest(OnRequest, frozen=True, kw_only=True):
    """Do what a request asks for, all or nothing, if its approvals hold for what that is now.

    `bypass_reason` applies without approval in an emergency: who may, and that it is reviewed
    afterwards, is on record.
    """

    bypass_reason: str = ""

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(
            scope, State.IN_REVIEW, State.APPROVED, State.SCHEDULED, State.FAILED,
            *([State.DRAFT, State.CHANGES_REQUESTED] if self.bypass_reason else []),
        )  # fmt: skip
        before = facts(request)
        changes = _stored(request.changes)
        _require_what_they_need(scope, changes)
        standing = standing_of(scope, request)
        if standing.moved:
            raise Conflicting("; ".join(str(row) for row in standing.moved))
        if self.bypass_reason:
            access.require(scope.actor, Action.BYPASS, scope.project)
        elif standing.missing:
            raise ApprovalNeeded(
                sorted({row.environment for row in standing.missing}),
                [row.what for row in standing.missing],
            )
        elif standing.closed:
            raise WrongState("; ".join(standing.closed))
        elif request.apply_at is not None and scope.now < request.apply_at:
            raise WrongState(
                f"request {request.number} was approved for {request.apply_at:%Y-%m-%d %H:%M} UTC, "
                "not before; take its instant away to have it approved for now"
            )
        effects = [effect for inner in changes for effect in inner.perform(scope)]
        scope.approved |= {demand.environment for demand in standing.demands}
        scope.request = str(request.number)
        request.bypass_reason = self.bypass_reason
        scope.save(request, "bypass_reason")
        _close(scope, request, State.APPLIED, "")
        return [
            *effects,
            _effect(
                self.kind, before, request, behaviour=standing.behaviour,
                bypass=self.bypass_reason,
                policies={row.environment: policy_facts(row.policy) for row in standing.demands},
            ),
        ]  # fmt: skip


@change("request.bypass_reviewed")
class ReviewBypass(OnRequest, frozen=True, kw_only=True):
    """Sign for having looked at what was applied without approval; not one's own."""

    needs = Action.REVIEW

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope, State.APPLIED)
        reviewer = _person(scope)
        if not request.bypass_reason or request.bypass_reviewed_by is not None:
            raise WrongState(f"request {request.number} has no bypass that waits for a review")
        if reviewer is None or reviewer == request.author:
            raise Denied("a bypass is reviewed by somebody else than its author")
        before = facts(request)
        request.bypass_reviewed_by = reviewer
        scope.save(request, "bypass_reviewed_by")
        return [_effect(self.kind, before, request)]


@change("request.settled")
class SettleRequest(OnRequest, frozen=True, kw_only=True):
    """Look again at where a request stands, since something else may have moved what it would do."""

    needs = Action.ADMINISTER

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope, *REVIEWED)
        before = facts(request)
        _settle_state(scope, request)
        return [] if facts(request) == before else [_effect(self.kind, before, request)]


@change("request.closed")
class CloseRequest(OnRequest, frozen=True, kw_only=True):
    """What becomes of a request without anybody's doing: it expired, or failed and may be retried."""

    needs = Action.ADMINISTER

    state: Literal["expired", "failed"]
    why: str

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope, *OPEN)
        before = facts(request)
        if self.state == "expired":
            _close(scope, request, State.EXPIRED, self.why)
        else:
            request.state, request.outcome = State.FAILED, self.why
            scope.save(request, "state", "outcome")
        return [_effect(self.kind, before, request)]


def standing_of(scope: Scope, request: Request) -> Standing:
    """What the request would do as things are, what that asks for and what of it is there."""
    performed = rehearse(scope, _stored(request.changes))
    effects = [effect for _, effects in performed for effect in effects]
    behaviour = approval.behaviour_of(
        effects, request.is_armed, request.apply_at and request.apply_at.isoformat()
    )
    demands = approval.demands(scope.guards, scope.environments, effects)
    verdicts = list(request.verdicts.select_related("reviewer").filter(undone_at=None))
    missing = [
        row
        for demand in demands
        for row in approval.missing(
            demand,
            verdicts,
            behaviour=behaviour,
            author=request.author,
            contributors=list(request.contributors.all()),
            environment=scope.environment(demand.environment),
        )
    ]
    closed = [
        f"{demand.environment} is {words}"
        for demand in demands
        if (words := approval.closed_until_words(demand.policy, scope.now))
    ]
    return Standing(effects, behaviour, demands, missing, moved(request.seen, effects), closed)


def policy_facts(policy: Any) -> dict[str, Any]:
    """A policy as events keep it."""
    return {
        name: getattr(policy, name)
        for name in (
            "approvals", "from_whom", "minimum_role", "exclude_contributors", "tokens_may_review",
            "conditions", "windows", "freezes", "time_zone", "expires_after_days",
        )
    }  # fmt: skip


def _stored(rows: Sequence[dict[str, Any]]) -> list[Change]:
    changes = [from_json(row) for row in rows]
    if not changes:
        raise Invalid.at("changes", "expected at least one change, got none")
    for index, row in enumerate(changes):
        if not row.can_wait or row.on_site:
            raise Invalid.at(f"changes[{index}].kind", f"{row.kind} cannot wait in a request")
    return changes


def _touched_by(changes: Sequence[Change]) -> tuple[str, ...]:
    keys = {key for row in changes for key in row.touches()}
    return (ALL_ENVIRONMENTS,) if ALL_ENVIRONMENTS in keys else tuple(sorted(keys))


def _take_in(scope: Scope, request: Request, changes: Sequence[Change]) -> None:
    """Keep what the changes do to what is there now, and remember what that was."""
    if any(row.project != request.project.key for row in changes):
        raise Invalid.at("changes", f"expected changes to {request.project.key} alone")
    _require_what_they_need(scope, changes)
    performed = rehearse(scope, changes)
    effects = [effect for _, effects in performed for effect in effects]
    if not effects:
        raise Invalid.at("changes", "everything is as these changes would make it already")
    request.changes = [row.kept(done).as_json() for row, done in performed if done]
    request.seen = as_seen(effects)
    request.environments = sorted(
        {effect.environment for effect in effects if effect.environment is not None}
    )


def _require_what_they_need(scope: Scope, changes: Sequence[Change]) -> None:
    """Nobody asks for what they may not do: once approved, the clock may do it in their place."""
    for row in changes:
        access.require(scope.actor, row.needs, scope.project)


def _ask_for_review(scope: Scope, request: Request) -> None:
    policies = [
        demand.policy
        for demand in approval.demands(
            scope.guards,
            scope.environments,
            [
                effect
                for _, effects in rehearse(scope, _stored(request.changes))
                for effect in effects
            ],
        )
    ]
    days = min((policy.expires_after_days for policy in policies), default=30)
    request.submitted_at = scope.now
    request.expires_at = scope.now + timedelta(days=days)
    scope.save(request, "submitted_at", "expires_at")
    _settle_state(scope, request)


def _settle_state(scope: Scope, request: Request) -> None:
    """Derive the state from the verdicts in force and what they are bound to."""
    standing = standing_of(scope, request)
    current = [
        verdict
        for verdict in request.verdicts.filter(undone_at=None)
        if verdict.behaviour == standing.behaviour
    ]
    if any(verdict.verdict == "rejected" for verdict in current):
        reasons = "; ".join(row.reason for row in current if row.verdict == "rejected")
        _close(scope, request, State.REJECTED, reasons)
        return
    if any(verdict.verdict == "changes_requested" for verdict in current):
        request.state = State.CHANGES_REQUESTED
    elif standing.moved:
        request.state = State.CONFLICTED
    elif standing.missing:
        request.state = State.IN_REVIEW
    else:
        request.state = State.SCHEDULED if request.apply_at else State.APPROVED
    request.outcome = "; ".join(str(row) for row in standing.moved)
    scope.save(request, "state", "outcome")


def _close(scope: Scope, request: Request, state: State, outcome: str) -> None:
    request.state, request.outcome, request.closed_at = state, outcome, scope.now
    scope.save(request, "state", "outcome", "closed_at")


def _undo_verdicts(scope: Scope, request: Request, reviewer: User) -> bool:
    verdicts = list(request.verdicts.filter(reviewer=reviewer, undone_at=None))
    for verdict in verdicts:
        verdict.undone_at = scope.now
        scope.save(verdict, "undone_at")
    return bool(verdicts)


def _person(scope: Scope) -> User | None:
    return User.objects.filter(pk=scope.actor.id).first() if scope.actor.kind == "person" else None


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


def _effect(kind: str, before: dict[str, Any] | None, request: Request, **more: Any) -> Effect:
    return Effect(kind, f"request:{request.number}", before, facts(request) | more)


def open_requests_on(project: Project, subject: str) -> list[Request]:
    """Open requests that would change this subject: what an editor is told before they begin."""
    return list(
        Request.objects.filter(
            project=project, state__in=OPEN, seen__contains=[{"subject": subject}]
        )
    )

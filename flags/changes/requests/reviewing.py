"""What people say of a request: verdicts, comments, and signing for a bypass."""

from typing import Literal

from flags import approval
from flags.access import Action
from flags.changes.base import Effect, Scope, change
from flags.changes.requests.base import OnRequest, effect_on, facts
from flags.changes.requests.standing import Standing, settle_state, standing_of
from flags.errors import Conflicting, Denied, Invalid, NotFound, WrongState
from flags.models import REVIEWED, Comment, Request, State, User, Verdict


@change("request.reviewed")
class ReviewRequest(OnRequest, frozen=True, kw_only=True):
    """Give one's verdict on what the request does now; a rejection takes a reason."""

    needs = Action.REVIEW

    verdict: Literal["approved", "changes_requested", "rejected"]
    # What the reviewer had on the screen; another behaviour by now is not what they approve.
    behaviour: str | None = None

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope, *REVIEWED)
        before, reviewer = facts(request), scope.account()
        if reviewer is None:
            raise Denied("a verdict is given by an account, not by the system")
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
        settle_state(scope, request)
        return [
            effect_on(
                self.kind, before, request, verdict=self.verdict, behaviour=standing.behaviour
            )
        ]

    def _refuse_who_may_not(
        self, scope: Scope, request: Request, reviewer: User, standing: Standing
    ) -> None:
        author, token = request.author, scope.actor.token
        if author is not None and self.verdict == "approved":
            if reviewer == author:
                raise Denied("nobody approves a request of their own")
            if approval.speaker(reviewer, token) == author.pk:
                raise Denied(
                    f"{author.get_username()}, whose request it is, made the token {token}"
                )
        # What lapsed can still be given.
        asked = [*standing.demands, *standing.former]
        for demand in asked:
            eligible = approval.eligible_reviewers(
                demand.policy,
                scope.environment(demand.environment),
                author=request.author,
                contributors=list(request.contributors.all()),
            )
            if reviewer in eligible:
                return
        if asked:
            raise Denied(
                f"{reviewer.get_username()} is not among those whose verdict "
                f"{' or '.join(demand.environment for demand in asked)} asks for"
            )


@change("request.verdict_undone")
class UndoVerdict(OnRequest, frozen=True, kw_only=True):
    """Take one's own verdict back."""

    needs = Action.REVIEW

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope, *REVIEWED)
        before, reviewer = facts(request), scope.account()
        if reviewer is None or not _undo_verdicts(scope, request, reviewer):
            raise NotFound(f"there is no verdict of yours on request {request.number}")
        settle_state(scope, request)
        return [effect_on(self.kind, before, request, verdict=None)]


@change("request.commented")
class CommentOnRequest(OnRequest, frozen=True, kw_only=True):
    """Say something about a request, about one line of its difference, or in answer to a comment."""

    needs = Action.REVIEW

    body: str
    line: str = ""
    answers: str | None = None

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope)
        author = scope.account()
        if author is None:
            raise Denied("a comment is made by an account, not by the system")
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


@change("request.bypass_reviewed")
class ReviewBypass(OnRequest, frozen=True, kw_only=True):
    """Sign for having looked at what was applied without approval.

    Neither who asked for it nor who applied it may, but who could have approved it.
    """

    needs = Action.REVIEW

    def perform(self, scope: Scope) -> list[Effect]:
        request = self.found(scope, State.APPLIED)
        reviewer = scope.account()
        if not request.bypass_reason or request.bypass_reviewed_by is not None:
            raise WrongState(f"request {request.number} has no bypass that waits for a review")
        if reviewer is None or self._is_theirs(scope, request, reviewer):
            raise Denied("a bypass is reviewed by somebody else than its author and who applied it")
        if not self._could_have_approved(scope, request, reviewer):
            raise Denied(
                f"{reviewer.get_username()} is not among those whose approval "
                f"{' or '.join(request.environments)} asks for"
            )
        before = facts(request)
        request.bypass_reviewed_by = reviewer
        scope.save(request, "bypass_reviewed_by")
        return [effect_on(self.kind, before, request)]

    def _is_theirs(self, scope: Scope, request: Request, reviewer: User) -> bool:
        """Whether it would be the word of who asked for it or applied it, also by a token."""
        own = [row for row in (request.author, request.applied_by) if row is not None]
        heard = {account.pk for account in approval.voices(own)}
        return bool({reviewer.pk, approval.speaker(reviewer, scope.actor.token)} & heard)

    def _could_have_approved(self, scope: Scope, request: Request, reviewer: User) -> bool:
        guarded = approval.guards(scope.environments)
        asked = [key for key in request.environments if key in guarded]
        return not asked or any(
            reviewer
            in approval.eligible_reviewers(
                guarded[key],
                scope.environment(key),
                author=request.author,
                contributors=list(request.contributors.all()),
            )
            for key in asked
        )


def _undo_verdicts(scope: Scope, request: Request, reviewer: User) -> bool:
    verdicts = list(request.verdicts.filter(reviewer=reviewer, undone_at=None))
    for verdict in verdicts:
        verdict.undone_at = scope.now
        scope.save(verdict, "undone_at")
    return bool(verdicts)

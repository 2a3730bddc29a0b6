"""`/projects/{project}/requests`: changes that wait for approval, and what is said of them."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from flags import differences
from flags.changes import (
    ApplyRequest,
    Change,
    CommentOnRequest,
    DraftChanges,
    EditRequest,
    OpenRequest,
    RebaseRequest,
    ReviewBypass,
    ReviewRequest,
    SubmitRequest,
    UndoVerdict,
    WithdrawRequest,
)
from flags.changes.outlook import standing
from flags.changes.requests import Standing
from flags.errors import FlagsiteError, NotFound
from flags.management_api.base import ManagementView, creates, edits, reads
from flags.management_api.fields import (
    AnyJson,
    Body,
    Choice,
    Instant,
    JsonObjects,
    Query,
    Reason,
    Strict,
    Text,
    Truth,
    Whole,
    written_out,
)
from flags.management_api.pages import Pages
from flags.management_api.preconditions import etag, expected
from flags.management_api.waiting import MissingShown, address_of, missing_shown
from flags.models import OPEN, Comment, State, Verdict
from flags.models import Request as ChangeRequest
from flags.queries.requests import drafts_of, waiting_for

VERDICTS = ("approved", "changes_requested", "rejected")


class RequestShown(serializers.ModelSerializer[ChangeRequest]):
    """`outcome` says why it conflicted, failed, expired or was rejected."""

    state = Choice(State.values)
    author = serializers.CharField(source="author.username", allow_null=True, default=None)
    environments = serializers.ListField(child=serializers.CharField())
    armed = serializers.BooleanField(source="is_armed")

    class Meta:
        model = ChangeRequest
        fields = [
            "number",
            "title",
            "reason",
            "state",
            "author",
            "environments",
            "armed",
            "apply_at",
            "revision",
            "created_at",
            "submitted_at",
            "expires_at",
            "closed_at",
            "outcome",
        ]


class ProposedEffect(Strict):
    """What the request does to one subject, in words as well."""

    environment = serializers.CharField(allow_null=True)
    subject = serializers.CharField()
    before = AnyJson()
    after = AnyJson()
    sentences = serializers.ListField(child=serializers.CharField())


class DemandShown(Strict):
    environment = serializers.CharField()
    because = serializers.ListField(child=serializers.CharField())


class MovedShown(Strict):
    """A member that somebody else changed too: what it was, is now, and shall be."""

    environment = serializers.CharField(allow_null=True)
    subject = serializers.CharField()
    member = serializers.CharField()
    was = AnyJson()
    theirs = AnyJson()
    yours = AnyJson()


class StandingShown(Strict):
    """What an open request would do as things are now, and what it still needs."""

    behaviour = serializers.CharField(help_text="What a verdict is bound to.")
    demands = DemandShown(many=True)
    missing = MissingShown(many=True)
    lapsed = MissingShown(
        many=True,
        help_text="What policies that ask no more were not given while they did: the clock applies "
        "nothing that lacks it, a person may.",
    )
    moved = MovedShown(many=True)
    closed = serializers.ListField(
        child=serializers.CharField(), help_text="Why it may not be applied at this hour."
    )


class VerdictShown(serializers.ModelSerializer[Verdict]):
    """`is_stale` is null where it is not known: of a closed request, or one that is refused."""

    reviewer = serializers.CharField(source="reviewer.username")
    verdict = Choice(VERDICTS)
    is_stale = serializers.SerializerMethodField()

    class Meta:
        model = Verdict
        fields = ["reviewer", "verdict", "reason", "at", "undone_at", "by_token", "is_stale"]

    @extend_schema_field({"type": ["boolean", "null"]})
    def get_is_stale(self, verdict: Verdict) -> bool | None:
        now: Standing | None = self.context["standing"]
        return None if now is None else verdict.behaviour != now.behaviour


class CommentShown(serializers.ModelSerializer[Comment]):
    author = serializers.CharField(source="author.username")

    class Meta:
        model = Comment
        fields = ["id", "author", "at", "line", "body", "answers"]


class RequestInFull(RequestShown):
    """`refusal` says why `standing` is null: closed, somebody is saving, or no longer possible."""

    contributors = serializers.SlugRelatedField("username", many=True, read_only=True)
    bypass_reviewed_by = serializers.CharField(
        source="bypass_reviewed_by.username", allow_null=True, default=None
    )
    changes = JsonObjects()
    effects = serializers.SerializerMethodField()
    standing = serializers.SerializerMethodField()
    refusal = serializers.SerializerMethodField()
    verdicts = VerdictShown(many=True)
    comments = CommentShown(many=True)

    class Meta(RequestShown.Meta):
        fields = [
            *RequestShown.Meta.fields,
            "contributors",
            "bypass_reason",
            "bypass_reviewed_by",
            "changes",
            "effects",
            "standing",
            "refusal",
            "verdicts",
            "comments",
        ]

    @extend_schema_field(ProposedEffect(many=True))
    def get_effects(self, request: ChangeRequest) -> list[dict[str, Any]]:
        now: Standing | None = self.context["standing"]
        rows: list[Mapping[str, Any]] = (
            request.seen
            if now is None
            else [effect.as_json() | {"environment": effect.environment} for effect in now.effects]
        )
        return [
            {name: row[name] for name in ("environment", "subject", "before", "after")}
            | {"sentences": differences.sentences(row["before"], row["after"])}
            for row in rows
        ]

    @extend_schema_field(StandingShown(allow_null=True))
    def get_standing(self, request: ChangeRequest) -> dict[str, Any] | None:
        now: Standing | None = self.context["standing"]
        if now is None:
            return None
        return {
            "behaviour": now.behaviour,
            "demands": [
                {"environment": row.environment, "because": row.because} for row in now.demands
            ],
            "missing": missing_shown(now.missing),
            "lapsed": missing_shown(now.lapsed),
            "moved": [
                {name: getattr(row, name) for name in MovedShown().fields} for row in now.moved
            ],
            "closed": now.closed,
        }

    @extend_schema_field(str)
    def get_refusal(self, request: ChangeRequest) -> str:
        refusal: str = self.context["refusal"]
        return refusal


class RequestFilters(Query):
    state = serializers.ChoiceField([*State.values, "open"], required=False)
    author = serializers.CharField(required=False, help_text="A username.")
    environment = serializers.CharField(required=False)
    to_review = serializers.ChoiceField(
        ["true"], required=False, help_text="Those whose verdict or signature one could give."
    )


class NewRequest(Body):
    """`changes` as events name them: `{"kind": "flag.switched", "environment": …}`."""

    changes = JsonObjects()
    title = Text(required=False, max_length=200)
    submit = Truth(required=False, help_text="False keeps it as a draft.")
    armed = Truth(required=False, help_text="Apply it by itself as soon as it is approved.")
    apply_at = Instant(required=False, allow_null=True, help_text="An instant, with its offset.")


class RequestEdit(Body):
    """`changes` takes the place of those that it holds, `add` is put on top of them."""

    changes = JsonObjects(required=False)
    add = JsonObjects(required=False)
    title = Text(required=False, max_length=200, allow_blank=False)
    request_reason = Text(
        required=False, max_length=2000, help_text="The request's own reason, from now on."
    )
    armed = Truth(required=False)
    apply_at = Instant(required=False, allow_null=True)
    expected_revision = Whole(required=False)


class NewVerdict(Body):
    verdict = Choice(VERDICTS)
    behaviour = Text(required=False, help_text="What one has seen; refused (409) when it moved.")


class Application(Body):
    bypass_reason = Text(
        required=False, max_length=2000, help_text="Applies without approval, on record."
    )
    lasts_seconds = Whole(
        required=False, help_text="Of a bypass: take it back after this time, as a lease."
    )


class NewComment(Body):
    body = Text(max_length=20_000, allow_blank=False)
    line = Text(required=False, max_length=500)
    answers = serializers.UUIDField(required=False, help_text="The comment that this answers.")


class RequestView(ManagementView):
    """What the views of one request share."""

    def row(self, project: str, number: int) -> ChangeRequest:
        row = (
            ChangeRequest.objects.filter(project=self.project(project), number=number)
            .select_related("author", "bypass_reviewed_by")
            .prefetch_related("contributors", "verdicts__reviewer", "comments__author")
            .first()
        )
        if row is None:
            raise NotFound(f"there is no request {number} in {project}")
        return row

    def in_full(self, project: str, number: int) -> tuple[dict[str, Any], str]:
        row = self.row(project, number)
        now, refusal = None, f"it is {row.state} and changes nothing any more"
        if row.state in OPEN:
            try:
                now, refusal = standing(project, number), ""
            except FlagsiteError as error:
                refusal = str(error)
        context = {"standing": now, "refusal": refusal}
        return RequestInFull(row, context=context).data, etag(row, row.revision)

    def now(self, project: str, number: int) -> Response:
        # No 304 here: what it would do moves without its revision, which the ETag names.
        data, tag = self.in_full(project, number)
        return Response(data, headers={"ETag": tag})

    def act(self, change: Change, given: Mapping[str, Any], project: str, number: int) -> Response:
        return self.edited(
            [change], lambda: self.now(project, number), reason=given.get("reason", "")
        )


class Requests(RequestView):
    pagination_class = Pages.by("-number")

    @reads(
        RequestShown,
        summary="The requests of a project, newest first",
        many=True,
        parameters=[RequestFilters],
        operation_id="requests",
    )
    def get(self, request: Request, project: str) -> Response:
        there = self.project(project)
        filters = RequestFilters.of(request.query_params)
        rows = ChangeRequest.objects.filter(project=there).select_related("author")
        if (state := filters.get("state")) is not None:
            rows = rows.filter(state__in=OPEN if state == "open" else [state])
        if "author" in filters:
            rows = rows.filter(author__username=filters["author"])
        if "environment" in filters:
            rows = rows.filter(environments__contains=[filters["environment"]])
        if "to_review" in filters:
            rows = rows.filter(number__in=waiting_for(there, self.actor.id))
        return self.page(rows, RequestShown)

    @creates(NewRequest, RequestInFull, summary="Ask for changes, or draft them")
    def post(self, request: Request, project: str) -> Response:
        self.project(project)
        given = self.body(NewRequest)
        reason = given.pop("reason", "")
        given["changes"] = written_out(project, given["changes"])

        def answer(number: int) -> tuple[str, Any, str]:
            return address_of(project, number), *self.in_full(project, number)

        return self.numbered(OpenRequest(project=project, **given), answer, reason=reason)


class OneRequest(RequestView):
    @reads(RequestInFull, summary="A request, what it would do now and what it needs")
    def get(self, request: Request, project: str, number: int) -> Response:
        return self.now(project, number)

    @edits(RequestEdit, RequestInFull, summary="Edit what a request asks for, or when")
    def patch(self, request: Request, project: str, number: int) -> Response:
        row = self.row(project, number)
        given = self.body(RequestEdit)
        reason = given.pop("reason", "")
        seen = expected(request, row, row.revision, in_body=given.pop("expected_revision", None))
        for name in ("changes", "add"):
            if name in given:
                given[name] = written_out(project, given[name])
        if "request_reason" in given:
            given["reason"] = given.pop("request_reason")
        change = EditRequest(project=project, request=number, expected_revision=seen, **given)
        return self.act(change, {"reason": reason}, project, number)


class RequestSubmitted(RequestView):
    @edits(Reason, RequestInFull, summary="Ask for review, or again", is_compared=False)
    def post(self, request: Request, project: str, number: int) -> Response:
        self.row(project, number)
        given = self.body(Reason)
        return self.act(SubmitRequest(project=project, request=number), given, project, number)


class Rebase(Body):
    """`merge` keeps both edits, `theirs` gives way, `mine` overrides, `drop` leaves the subject out."""

    subject = Text(max_length=200, allow_blank=False, help_text="As in `standing.moved`.")
    choice = Choice(["merge", "theirs", "mine", "drop"])
    expected_revision = Whole(required=False)


class RequestRebased(RequestView):
    @edits(Rebase, RequestInFull, summary="Settle a conflict, or leave a subject out")
    def post(self, request: Request, project: str, number: int) -> Response:
        row = self.row(project, number)
        given = self.body(Rebase)
        seen = expected(request, row, row.revision, in_body=given.get("expected_revision"))
        change = RebaseRequest(
            project=project,
            request=number,
            subject=given["subject"],
            choice=given["choice"],
            expected_revision=seen,
        )
        return self.act(change, given, project, number)


class NewDraft(Body):
    changes = JsonObjects()


class OwnDraft(RequestView):
    """What the caller has collected for an environment and not asked for yet."""

    @reads(RequestInFull, summary="One's own draft for an environment")
    def get(self, request: Request, project: str, environment: str) -> Response:
        self.environment(project, environment)
        return self._now(project, environment)

    @edits(NewDraft, RequestInFull, summary="Put changes into one's own draft", is_compared=False)
    def post(self, request: Request, project: str, environment: str) -> Response:
        self.environment(project, environment)
        given = self.body(NewDraft)
        change = DraftChanges(
            project=project,
            environment=environment,
            changes=written_out(project, given["changes"]),
        )
        reason = given.get("reason", "")
        if self.is_dry_run:
            return self.foreseen((change,), reason=reason)
        self._submit((change,), reason=reason)
        return self._now(project, environment)

    def _now(self, project: str, environment: str) -> Response:
        for draft in drafts_of(self.project(project), self.actor.id):
            if environment in draft.environments:
                return self.now(project, draft.number)
        raise NotFound(f"you have no draft for {environment} in {project}")


class RequestReviewed(RequestView):
    @edits(NewVerdict, RequestInFull, summary="Give one's verdict", is_compared=False)
    def post(self, request: Request, project: str, number: int) -> Response:
        self.row(project, number)
        given = self.body(NewVerdict)
        change = ReviewRequest(
            project=project,
            request=number,
            verdict=given["verdict"],
            behaviour=given.get("behaviour"),
        )
        return self.act(change, given, project, number)


class RequestVerdictUndone(RequestView):
    @edits(Reason, RequestInFull, summary="Take one's verdict back", is_compared=False)
    def post(self, request: Request, project: str, number: int) -> Response:
        self.row(project, number)
        given = self.body(Reason)
        return self.act(UndoVerdict(project=project, request=number), given, project, number)


class RequestWithdrawn(RequestView):
    @edits(Reason, RequestInFull, summary="Give a request up", is_compared=False)
    def post(self, request: Request, project: str, number: int) -> Response:
        self.row(project, number)
        given = self.body(Reason)
        return self.act(WithdrawRequest(project=project, request=number), given, project, number)


class RequestApplied(RequestView):
    @edits(
        Application,
        RequestInFull,
        summary="Do what a request asks for, all or nothing",
        is_compared=False,
    )
    def post(self, request: Request, project: str, number: int) -> Response:
        self.row(project, number)
        given = self.body(Application)
        change = ApplyRequest(
            project=project,
            request=number,
            bypass_reason=given.get("bypass_reason", "").strip(),
            lasts_seconds=given.get("lasts_seconds"),
        )
        return self.act(change, given, project, number)


class RequestBypassReviewed(RequestView):
    @edits(
        Reason,
        RequestInFull,
        summary="Sign for having looked at what was applied without approval",
        is_compared=False,
    )
    def post(self, request: Request, project: str, number: int) -> Response:
        self.row(project, number)
        given = self.body(Reason)
        return self.act(ReviewBypass(project=project, request=number), given, project, number)


class RequestComments(RequestView):
    @edits(NewComment, RequestInFull, summary="Say something about a request", is_compared=False)
    def post(self, request: Request, project: str, number: int) -> Response:
        self.row(project, number)
        given = self.body(NewComment)
        answered = given.get("answers")
        change = CommentOnRequest(
            project=project,
            request=number,
            body=given["body"],
            line=given.get("line", ""),
            answers=str(answered) if answered else None,
        )
        return self.act(change, given, project, number)

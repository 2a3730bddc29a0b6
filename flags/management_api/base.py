"""What all resources share: who asks, what they may see, and how a change is submitted."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema,
)
from rest_framework import serializers, status
from rest_framework.permissions import SAFE_METHODS
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.facts import Actor, Effect
from flags import access
from flags.access import Action
from flags.changes import Change, Outcome, submit
from flags.changes.outlook import outlook
from flags.errors import ApprovalNeeded, NotFound
from flags.management_api import preconditions
from flags.management_api.authentication import actor_of
from flags.management_api.errors import MEDIA_TYPE, BadQuery
from flags.management_api.fields import AnyJson, Strict
from flags.management_api.idempotency import once
from flags.management_api.pages import Pages
from flags.management_api.parsing import LengthRequired, StrictJsonParser
from flags.management_api.waiting import ApprovalAsked, Waiting, missing_shown, waiting_answer
from flags.models import ApiToken, Environment, Flag, Project, Segment

DRY_RUN = "dry_run"


class ManagementView(APIView):
    """The root of all views here."""

    parser_classes = [StrictJsonParser]
    renderer_classes = [JSONRenderer]
    pagination_class: type[Pages] | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH"):
            raise LengthRequired("expected Content-Length; a body in chunks is not taken here")
        super().initial(request, *args, **kwargs)
        if request.method not in SAFE_METHODS:
            access.refuse_who_only_reads(self.actor)

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Response:
        answer: Response = super().finalize_response(request, response, *args, **kwargs)
        token = getattr(request, "auth", None)
        if isinstance(token, ApiToken) and token.days_left(timezone.now()) is not None:
            assert token.expires_at is not None, "what has days left has an end"
            answer["Flagsite-Token-Expires"] = token.expires_at.isoformat()
        return answer

    def require(self, action: Action, project: Project) -> None:
        """Raises Denied for a caller who may not."""
        access.require(self.actor, action, project)

    @property
    def actor(self) -> Actor:
        return actor_of(self.request)

    # What may be seen

    def project(self, key: str) -> Project:
        """The project. One that the actor may not view is, to them, not there."""
        project = Project.objects.filter(key=key).first()
        if project is None or not access.may(self.actor, Action.VIEW, project):
            raise NotFound(f"there is no project {key}")
        return project

    def environment(self, project: str, key: str) -> Environment:
        return _found(
            self.project(project).environments.select_related("project"),
            f"environment {key} in {project}",
            key=key,
        )

    def flag(self, project: str, key: str) -> Flag:
        flags = self.project(project).flags.select_related("owner", "project")
        return _found(flags, f"flag {key} in {project}", key=key)

    def segment(self, project: str, key: str) -> Segment:
        segments = self.project(project).segments.select_related("project")
        return _found(segments, f"segment {key} in {project}", key=key)

    # What is sent

    def body(self, serializer: type[serializers.Serializer[Any]], **options: Any) -> dict[str, Any]:
        """The body's members that were given; raises ValidationError with the place of each fault."""
        reading = serializer(data=self.request.data, **options)
        reading.is_valid(raise_exception=True)
        given: dict[str, Any] = dict(reading.validated_data)
        return given

    @property
    def is_dry_run(self) -> bool:
        given = self.request.query_params.get(DRY_RUN, "false")
        if given not in ("true", "false"):
            raise BadQuery([{"path": DRY_RUN, "message": f"expected true or false, got {given!r}"}])
        return given == "true"

    # What is answered

    def page(
        self, rows: "QuerySet[Any]", serializer: type[serializers.Serializer[Any]]
    ) -> Response:
        assert self.pagination_class is not None
        pages = self.pagination_class()
        page = pages.paginate_queryset(rows, self.request, view=self)
        return pages.get_paginated_response(serializer(page, many=True).data)

    def shown(self, data: Any, tag: str | None = None) -> Response:
        """200 with what was asked for, 304 when the caller has it."""
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"} if tag else {}
        if tag and self.request.method == "GET" and preconditions.is_known(self.request, tag):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers=headers)
        return Response(data, headers=headers)

    def edited(
        self, changes: Iterable[Change], answer: Callable[[], Response], *, reason: str = ""
    ) -> Response:
        """Submits, and answers with what there is now, or with the request that it became."""
        changes = tuple(changes)
        if self.is_dry_run:
            return self.foreseen(changes, reason=reason)
        outcome = self._submit(changes, reason=reason)
        if outcome.request is not None:
            return waiting_answer(changes[0].project, outcome.request)
        return answer()

    def created(
        self,
        changes: Iterable[Change],
        answer: Callable[[], tuple[str, Any, str | None]],
        *,
        reason: str = "",
    ) -> Response:
        """Submits once per Idempotency-Key; `answer` gives address, representation and ETag."""
        changes = tuple(changes)
        if self.is_dry_run:
            return self.foreseen(changes, reason=reason)

        def create() -> Response:
            outcome = self._submit(changes, reason=reason)
            if outcome.request is not None:
                return waiting_answer(changes[0].project, outcome.request)
            return _made(*answer())

        return once(self.request, self.request.data, create)

    def numbered(
        self, change: Change, answer: Callable[[int], tuple[str, Any, str | None]], *, reason: str
    ) -> Response:
        """The same for a request, a ramp or a lease, named by the number that it gets."""
        return self.named(change, lambda number: answer(int(number)), reason=reason)

    def named(
        self, change: Change, answer: Callable[[str], tuple[str, Any, str | None]], *, reason: str
    ) -> Response:
        """The same for what is named as it is made: `answer` is given its name."""
        if self.is_dry_run:
            return self.foreseen((change,), reason=reason)

        def create() -> Response:
            outcome = self._submit((change,), reason=reason)
            if outcome.request is not None and change.kind != "request.opened":
                return waiting_answer(change.project, outcome.request)
            (name,) = (
                effect.subject.partition(":")[2]
                for effect in outcome.effects
                if effect.kind == change.kind and effect.environment is None
            )
            return _made(*answer(name))

        return once(self.request, self.request.data, create)

    def removed(self, *changes: Change) -> Response:
        """Submits with the address's `reason`, and answers 204."""
        reason = self.request.query_params.get("reason", "")
        gone = Response(status=status.HTTP_204_NO_CONTENT)
        return self.edited(changes, lambda: gone, reason=reason)

    def foreseen(self, changes: Sequence[Change], *, reason: str) -> Response:
        """What the changes would do, and what approval they would wait for."""
        try:
            outcome = submit(*changes, actor=self.actor, reason=reason, dry_run=True)
        except ApprovalNeeded as refusal:
            if not all(change.can_wait for change in changes):
                raise
            would = outlook(*changes, actor=self.actor, reason=reason)
            asked = {"because": refusal.lacking, "missing": missing_shown(would.missing)}
            return _dry_answer(would.effects, {}, approval=asked)
        return _dry_answer(outcome.effects, outcome.versions)

    def _submit(self, changes: Sequence[Change], *, reason: str) -> Outcome:
        return submit(*changes, actor=self.actor, reason=reason)


def _made(address: str, data: Any, tag: str | None) -> Response:
    headers = {"Location": address} | ({"ETag": tag} if tag else {})
    return Response(data, status=status.HTTP_201_CREATED, headers=headers)


def _found(rows: Any, what: str, **named: str) -> Any:
    row = rows.filter(**named).first()
    if row is None:
        raise NotFound(f"there is no {what}")
    return row


# What the schema says of every resource


class ProblemPlace(serializers.Serializer[Any]):
    path = serializers.CharField(allow_blank=True)
    message = serializers.CharField()


class Problem(serializers.Serializer[Any]):
    """An error (RFC 9457); `problems` names each place that is wrong."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    problems = ProblemPlace(many=True)
    environments = serializers.ListField(child=serializers.CharField(), required=False)


class EffectShown(Strict):
    """One fact: the subject went from `before` to `after`; null is where it did not exist."""

    kind = serializers.CharField()
    subject = serializers.CharField()
    before = AnyJson()
    after = AnyJson()


class PlannedEffect(EffectShown):
    """An effect that a change would have; `environment` is null for what is in no ruleset."""

    environment = serializers.CharField(allow_null=True)


class DryRun(Strict):
    """What a change would do."""

    dry_run = serializers.BooleanField()
    changed = serializers.BooleanField()
    effects = PlannedEffect(many=True)
    versions = serializers.DictField(
        child=serializers.IntegerField(), help_text="Environment → the version it would get."
    )
    approval = ApprovalAsked(
        allow_null=True, help_text="What it would wait for as a request; null when nothing."
    )


def _dry_answer(
    effects: Sequence[Effect],
    versions: Mapping[str, int],
    *,
    approval: Mapping[str, Any] | None = None,
) -> Response:
    return Response(
        {
            "dry_run": True,
            "changed": bool(effects),
            "effects": [
                {**effect.as_json(), "environment": effect.environment} for effect in effects
            ],
            "versions": versions,
            "approval": approval,
        }
    )


_DRY_RUN = OpenApiParameter(
    DRY_RUN, bool, description="Answer what would happen, permission and approval included."
)
_REASON = OpenApiParameter("reason", str, description="Why; it goes into the event.")
_IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="The ETag of what the editor saw."
)
_IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Names this request: sent again with the same key it creates nothing twice.",
)


def _problems(*statuses: int) -> dict[Any, Any]:
    return {(code, MEDIA_TYPE): Problem for code in statuses}


_WAITS = {202: OpenApiResponse(Waiting, "It waits for approval as a request.")}


def _or_dry_run(
    serializer: type[serializers.Serializer[Any]], dry_run: type[DryRun]
) -> PolymorphicProxySerializer:
    return PolymorphicProxySerializer(
        component_name=f"{serializer.__name__}OrDryRun",
        serializers=[serializer, dry_run],
        resource_type_field_name=None,
    )


def reads(
    answer: Any, *, summary: str, many: bool = False, parameters: Iterable[Any] = (), **options: Any
) -> Any:
    """The schema of a GET."""
    return extend_schema(
        summary=summary,
        parameters=list(parameters),
        responses={
            200: answer(many=True) if many else answer,
            **({} if many else {304: OpenApiResponse(description="The caller has it.")}),
            **_problems(400, 401, 403, 404),
        },
        **options,
    )


def creates(request: Any, answer: Any, *, summary: str, **options: Any) -> Any:
    """The schema of a POST that makes something."""
    return extend_schema(
        summary=summary,
        request=request,
        parameters=[_DRY_RUN, _IDEMPOTENCY_KEY],
        responses={
            201: answer,
            200: OpenApiResponse(DryRun, "With `dry_run`: what would happen."),
            **_WAITS,
            **_problems(400, 401, 403, 404, 409, 413, 415, 422, 503),
        },
        **options,
    )


def edits(
    request: Any,
    answer: Any,
    *,
    summary: str,
    is_compared: bool = True,
    dry_run: type[DryRun] = DryRun,
) -> Any:
    """The schema of a PATCH, a PUT, or a POST that acts on what is there."""
    return extend_schema(
        summary=summary,
        request=request,
        parameters=[_DRY_RUN, *([_IF_MATCH] if is_compared else [])],
        responses={
            200: _or_dry_run(answer, dry_run),
            **_WAITS,
            **_problems(400, 401, 403, 404, 409, 412, 413, 415, 422, 503),
        },
    )


def removes(*, summary: str, is_compared: bool = False) -> Any:
    """The schema of a DELETE."""
    return extend_schema(
        summary=summary,
        parameters=[_DRY_RUN, _REASON, *([_IF_MATCH] if is_compared else [])],
        responses={
            204: OpenApiResponse(description="Done."),
            200: OpenApiResponse(DryRun, "With `dry_run`: what would happen."),
            **_WAITS,
            **_problems(400, 401, 403, 404, 409, 412, 503),
        },
    )

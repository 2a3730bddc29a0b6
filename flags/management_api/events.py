"""`/projects/{project}/events`, `/events` of the site, and the history of one flag or segment."""

import uuid
from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from audit.lines import line
from audit.models import Event
from audit.signing import statement_lines
from flags import access
from flags.access import Action
from flags.errors import Conflict, NotFound
from flags.management_api.base import EffectShown, ManagementView, Problem, reads
from flags.management_api.errors import MEDIA_TYPE, BadQuery
from flags.management_api.fields import Query
from flags.management_api.pages import Pages
from flags.models import Environment
from flags.queries.history import (
    Filters,
    Streams,
    all_streams,
    effects_on,
    event_in,
    events_in,
    streams_of,
)
from flags.transfer.events import MEDIA_TYPES, Export, Form


class ActorShown(serializers.Serializer[Any]):
    """Who acted; `id` and `kind` make the filter `actor=<kind>:<id>`. Null once erased."""

    kind = serializers.CharField()
    id = serializers.CharField()
    name = serializers.CharField()


class EventShown(serializers.ModelSerializer[Event]):
    """`environment` is null for what is in no ruleset; events of one submit share `submission`.

    `project` is null for what belongs to the site. `request` is the number of the request that was
    applied, `stream` what filters and exports know the event's stream by.
    """

    stream = serializers.CharField(source="stream_id")
    project = serializers.SerializerMethodField()
    environment = serializers.SerializerMethodField()
    request = serializers.SerializerMethodField()
    actor = serializers.SerializerMethodField()
    effects = EffectShown(many=True)

    class Meta:
        model = Event
        fields = [
            "id",
            "stream",
            "project",
            "environment",
            "version",
            "at",
            "actor",
            "reason",
            "request",
            "submission",
            "previous_hash",
            "hash",
            "effects",
        ]

    @extend_schema_field({"type": ["string", "null"]})
    def get_project(self, event: Event) -> str | None:
        named: str | None = self.context["streams"].project(event)
        return named

    @extend_schema_field({"type": ["integer", "null"]})
    def get_request(self, event: Event) -> int | None:
        return int(event.request) if event.request else None

    @extend_schema_field({"type": ["string", "null"]})
    def get_environment(self, event: Event) -> str | None:
        named = self.context["streams"].environment(event)
        return named.key if named else None

    @extend_schema_field(ActorShown(allow_null=True))
    def get_actor(self, event: Event) -> dict[str, str] | None:
        identity = event.actor.identity
        return {name: identity[name] for name in ("kind", "id", "name")} if identity else None


class EventFilters(Query):
    stream = serializers.CharField(
        required=False, help_text="One stream, as an event names it: a whole one can be verified."
    )
    environment = serializers.CharField(required=False)
    subject = serializers.CharField(required=False, help_text="Such as `flag:new-checkout`.")
    kind = serializers.CharField(required=False, help_text="Such as `flag.switched`.")
    actor = serializers.CharField(required=False, help_text="Such as `person:7`.")
    request = serializers.RegexField(
        r"^[1-9][0-9]{0,8}$",
        required=False,
        help_text="The number of a request: what was done to it, and what it did.",
    )
    since = serializers.DateTimeField(required=False, help_text="The first instant.")
    until = serializers.DateTimeField(
        required=False, help_text="The first instant that is too late."
    )


class SiteEventFilters(EventFilters):
    project = serializers.CharField(required=False)


class HistoryFilters(Query):
    environment = serializers.CharField(required=False)
    since = serializers.DateTimeField(required=False, help_text="The first instant.")
    until = serializers.DateTimeField(
        required=False, help_text="The first instant that is too late."
    )


class EventView(ManagementView):
    """Pages of events, newest first."""

    pagination_class = Pages

    def events(self, streams: Streams, filters: Filters) -> Response:
        limit = Pages().get_page_size(self.request) or Pages.page_size
        try:
            page = events_in(
                streams, filters, after=self.request.query_params.get("cursor"), limit=limit
            )
        except ValueError as error:
            raise BadQuery([{"path": "cursor", "message": str(error)}]) from error
        address = self.request.build_absolute_uri()
        older = replace_query_param(address, "cursor", page.older) if page.older else None
        results = EventShown(page.events, many=True, context={"streams": streams}).data
        return Response({"next": older, "previous": None, "results": results})


class ProjectEvents(EventView):
    @reads(
        EventShown,
        summary="What happened in a project",
        many=True,
        parameters=[EventFilters],
        operation_id="project_events",
    )
    def get(self, request: Request, project: str) -> Response:
        filters = Filters(**EventFilters.of(request.query_params))
        return self.events(streams_of(self.project(project)), filters)


class SiteEvents(EventView):
    @reads(
        EventShown,
        summary="What happened on the whole site: in every project, to accounts and tokens",
        many=True,
        parameters=[SiteEventFilters],
        operation_id="site_events",
    )
    def get(self, request: Request) -> Response:
        access.require(self.actor, Action.ADMINISTER, None)
        filters = Filters(**SiteEventFilters.of(request.query_params))
        return self.events(all_streams(), filters)


class CsvOrProblem(JSONRenderer):
    """Lets a caller ask for CSV by `Accept`; what is refused is a problem document all the same."""

    media_type = MEDIA_TYPES["csv"]
    format = "csv"


class JsonLinesOrProblem(JSONRenderer):
    """The same for JSON Lines."""

    media_type = MEDIA_TYPES["jsonl"]
    format = "jsonl"


def exports(*, summary: str, form: Form, filters: type[EventFilters], operation_id: str) -> Any:
    """The schema of an export."""
    return extend_schema(
        summary=summary,
        operation_id=operation_id,
        parameters=[
            filters,
            OpenApiParameter(
                "Total-Count",
                int,
                OpenApiParameter.HEADER,
                response=[200],
                description="How many events there were when the export began.",
            ),
        ],
        responses={
            (200, MEDIA_TYPES[form]): OpenApiTypes.STR,
            **{(code, MEDIA_TYPE): Problem for code in (400, 401, 403, 404, 503)},
        },
    )


class ExportView(ManagementView):
    """All events that are wanted, oldest first, as a stream."""

    renderer_classes = [JSONRenderer, CsvOrProblem, JsonLinesOrProblem]

    def export(self, streams: Streams, filters: Filters, form: Form) -> StreamingHttpResponse:
        export = Export(streams, filters, form)
        return StreamingHttpResponse(
            export,
            content_type=f"{MEDIA_TYPES[form]}; charset=utf-8",
            headers={"Total-Count": str(export.total), "Cache-Control": "no-store"},
        )

    def of_project(self, project: str, form: Form) -> StreamingHttpResponse:
        filters = Filters(**EventFilters.of(self.request.query_params))
        return self.export(streams_of(self.project(project)), filters, form)

    def of_site(self, form: Form) -> StreamingHttpResponse:
        access.require(self.actor, Action.ADMINISTER, None)
        filters = Filters(**SiteEventFilters.of(self.request.query_params))
        return self.export(all_streams(), filters, form)


class ProjectEventsCsv(ExportView):
    @exports(
        summary="What happened in a project, as CSV, a row for each effect",
        form="csv",
        filters=EventFilters,
        operation_id="project_events_csv",
    )
    def get(self, request: Request, project: str) -> StreamingHttpResponse:
        return self.of_project(project, "csv")


class ProjectEventsJsonLines(ExportView):
    @exports(
        summary="What happened in a project, as JSON Lines with the bytes that were hashed",
        form="jsonl",
        filters=EventFilters,
        operation_id="project_events_jsonl",
    )
    def get(self, request: Request, project: str) -> StreamingHttpResponse:
        return self.of_project(project, "jsonl")


class SiteEventsCsv(ExportView):
    @exports(
        summary="What happened on the whole site, as CSV, a row for each effect",
        form="csv",
        filters=SiteEventFilters,
        operation_id="site_events_csv",
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        return self.of_site("csv")


class SiteEventsJsonLines(ExportView):
    @exports(
        summary="What happened on the whole site, as JSON Lines with the bytes that were hashed",
        form="jsonl",
        filters=SiteEventFilters,
        operation_id="site_events_jsonl",
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        return self.of_site("jsonl")


class SignedHeads(ManagementView):
    renderer_classes = [JSONRenderer, JsonLinesOrProblem]

    @extend_schema(
        summary="What every stream ended at, signed once a day, as JSON Lines",
        operation_id="signed_heads",
        responses={
            (200, MEDIA_TYPES["jsonl"]): OpenApiTypes.STR,
            **{(code, MEDIA_TYPE): Problem for code in (400, 401, 403, 404)},
        },
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        access.require(self.actor, Action.ADMINISTER, None)
        Query.of(request.query_params)
        return StreamingHttpResponse(
            map(line, statement_lines()),
            content_type=MEDIA_TYPES["jsonl"],
            headers={"Cache-Control": "no-store"},
        )


class FlagHistory(EventView):
    @reads(
        EventShown,
        summary="What happened to a flag",
        many=True,
        parameters=[HistoryFilters],
        operation_id="flag_history",
    )
    def get(self, request: Request, project: str, flag: str) -> Response:
        row = self.flag(project, flag)
        filters = HistoryFilters.of(request.query_params)
        return self.events(streams_of(row.project), Filters(subject=f"flag:{flag}", **filters))


class SegmentHistory(EventView):
    @reads(
        EventShown,
        summary="What happened to a segment",
        many=True,
        parameters=[HistoryFilters],
        operation_id="segment_history",
    )
    def get(self, request: Request, project: str, segment: str) -> Response:
        row = self.segment(project, segment)
        filters = HistoryFilters.of(request.query_params)
        return self.events(
            streams_of(row.project), Filters(subject=f"segment:{segment}", **filters)
        )


def effect_after(environment: Environment, *, event: uuid.UUID, subject: str) -> dict[str, Any]:
    """The entry that the subject had in the environment's ruleset after the event.

    Raises NotFound when the event is not about it, Conflict when the event took it out.
    """
    found = event_in(streams_of(environment.project), event)
    effects = effects_on(found, subject) if found else []
    if found is None or found.stream_id != environment.stream_key or not effects:
        raise NotFound(f"event {event} says nothing of {subject} in {environment.key}")
    # What an effect on a list of ids leaves behind is no entry.
    entries: list[Any] = [
        effect["after"] for effect in effects if effect["after"] is None or "key" in effect["after"]
    ]
    if not entries or entries[-1] is None:
        raise Conflict(f"event {event} leaves nothing of {subject} that could be restored")
    entry: dict[str, Any] = entries[-1]
    return entry

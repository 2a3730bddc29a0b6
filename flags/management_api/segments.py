"""`/projects/{project}/segments`, their definitions per environment and their lists of ids."""

from typing import Any

from django.db.models import Q
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from flags.changes import (
    ChangeSegmentIds,
    CreateSegment,
    DefineSegment,
    DeleteSegment,
    EditSegment,
)
from flags.errors import NotFound
from flags.management_api.base import ManagementView, creates, edits, reads, removes
from flags.management_api.events import effect_after
from flags.management_api.fields import Body, Choice, JsonObject, Query, Text, Texts, Whole
from flags.management_api.pages import Pages
from flags.management_api.parsing import IdUploadParser
from flags.management_api.preconditions import etag, expected
from flags.models import Segment, SegmentDefinition, SegmentId
from flags.queries.id_lists import id_lists_of

LISTS = ("included", "excluded")
TARGETING_KEY = "targetingKey"


class SegmentShown(serializers.ModelSerializer[Segment]):
    class Meta:
        model = Segment
        fields = ["key", "name", "description", "tags", "created_at", "changed_at", "revision"]


class NewSegment(Body):
    key = Text()
    name = Text(required=False, max_length=200)
    description = Text(required=False)
    tags = Texts(required=False)


class SegmentEdit(Body):
    name = Text(required=False, max_length=200, allow_blank=False)
    description = Text(required=False)
    tags = Texts(required=False)
    expected_revision = Whole(required=False)


class SegmentFilters(Query):
    q = serializers.CharField(required=False, help_text="Part of the key or the name.")
    tag = serializers.CharField(required=False)


class IdListShown(serializers.Serializer[Any]):
    list = Choice(LISTS)
    by = serializers.CharField()
    count = serializers.IntegerField()


class DefinitionShown(serializers.ModelSerializer[SegmentDefinition]):
    """Who is in a segment in an environment: by condition, and by how many listed ids."""

    segment = serializers.CharField(source="segment.key")
    environment = serializers.CharField(source="environment.key")
    when = JsonObject(allow_null=True)
    lists = IdListShown(many=True)

    class Meta:
        model = SegmentDefinition
        fields = ["segment", "environment", "version", "when", "lists", "changed_at"]

    def to_representation(self, instance: SegmentDefinition) -> dict[str, Any]:
        instance.lists = id_lists_of(instance)  # type: ignore[attr-defined]
        return super().to_representation(instance)


class DefinitionEdit(Body):
    when = JsonObject(allow_null=True)
    expected_version = Whole(required=False)


class DefinitionRestore(Body):
    event = serializers.UUIDField(help_text="The event after which it was as it shall be.")
    expected_version = Whole(required=False)


class IdsEdit(Body):
    list = Choice(LISTS, required=False)
    by = Text(required=False, allow_blank=False, max_length=200)
    add = Texts(required=False)
    remove = Texts(required=False)


class IdShown(serializers.ModelSerializer[SegmentId]):
    list = Choice(LISTS)

    class Meta:
        model = SegmentId
        fields = ["list", "by", "value"]


class IdFilters(Query):
    list = Choice(LISTS, required=False)
    by = serializers.CharField(required=False)


class Segments(ManagementView):
    pagination_class = Pages

    @reads(
        SegmentShown,
        summary="The segments of a project",
        many=True,
        parameters=[SegmentFilters],
        operation_id="segments",
    )
    def get(self, request: Request, project: str) -> Response:
        filters = SegmentFilters.of(request.query_params)
        segments = self.project(project).segments.all()
        if text := filters.get("q"):
            segments = segments.filter(Q(key__icontains=text) | Q(name__icontains=text))
        if "tag" in filters:
            segments = segments.filter(tags__contains=[filters["tag"]])
        return self.page(segments, SegmentShown)

    @creates(NewSegment, SegmentShown, summary="Make a segment that nobody is in yet")
    def post(self, request: Request, project: str) -> Response:
        self.project(project)
        given = self.body(NewSegment)
        reason = given.pop("reason", "")

        def answer() -> tuple[str, Any, str]:
            row = self.segment(project, given["key"])
            address = reverse("api-segment", args=[project, row.key])
            return address, SegmentShown(row).data, etag(row, row.revision)

        return self.created([CreateSegment(project=project, **given)], answer, reason=reason)


class OneSegment(ManagementView):
    @reads(SegmentShown, summary="A segment")
    def get(self, request: Request, project: str, segment: str) -> Response:
        return self._now(project, segment)

    @edits(SegmentEdit, SegmentShown, summary="Name or describe a segment differently")
    def patch(self, request: Request, project: str, segment: str) -> Response:
        row = self.segment(project, segment)
        given = self.body(SegmentEdit)
        reason = given.pop("reason", "")
        seen = expected(request, row, row.revision, in_body=given.pop("expected_revision", None))
        change = EditSegment(project=project, segment=segment, expected_revision=seen, **given)
        return self.edited([change], lambda: self._now(project, segment), reason=reason)

    @removes(summary="Remove a segment that nothing uses", is_compared=True)
    def delete(self, request: Request, project: str, segment: str) -> Response:
        row = self.segment(project, segment)
        seen = expected(request, row, row.revision)
        # The first change alters nothing: it makes sure that nobody edited it meanwhile.
        return self.removed(
            EditSegment(project=project, segment=segment, expected_revision=seen),
            DeleteSegment(project=project, segment=segment),
        )

    def _now(self, project: str, segment: str) -> Response:
        row = self.segment(project, segment)
        return self.shown(SegmentShown(row).data, etag(row, row.revision))


class OneDefinition(ManagementView):
    @reads(DefinitionShown, summary="Who is in a segment in an environment")
    def get(self, request: Request, project: str, segment: str, environment: str) -> Response:
        return self.now(project, segment, environment)

    @edits(DefinitionEdit, DefinitionShown, summary="Say by which condition one is in a segment")
    def put(self, request: Request, project: str, segment: str, environment: str) -> Response:
        row = self.definition(project, segment, environment)
        given = self.body(DefinitionEdit)
        return self.define(row, given["when"], given)

    def define(self, row: SegmentDefinition, when: Any, given: dict[str, Any]) -> Response:
        """Submits the condition; `given` is the body, with what its author saw."""
        seen = expected(self.request, row, row.version, in_body=given.get("expected_version"))
        names = (row.segment.project.key, row.segment.key, row.environment.key)
        change = DefineSegment(
            project=names[0],
            environment=names[2],
            segment=names[1],
            when=when,
            expected_version=seen,
        )
        return self.edited([change], lambda: self.now(*names), reason=given.get("reason", ""))

    def definition(self, project: str, segment: str, environment: str) -> SegmentDefinition:
        row = (
            self.segment(project, segment)
            .definitions.filter(environment__key=environment)
            .select_related("segment__project", "environment")
            .first()
        )
        if row is None:
            raise NotFound(f"there is no environment {environment} in {project}")
        return row

    def now(self, project: str, segment: str, environment: str) -> Response:
        row = self.definition(project, segment, environment)
        return self.shown(DefinitionShown(row).data, etag(row, row.version))


class DefinitionRestored(OneDefinition):
    http_method_names = ["post", "options"]

    @edits(
        DefinitionRestore,
        DefinitionShown,
        summary="Define a segment again as it was after an event; lists of ids stay",
    )
    def post(self, request: Request, project: str, segment: str, environment: str) -> Response:
        row = self.definition(project, segment, environment)
        given = self.body(DefinitionRestore)
        subject = f"segment:{segment}"
        entry = effect_after(row.environment, event=given["event"], subject=subject)
        return self.define(row, entry.get("when"), given)


class DefinitionIds(OneDefinition):
    http_method_names = ["get", "post", "options"]
    parser_classes = [IdUploadParser]
    pagination_class = Pages.by("list", "by", "value")

    @reads(
        IdShown,
        summary="The ids on the lists of a segment",
        many=True,
        parameters=[IdFilters],
        operation_id="segment_ids",
    )
    def get(self, request: Request, project: str, segment: str, environment: str) -> Response:
        row = self.definition(project, segment, environment)
        filters = IdFilters.of(request.query_params)
        return self.page(row.listed_ids.filter(**filters), IdShown)

    @edits(
        IdsEdit,
        DefinitionShown,
        summary="Put ids on a list of a segment and take others off",
        is_compared=False,
    )
    def post(self, request: Request, project: str, segment: str, environment: str) -> Response:
        self.definition(project, segment, environment)
        given = self.body(IdsEdit)
        change = ChangeSegmentIds(
            project=project,
            environment=environment,
            segment=segment,
            id_list=given.get("list", "included"),
            by=given.get("by", TARGETING_KEY),
            add=tuple(given.get("add", ())),
            remove=tuple(given.get("remove", ())),
        )
        return self.edited(
            [change],
            lambda: self.now(project, segment, environment),
            reason=given.get("reason", ""),
        )

"""`/projects/{project}/ramps`, `ramp-templates`, `leases` and `calendar`: what happens by itself."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from flags.changes import (
    ApproveRampStep,
    Change,
    EndLease,
    ExtendLease,
    GrantLease,
    KeepLease,
    PauseRamp,
    RemoveRampTemplate,
    ResumeRamp,
    RollBackRamp,
    SetRampTemplate,
    SkipRampStep,
    StartRamp,
    StopRamp,
)
from flags.errors import NotFound
from flags.management_api.base import ManagementView, creates, edits, reads, removes
from flags.management_api.errors import BadQuery
from flags.management_api.fields import (
    Body,
    Choice,
    Instant,
    JsonObject,
    JsonObjects,
    Query,
    Reason,
    Strict,
    Text,
    Whole,
    written_out,
)
from flags.management_api.pages import Pages
from flags.models import Lease, LeaseState, Ramp, RampState, RampTemplate
from flags.queries.releases import calendar

LONGEST_CALENDAR = timedelta(days=366)


class RampShown(serializers.ModelSerializer[Ramp]):
    """`why` says what a person has to decide about, of a ramp that is held."""

    environment = serializers.CharField(source="environment.key")
    flag = serializers.CharField(source="flag.key")
    state = Choice(RampState.values)
    steps = JsonObjects()
    share = serializers.IntegerField(help_text="Thousandths of a percent.")
    was = JsonObject(help_text="What the way back serves, and whether the flag was on.")
    agreed = serializers.BooleanField(source="is_agreed")
    started_by = serializers.CharField(source="started_by.username", allow_null=True, default=None)
    request = serializers.IntegerField(source="request.number", allow_null=True, default=None)

    class Meta:
        model = Ramp
        fields = [
            "number",
            "environment",
            "flag",
            "place",
            "variation",
            "base",
            "steps",
            "step",
            "share",
            "state",
            "why",
            "next_due_at",
            "was",
            "agreed",
            "started_by",
            "request",
            "started_at",
            "closed_at",
        ]


class RampFilters(Query):
    state = serializers.ChoiceField([*RampState.values, "under_way"], required=False)
    environment = serializers.CharField(required=False)
    flag = serializers.CharField(required=False)


class NewRamp(Body):
    """The shapes are those of docs/releases.md."""

    environment = Text()
    flag = Text()
    variation = Text(help_text="The one that grows.")
    place = Text(required=False, help_text="`fallthrough`, or the id of a rule.")
    base = Text(required=False, help_text="The one at whose cost it grows.")
    steps = JsonObjects(required=False)
    template = Text(required=False)
    by = Text(required=False, help_text="What a place that served plainly is split by.")


class AtStep(Body):
    step = Whole(required=False, help_text="What one has seen; refused (409) when it moved.")


class RampView(ManagementView):
    """What the views of one ramp share."""

    def now(self, project: str, number: int) -> Response:
        return Response(self.data(project, number))

    def data(self, project: str, number: int) -> Any:
        rows = Ramp.objects.filter(project=self.project(project), number=number)
        row = rows.select_related("environment", "flag", "started_by", "request").first()
        if row is None:
            raise NotFound(f"there is no ramp {number} in {project}")
        return RampShown(row).data

    def act(self, change: Change, given: Mapping[str, Any], project: str, number: int) -> Response:
        self.data(project, number)  # who may not see it is told that it is not there
        return self.edited(
            [change], lambda: self.now(project, number), reason=given.get("reason", "")
        )


class Ramps(RampView):
    pagination_class = Pages.by("-number")

    @reads(
        RampShown,
        summary="The ramps of a project, newest first",
        many=True,
        parameters=[RampFilters],
        operation_id="ramps",
    )
    def get(self, request: Request, project: str) -> Response:
        there = self.project(project)
        filters = RampFilters.of(request.query_params)
        rows = Ramp.objects.filter(project=there).select_related(
            "environment", "flag", "started_by", "request"
        )
        if (state := filters.get("state")) is not None:
            rows = rows.filter(closed_at=None) if state == "under_way" else rows.filter(state=state)
        if "environment" in filters:
            rows = rows.filter(environment__key=filters["environment"])
        if "flag" in filters:
            rows = rows.filter(flag__key=filters["flag"])
        return self.page(rows, RampShown)

    @creates(NewRamp, RampShown, summary="Start a ramp")
    def post(self, request: Request, project: str) -> Response:
        self.project(project)
        given = self.body(NewRamp)
        reason = given.pop("reason", "")

        def answer(number: int) -> tuple[str, Any, None]:
            return reverse("api-ramp", args=[project, number]), self.data(project, number), None

        return self.numbered(StartRamp(project=project, **given), answer, reason=reason)


class OneRamp(RampView):
    @reads(RampShown, summary="A ramp")
    def get(self, request: Request, project: str, number: int) -> Response:
        return self.now(project, number)


class RampApproved(RampView):
    @edits(AtStep, RampShown, summary="Approve the next step of a ramp", is_compared=False)
    def post(self, request: Request, project: str, number: int) -> Response:
        given = self.body(AtStep)
        change = ApproveRampStep(project=project, ramp=number, step=given.get("step"))
        return self.act(change, given, project, number)


class RampPaused(RampView):
    @edits(Reason, RampShown, summary="Let a ramp stay where it is", is_compared=False)
    def post(self, request: Request, project: str, number: int) -> Response:
        change = PauseRamp(project=project, ramp=number)
        return self.act(change, self.body(Reason), project, number)


class RampResumed(RampView):
    @edits(Reason, RampShown, summary="Let a ramp go on that was paused or held", is_compared=False)
    def post(self, request: Request, project: str, number: int) -> Response:
        change = ResumeRamp(project=project, ramp=number)
        return self.act(change, self.body(Reason), project, number)


class RampSkipped(RampView):
    @edits(AtStep, RampShown, summary="Take the next step before its time", is_compared=False)
    def post(self, request: Request, project: str, number: int) -> Response:
        given = self.body(AtStep)
        change = SkipRampStep(project=project, ramp=number, step=given.get("step"))
        return self.act(change, given, project, number)


class RampRolledBack(RampView):
    @edits(Reason, RampShown, summary="Serve what was served before a ramp", is_compared=False)
    def post(self, request: Request, project: str, number: int) -> Response:
        change = RollBackRamp(project=project, ramp=number)
        return self.act(change, self.body(Reason), project, number)


class RampStopped(RampView):
    @edits(Reason, RampShown, summary="End a ramp where it is", is_compared=False)
    def post(self, request: Request, project: str, number: int) -> Response:
        change = StopRamp(project=project, ramp=number)
        return self.act(change, self.body(Reason), project, number)


class RampTemplateShown(serializers.ModelSerializer[RampTemplate]):
    steps = JsonObjects()

    class Meta:
        model = RampTemplate
        fields = ["key", "name", "steps"]


class RampTemplateBody(Body):
    name = Text(required=False, max_length=200)
    steps = JsonObjects()


class RampTemplates(ManagementView):
    pagination_class = Pages.by("key")

    @reads(
        RampTemplateShown,
        summary="The templates of a project's ramps",
        many=True,
        operation_id="ramp_templates",
    )
    def get(self, request: Request, project: str) -> Response:
        Query.of(request.query_params)
        return self.page(self.project(project).ramp_templates.all(), RampTemplateShown)


class OneRampTemplate(ManagementView):
    @reads(RampTemplateShown, summary="A template of ramps")
    def get(self, request: Request, project: str, template: str) -> Response:
        return self._now(project, template)

    @edits(
        RampTemplateBody,
        RampTemplateShown,
        summary="Keep steps under a name; ramps under way go on as they were",
        is_compared=False,
    )
    def put(self, request: Request, project: str, template: str) -> Response:
        self.project(project)
        given = self.body(RampTemplateBody)
        reason = given.pop("reason", "")
        change = SetRampTemplate(project=project, key=template, **given)
        return self.edited([change], lambda: self._now(project, template), reason=reason)

    @removes(summary="Forget a template")
    def delete(self, request: Request, project: str, template: str) -> Response:
        self.project(project)
        return self.removed(RemoveRampTemplate(project=project, key=template))

    def _now(self, project: str, template: str) -> Response:
        row = self.project(project).ramp_templates.filter(key=template).first()
        if row is None:
            raise NotFound(f"there is no ramp template {template} in {project}")
        return self.shown(RampTemplateShown(row).data)


class LeaseShown(serializers.ModelSerializer[Lease]):
    """`why` says what a person has to decide about, of a lease that is held."""

    state = Choice(LeaseState.values)
    environments = serializers.ListField(child=serializers.CharField())
    agreed = serializers.ListField(child=serializers.CharField())
    changes = JsonObjects()
    granted_by = serializers.CharField(source="granted_by.username", allow_null=True, default=None)
    request = serializers.IntegerField(source="request.number", allow_null=True, default=None)

    class Meta:
        model = Lease
        fields = [
            "number",
            "environments",
            "changes",
            "state",
            "why",
            "ends_at",
            "agreed",
            "granted_by",
            "request",
            "granted_at",
            "closed_at",
        ]


class LeaseFilters(Query):
    state = serializers.ChoiceField([*LeaseState.values, "under_way"], required=False)
    environment = serializers.CharField(required=False)


class NewLease(Body):
    """`changes` as events name them; either `ends_at` or `seconds`."""

    changes = JsonObjects()
    ends_at = Instant(required=False, help_text="An instant, with its offset.")
    seconds = Whole(required=False, help_text="How long, from when it is granted.")


class NewEnd(Body):
    ends_at = Instant(help_text="An instant, with its offset.")


class LeaseView(ManagementView):
    """What the views of one lease share."""

    def now(self, project: str, number: int) -> Response:
        return Response(self.data(project, number))

    def data(self, project: str, number: int) -> Any:
        rows = Lease.objects.filter(project=self.project(project), number=number)
        row = rows.select_related("granted_by", "request").first()
        if row is None:
            raise NotFound(f"there is no lease {number} in {project}")
        return LeaseShown(row).data

    def act(self, change: Change, given: Mapping[str, Any], project: str, number: int) -> Response:
        self.data(project, number)  # who may not see it is told that it is not there
        return self.edited(
            [change], lambda: self.now(project, number), reason=given.get("reason", "")
        )


class Leases(LeaseView):
    pagination_class = Pages.by("-number")

    @reads(
        LeaseShown,
        summary="The leases of a project, newest first",
        many=True,
        parameters=[LeaseFilters],
        operation_id="leases",
    )
    def get(self, request: Request, project: str) -> Response:
        there = self.project(project)
        filters = LeaseFilters.of(request.query_params)
        rows = Lease.objects.filter(project=there).select_related("granted_by", "request")
        if (state := filters.get("state")) is not None:
            rows = rows.filter(closed_at=None) if state == "under_way" else rows.filter(state=state)
        if "environment" in filters:
            rows = rows.filter(environments__contains=[filters["environment"]])
        return self.page(rows, LeaseShown)

    @creates(NewLease, LeaseShown, summary="Make changes for a time")
    def post(self, request: Request, project: str) -> Response:
        self.project(project)
        given = self.body(NewLease)
        reason = given.pop("reason", "")
        given["changes"] = written_out(project, given["changes"])

        def answer(number: int) -> tuple[str, Any, None]:
            return reverse("api-lease", args=[project, number]), self.data(project, number), None

        return self.numbered(GrantLease(project=project, **given), answer, reason=reason)


class OneLease(LeaseView):
    @reads(LeaseShown, summary="A lease")
    def get(self, request: Request, project: str, number: int) -> Response:
        return self.now(project, number)


class LeaseEnded(LeaseView):
    @edits(Reason, LeaseShown, summary="Take back what a lease changed", is_compared=False)
    def post(self, request: Request, project: str, number: int) -> Response:
        change = EndLease(project=project, lease=number)
        return self.act(change, self.body(Reason), project, number)


class LeaseExtended(LeaseView):
    @edits(NewEnd, LeaseShown, summary="Let a lease end at another instant", is_compared=False)
    def post(self, request: Request, project: str, number: int) -> Response:
        given = self.body(NewEnd)
        change = ExtendLease(project=project, lease=number, ends_at=given["ends_at"])
        return self.act(change, given, project, number)


class LeaseKept(LeaseView):
    @edits(Reason, LeaseShown, summary="Let what a lease changed stay", is_compared=False)
    def post(self, request: Request, project: str, number: int) -> Response:
        change = KeepLease(project=project, lease=number)
        return self.act(change, self.body(Reason), project, number)


class CalendarFilters(Query):
    since = serializers.DateTimeField(required=False, help_text="Now, unless it is given.")
    until = serializers.DateTimeField(
        required=False, help_text="31 days later, unless it is given; at most a year."
    )


class ComingShown(Strict):
    """`number` is that of the request, ramp or lease; a `planned` step may yet be late."""

    kind = Choice(["request", "ramp_step", "lease_end", "freeze"])
    at = serializers.DateTimeField()
    until = serializers.DateTimeField(allow_null=True)
    environments = serializers.ListField(child=serializers.CharField())
    title = serializers.CharField()
    number = serializers.IntegerField(allow_null=True)
    planned = serializers.BooleanField(source="is_planned")


class CalendarShown(Strict):
    results = serializers.SerializerMethodField()

    @extend_schema_field(ComingShown(many=True))
    def get_results(self, rows: Any) -> Any:
        return ComingShown(rows, many=True).data


class Calendar(ManagementView):
    @reads(
        CalendarShown,
        summary="What is coming by itself, earliest first",
        parameters=[CalendarFilters],
        operation_id="calendar",
    )
    def get(self, request: Request, project: str) -> Response:
        there = self.project(project)
        filters = CalendarFilters.of(request.query_params)
        begins: datetime = filters.get("since") or timezone.now()
        ends: datetime = filters.get("until") or begins + timedelta(days=31)
        if not timedelta(0) < ends - begins <= LONGEST_CALENDAR:
            raise BadQuery([{"path": "until", "message": "expected up to a year after `since`"}])
        return Response(CalendarShown(calendar(there, begins, ends)).data)

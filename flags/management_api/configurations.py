"""`/projects/{project}/flags/{flag}/environments/{environment}`: what a flag serves there."""

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from flags.changes import ConfigureFlag, SwitchFlag, configured_as
from flags.errors import NotFound
from flags.management_api.base import ManagementView, edits, reads
from flags.management_api.events import effect_after
from flags.management_api.fields import Body, JsonObject, JsonObjects, Query, Text, Truth, Whole
from flags.management_api.flags import FlagFilters, filtered
from flags.management_api.pages import Pages
from flags.management_api.preconditions import etag, expected
from flags.models import FlagConfiguration


class ConfigurationShown(serializers.ModelSerializer[FlagConfiguration]):
    """The shapes are those of a ruleset (docs/evaluation.md)."""

    flag = serializers.CharField(source="flag.key")
    environment = serializers.CharField(source="environment.key")
    prerequisites = JsonObjects()
    targets = JsonObjects()
    rules = JsonObjects()
    fallthrough = JsonObject()

    class Meta:
        model = FlagConfiguration
        fields = [
            "flag",
            "environment",
            "version",
            "enabled",
            "off_variation",
            "prerequisites",
            "targets",
            "rules",
            "fallthrough",
            "changed_at",
        ]


class ConfigurationEdit(Body):
    enabled = Truth(required=False)
    off_variation = Text(required=False, allow_null=True)
    prerequisites = JsonObjects(required=False)
    targets = JsonObjects(required=False)
    rules = JsonObjects(required=False)
    fallthrough = JsonObject(required=False)
    expected_version = Whole(required=False)


class WholeConfiguration(Body):
    enabled = Truth()
    off_variation = Text(allow_null=True)
    prerequisites = JsonObjects()
    targets = JsonObjects()
    rules = JsonObjects()
    fallthrough = JsonObject()
    expected_version = Whole(required=False)


class Switch(Body):
    on = Truth()
    was = Truth(required=False, help_text="What the author saw; otherwise it is refused (409).")
    expected_version = Whole(required=False)


class ConfigurationRestore(Body):
    event = serializers.UUIDField(help_text="The event after which the flag was as it shall be.")
    expected_version = Whole(required=False)


class FlagConfigurations(ManagementView):
    pagination_class = Pages.by("environment__position", "environment__key")

    @reads(
        ConfigurationShown,
        summary="What a flag serves in each environment",
        many=True,
        operation_id="flag_configurations",
    )
    def get(self, request: Request, project: str, flag: str) -> Response:
        Query.of(request.query_params)
        rows = self.flag(project, flag).configurations.select_related("flag", "environment")
        return self.page(rows, ConfigurationShown)


class EnvironmentConfigurations(ManagementView):
    pagination_class = Pages.by("flag__key")

    @reads(
        ConfigurationShown,
        summary="What each flag serves in an environment",
        many=True,
        parameters=[FlagFilters],
        operation_id="environment_configurations",
    )
    def get(self, request: Request, project: str, environment: str) -> Response:
        there = self.environment(project, environment)
        flags = filtered(there.project.flags.all(), FlagFilters.of(request.query_params))
        rows = there.configurations.filter(flag__in=flags).select_related("flag", "environment")
        return self.page(rows, ConfigurationShown)


class OneConfiguration(ManagementView):
    @reads(ConfigurationShown, summary="What a flag serves in an environment")
    def get(self, request: Request, project: str, flag: str, environment: str) -> Response:
        return self.now(project, flag, environment)

    @edits(
        ConfigurationEdit, ConfigurationShown, summary="Configure a flag; what is not given stays"
    )
    def patch(self, request: Request, project: str, flag: str, environment: str) -> Response:
        return self._configure(ConfigurationEdit, project, flag, environment)

    @edits(WholeConfiguration, ConfigurationShown, summary="Configure a flag as a whole")
    def put(self, request: Request, project: str, flag: str, environment: str) -> Response:
        return self._configure(WholeConfiguration, project, flag, environment)

    def _configure(
        self, serializer: type[Body], project: str, flag: str, environment: str
    ) -> Response:
        row = self.configuration(project, flag, environment)
        given = self.body(serializer)
        reason = given.pop("reason", "")
        seen = expected(self.request, row, row.version, in_body=given.pop("expected_version", None))
        change = ConfigureFlag(
            project=project, environment=environment, flag=flag, expected_version=seen, **given
        )
        return self.edited([change], lambda: self.now(project, flag, environment), reason=reason)

    def configuration(self, project: str, flag: str, environment: str) -> FlagConfiguration:
        row = (
            self.flag(project, flag)
            .configurations.filter(environment__key=environment)
            .select_related("flag", "environment")
            .first()
        )
        if row is None:
            raise NotFound(f"there is no environment {environment} in {project}")
        return row

    def now(self, project: str, flag: str, environment: str) -> Response:
        row = self.configuration(project, flag, environment)
        return self.shown(ConfigurationShown(row).data, etag(row, row.version))


class ConfigurationSwitch(OneConfiguration):
    http_method_names = ["post", "options"]

    @edits(Switch, ConfigurationShown, summary="Turn a flag on or off in an environment")
    def post(self, request: Request, project: str, flag: str, environment: str) -> Response:
        row = self.configuration(project, flag, environment)
        given = self.body(Switch)
        seen = expected(request, row, row.version, in_body=given.get("expected_version"))
        switch = SwitchFlag(
            project=project,
            environment=environment,
            flag=flag,
            on=given["on"],
            was=given.get("was"),
        )
        # The first change alters nothing: it makes sure that nobody changed it meanwhile.
        unchanged = ConfigureFlag(
            project=project, environment=environment, flag=flag, expected_version=seen
        )
        changes: Sequence[Any] = [switch] if seen is None else [unchanged, switch]
        return self.edited(
            changes,
            lambda: self.now(project, flag, environment),
            reason=given.get("reason", ""),
        )


class ConfigurationRestored(OneConfiguration):
    http_method_names = ["post", "options"]

    @edits(
        ConfigurationRestore,
        ConfigurationShown,
        summary="Make a flag serve again what it served after an event",
    )
    def post(self, request: Request, project: str, flag: str, environment: str) -> Response:
        row = self.configuration(project, flag, environment)
        given = self.body(ConfigurationRestore)
        seen = expected(request, row, row.version, in_body=given.get("expected_version"))
        subject = f"flag:{flag}"
        entry = effect_after(row.environment, event=given["event"], subject=subject)
        change = configured_as(
            entry,
            project=project,
            environment=environment,
            flag=flag,
            expected_version=seen,
        )
        return self.edited(
            [change],
            lambda: self.now(project, flag, environment),
            reason=given.get("reason", ""),
        )

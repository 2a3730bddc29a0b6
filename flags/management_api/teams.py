"""`/projects/{project}/teams`: people who answer for something together; policies name them."""

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from flags.changes import RemoveTeam, SetTeam
from flags.errors import NotFound
from flags.management_api.base import ManagementView, edits, reads, removes
from flags.management_api.fields import Body, Query, Text, Texts
from flags.management_api.pages import Pages
from flags.management_api.preconditions import etag_of, refuse_other_than
from flags.models import Team


class TeamShown(serializers.ModelSerializer[Team]):
    members = serializers.SlugRelatedField("username", many=True, read_only=True)

    class Meta:
        model = Team
        fields = ["key", "name", "members"]


class TeamBody(Body):
    name = Text(required=False, max_length=200)
    members = Texts(help_text="Usernames.")


class Teams(ManagementView):
    pagination_class = Pages.by("key")

    @reads(TeamShown, summary="The teams of a project", many=True, operation_id="teams")
    def get(self, request: Request, project: str) -> Response:
        Query.of(request.query_params)
        return self.page(self.project(project).teams.prefetch_related("members"), TeamShown)


class OneTeam(ManagementView):
    @reads(TeamShown, summary="A team")
    def get(self, request: Request, project: str, team: str) -> Response:
        return self._now(project, team)

    @edits(TeamBody, TeamShown, summary="Say who is in a team, or make one of them")
    def put(self, request: Request, project: str, team: str) -> Response:
        self._refuse_other(project, team)
        given = self.body(TeamBody)
        reason = given.pop("reason", "")
        change = SetTeam(project=project, key=team, **given)
        return self.edited([change], lambda: self._now(project, team), reason=reason)

    @removes(summary="Dissolve a team that no policy names", is_compared=True)
    def delete(self, request: Request, project: str, team: str) -> Response:
        self._refuse_other(project, team)
        return self.removed(RemoveTeam(project=project, key=team))

    def _now(self, project: str, team: str) -> Response:
        row = self._found(project, team)
        if row is None:
            raise NotFound(f"there is no team {team} in {project}")
        shown = TeamShown(row).data
        return self.shown(shown, etag_of(shown))

    def _refuse_other(self, project: str, team: str) -> None:
        row = self._found(project, team)
        refuse_other_than(self.request, etag_of(TeamShown(row).data if row else None))

    def _found(self, project: str, team: str) -> Team | None:
        return self.project(project).teams.prefetch_related("members").filter(key=team).first()

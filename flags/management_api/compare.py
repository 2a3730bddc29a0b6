"""`/projects/{project}/compare/…`: two states beside each other, and copying what differs."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from flags.changes.copying import copied
from flags.differences import sentences
from flags.errors import Conflict
from flags.management_api.base import ManagementView, edits, reads
from flags.management_api.errors import BadQuery
from flags.management_api.fields import AnyJson, Body, Query, Strict, Text, Texts
from flags.queries.compare import Difference, differences_of, entries_at, entries_now, state_after
from flags.queries.history import streams_of


class DifferenceShown(Strict):
    """One subject that differs, in words and as JSON; null is where it is not there."""

    subject = serializers.CharField()
    words = serializers.ListField(child=serializers.CharField())
    before = AnyJson()
    after = AnyJson()


class Compared(Strict):
    """What leads from the first state to the second, subject by subject."""

    differences = DifferenceShown(many=True)


class EnvironmentsQuery(Query):
    base = serializers.CharField(help_text="The environment to start from.")
    other = serializers.CharField(help_text="The one to arrive at.")


class InstantsQuery(Query):
    environment = serializers.CharField()
    since = serializers.DateTimeField(help_text="The instant to start from.")
    until = serializers.DateTimeField(help_text="The one to arrive at.")


class EventsQuery(Query):
    subject = serializers.CharField(help_text="Such as `flag:new-checkout`.")
    base = serializers.UUIDField(help_text="The event whose outcome to start from.")
    other = serializers.UUIDField(help_text="The event at whose outcome to arrive.")


class Copy(Body):
    base = Text(help_text="The environment to copy from.")
    subjects = Texts(help_text="Flags and segments, such as `flag:new-checkout`.")


class ComparedEnvironments(ManagementView):
    @reads(
        Compared, summary="What differs between two environments", parameters=[EnvironmentsQuery]
    )
    def get(self, request: Request, project: str) -> Response:
        given = EnvironmentsQuery.of(request.query_params)
        base, other = (self.environment(project, given[name]) for name in ("base", "other"))
        return _compared(differences_of(entries_now(base), entries_now(other)))


class ComparedInstants(ManagementView):
    @reads(
        Compared,
        summary="What became of an environment between two instants",
        parameters=[InstantsQuery],
    )
    def get(self, request: Request, project: str) -> Response:
        given = InstantsQuery.of(request.query_params)
        environment = self.environment(project, given["environment"])
        if given["since"] > given["until"]:
            raise BadQuery([{"path": "until", "message": "expected an instant after `since`"}])
        before, after = (entries_at(environment, given[name]) for name in ("since", "until"))
        return _compared(differences_of(before, after))


class ComparedEvents(ManagementView):
    @reads(
        Compared,
        summary="What differs between what two events left of a flag or a segment",
        parameters=[EventsQuery],
    )
    def get(self, request: Request, project: str) -> Response:
        given = EventsQuery.of(request.query_params)
        streams, subject = streams_of(self.project(project)), given["subject"]
        base, other = (state_after(streams, given[name], subject) for name in ("base", "other"))
        if (base.environment is None) != (other.environment is None):
            raise Conflict("one event is of an environment, the other of the project")
        same = base.state == other.state
        return _compared([] if same else [Difference(subject, base.state, other.state)])


class EnvironmentCopied(ManagementView):
    @edits(
        Copy,
        Compared,
        summary="Make flags and segments of an environment what they are in another",
        is_compared=False,
    )
    def post(self, request: Request, project: str, environment: str) -> Response:
        target = self.environment(project, environment)
        given = self.body(Copy)
        base = self.environment(project, given["base"])
        changes = copied(base, target, given["subjects"])
        # What is still not alike: nothing of what was copied.
        return self.edited(
            changes,
            lambda: _compared(differences_of(entries_now(base), entries_now(target))),
            reason=given.get("reason", ""),
        )


def _compared(differences: list[Difference]) -> Response:
    rows: list[dict[str, Any]] = [
        {
            "subject": one.subject,
            "words": sentences(one.before, one.after),
            "before": one.before,
            "after": one.after,
        }
        for one in differences
    ]
    return Response({"differences": rows})

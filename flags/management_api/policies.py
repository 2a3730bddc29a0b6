"""`/projects/{project}/environments/{environment}/policy`: what it asks for before it changes."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from flags import approval
from flags.changes import SetPolicy
from flags.changes.outlook import Fate, under_policy
from flags.management_api.base import DryRun, ManagementView, edits, reads
from flags.management_api.fields import Body, Choice, JsonObjects, Strict, Text, Truth, Whole
from flags.management_api.preconditions import etag_of, refuse_other_than
from flags.management_api.waiting import MissingShown, missing_shown
from flags.models import Environment, Policy, Role, State
from flags.queries.requests import open_requests_touching, policy_of


class PolicyShown(serializers.Serializer[Any]):
    """It counts while `requires_approval`; `open_requests` are those that it is asked about."""

    requires_approval = serializers.BooleanField()
    approvals = serializers.IntegerField()
    from_whom = JsonObjects()
    minimum_role = Choice(Role.values)
    exclude_contributors = serializers.BooleanField()
    tokens_may_review = serializers.BooleanField()
    conditions = JsonObjects()
    windows = JsonObjects()
    freezes = JsonObjects()
    time_zone = serializers.CharField()
    expires_after_days = serializers.IntegerField()
    open_requests = serializers.ListField(child=serializers.IntegerField())


class PolicyEdit(Body):
    """The shapes are those of docs/requests.md."""

    approvals = Whole(required=False)
    from_whom = JsonObjects(required=False)
    minimum_role = Choice(Role.values, required=False)
    exclude_contributors = Truth(required=False)
    tokens_may_review = Truth(required=False)
    conditions = JsonObjects(required=False)
    windows = JsonObjects(required=False)
    freezes = JsonObjects(required=False)
    time_zone = Text(required=False, max_length=100)
    expires_after_days = Whole(required=False)


class FateShown(Strict):
    """What would become of an open request by the policy.

    `missing` is what it needs now, `would_be_missing` what it would need, `would_lapse` what would
    be asked no more and was not given; `closed` says why it could not be applied when its time
    comes, `why_not` why it cannot be done at all.
    """

    number = serializers.IntegerField()
    title = serializers.CharField()
    state = Choice(State.values)
    would_be = Choice(State.values)
    needs_approval = serializers.BooleanField()
    missing = MissingShown(many=True)
    would_be_missing = MissingShown(many=True)
    would_lapse = MissingShown(many=True)
    closed = serializers.ListField(child=serializers.CharField())
    why_not = serializers.CharField(allow_blank=True)


class PolicyDryRun(DryRun):
    """What the policy would do, and what would become of the open requests, newest first."""

    open_requests = FateShown(many=True)


class OnePolicy(ManagementView):
    @reads(PolicyShown, summary="What an environment asks for before its flags change")
    def get(self, request: Request, project: str, environment: str) -> Response:
        return self._now(project, environment)

    @edits(
        PolicyEdit,
        PolicyShown,
        summary="Edit a policy; what is not given stays",
        dry_run=PolicyDryRun,
    )
    def patch(self, request: Request, project: str, environment: str) -> Response:
        self.environment(project, environment)
        return self._set(project, environment, self.body(PolicyEdit))

    @edits(
        PolicyEdit,
        PolicyShown,
        summary="Set a whole policy; what is not given is as in a new one",
        dry_run=PolicyDryRun,
    )
    def put(self, request: Request, project: str, environment: str) -> Response:
        self.environment(project, environment)
        return self._set(
            project, environment, approval.policy_facts(Policy()) | self.body(PolicyEdit)
        )

    def _set(self, project: str, environment: str, given: dict[str, Any]) -> Response:
        refuse_other_than(self.request, _tag(self.environment(project, environment)))
        reason = given.pop("reason", "")
        change = SetPolicy(project=project, environment=environment, **given)
        if self.is_dry_run:
            answer = self.foreseen((change,), reason=reason)
            fates = under_policy(change, actor=self.actor, reason=reason)
            answer.data["open_requests"] = [_fate_shown(fate) for fate in fates]
            return answer
        return self.edited([change], lambda: self._now(project, environment), reason=reason)

    def _now(self, project: str, environment: str) -> Response:
        found = self.environment(project, environment)
        # No 304: the open requests that it is asked about move without the policy.
        return Response(_shown(found), headers={"ETag": _tag(found)})


def _tag(environment: Environment) -> str:
    return etag_of([environment.requires_approval, approval.policy_facts(policy_of(environment))])


def _shown(environment: Environment) -> dict[str, Any]:
    touched = open_requests_touching(environment.project, environment)
    return {
        "requires_approval": environment.requires_approval,
        **approval.policy_facts(policy_of(environment)),
        "open_requests": [row.number for row in touched],
    }


def _fate_shown(fate: Fate) -> dict[str, Any]:
    then = fate.then
    return {
        "number": fate.request.number,
        "title": fate.request.title,
        "state": fate.request.state,
        "would_be": fate.state,
        "needs_approval": bool(then and then.demands),
        "missing": missing_shown(fate.now.missing if fate.now else []),
        "would_be_missing": missing_shown(then.missing if then else []),
        "would_lapse": missing_shown(then.lapsed if then else []),
        "closed": list(fate.closed_then),
        "why_not": fate.why_not,
    }

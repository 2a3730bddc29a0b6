"""What a change that needs approval is answered with: the request it became, or would become."""

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers, status
from rest_framework.response import Response
from rest_framework.reverse import reverse

from flags.approval import Missing
from flags.changes.outlook import standing
from flags.errors import Busy
from flags.management_api.fields import Choice, Strict
from flags.models import Request, State


class MissingShown(Strict):
    """One thing that a request still needs, and the usernames of who could give it."""

    environment = serializers.CharField()
    what = serializers.CharField()
    who = serializers.ListField(child=serializers.CharField())


class ApprovalAsked(Strict):
    """Which rules ask for approval, and what they ask for."""

    because = serializers.ListField(child=serializers.CharField())
    missing = MissingShown(many=True)


class WaitingRequest(Strict):
    number = serializers.IntegerField()
    title = serializers.CharField()
    state = Choice(State.values)
    environments = serializers.ListField(child=serializers.CharField())


class Waiting(Strict):
    """The request that a change became; nothing else has happened yet.

    `missing` is null when somebody else was saving at that moment: the request itself says it.
    """

    request = WaitingRequest()
    missing = MissingShown(many=True, allow_null=True)


def address_of(project: str, number: int) -> str:
    return reverse("api-request", args=[project, number])


def waiting_answer(project: str, number: int) -> Response:
    """202 with the request that the change became."""
    row = Request.objects.get(project__key=project, number=number)
    try:
        lacking = missing_shown(standing(project, number).missing)
    except Busy:
        lacking = None
    request = {name: getattr(row, name) for name in ("number", "title", "state", "environments")}
    return Response(
        {"request": request, "missing": lacking},
        status=status.HTTP_202_ACCEPTED,
        headers={"Location": address_of(project, number)},
    )


def missing_shown(rows: Sequence[Missing]) -> list[dict[str, Any]]:
    return [{"environment": row.environment, "what": row.what, "who": row.who} for row in rows]

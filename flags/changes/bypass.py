"""Making changes past the approval they need, on record: for the operator's own shell."""

from django.db import transaction

from audit.facts import Actor
from flags.changes.base import Change
from flags.changes.requests import ApplyRequest, OpenRequest
from flags.changes.submit import Outcome, submit
from flags.errors import ApprovalNeeded


def submit_past_approval(*changes: Change, actor: Actor, reason: str) -> Outcome:
    """Submits; where approval is needed, applies a request at once with the reason as its bypass.

    The request stays on the list of bypasses until somebody has reviewed it. Raises what `submit`
    raises, but for ApprovalNeeded.
    """
    with transaction.atomic():
        try:
            # Dry, since a person's submit would become a request in review.
            submit(*changes, actor=actor, reason=reason, dry_run=True)
        except ApprovalNeeded:
            project = changes[0].project
            opening = OpenRequest(
                project=project, changes=[change.as_json() for change in changes], submit=False
            )
            number = submit(opening, actor=actor, reason=reason).request
            assert number is not None, "opening a request gives it a number"
            applying = ApplyRequest(project=project, request=number, bypass_reason=reason)
            return submit(applying, actor=actor, reason=reason)
        return submit(*changes, actor=actor, reason=reason)

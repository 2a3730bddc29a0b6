"""The one way in: every door calls `submit`, nothing else saves a tracked row."""

from datetime import datetime

from django.utils import timezone

from audit.facts import Actor
from flags.changes.apply import Outcome, apply
from flags.changes.base import Change, refuse_what_no_text_may_hold
from flags.changes.requests import OpenRequest
from flags.errors import ApprovalNeeded, Invalid

__all__ = ["Outcome", "submit"]


def submit(
    *changes: Change,
    actor: Actor,
    reason: str = "",
    now: datetime | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Make these changes, all or nothing; they belong to one project.

    Gives what came of it: the events recorded (none when everything already was as asked) and the
    version each environment is at. Where an environment asks for approval first, or a token may
    propose and not apply, all of it becomes one request in review, and `Outcome.request` is its number. With `dry_run` everything is done,
    judged and taken back.

    Raises what flags/errors.py names: Denied, ApprovalNeeded (of a dry run, and of what cannot wait
    in a request), NotFound, Conflict, Invalid, Busy.
    """
    projects = sorted({change.project for change in changes})
    if len(projects) != 1:
        raise Invalid.at("project", f"expected changes to one project, got {projects}")
    if len({change.on_site for change in changes}) != 1:
        raise Invalid.at("", "changes to the site and to a project cannot be submitted together")
    if len(changes) > 1 and (alone := [change.kind for change in changes if change.is_alone]):
        raise Invalid.at("", f"{alone[0]} is submitted by itself")
    refuse_what_no_text_may_hold(reason, "reason")
    for change in changes:
        refuse_what_no_text_may_hold(change.as_json())
    reason, now = reason.strip(), now or timezone.now()
    try:
        return apply(changes, actor=actor, reason=reason, now=now, dry_run=dry_run)
    except ApprovalNeeded:
        waits = actor.kind != "system" and all(change.can_wait for change in changes)
        if dry_run or not waits:
            raise
    request = OpenRequest(project=projects[0], changes=[change.as_json() for change in changes])
    return apply((request,), actor=actor, reason=reason, now=now, dry_run=False)

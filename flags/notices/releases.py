"""Whom a ramp or a lease concerns that goes no further by itself."""

from collections.abc import Iterator
from typing import Any

from audit.models import Event
from flags import approval
from flags.changes.releases import lacking_approvals
from flags.models import Lease, Project, Ramp, User
from flags.queries.members import admins_of


def told_of_releases(event: Event, project: Project) -> Iterator[tuple[str, set[User], str]]:
    """Kind of notice, people and words, for each ramp and lease that came to wait for somebody."""
    for effect in event.effects:
        noun, _, number = effect["subject"].partition(":")
        before, after = effect["before"] or {}, effect["after"] or {}
        if noun not in ("ramp", "lease") or before.get("state") == after.get("state"):
            continue
        if noun == "ramp":
            yield from _of_ramp(project, number, after)
        elif after.get("state") == "held":
            lease = Lease.objects.filter(project=project, number=number).first()
            if lease is not None:
                people = _answerable(project, lease.granted_by)
                yield "lease_held", people, f"Lease #{number}: {after['why']}"


def _of_ramp(
    project: Project, number: str, after: dict[str, Any]
) -> Iterator[tuple[str, set[User], str]]:
    rows = Ramp.objects.filter(project=project, number=number)
    ramp = rows.select_related("environment", "flag", "request", "started_by").first()
    if ramp is None:
        return
    name = f"Ramp #{number} of {ramp.flag.key} in {ramp.environment.name}"
    if after["state"] == "held":
        yield "ramp_held", _answerable(project, ramp.started_by), f"{name}: {after['why']}"
    elif after["state"] == "awaiting_approval":
        key = ramp.environment.key
        policy = approval.guards({key: ramp.environment}).get(key, approval.DEFAULT)
        lacking = lacking_approvals(ramp, policy, ramp.environment)
        names = {username for row in lacking for username in row.who}
        people = set(User.objects.filter(username__in=names))
        yield "step_asked", people, f"{name} is at {after['share'] / 1000:g} %"


def _answerable(project: Project, who: User | None) -> set[User]:
    """Who began it, and the project's admins: whoever began it may have left."""
    return {*admins_of(project), *([who] if who is not None else [])}

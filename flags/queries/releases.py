"""Ramps and leases: which are under way, and what is coming."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db.models import Q

from flags.models import (
    OPEN,
    Environment,
    Lease,
    LeaseState,
    Policy,
    Project,
    Ramp,
    RampState,
    Request,
    State,
    StepApproval,
)

CURRENT = Q(closed_at=None)


@dataclass(frozen=True)
class Coming:
    """Something that happens by itself: at an instant, or a freeze from one `until` another.

    `number` is that of the request, ramp or lease, which is `of`.
    """

    kind: Literal["request", "ramp_step", "lease_end", "freeze"]
    at: datetime
    until: datetime | None
    environments: list[str]
    title: str
    number: int | None
    of: Request | Ramp | Lease | Policy
    # A step of a ramp that its plan alone says; those before it may yet be late.
    is_planned: bool = False


def ramp_under_way(environment: Environment, flag: str) -> Ramp | None:
    """A ramp of the flag in this environment; one query."""
    return Ramp.objects.filter(CURRENT, environment=environment, flag__key=flag).first()


def ramps_of(flag_key: str, environment: Environment) -> list[Ramp]:
    """The flag's ramps that are under way there, in the order of their places; one query."""
    rows = Ramp.objects.filter(CURRENT, environment=environment, flag__key=flag_key)
    return list(rows.select_related("environment", "flag", "started_by", "request"))


def leases_of(flag_key: str, environment: Environment) -> list[Lease]:
    """The leases under way that altered the flag there; one query."""
    rows = Lease.objects.filter(
        CURRENT,
        project_id=environment.project_id,
        back__contains=[{"environment": environment.key, "subject": f"flag:{flag_key}"}],
    )
    return list(rows.select_related("granted_by", "request").order_by("ends_at"))


def released_in(project: Project) -> dict[str, dict[str, str]]:
    """Flag → environment → `ramping`, `for a time`, or both; two queries."""
    found: dict[str, dict[str, str]] = {}
    ramps = Ramp.objects.filter(CURRENT, project=project)
    for flag, environment in ramps.values_list("flag__key", "environment__key"):
        found.setdefault(flag, {})[environment] = "ramping"
    for back in Lease.objects.filter(CURRENT, project=project).values_list("back", flat=True):
        for row in back:
            kind, _, key = row["subject"].partition(":")
            if kind == "flag":
                here, where = found.setdefault(key, {}), row["environment"]
                here[where] = (
                    "ramping, for a time" if here.get(where, "").startswith("r") else "for a time"
                )
    return found


def approvals_of(ramp: Ramp) -> list[StepApproval]:
    """What was given for the step that the ramp waits with; one query."""
    return list(ramp.approvals.filter(step=ramp.step).select_related("reviewer"))


def calendar(project: Project, begins: datetime, ends: datetime) -> list[Coming]:
    """What is coming in a span of time, earliest first; five queries."""
    found = [
        *_requests(project, begins, ends),
        *_steps(project, begins, ends),
        *_ends(project, begins, ends),
        *_freezes(project, begins, ends),
    ]
    return sorted(found, key=lambda row: (row.at, row.kind, row.number or 0))


def waiting_for_people(project: Project) -> tuple[list[Ramp], list[Lease]]:
    """Ramps that are held or wait for approval, and leases that are held; two queries."""
    ramps = Ramp.objects.filter(
        project=project, state__in=[RampState.HELD, RampState.AWAITING_APPROVAL]
    )
    leases = Lease.objects.filter(project=project, state=LeaseState.HELD)
    return list(ramps.select_related("environment", "flag")), list(leases)


def _requests(project: Project, begins: datetime, ends: datetime) -> Iterator[Coming]:
    rows = Request.objects.filter(
        project=project, state__in=OPEN, apply_at__gte=begins, apply_at__lt=ends
    ).exclude(state=State.DRAFT)
    for request in rows:
        if request.apply_at is not None:
            yield Coming(
                "request",
                request.apply_at,
                None,
                request.environments,
                request.title,
                request.number,
                request,
            )


def _steps(project: Project, begins: datetime, ends: datetime) -> Iterator[Coming]:
    rows = Ramp.objects.filter(CURRENT, project=project, next_due_at__lt=ends)
    for ramp in rows.select_related("environment", "flag"):
        for step, due in planned_steps(ramp):
            if begins <= due < ends:
                share = ramp.steps[step]["share"] / 1000
                yield Coming(
                    "ramp_step",
                    due,
                    None,
                    [ramp.environment.key],
                    f"{ramp.flag.key}: {ramp.variation} to {share:g} %",
                    ramp.number,
                    ramp,
                    is_planned=step > ramp.step + 1,
                )


def planned_steps(ramp: Ramp) -> list[tuple[int, datetime]]:
    """Each step that comes by time, and when, up to one that waits for approval."""
    due, step = ramp.next_due_at, ramp.step
    planned = []
    while due is not None and step + 1 < len(ramp.steps):
        step += 1
        planned.append((step, due))
        seconds = _seconds(ramp.steps[step])
        due = None if seconds is None else due + timedelta(seconds=seconds)
    return planned


def _seconds(step: Mapping[str, Any]) -> int | None:
    held: int | None = (step.get("hold") or {}).get("seconds")
    return held


def _ends(project: Project, begins: datetime, ends: datetime) -> Iterator[Coming]:
    rows = Lease.objects.filter(
        project=project, state=LeaseState.RUNNING, ends_at__gte=begins, ends_at__lt=ends
    )
    for lease in rows:
        yield Coming(
            "lease_end",
            lease.ends_at,
            None,
            lease.environments,
            f"{', '.join(subjects_of(lease))} goes back",
            lease.number,
            lease,
        )


def subjects_of(lease: Lease) -> Sequence[str]:
    """The flags and segments that it altered, by key."""
    return sorted({row["subject"].partition(":")[2] for row in lease.back})


def _freezes(project: Project, begins: datetime, ends: datetime) -> Iterator[Coming]:
    rows = Policy.objects.filter(
        environment__project=project, environment__requires_approval=True
    ).exclude(freezes=[])
    for policy in rows.select_related("environment"):
        for row in policy.freezes:
            since, until = (datetime.fromisoformat(row[name]) for name in ("from", "to"))
            if since < ends and until > begins:
                why = f": {row['why']}" if row.get("why") else ""
                yield Coming(
                    "freeze", since, until, [policy.environment.key], f"Frozen{why}", None, policy
                )

"""The page of releases: what is coming by itself, month by month, and when changes may be applied."""

import calendar as months
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from audit.facts import Effect
from flags import approval
from flags.access import Action
from flags.changes.outlook import lacking
from flags.dashboard.shell import Shell, project_page
from flags.differences.policies import hours_in_words
from flags.hours import open_spans, opens_at
from flags.models import Environment, Lease, Policy, Ramp, Request
from flags.queries.releases import Coming, calendar, subjects_of, waiting_for_people

MOST_IN_A_DAY = 4
MINUTES_A_DAY = 1_440
ICONS = {
    "request": "list-check",
    "ramp_step": "trending-up",
    "lease_end": "hourglass",
    "freeze": "lock",
}


@dataclass(frozen=True)
class Entry:
    """Something that is coming, as the calendar shows it. `local` is in the visitor's time zone.

    `refusal` is what is missing to move it and the like, `withdraw_refusal` to give a request up.
    `warning` says that the clock will not do it then.
    """

    coming: Coming
    local: datetime
    address: str
    icon: str
    refusal: str | None
    withdraw_refusal: str | None
    warning: str


@dataclass(frozen=True)
class Hours:
    """When changes may be applied in an environment on one day; `bars` are minutes of the day."""

    environment: Environment
    bars: list[tuple[int, int]]
    words: str


@dataclass(frozen=True)
class Day:
    date: date
    is_today: bool
    is_outside: bool
    entries: list[Entry]
    hours: list[Hours]

    @property
    def shown(self) -> list[Entry]:
        return self.entries[:MOST_IN_A_DAY]

    @property
    def more(self) -> int:
        return max(0, len(self.entries) - MOST_IN_A_DAY)


@dataclass(frozen=True)
class Guard:
    """An environment that requires approval, as the calendar tells of its hours."""

    environment: Environment
    policy: Policy
    # The spans of the days shown in which changes may be applied there.
    spans: list[tuple[datetime, datetime]]
    # When it opens next, where it is closed now.
    is_open: bool
    opens: datetime | None

    @property
    def words(self) -> str:
        return hours_in_words(self.policy.windows)


@require_GET
@project_page("releases")
def releases(request: HttpRequest, shell: Shell) -> HttpResponse:
    """What is coming by itself: a month as a grid and as a list, and what a person has to decide."""
    zone, now = _time_zone(request), timezone.now()
    today = now.astimezone(zone).date()
    first = _month(request.GET.get("month", "")) or today.replace(day=1)
    weeks = months.Calendar().monthdatescalendar(first.year, first.month)
    begins, ends = _midnight(weeks[0][0], zone), _midnight(weeks[-1][-1] + timedelta(days=1), zone)
    policies = approval.guards({row.key: row for row in shell.environments})
    guards = [
        _guard(shell, key, row, begins, ends, now) for key, row in policies.items() if row.windows
    ]
    entries = [
        _entry(shell, row, zone, policies, now) for row in calendar(shell.project, begins, ends)
    ]
    context = {
        "shell": shell,
        "first": first,
        "previous": (first - timedelta(days=1)).replace(day=1),
        "next": (first + timedelta(days=31)).replace(day=1),
        "today": today,
        "zone": zone.key,
        "weekdays": months.day_abbr,
        "weeks": [
            [_day(one, first, today, entries, guards, zone) for one in week] for week in weeks
        ],
        "guards": guards,
        "entries": [row for row in entries if _is_to_come(row, today)],
        **_waiting(shell),
    }
    with timezone.override(zone):
        return render(request, "dashboard/releases/calendar.html", context)


def _waiting(shell: Shell) -> dict[str, Any]:
    ramps, leases = waiting_for_people(shell.project)
    return {
        "held_ramps": ramps,
        "held_leases": [
            {
                "lease": row,
                "subjects": subjects_of(row),
                "refusal": _refusal_in(shell, row.environments),
            }
            for row in leases
        ],
    }


def _guard(
    shell: Shell, key: str, policy: Policy, begins: datetime, ends: datetime, now: datetime
) -> Guard:
    is_open = approval.closed_until_words(policy, now) is None
    return Guard(
        shell.environment(key),
        policy,
        open_spans([policy], begins, ends),
        is_open,
        None if is_open else opens_at([policy], now),
    )


def _entry(
    shell: Shell, coming: Coming, zone: ZoneInfo, policies: Mapping[str, Policy], now: datetime
) -> Entry:
    environments = [row for row in shell.environments if row.key in coming.environments]
    match coming.of:
        case Request() as request:
            refusal, withdraw_refusal = (
                _edit_refusal(shell, request),
                _withdraw_refusal(shell, request),
            )
        case _:
            refusal, withdraw_refusal = _refusal_in(shell, coming.environments), None
    return Entry(
        coming,
        coming.at.astimezone(zone),
        _address(shell, coming, environments),
        ICONS[coming.kind],
        refusal,
        withdraw_refusal,
        _warning(coming, environments, policies, zone, now),
    )


def _warning(
    coming: Coming,
    environments: Sequence[Environment],
    policies: Mapping[str, Policy],
    zone: ZoneInfo,
    now: datetime,
) -> str:
    """That it will not be done when it is due, and when instead: what the clock does there.

    It waits until none of the environments is closed, and a request may expire meanwhile; a lease
    ends whatever the hour.
    """
    if coming.kind not in ("request", "ramp_step"):
        return ""
    at = max(coming.at, now)
    there = {row: policies[row.key] for row in environments if row.key in policies}
    closed = [row.name for row, one in there.items() if approval.closed_until_words(one, at)]
    opens = opens_at(list(there.values()), at) if closed else at
    if expires := _expires_before(coming, opens):
        return f"It expires before it can be applied, on {_written(expires, zone)}"
    if not closed:
        return ""
    done = "applied" if coming.kind == "request" else "taken"
    when = f"once it opens: {_written(opens, zone)}" if opens else "not in the next three months"
    verb = "is" if len(closed) == 1 else "are"
    return f"{' and '.join(closed)} {verb} closed then; it is {done} {when}"


def _expires_before(coming: Coming, opens: datetime | None) -> datetime | None:
    expires = coming.of.expires if isinstance(coming.of, Request) else None
    return expires if expires is not None and (opens is None or expires <= opens) else None


def _written(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%a %-d %b, %H:%M}"


def _refusal_in(shell: Shell, keys: Sequence[str]) -> str | None:
    refusals = [shell.refusal_in(row) for row in shell.environments if row.key in keys]
    return next((refusal for refusal in refusals if refusal), None)


def _edit_refusal(shell: Shell, request: Request) -> str | None:
    """Judged by what its author saw, so that a page of requests rehearses none of them."""
    effects = [
        Effect("", row["subject"], row["before"], row["after"], environment=row["environment"])
        for row in request.seen
    ]
    there = {row.key: row for row in shell.environments}
    return lacking(request, effects, held=shell.rights, environments=there, asking=True)


def _withdraw_refusal(shell: Shell, request: Request) -> str | None:
    if str(request.author_id) == shell.actor.id:
        return shell.rights.missing(Action.WITHDRAW)
    return None if shell.may_administer else "only its author or an admin may cancel it"


def _address(shell: Shell, coming: Coming, environments: Sequence[Environment]) -> str:
    project = shell.project.key
    match coming.of:
        case Ramp() as ramp:
            where = reverse("flag", args=[project, ramp.flag.key])
            return f"{where}?environment={ramp.environment.key}"
        case Lease() as lease:
            return _address_of_lease(project, lease)
    if coming.kind == "request":
        return reverse("request", args=[project, coming.number])
    return reverse("policy", args=[project, environments[0].key])


def _address_of_lease(project: str, lease: Lease) -> str:
    row = lease.back[0]
    kind, _, key = row["subject"].partition(":")
    return f"{reverse(kind, args=[project, key])}?environment={row['environment']}"


def _day(
    day: date,
    first: date,
    today: date,
    entries: Iterable[Entry],
    guards: Sequence[Guard],
    zone: ZoneInfo,
) -> Day:
    return Day(
        day,
        day == today,
        day.month != first.month,
        [row for row in entries if _covers(row, day, zone)],
        [_hours(guard, day, zone) for guard in guards],
    )


def _hours(guard: Guard, day: date, zone: ZoneInfo) -> Hours:
    begins, ends = _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
    spans = [
        (max(since, begins.astimezone(UTC)), min(until, ends.astimezone(UTC)))
        for since, until in guard.spans
        if since < ends and until > begins
    ]
    length = (ends.astimezone(UTC) - begins.astimezone(UTC)).total_seconds()

    def minute(instant: datetime) -> int:
        return round((instant - begins.astimezone(UTC)).total_seconds() * MINUTES_A_DAY / length)

    def clock(instant: datetime) -> str:
        return "24:00" if instant == ends else f"{instant.astimezone(zone):%H:%M}"

    return Hours(
        guard.environment,
        [(minute(since), minute(until) - minute(since)) for since, until in spans],
        ", ".join(f"{clock(since)}–{clock(until)}" for since, until in spans) or "closed",
    )


def _covers(entry: Entry, day: date, zone: ZoneInfo) -> bool:
    begins, until = entry.coming.at, entry.coming.until
    if until is None:
        return entry.local.date() == day
    return begins < _midnight(day + timedelta(days=1), zone) and until > _midnight(day, zone)


def _is_to_come(entry: Entry, today: date) -> bool:
    return entry.coming.until is not None or entry.local.date() >= today


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _month(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def _time_zone(request: HttpRequest) -> ZoneInfo:
    """The one asked for, which is kept for the visit; UTC before anybody asked."""
    asked = request.GET.get("zone") or request.session.get("time_zone") or "UTC"
    try:
        zone = ZoneInfo(asked)
    except (ValueError, OSError, KeyError):
        return ZoneInfo("UTC")
    if request.session.get("time_zone") != asked:
        request.session["time_zone"] = asked
    return zone

"""Releases: the calendar of what is coming, and the ramps and leases of a flag."""

import calendar as months
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from flags import approval
from flags.access import Action
from flags.changes import (
    ApproveRampStep,
    Change,
    EndLease,
    ExtendLease,
    KeepLease,
    PauseRamp,
    RemoveRampTemplate,
    ResumeRamp,
    RollBackRamp,
    SetRampTemplate,
    SkipRampStep,
    StartRamp,
    StopRamp,
    submit,
)
from flags.changes.releases import lacking_approvals
from flags.changes.releases.plans import DEFAULT_STEPS, EVERYBODY, FALLTHROUGH
from flags.dashboard.instants import read_instant
from flags.dashboard.review import UNITS, problems_of
from flags.dashboard.shell import Shell, came_from, chosen_environment, project_page, status_of
from flags.dashboard.undo import told_what_came
from flags.differences import condition_in_words
from flags.errors import Conflict, Invalid, NotFound
from flags.models import Environment, Flag, FlagConfiguration, Lease, Ramp, RampState
from flags.queries.releases import (
    Coming,
    approvals_of,
    calendar,
    leases_of,
    planned_steps,
    ramps_of,
    subjects_of,
    waiting_for_people,
)

HOLDS = {**{unit: unit for unit in UNITS}, "approval": "until approved"}
ROWS = 8
MOST_IN_A_DAY = 4
STATE_WORDS = {
    RampState.RUNNING: "running",
    RampState.PAUSED: "paused",
    RampState.AWAITING_APPROVAL: "waits for approval",
    RampState.HELD: "needs a decision",
}
TONES = {RampState.RUNNING: "on", RampState.AWAITING_APPROVAL: "accent", RampState.HELD: "warning"}


# The calendar


@dataclass(frozen=True)
class Entry:
    """Something that is coming, as the calendar shows it. `local` is in the visitor's time zone."""

    coming: Coming
    local: datetime
    address: str
    icon: str
    refusal: str | None


@dataclass(frozen=True)
class Day:
    date: date
    is_today: bool
    is_outside: bool
    entries: list[Entry]

    @property
    def shown(self) -> list[Entry]:
        return self.entries[:MOST_IN_A_DAY]

    @property
    def more(self) -> int:
        return max(0, len(self.entries) - MOST_IN_A_DAY)


ICONS = {
    "request": "list-check",
    "ramp_step": "trending-up",
    "lease_end": "hourglass",
    "freeze": "lock",
}


@require_GET
@project_page("releases")
def releases(request: HttpRequest, shell: Shell) -> HttpResponse:
    """What is coming by itself: a month as a grid and as a list, and what a person has to decide."""
    zone = _time_zone(request)
    today = timezone.now().astimezone(zone).date()
    first = _month(request.GET.get("month", "")) or today.replace(day=1)
    weeks = months.Calendar().monthdatescalendar(first.year, first.month)
    begins, ends = _midnight(weeks[0][0], zone), _midnight(weeks[-1][-1] + timedelta(days=1), zone)
    entries = [_entry(shell, row, zone) for row in calendar(shell.project, begins, ends)]
    held_ramps, held_leases = waiting_for_people(shell.project)
    context = {
        "shell": shell,
        "first": first,
        "previous": (first - timedelta(days=1)).replace(day=1),
        "next": (first + timedelta(days=31)).replace(day=1),
        "today": today,
        "zone": zone.key,
        "weekdays": months.day_abbr,
        "weeks": [[_day(one, first, today, entries, zone) for one in week] for week in weeks],
        "entries": [row for row in entries if _is_to_come(row, today)],
        "held_ramps": held_ramps,
        "held_leases": [{"lease": row, "subjects": subjects_of(row)} for row in held_leases],
        "templates": shell.project.ramp_templates.all(),
    }
    with timezone.override(zone):
        return render(request, "dashboard/releases/calendar.html", context)


def _entry(shell: Shell, coming: Coming, zone: ZoneInfo) -> Entry:
    environments = [row for row in shell.environments if row.key in coming.environments]
    refusals = [shell.refusal_in(row) for row in environments]
    return Entry(
        coming,
        coming.at.astimezone(zone),
        _address(shell, coming, environments),
        ICONS[coming.kind],
        next((refusal for refusal in refusals if refusal), None),
    )


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


def _day(day: date, first: date, today: date, entries: Iterable[Entry], zone: ZoneInfo) -> Day:
    return Day(
        day,
        day == today,
        day.month != first.month,
        [row for row in entries if _covers(row, day, zone)],
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


# On the page of a flag


@dataclass(frozen=True)
class RampShown:
    """A ramp as its panel shows it."""

    ramp: Ramp
    place: str
    state: str
    tone: str
    steps: list[dict[str, Any]]
    next_at: datetime | None
    missing: list[str]
    approved_by: list[str]
    may_approve: bool


@require_GET
@project_page("flags")
def on_flag(request: HttpRequest, shell: Shell, flag: str, environment: str) -> HttpResponse:
    """The ramps and leases of a flag in an environment, for its page."""
    context = {"shell": shell, "flag": flag, "environment": shell.environment(environment)}
    context |= panels_of(shell, flag, context["environment"])
    return render(request, "dashboard/parts/_releases.html", context)


def panels_of(shell: Shell, flag: str, environment: Environment) -> dict[str, Any]:
    """What `_releases.html` shows beside flag and environment."""
    return {
        "ramps": [_shown(shell, ramp) for ramp in ramps_of(flag, environment)],
        "leases": leases_of(flag, environment),
        "release_refusal": shell.refusal_in(environment),
    }


def _shown(shell: Shell, ramp: Ramp) -> RampShown:
    due = dict(planned_steps(ramp))
    state = RampState(ramp.state)
    missing, may_approve = [], False
    if state is RampState.AWAITING_APPROVAL:
        environment = ramp.environment
        policy = approval.guards({environment.key: environment}).get(
            environment.key, approval.DEFAULT
        )
        lacking = lacking_approvals(ramp, policy, environment)
        missing = [row.what for row in lacking]
        may_approve = shell.rights.may(Action.REVIEW, environment) and any(
            shell.actor.name in row.who for row in lacking
        )
    return RampShown(
        ramp,
        place_in_words(ramp.flag, ramp.environment, ramp.place),
        STATE_WORDS[state],
        TONES.get(state, ""),
        [
            {
                "share": step["share"] / 1000,
                "waits": "approval" in (step.get("hold") or {}),
                "is_done": index < ramp.step,
                "is_now": index == ramp.step,
                "due": due.get(index),
            }
            for index, step in enumerate(ramp.steps)
        ],
        ramp.next_due_at,
        missing,
        [row.reviewer.get_username() for row in approvals_of(ramp)] if missing else [],
        may_approve,
    )


def place_in_words(flag: Flag, environment: Environment, place: str) -> str:
    if place == FALLTHROUGH:
        return "everyone else"
    configuration = flag.configurations.filter(environment=environment).first()
    rules = configuration.rules if configuration else []
    rule = next((row for row in rules if row["id"] == place), None)
    return f"rule “{_rule_in_words(rule)}”" if rule else f"rule {place}"


def _rule_in_words(rule: dict[str, Any]) -> str:
    return str(rule.get("name") or condition_in_words(rule.get("when")))


# Starting a ramp


@require_http_methods(["GET", "POST"])
@project_page("flags")
def start_ramp(request: HttpRequest, shell: Shell, flag: str) -> HttpResponse:
    """The form that starts a ramp; `?template=` fills its steps with those of a template."""
    found = shell.project.flags.filter(key=flag).first()
    if found is None:
        raise Http404(f"there is no flag {flag} in {shell.project.key}")
    environment = chosen_environment(request, shell)
    configuration = found.configurations.filter(environment=environment).first()
    if configuration is None:
        raise Http404(f"{flag} has no configuration in {environment.key}")
    context: dict[str, Any] = {
        "shell": shell,
        "flag": found,
        "environment": environment,
        "is_on": configuration.enabled,
        "places": _places(found, configuration, environment),
        "templates": shell.project.ramp_templates.all(),
        "template": request.GET.get("template", ""),
        "holds": HOLDS,
        "refusal": shell.refusal_in(environment),
    }
    if request.method == "GET":
        context |= {
            "typed": {"variation": found.variations[0]["key"], "place": FALLTHROUGH},
            "rows": _rows_of(_template_steps(shell, context["template"])),
        }
        return render(request, "dashboard/releases/start_ramp.html", context)
    try:
        change = _start_from(request, shell, found, environment)
        outcome = submit(change, actor=shell.actor, reason=request.POST.get("reason", ""))
        if name := request.POST.get("keep_as", "").strip():
            _keep(shell, name, change)
    except (Invalid, Conflict, NotFound) as error:
        context |= {"problems": problems_of(error), "typed": request.POST, "rows": _rows(request)}
        return render(
            request, "dashboard/releases/start_ramp.html", context, status=status_of(error)
        )
    where = f"{reverse('flag', args=[shell.project.key, flag])}?environment={environment.key}"
    text = f"{change.variation} of {flag} is ramping in {environment.name}"
    return told_what_came(request, redirect(where), shell, change, outcome, text)


def _places(
    flag: Flag, configuration: FlagConfiguration, environment: Environment
) -> list[tuple[str, str]]:
    """Where it may ramp: a flag that is off is switched on by ramping everyone else."""
    rules = configuration.rules if configuration.enabled else []
    named = [(row["id"], f"Rule: {_rule_in_words(row)}") for row in rules]
    return [(FALLTHROUGH, "Everyone else"), *named]


def _template_steps(shell: Shell, key: str) -> list[dict[str, Any]]:
    row = shell.project.ramp_templates.filter(key=key).first()
    return row.steps if row else DEFAULT_STEPS


def _rows_of(steps: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    rows = [_row_of(step) for step in steps]
    return rows + [{"share": "", "amount": "", "unit": "hours"}] * max(1, ROWS - len(rows))


def _row_of(step: dict[str, Any]) -> dict[str, str]:
    share, hold = f"{step['share'] / 1000:g}", step.get("hold") or {}
    if "approval" in hold:
        return {"share": share, "amount": "", "unit": "approval"}
    seconds = hold.get("seconds", 0)
    unit = next((name for name in ("days", "hours", "minutes") if seconds % UNITS[name] == 0), "minutes")  # fmt: skip
    return {"share": share, "amount": f"{seconds / UNITS[unit]:g}" if seconds else "", "unit": unit}


def _rows(request: HttpRequest) -> list[dict[str, str]]:
    """The rows of steps as they were typed."""
    columns = [request.POST.getlist(name) for name in ("share", "amount", "unit")]
    return [
        dict(zip(("share", "amount", "unit"), row, strict=True))
        for row in zip(*columns, strict=False)
    ]


def _start_from(
    request: HttpRequest, shell: Shell, flag: Flag, environment: Environment
) -> StartRamp:
    typed = request.POST
    return StartRamp(
        project=shell.project.key,
        environment=environment.key,
        flag=flag.key,
        variation=typed.get("variation", ""),
        place=typed.get("place", FALLTHROUGH),
        base=typed.get("base", "") or None,
        steps=_steps_from(_rows(request)),
    )


def _steps_from(rows: Iterable[dict[str, str]]) -> list[dict[str, Any]]:
    """What the rows say; raises Invalid with the row of what is no number."""
    given = [row for row in rows if row["share"].strip()]
    steps = []
    for index, row in enumerate(given):
        where = f"steps[{index}]"
        share = _number(row["share"], f"{where}.share")
        step: dict[str, Any] = {"share": round(share * 1_000)}
        if index < len(given) - 1:
            if row["unit"] == "approval":
                step["hold"] = {"approval": True}
            else:
                amount = _number(row["amount"], f"{where}.hold")
                step["hold"] = {"seconds": round(amount * UNITS.get(row["unit"], 1))}
        steps.append(step)
    return steps


def _number(text: str, where: str) -> float:
    try:
        number = float(text.replace(",", ".").strip())
    except ValueError as error:
        raise Invalid.at(where, f"expected a number, got {text!r}") from error
    if not 0 <= number <= EVERYBODY:
        raise Invalid.at(where, f"expected a number from 0 to {EVERYBODY}, got {text!r}")
    return number


def _keep(shell: Shell, name: str, change: StartRamp) -> None:
    key = "-".join(name.lower().split())
    assert isinstance(change.steps, list), "the form writes steps out"
    kept = SetRampTemplate(project=shell.project.key, key=key, name=name, steps=change.steps)
    submit(kept, actor=shell.actor)


# What is done to them


@require_POST
@project_page("releases")
def act_on_ramp(request: HttpRequest, shell: Shell, number: int, what: str) -> HttpResponse:
    named: dict[str, Any] = {"project": shell.project.key, "ramp": number}
    text = request.POST.get("step", "")
    seen = {"step": int(text)} if text.isascii() and text.isdigit() else {}
    change: Change
    match what:
        case "approve":
            change, said = ApproveRampStep(**named, **seen), "approved"
        case "pause":
            change, said = PauseRamp(**named), "paused"
        case "resume":
            change, said = ResumeRamp(**named), "resumed"
        case "skip":
            change, said = SkipRampStep(**named, **seen), "taken to its next step"
        case "roll-back":
            change, said = RollBackRamp(**named), "rolled back"
        case "stop":
            change, said = StopRamp(**named), "stopped"
        case _:
            raise Http404(f"nothing called {what} is done to a ramp")
    return _done(request, shell, change, f"Ramp #{number} is {said}")


@require_POST
@project_page("releases")
def act_on_lease(request: HttpRequest, shell: Shell, number: int, what: str) -> HttpResponse:
    named: dict[str, Any] = {"project": shell.project.key, "lease": number}
    typed = request.POST
    change: Change
    match what:
        case "end":
            change, said = EndLease(**named), "ended"
        case "keep":
            change, said = KeepLease(**named), "kept: what it changed stays"
        case "extend":
            at = read_instant(typed.get("ends_at", ""), typed.get("offset", ""))
            if at is None:
                raise Invalid.at("ends_at", "expected a date and a time, got nothing")
            change, said = ExtendLease(**named, ends_at=at), f"to end at {at:%-d %B %Y, %H:%M} UTC"
        case _:
            raise Http404(f"nothing called {what} is done to a lease")
    return _done(request, shell, change, f"Lease #{number} is {said}")


@require_POST
@project_page("releases")
def remove_template(request: HttpRequest, shell: Shell) -> HttpResponse:
    change = RemoveRampTemplate(project=shell.project.key, key=request.POST.get("key", ""))
    return _done(request, shell, change, f"The template {change.key} is removed")


def _done(request: HttpRequest, shell: Shell, change: Change, text: str) -> HttpResponse:
    """Submit and go back to the page that asked."""
    outcome = submit(change, actor=shell.actor, reason=request.POST.get("reason", ""))
    back = came_from(request, reverse("releases", args=[shell.project.key]))
    return told_what_came(request, redirect(back), shell, change, outcome, text)

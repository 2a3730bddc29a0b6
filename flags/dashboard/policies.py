"""What an environment asks for before its ruleset changes, and the teams that it may name."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from flags import approval
from flags.changes import RemoveTeam, SetPolicy, SetTeam, submit
from flags.changes.policies import FIELDS
from flags.dashboard.policy_outlook import policy_outlook
from flags.dashboard.problems import by_field
from flags.dashboard.settings import ROLES
from flags.dashboard.shell import Shell, project_page, status_of, whole
from flags.dashboard.undo import told_what_came
from flags.differences.policies import FIELD_NAMES
from flags.errors import FlagsiteError, Invalid
from flags.models import Environment, Policy
from flags.queries.members import members_of
from flags.queries.requests import open_requests_touching, policy_of, teams_of

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
POLICY_FIELDS = (
    "approvals", "from_whom", "minimum_role", "conditions", "windows", "freezes", "time_zone",
    "expires_after_days",
)  # fmt: skip


@require_http_methods(["GET", "POST"])
@project_page("settings")
def policy(request: HttpRequest, shell: Shell, environment: str) -> HttpResponse:
    """An environment's policy; where one is in force already, another one is a request itself.

    With `step` what was typed is looked at first (`review`), or again (`edit`), and nothing saved.
    """
    found = shell.environment(environment)
    stored = policy_of(found)
    step, reason = request.POST.get("step", "save"), request.POST.get("reason", "")
    if request.method == "GET":
        return _form(request, shell, found, as_typed(approval.policy_facts(stored)))
    if step == "edit":
        return _form(request, shell, found, as_sent(request.POST))
    try:
        read = _with_freezes_of(stored, read_policy(request.POST))
        change = SetPolicy(project=shell.project.key, environment=environment, **read)
        if step == "review":
            return _reviewed(request, shell, change, found, reason=reason)
        outcome = submit(change, actor=shell.actor, reason=reason)
    except FlagsiteError as error:
        return _form(request, shell, found, as_sent(request.POST), error=error)
    response = redirect("policy", project=shell.project.key, environment=environment)
    text = f"The policy of {found.name} is saved"
    if not outcome.changed:
        text = "Nothing was different, so nothing changed"
    return told_what_came(request, response, shell, outcome, text)


def _reviewed(
    request: HttpRequest, shell: Shell, change: SetPolicy, found: Environment, *, reason: str
) -> HttpResponse:
    """What the typed policy would do; the page carries it along, to be saved or typed at again."""
    context = {
        "shell": shell,
        "environment": found,
        "carried": [
            (name, value)
            for name, values in request.POST.lists()
            for value in values
            if name not in ("step", "csrfmiddlewaretoken")
        ],
        "reason": reason,
        **policy_outlook(shell, change, found, reason=reason),
    }
    return render(request, "dashboard/settings/policy_review.html", context)


def _form(
    request: HttpRequest,
    shell: Shell,
    found: Environment,
    typed: Mapping[str, Any],
    *,
    error: FlagsiteError | None = None,
) -> HttpResponse:
    context = {
        "shell": shell,
        "tab": "environments",
        "environment": found,
        "refusal": shell.administer_refusal_in(found),
        "typed": typed,
        "reason": request.POST.get("reason", ""),
        "problems": by_field(error, POLICY_FIELDS),
        "roles": [(role.value, role.label, means) for role, means in ROLES.items()],
        "fields": [(name, FIELD_NAMES.get(name, name)) for name in FIELDS],
        "days": list(enumerate(DAYS)),
        "teams": teams_of(shell.project),
        "people": [row.user.username for row in members_of(shell.project)],
        "touched": open_requests_touching(shell.project, found),
    }
    status = status_of(error) if error else 200
    return render(request, "dashboard/settings/policy.html", context, status=status)


@require_http_methods(["GET", "POST"])
@project_page("settings")
def teams(request: HttpRequest, shell: Shell) -> HttpResponse:
    """The teams of a project; an admin may make one and say who is in it."""
    error: FlagsiteError | None = None
    if request.method == "POST":
        key = request.POST.get("key", "").strip()
        change = SetTeam(
            project=shell.project.key,
            key=key,
            name=request.POST.get("name", "").strip(),
            members=request.POST.getlist("members"),
        )
        try:
            outcome = submit(change, actor=shell.actor)
            response = redirect("teams", project=shell.project.key)
            text = f"Team {key} is saved" if outcome.changed else "Nothing was different"
            return told_what_came(request, response, shell, outcome, text)
        except FlagsiteError as refusal:
            error = refusal
    return _teams_page(request, shell, error)


@require_POST
@project_page("settings")
def remove_team(request: HttpRequest, shell: Shell) -> HttpResponse:
    """Dissolve a team that no policy names."""
    key = request.POST.get("key", "")
    change = RemoveTeam(project=shell.project.key, key=key)
    try:
        outcome = submit(change, actor=shell.actor)
    except Invalid as error:
        return _teams_page(request, shell, error)
    response = redirect("teams", project=shell.project.key)
    return told_what_came(request, response, shell, outcome, f"Team {key} is dissolved")


def _teams_page(request: HttpRequest, shell: Shell, error: FlagsiteError | None) -> HttpResponse:
    context = {
        "shell": shell,
        "tab": "teams",
        "teams": [
            {"team": team, "members": [person.username for person in team.members.all()]}
            for team in teams_of(shell.project)
        ],
        "people": [row.user.username for row in members_of(shell.project)],
        "typed": request.POST if error else None,
        "typed_members": request.POST.getlist("members"),
        "problems": by_field(error, {"key", "name"}),
    }
    status = status_of(error) if error else 200
    return render(request, "dashboard/settings/teams.html", context, status=status)


def read_policy(typed: QueryDict) -> dict[str, Any]:
    """The form as a policy; raises Invalid with the field that holds no number, time or zone."""
    zone = _zone(typed.get("time_zone", "").strip() or "UTC")
    return {
        "approvals": _number(typed, "approvals"),
        "from_whom": _from_whom(typed),
        "minimum_role": typed.get("minimum_role", "reviewer"),
        "exclude_contributors": typed.get("exclude_contributors") == "on",
        "tokens_may_review": typed.get("tokens_may_review") == "on",
        "conditions": _conditions(typed) if typed.get("when") == "some" else [],
        "windows": _windows(typed),
        "freezes": _freezes(typed, zone),
        "time_zone": zone.key,
        "expires_after_days": _number(typed, "expires_after_days"),
    }


def _with_freezes_of(stored: Policy, typed: dict[str, Any]) -> dict[str, Any]:
    """Freezes that were left alone as they are stored: typed, they are in minutes and in the zone."""
    there = {_freeze_as_typed(row, typed["time_zone"]): row for row in stored.freezes}
    rows = [there.get(_freeze_as_typed(row, typed["time_zone"]), row) for row in typed["freezes"]]
    return {**typed, "freezes": rows}


def _freeze_as_typed(row: Mapping[str, Any], zone: str) -> tuple[str, str, str]:
    return _local(row["from"], zone), _local(row["to"], zone), row.get("why", "")


def as_typed(policy: Mapping[str, Any]) -> dict[str, Any]:
    """A policy as the form shows it; conditions of one kind are one, since any of them suffices."""
    rows = policy["conditions"]
    points = [row["points"] for row in rows if row["kind"] == "rollout_grows"]
    return {
        **policy,
        "from_whom": [
            {
                "whom": f"team:{row['team']}" if "team" in row else f"person:{row['person']}",
                "approvals": row.get("approvals", 1),
            }
            for row in policy["from_whom"]
        ],
        "is_conditional": bool(rows),
        "condition_fields": {name for row in rows if row["kind"] == "fields" for name in row["fields"]},
        "points": f"{min(points):g}" if points else "",
        "tags": ", ".join(
            sorted({tag for row in rows if row["kind"] == "tagged" for tag in row["tags"]})
        ),
        "on_segments": any(row["kind"] == "segment" for row in rows),
        "freezes": [
            {
                "from": _local(row["from"], policy["time_zone"]),
                "to": _local(row["to"], policy["time_zone"]),
                "why": row.get("why", ""),
            }
            for row in policy["freezes"]
        ],
    }  # fmt: skip


def as_sent(typed: QueryDict) -> dict[str, Any]:
    """The form as it was sent, right or not: rows that were left empty are none."""
    names = ("approvals", "minimum_role", "points", "tags", "time_zone", "expires_after_days")
    whom = zip(typed.getlist("whom"), typed.getlist("whom_approvals"), strict=False)
    boxes = ("exclude_contributors", "tokens_may_review", "on_segments")
    return {
        **{name: typed.get(name, "") for name in names},
        **{name: typed.get(name) == "on" for name in boxes},
        "from_whom": [{"whom": one, "approvals": approvals} for one, approvals in whom if one],
        "is_conditional": typed.get("when") == "some",
        "condition_fields": set(typed.getlist("fields")),
        "windows": _windows(typed),
        "freezes": [
            {"from": begins, "to": ends, "why": why} for begins, ends, why in _freeze_rows(typed)
        ],
    }


def _from_whom(typed: QueryDict) -> list[dict[str, Any]]:
    rows = []
    for whom, approvals in zip(
        typed.getlist("whom"), typed.getlist("whom_approvals"), strict=False
    ):
        noun, _, name = whom.partition(":")
        if name:
            rows.append({noun: name, "approvals": _whole(approvals or "1", "from_whom")})
    return rows


def _conditions(typed: QueryDict) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if fields := typed.getlist("fields"):
        rows.append({"kind": "fields", "fields": fields})
    if points := typed.get("points", "").strip():
        try:
            rows.append({"kind": "rollout_grows", "points": float(points)})
        except ValueError as error:
            raise Invalid.at("conditions", f"expected a number of points, got {points}") from error
    if tags := [tag.strip() for tag in typed.get("tags", "").split(",") if tag.strip()]:
        rows.append({"kind": "tagged", "tags": tags})
    if typed.get("on_segments") == "on":
        rows.append({"kind": "segment"})
    if not rows:
        raise Invalid.at("conditions", "expected at least one case, or approval of every change")
    return rows


def _windows(typed: QueryDict) -> list[dict[str, Any]]:
    """A row counts when any of it is filled in; what is missing of it is for the change to say."""
    rows = []
    for index, (opens, closes) in enumerate(
        zip(typed.getlist("window_from"), typed.getlist("window_to"), strict=False)
    ):
        days = [int(day) for day in typed.getlist(f"window_days_{index}") if day in {*"0123456"}]
        if opens or closes:
            rows.append({"days": days, "from": opens, "to": closes})
    return rows


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: `Europe` is a folder
        raise Invalid.at("time_zone", f"there is no time zone {name!r}") from error


def _freezes(typed: QueryDict, zone: ZoneInfo) -> list[dict[str, Any]]:
    return [
        {"from": _instant(begins, zone), "to": _instant(ends, zone), "why": why.strip()}
        for begins, ends, why in _freeze_rows(typed)
    ]


def _freeze_rows(typed: QueryDict) -> list[tuple[str, str, str]]:
    columns = [typed.getlist(name) for name in ("freeze_from", "freeze_to", "freeze_why")]
    return [
        (begins, ends, why) for begins, ends, why in zip(*columns, strict=False) if begins or ends
    ]


def _instant(text: str, zone: ZoneInfo) -> str:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).isoformat()
    except ValueError as error:
        raise Invalid.at("freezes", f"expected a date and a time, got {text!r}") from error


def _local(instant: str, zone: str) -> str:
    return datetime.fromisoformat(instant).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M")


def _number(typed: QueryDict, name: str) -> int:
    return _whole(typed.get(name, ""), name)


def _whole(text: str, name: str) -> int:
    number = whole(text)
    if number is None:
        raise Invalid.at(name, f"expected a whole number, got {text or 'nothing'}")
    return number

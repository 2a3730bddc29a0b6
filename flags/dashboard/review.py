"""The dialog that stands before a save: what it would do, or what is wrong."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django_htmx.http import reswap, retarget

from audit.facts import Effect
from flagengine import Problem
from flags import differences
from flags.changes import Change, DraftChanges, GrantLease, OpenRequest, Outcome, submit
from flags.changes.outlook import outlook
from flags.dashboard.instants import read_instant
from flags.dashboard.shell import Shell, status_of
from flags.dashboard.undo import told, told_what_came
from flags.errors import ApprovalNeeded, FlagsiteError, Invalid, StaleChange
from flags.models import Environment


def typed_configuration(request: HttpRequest) -> dict[str, Any]:
    """The JSON into which the page's editor wrote its state; raises Invalid when it is none."""
    try:
        configuration = json.loads(request.POST.get("configuration", ""))
    except ValueError as error:
        raise Invalid.at("configuration", f"expected JSON: {error}") from error
    if not isinstance(configuration, dict):
        raise Invalid.at("configuration", "expected an object")
    return configuration


def expected_version(request: HttpRequest) -> int | None:
    text = request.POST.get("expected_version", "")
    return int(text) if text.isascii() and text.isdigit() else None


def reviewed(
    request: HttpRequest,
    shell: Shell,
    change: Change,
    *,
    environment: Environment,
    version_now: int,
    addresses: dict[str, str],
    refusal: FlagsiteError | None = None,
) -> HttpResponse:
    """The dialog's inside; `refusal` is what a save was refused with. What is wrong carries its path, which the editor finds the field by.

    `addresses` says where to save (`save_address`), which part the answer replaces (`saves_into`)
    and where the page is as it is now (`reload_address`).
    """
    context: dict[str, Any] = {
        "shell": shell,
        "environment": environment,
        "configuration": request.POST.get("configuration", ""),
        "expected_version": expected_version(request),
        "reason": request.POST.get("reason", ""),
        "typed": request.POST,
        "units": UNITS,
        **addresses,
    }
    status = 200
    if isinstance(refusal, Invalid) and {row.path for row in refusal.problems} <= TIMES:
        context["when_problem"] = refusal
        status = status_of(refusal)
    try:
        context |= _differences(submit(change, actor=shell.actor, dry_run=True).effects)
    except ApprovalNeeded as error:
        context |= asked_for(shell, change, error)
    except StaleChange as error:
        context |= {"stale": error, "version_now": version_now}
        status = status_of(error)
    except FlagsiteError as error:
        context["problems"] = problems_of(error)
        status = status_of(error)
    response = render(request, "dashboard/parts/_review.html", context, status=status)
    # A save that was refused answers into the dialog, not into the page behind it.
    return reswap(retarget(response, "#review-body"), "innerHTML")


def is_for_draft(request: HttpRequest) -> bool:
    """Whether the save was sent by "Add to my draft"."""
    return request.POST.get("draft") == "1"


def drafted(
    request: HttpRequest,
    shell: Shell,
    change: Change,
    environment: str,
    answer: Callable[[], HttpResponse],
) -> HttpResponse:
    """Collect the change instead of asking for it, and answer with the draft it is in.

    Raises what `submit` raises.
    """
    collected = DraftChanges(
        project=shell.project.key, environment=environment, changes=[change.as_json()]
    )
    outcome = submit(collected, actor=shell.actor, reason=request.POST.get("reason", ""))
    number = outcome.effects[0].after["number"]
    named = shell.environment(environment).name
    text = f"Added to your draft for {named}, request #{number}"
    return told(request, answer(), text, link=reverse("request", args=[shell.project.key, number]))


# What is wrong about "When" is said there; the editor has no field for it.
TIMES = {"apply_at", "lasts", "seconds", "ends_at"}
UNITS = {"minutes": 60, "hours": 3_600, "days": 86_400}


def timed(request: HttpRequest, change: Change) -> Change:
    """The change as the dialog's "When" has it: now, at an instant to come, or for a time."""
    typed = request.POST
    match typed.get("when", "now"):
        case "later":
            at = read_instant(typed.get("apply_at", ""), typed.get("offset", ""))
            if at is None:
                raise Invalid.at("apply_at", "expected a date and a time, got nothing")
            return OpenRequest(project=change.project, changes=[change.as_json()], apply_at=at)
        case "lease":
            amount, unit = typed.get("lasts", ""), typed.get("lasts_unit", "")
            if not (amount.isascii() and amount.isdigit()) or unit not in UNITS:
                raise Invalid.at("lasts", f"expected a whole number, got {amount!r}")
            seconds = int(amount) * UNITS[unit]
            return GrantLease(project=change.project, changes=[change.as_json()], seconds=seconds)
        case _:
            return change


def told_when(
    request: HttpRequest,
    response: HttpResponse,
    shell: Shell,
    change: Change,
    outcome: Outcome,
    text: str,
) -> HttpResponse:
    """What a save did or will do: now, at its instant, or until its end."""
    if isinstance(change, OpenRequest) and change.apply_at is not None:
        number = outcome.request
        text = f"Request #{number} is set for {change.apply_at:%-d %B %Y, %H:%M} UTC"
        address = reverse("request", args=[shell.project.key, number])
        return told(request, response, text, link=address)
    if isinstance(change, GrantLease):
        text = f"{text}, for a time"
    return told_what_came(request, response, shell, outcome, text)


def problems_of(error: FlagsiteError) -> list[Problem]:
    return error.problems if isinstance(error, Invalid) else [Problem("", str(error))]


def asked_for(shell: Shell, change: Change, refusal: ApprovalNeeded) -> dict[str, Any]:
    """What a save would do that becomes a request, which rule asks, and who can give it."""
    foreseen = outlook(change, actor=shell.actor)
    return _differences(foreseen.effects) | {
        "approval": {"because": refusal.lacking, "missing": foreseen.missing}
    }


def _differences(every: Sequence[Effect]) -> dict[str, Any]:
    effects = [effect for effect in every if effect.environment is not None]
    return {
        "changed": bool(every),
        "sentences": [
            sentence
            for effect in effects
            for sentence in differences.sentences(effect.before, effect.after)
        ],
        "lines": [
            line
            for effect in effects
            for line in differences.json_lines(effect.before, effect.after)
        ],
    }

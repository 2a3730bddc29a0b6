"""The ramps and leases of a flag on its page, and what is done to them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from flags import approval
from flags.access import Action
from flags.changes import (
    ApproveRampStep,
    Change,
    EndLease,
    ExtendLease,
    KeepLease,
    PauseRamp,
    ResumeRamp,
    RollBackRamp,
    SkipRampStep,
    StopRamp,
    submit,
)
from flags.changes.releases import lacking_approvals
from flags.changes.releases.plans import FALLTHROUGH
from flags.dashboard.instants import read_instant
from flags.dashboard.shell import Shell, came_from, project_page, whole
from flags.dashboard.undo import told_what_came
from flags.differences import condition_in_words
from flags.errors import Invalid
from flags.models import Environment, Flag, Ramp, RampState
from flags.queries.releases import (
    approvals_of,
    leases_of,
    planned_steps,
    ramps_of,
)

STATE_WORDS = {
    RampState.RUNNING: "running",
    RampState.PAUSED: "paused",
    RampState.AWAITING_APPROVAL: "waits for approval",
    RampState.HELD: "needs a decision",
}
TONES = {RampState.RUNNING: "on", RampState.AWAITING_APPROVAL: "accent", RampState.HELD: "warning"}


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
    return f"rule “{rule_in_words(rule)}”" if rule else f"rule {place}"


def rule_in_words(rule: dict[str, Any]) -> str:
    return str(rule.get("name") or condition_in_words(rule.get("when")))


# What is done to them


@require_POST
@project_page("releases")
def act_on_ramp(request: HttpRequest, shell: Shell, number: int, what: str) -> HttpResponse:
    named: dict[str, Any] = {"project": shell.project.key, "ramp": number}
    step = whole(request.POST.get("step"))
    seen = {} if step is None else {"step": step}
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


def _done(request: HttpRequest, shell: Shell, change: Change, text: str) -> HttpResponse:
    """Submit and go back to the page that asked."""
    outcome = submit(change, actor=shell.actor, reason=request.POST.get("reason", ""))
    back = came_from(request, reverse("releases", args=[shell.project.key]))
    return told_what_came(request, redirect(back), shell, outcome, text)

"""The dialog that stands before a save: what it would do, or what is wrong, and where it goes.

A switch, the save of an editor and what is done to several flags are each a `Save`: `reviewed`
shows it, `saved` does with it what was chosen there. One template draws it, as a dialog or as a
page of its own.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django_htmx.http import reswap, retarget, trigger_client_event

from audit.facts import Effect
from flagengine import Problem
from flags import differences
from flags.changes import (
    UNSET,
    Change,
    DraftChanges,
    EditRequest,
    GrantLease,
    OpenRequest,
    from_json,
    submit,
)
from flags.changes.outlook import outlook
from flags.changes.releases.leases import Leasable
from flags.changes.requests.kept import subjects_of
from flags.dashboard.instants import read_instant
from flags.dashboard.shell import Shell, came_from, status_of, whole
from flags.dashboard.undo import told, told_what_came
from flags.errors import ApprovalNeeded, FlagsiteError, Invalid, StaleChange
from flags.models import Environment
from flags.queries.requests import in_review_of

# What is wrong about "When" is said there; the editor has no field for it.
TIMES = {"apply_at", "lasts", "seconds", "ends_at"}
# What is typed into the dialog itself.
TYPED = ("reason", "when", "apply_at", "lasts", "lasts_unit")
UNITS = {"minutes": 60, "hours": 3_600, "days": 86_400}


@dataclass(frozen=True)
class Save:
    """Changes that were written on a page, and how its dialog speaks of them."""

    changes: list[Change]
    # What the button does, as `Save in Production`.
    title: str
    # Where to save, and what the form sends there besides what is typed into it.
    address: str
    sends: dict[str, str | Sequence[str]]
    # Where the page is as things are now.
    page: str
    environment: Environment | None = None
    # A selector of the part that the answer replaces; an answer without one only says what came.
    replaces: str = ""
    # Whether an editor stands behind the dialog, which keeps what was typed.
    is_edited: bool = False
    # The version there is now, for who saw an earlier one.
    version_now: int | None = None
    # What was chosen with the rest and cannot be done: its key, and why.
    left_out: list[tuple[str, str]] = field(default_factory=list)
    # Set where what an open request holds is edited: nothing else becomes of such a save.
    edit: EditRequest | None = None


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
    return whole(request.POST.get("expected_version"))


def sent_by_editor(request: HttpRequest) -> dict[str, str | Sequence[str]]:
    """What an editor's save sends again from the dialog."""
    return {name: request.POST.get(name, "") for name in ("configuration", "expected_version")}


def reviewed(
    request: HttpRequest, shell: Shell, save: Save, *, refusal: FlagsiteError | None = None
) -> HttpResponse:
    """What the save would do; `refusal` is what it was refused with when it was sent.

    What is wrong carries its path, which the editor finds the field by.
    """
    context: dict[str, Any] = {
        "shell": shell,
        "save": save,
        "sends": _flat(save.sends),
        "typed": request.POST,
        "typed_here": [(name, request.POST.get(name, "")) for name in TYPED],
        "units": UNITS,
        "back": came_from(request, save.page),
        "is_page": not request.htmx,  # type: ignore[attr-defined]
        "may_be_lent": all(isinstance(change, Leasable) for change in save.changes),
    }
    status = 200
    try:
        context |= _foreseen(shell, save)
    except StaleChange as error:
        context["stale"] = error
        status = status_of(error)
    except FlagsiteError as error:
        context["problems"] = problems_of(error)
        status = status_of(error)
    else:
        if refusal is not None:
            is_time = (
                isinstance(refusal, Invalid) and {row.path for row in refusal.problems} <= TIMES
            )
            context["when_problem" if is_time else "refusal"] = refusal
            status = status_of(refusal)
    if context["is_page"]:
        return render(request, "dashboard/review.html", context, status=status)
    response = render(request, "dashboard/parts/_review.html", context, status=status)
    trigger_client_event(response, "open-review", after="settle")
    # A save that was refused answers into the dialog, not into the page behind it.
    return reswap(retarget(response, "#review-body"), "innerHTML")


def saved(
    request: HttpRequest,
    shell: Shell,
    save: Save,
    text: str,
    answer: Callable[[], HttpResponse],
) -> HttpResponse:
    """Do what the dialog says: at once, at a time, for a time, into one's draft or a request.

    `text` is said of what was done at once, beside the `answer` that the page is drawn with then.
    Raises what `submit` raises.
    """
    given = timed(request, save.changes)
    if request.POST.get("goes"):
        number, said = _collected(request, shell, given)
        link = reverse("request", args=[shell.project.key, number])
        return told(request, answer(), said, link=link)
    outcome = submit(*given, actor=shell.actor, reason=request.POST.get("reason", ""))
    match given:
        case [OpenRequest(apply_at=at)] if at is not None:
            said = f"Request #{outcome.request} is set for {at:%-d %B %Y, %H:%M} UTC"
            link = reverse("request", args=[shell.project.key, outcome.request])
            return told(request, answer(), said, link=link)
        case [GrantLease()]:
            text = f"{text}, for a time"
        case _ if not outcome.changed:
            text = "Nothing was different"
    return told_what_came(request, answer(), shell, outcome, text)


def _collected(request: HttpRequest, shell: Shell, given: Sequence[Change]) -> tuple[int, str]:
    """The number of the draft or the request that the changes are in now, and what is said of it."""
    typed, project = request.POST, shell.project.key
    if any(isinstance(change, OpenRequest) for change in given):
        raise Invalid.at(
            "apply_at", "a request has one time for all that it holds: set it on its page"
        )
    rows = [change.as_json() for change in given]
    reason = typed.get("reason", "")
    if typed["goes"] == "draft":
        place = shell.environment(typed.get("draft_for", ""))
        drafted = DraftChanges(project=project, environment=place.key, changes=rows)
        drafting = submit(drafted, actor=shell.actor, reason=reason)
        number: int = drafting.effects[0].after["number"]
        return number, f"Added to your draft for {place.name}, request #{number}"
    own = whole(typed.get("request"))
    if own is None:
        raise Invalid.at("request", "choose one of your requests")
    added = EditRequest(project=project, request=own, add=rows)
    submit(added, actor=shell.actor, reason=reason)
    return own, f"Added to request #{own}"


def timed(request: HttpRequest, changes: list[Change]) -> list[Change]:
    """The changes as the dialog's "When" has them: now, at an instant to come, or for a time."""
    typed, project = request.POST, changes[0].project
    rows = [change.as_json() for change in changes]
    match typed.get("when", "now"):
        case "later":
            at = read_instant(typed.get("apply_at", ""), typed.get("offset", ""))
            if at is None:
                raise Invalid.at("apply_at", "expected a date and a time, got nothing")
            return [OpenRequest(project=project, changes=rows, apply_at=at)]
        case "lease":
            amount, unit = whole(typed.get("lasts")), typed.get("lasts_unit", "")
            if amount is None or unit not in UNITS:
                raise Invalid.at("lasts", f"expected a whole number, got {typed.get('lasts')!r}")
            return [GrantLease(project=project, changes=rows, seconds=amount * UNITS[unit])]
        case _:
            return changes


def problems_of(error: FlagsiteError) -> list[Problem]:
    return error.problems if isinstance(error, Invalid) else [Problem("", str(error))]


def asked_for(
    shell: Shell, changes: Sequence[Change], refusal: ApprovalNeeded
) -> tuple[list[Effect], dict[str, Any]]:
    """What changes would do that become a request; which rule asks, and who can give it."""
    foreseen = outlook(*changes, actor=shell.actor)
    return foreseen.effects, {
        "because": refusal.lacking,
        "missing": foreseen.missing,
        "closed": foreseen.closed,
    }


def _foreseen(shell: Shell, save: Save) -> dict[str, Any]:
    """Raises what `submit` raises, but for ApprovalNeeded."""
    if not save.changes:
        return {"changed": False}
    if save.edit is not None:
        return _foreseen_edit(shell, save, save.edit)
    approval = None
    try:
        effects = submit(*save.changes, actor=shell.actor, dry_run=True).effects
    except ApprovalNeeded as error:
        effects, approval = asked_for(shell, save.changes, error)
    touched = {effect.environment for effect in effects}
    places = [environment for environment in shell.environments if environment.key in touched]
    guarded = [environment for environment in places if environment.requires_approval]
    return _differences(shell, effects) | {
        "approval": approval,
        "draft_for": next(iter([*guarded, *places]), None),
        "own_requests": in_review_of(shell.project, shell.actor.id, [row.key for row in places]),
    }


def _foreseen_edit(shell: Shell, save: Save, edit: EditRequest) -> dict[str, Any]:
    """What the request would do where it is edited, compared with what is there now."""
    submit(edit, actor=shell.actor, dry_run=True)
    rows = [] if edit.changes is UNSET else edit.changes
    foreseen = outlook(*map(from_json, rows), actor=shell.actor)
    edited = {
        (subject, change.touches()) for change in save.changes for subject in subjects_of(change)
    }
    here = [
        effect for effect in foreseen.effects if (effect.subject, (effect.environment,)) in edited
    ]
    return _differences(shell, here)


def _flat(sends: dict[str, str | Sequence[str]]) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, values in sends.items()
        for value in ([values] if isinstance(values, str) else values)
    ]


def _differences(shell: Shell, effects: Sequence[Effect]) -> dict[str, Any]:
    """What changes, where, and of what; the project's facts of who changes nowhere else.

    Flags that change alike in one place are told of together.
    """
    names = {environment.key: environment.name for environment in shell.environments}
    evaluated = {effect.subject for effect in effects if effect.environment is not None}
    done: dict[tuple[str, str], list[Effect]] = {}
    for effect in effects:
        if effect.environment is not None or effect.subject not in evaluated:
            place = names.get(effect.environment, "") if effect.environment else ""
            done.setdefault((effect.subject.partition(":")[2], place), []).append(effect)
    alike: dict[tuple[str, ...], list[str]] = {}
    for (name, place), rows in done.items():
        words = differences.sentences(rows[0].before, rows[-1].after)
        alike.setdefault((place, *words), []).append(name)
    return {
        "changed": bool(effects),
        "differences": [
            {"names": whose, "place": place, "sentences": words}
            for (place, *words), whose in alike.items()
        ],
        "as_json": [
            {
                "label": f"JSON of {name}" + (f" in {place}" if place else ""),
                "lines": differences.json_lines(rows[0].before, rows[-1].after),
            }
            for (name, place), rows in done.items()
        ],
        "is_brief": len(done) < 4,
    }

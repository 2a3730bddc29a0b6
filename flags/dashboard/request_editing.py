"""Editing what an open request holds of a flag or a segment, in the editor of its own page.

The editor is loaded with what the request would make of it, and its save goes into the request.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect
from msgspec import structs

from flags.changes import (
    UNSET,
    Change,
    ConfigureFlag,
    DefineSegment,
    EditRequest,
    SwitchFlag,
    from_json,
    submit,
)
from flags.changes.base import UnsetType
from flags.changes.outlook import lacking, standing
from flags.changes.requests.kept import subjects_of
from flags.dashboard import flag as flag_page
from flags.dashboard import segments as segment_page
from flags.dashboard.conditions import group_of
from flags.dashboard.request import opened_request
from flags.dashboard.review import Save, expected_version, reviewed, sent_by_editor
from flags.dashboard.shell import Shell, project_page
from flags.dashboard.targeting import targeting_of
from flags.dashboard.undo import told
from flags.errors import Conflict, Denied, Invalid, NotFound
from flags.models import FlagConfiguration, Request

Edited = ConfigureFlag | DefineSegment


@require_http_methods(["GET", "POST"])
@project_page("requests")
def edit_flag(
    request: HttpRequest, shell: Shell, number: int, flag: str, environment: str
) -> HttpResponse:
    """The targeting editor with what the request would make of the flag; a POST saves into it."""
    if request.method == "POST":
        return _saved(request, shell, _flag_from(request, shell, number, flag, environment))
    found, entry = _opened(shell, number, f"flag:{flag}", environment)
    row, place = flag_page.opened_flag(shell, flag), shell.environment(environment)
    configuration = FlagConfiguration(
        flag=row.flag, environment=place, **{name: entry[name] for name in flag_page.SHOWN}
    )
    served = copy(row.flag)
    served.variations = entry["variations"]
    context = _context(shell, found, "flag", flag, environment) | flag_page.for_editing(
        shell, row.flag
    )
    context |= {"row": row, "targeting": targeting_of(served, configuration)}
    return render(request, "dashboard/requests/edit_flag.html", context)  # fmt: skip


@require_POST
@project_page("requests")
def preview_flag(
    request: HttpRequest, shell: Shell, number: int, flag: str, environment: str
) -> HttpResponse:
    """What the request would do to the flag with this edit."""
    return reviewed(request, shell, _flag_from(request, shell, number, flag, environment))


@require_http_methods(["GET", "POST"])
@project_page("requests")
def edit_segment(
    request: HttpRequest, shell: Shell, number: int, segment: str, environment: str
) -> HttpResponse:
    """The condition's editor with what the request would make of it; a POST saves into it."""
    if request.method == "POST":
        return _saved(request, shell, _segment_from(request, shell, number, segment, environment))
    found, entry = _opened(shell, number, f"segment:{segment}", environment)
    row, when = segment_page.opened_segment(shell, segment), entry.get("when")
    context = _context(shell, found, "segment", segment, environment)
    context |= segment_page.for_editing(shell, row)
    context |= {"segment": row, "when": None if when is None else group_of(when)}
    return render(request, "dashboard/requests/edit_segment.html", context)


@require_POST
@project_page("requests")
def preview_segment(
    request: HttpRequest, shell: Shell, number: int, segment: str, environment: str
) -> HttpResponse:
    """What the request would do to the segment with this edit."""
    return reviewed(request, shell, _segment_from(request, shell, number, segment, environment))


def _opened(
    shell: Shell, number: int, subject: str, environment: str
) -> tuple[Request, dict[str, Any]]:
    """The request, and what it would make of the subject there, as a ruleset holds it.

    Raises Http404 where it holds nothing of it that an editor could show, Denied, and what the
    request is refused with by now.
    """
    found = opened_request(shell, number)
    stands = standing(shell.project.key, number)
    there = {row.key: row for row in shell.environments}
    refusal = lacking(found, stands.effects, held=shell.rights, environments=there, asking=True)
    if refusal is not None:
        raise Denied(refusal)
    entries = [
        effect.after
        for effect in stands.effects
        if (effect.subject, effect.environment) == (subject, environment)
        and effect.after
        and "list" not in effect.after
    ]
    if not entries:
        raise Http404(f"request {number} changes nothing of {subject} in {environment}")
    return found, entries[-1]


def _context(shell: Shell, found: Request, noun: str, key: str, environment: str) -> dict[str, Any]:
    named = [shell.project.key, found.number, key, environment]
    return {
        "shell": shell,
        "found": found,
        "key": key,
        "environment": shell.environment(environment),
        "editor": {
            "preview": reverse(f"preview-request-{noun}", args=named),
            "expected": found.revision,
            "cancel": reverse("request", args=named[:2]),
            "noun": "request",
            "theirs": reverse(f"edit-request-{noun}", args=named),
        },
    }


def _flag_from(
    request: HttpRequest, shell: Shell, number: int, flag: str, environment: str
) -> Save:
    change = flag_page.configured_from(request, shell, flag, environment)
    return _save(request, shell, number, "flag", flag, change)


def _segment_from(
    request: HttpRequest, shell: Shell, number: int, segment: str, environment: str
) -> Save:
    change = segment_page.defined_from(request, shell, segment, environment)
    return _save(request, shell, number, "segment", segment, change)


def _save(
    request: HttpRequest, shell: Shell, number: int, noun: str, key: str, change: Edited
) -> Save:
    found = opened_request(shell, number)
    # What the editor saw is the request at a revision, not the flag at a version.
    change, rows = _in_place(found.changes, structs.replace(change, expected_version=None))
    named = [shell.project.key, number]
    return Save(
        changes=[change],
        title=f"Save into request #{number}",
        environment=shell.environment(change.environment),
        address=reverse(f"edit-request-{noun}", args=[*named, key, change.environment]),
        sends=sent_by_editor(request),
        page=reverse("request", args=named),
        is_edited=True,
        edit=EditRequest(
            project=shell.project.key,
            request=number,
            changes=rows,
            expected_revision=expected_version(request),
        ),
    )


def _in_place(
    held: Sequence[dict[str, Any]], change: Edited
) -> tuple[Edited, list[dict[str, Any]]]:
    """The change, and all of the request's with it where the one that it replaces was.

    But after all else that the request does to the same: the editor shows what comes of that, such
    as a variation that is new. Whether a flag is on is no matter of its editor: what the request
    says of that stays.
    """
    rows: list[Change] = []
    place, subjects = None, set(subjects_of(change))
    for row in map(from_json, held):
        if _is_of_the_same(row, change):
            place = len(rows)
            if isinstance(change, ConfigureFlag) and row.enabled is not UNSET:
                change = structs.replace(change, enabled=row.enabled)
            continue
        rows.append(row)
        if place is not None and subjects.intersection(subjects_of(row)):
            place = len(rows)
            if isinstance(change, ConfigureFlag) and isinstance(row, SwitchFlag):
                change = structs.replace(change, enabled=_said_before(change, row))
    rows.insert(len(rows) if place is None else place, change)
    return change, [row.as_json() for row in rows]


def _said_before(change: ConfigureFlag, switch: SwitchFlag) -> bool | UnsetType:
    """Nothing of whether the flag is on, where a switch that now comes first says it."""
    return UNSET if switch.environment == change.environment else change.enabled


def _is_of_the_same(row: Any, change: Edited) -> bool:
    named = ("environment", "flag" if isinstance(change, ConfigureFlag) else "segment")
    return type(row) is type(change) and all(
        getattr(row, name) == getattr(change, name) for name in named
    )


def _saved(request: HttpRequest, shell: Shell, save: Save) -> HttpResponse:
    assert save.edit is not None
    try:
        submit(save.edit, actor=shell.actor, reason=request.POST.get("reason", ""))
    except (Invalid, Conflict, NotFound) as error:
        return reviewed(request, shell, save, refusal=error)
    is_part = request.htmx  # type: ignore[attr-defined]
    response = HttpResponseClientRedirect(save.page) if is_part else redirect(save.page)
    return told(request, response, f"Your edit is in request #{save.edit.request}")

"""The flags of a project: the list, its rows, a switch, and making a flag."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import trigger_client_event

from flagengine import Problem
from flags.changes import UNSET, CreateFlag, SwitchFlag, submit
from flags.dashboard.review import Save, reviewed, saved
from flags.dashboard.shell import Shell, came_from, project_page, status_of, whole
from flags.dashboard.undo import told, told_what_came
from flags.errors import Conflict, FlagsiteError, Invalid, StaleChange
from flags.models import Environment, Flag, Request
from flags.queries.flags import FlagFilter, FlagRow, filter_choices, flag_list, flag_row
from flags.queries.releases import released_in

# What the list's bar does to the flags that are chosen: what it calls that, and in which lists it
# is of use, that of the flags in use or that of the archived ones.
ACTIONS = {
    "restore": ("Restore", ["archived"]),
    "on": ("Switch on", ["in-use"]),
    "off": ("Switch off", ["in-use"]),
    "tag": ("Add a tag", ["in-use", "archived"]),
    "untag": ("Remove a tag", ["in-use", "archived"]),
    "archive": ("Archive", ["in-use"]),
}
TYPE_NAMES = {
    "boolean": "Boolean",
    "string": "String",
    "integer": "Integer",
    "float": "Float",
    "json": "JSON",
}


@require_GET
@project_page("flags")
def flags(request: HttpRequest, shell: Shell) -> HttpResponse:
    """The list; htmx gets the results alone while someone types or a hint arrives."""
    wanted = filter_from(request)
    found = flag_list(
        shell.project, shell.environments, wanted, page=whole(request.GET.get("page")) or 1
    )
    released = released_in(shell.project)
    context = {
        "shell": shell,
        "wanted": wanted,
        "found": found,
        "rows": [SwitchRow(row, shell, released) for row in found.rows],
        "previous_page": found.page - 1,
        "next_page": found.page + 1,
        "may_choose": may_choose(shell, archived=wanted.archived),
    }
    if request.htmx and request.htmx.target == "flag-results":  # type: ignore[attr-defined]
        return render(request, "dashboard/parts/_flag_results.html", context)
    context |= {
        "choices": filter_choices(shell.project),
        "types": TYPE_NAMES,
        "offers": offers(shell, archived=wanted.archived),
        "places": places_to_switch(shell),
    }
    return render(request, "dashboard/flags.html", context)


@require_GET
@project_page("flags")
def row(request: HttpRequest, shell: Shell, flag: str) -> HttpResponse:
    """One row as it is now; nothing when its list holds the flag no more, so that the row goes too.

    The list is that of the flags in use, or with `?archived=1` of the archived ones.
    """
    found = flag_row(shell.project, shell.environments, flag)
    if found is None or found.flag.is_archived != (request.GET.get("archived") == "1"):
        return HttpResponse()
    return _row(request, shell, found)


@require_http_methods(["GET", "POST"])
@project_page("flags")
def switch(request: HttpRequest, shell: Shell, flag: str, environment: str) -> HttpResponse:
    """Switch a flag, if it is still as the page showed it; else show how it is now.

    A GET says first what that would do, and asks when and why.
    """
    save = _switch_from(request, shell, flag, environment)
    if request.method == "GET":
        return reviewed(request, shell, save)
    on, place = request.POST.get("on") == "true", shell.environment(environment).name
    text = f"{flag} is {'on' if on else 'off'} in {place}"
    try:
        return saved(request, shell, save, text, lambda: _switched(request, shell, flag))
    except StaleChange as error:
        response = _switched(request, shell, flag)
        response.headers["HX-Trigger"] = json.dumps({"stale": str(error), "close-dialogs": ""})
        return told(request, response, f"{error}. Somebody was faster; this is how it is now.")
    except (Invalid, Conflict) as error:
        return reviewed(request, shell, save, refusal=error)


@require_http_methods(["GET", "POST"])
@project_page("flags")
def create(request: HttpRequest, shell: Shell) -> HttpResponse:
    """The form that makes a flag; what was typed stays when something in it is refused."""
    context: dict[str, Any] = {"shell": shell, "types": TYPE_NAMES, "typed": _typed_flag(request)}
    if request.method == "GET":
        return render(request, "dashboard/create_flag.html", context)
    try:
        change = _flag_from(request, shell)
        outcome = submit(change, actor=shell.actor, reason=request.POST.get("reason", ""))
    except (Invalid, Conflict) as error:
        context["problems"] = _problems(error)
        return render(request, "dashboard/create_flag.html", context, status=status_of(error))
    text = f"{change.key} is made, and off everywhere until you switch it on"
    if outcome.request is not None:
        # There is no such flag before the request is applied.
        response = redirect("request", project=shell.project.key, number=outcome.request)
        return told_what_came(request, response, shell, outcome, text)
    return told(request, redirect("flag", project=shell.project.key, flag=change.key), text)


class SwitchRow:
    """A row with what this person may do to it."""

    def __init__(
        self,
        found: FlagRow,
        shell: Shell,
        released: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.flag = found.flag
        self.changed_at = found.changed_at
        # Told on the page of the flag alone.
        self.open_requests: list[Request] = []
        self.states = [
            {
                "environment": state.environment,
                "configuration": state.configuration,
                "enabled": state.enabled,
                "serves": state.serves,
                "rule_count": state.rule_count,
                "refusal": _refusal(shell, found.flag, state.environment),
                # What happens there by itself, in words; told in the list alone.
                "releases": (released or {}).get(found.flag.key, {}).get(state.environment.key),
            }
            for state in found.states
        ]


@dataclass(frozen=True)
class Offer:
    """What may be done to several flags at once; `applies` where the list that is shown holds them."""

    action: str
    words: str
    lists: list[str]
    applies: bool


def offers(shell: Shell, *, archived: bool) -> list[Offer]:
    """What this person may do to several flags at once, in this list and in the other one."""
    here = "archived" if archived else "in-use"
    return [
        Offer(action, words, lists, here in lists)
        for action, (words, lists) in ACTIONS.items()
        if _may_do(shell, action)
    ]


def _may_do(shell: Shell, action: str) -> bool:
    match action:
        case "on" | "off":
            return bool(places_to_switch(shell))
        case "archive" | "restore":
            return shell.refusal_everywhere is None
    return shell.may_edit


def places_to_switch(shell: Shell) -> list[Environment]:
    return [place for place in shell.environments if shell.refusal_in(place) is None]


def may_choose(shell: Shell, *, archived: bool) -> bool:
    """Whether there is anything that this person may do to several flags of the list at once."""
    return any(offer.applies for offer in offers(shell, archived=archived))


def filter_from(request: HttpRequest) -> FlagFilter:
    asked = request.GET
    return FlagFilter(
        text=asked.get("q", "").strip()[:200],
        state=asked.get("state", ""),
        type=asked.get("type", ""),
        tag=asked.get("tag", ""),
        owner=asked.get("owner", ""),
        archived=asked.get("archived") == "1",
    )


def read_value(text: str, type_: str) -> Any:
    """The value that someone typed for a variation; raises ValueError with what was expected."""
    if type_ == "string":
        return text
    if type_ == "boolean":
        if text.strip() not in ("true", "false"):
            raise ValueError(f"expected true or false, got {text.strip()!r}")
        return text.strip() == "true"
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        if type_ == "json":
            raise ValueError(f"expected JSON: {error}") from error
        expected = "a whole number" if type_ == "integer" else "a number"
        raise ValueError(f"expected {expected}, got {text.strip()!r}") from error
    if type_ == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def read_variations(request: HttpRequest, type_: str) -> list[dict[str, Any]]:
    """The rows of the variations' form; raises Invalid with the place of each value that is none."""
    problems, variations = [], []
    typed = variation_rows(request)
    for index, one in enumerate(typed):
        variation: dict[str, Any] = {"key": one["key"].strip()}
        try:
            variation["value"] = read_value(one["value"], type_)
        except ValueError as error:
            problems.append(Problem(f"variations[{index}].value", str(error)))
        for member in ("name", "description"):
            if one[member].strip():
                variation[member] = one[member].strip()
        variations.append(variation)
    if problems:
        raise Invalid(problems)
    return variations


def variation_rows(request: HttpRequest) -> list[dict[str, str]]:
    """What was typed, row by row; a row left wholly empty is none."""
    columns = {
        member: request.POST.getlist(f"variation_{member}")
        for member in ("key", "value", "name", "description")
    }
    rows = []
    for index, key in enumerate(columns["key"]):
        row = {"key": key} | {
            member: values[index] if index < len(values) else ""
            for member, values in columns.items()
            if member != "key"
        }
        if any(text.strip() for text in row.values()):
            rows.append(row)
    return rows


def read_tags(text: str) -> list[str]:
    return [tag.strip() for tag in text.replace("\n", ",").split(",") if tag.strip()]


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _flag_from(request: HttpRequest, shell: Shell) -> CreateFlag:
    typed = request.POST
    type_ = typed.get("type", "boolean")
    if type_ not in Flag.TYPES:
        raise Invalid.at("type", f"expected one of {', '.join(Flag.TYPES)}, got {type_!r}")
    return CreateFlag(
        project=shell.project.key,
        key=typed.get("key", "").strip(),
        name=typed.get("name", "").strip(),
        description=typed.get("description", "").strip(),
        type=type_,  # type: ignore[arg-type]
        variations=UNSET if type_ == "boolean" else read_variations(request, type_),
        tags=read_tags(typed.get("tags", "")),
        owner=shell.actor.name,
        is_permanent=typed.get("is_permanent") == "on",
        client_visible=typed.get("client_visible") == "on",
    )


def _typed_flag(request: HttpRequest) -> dict[str, Any]:
    """What the form shows: what was typed, or a beginning."""
    typed: dict[str, Any] = {
        name: request.POST.get(name, "")
        for name in ("key", "name", "description", "tags", "reason")
    }
    typed["type"] = request.POST.get("type", "boolean")
    typed["is_permanent"] = request.POST.get("is_permanent") == "on"
    typed["client_visible"] = request.POST.get("client_visible") == "on"
    typed["variations"] = variation_rows(request) or [{"key": ""}, {"key": ""}]
    return typed


def _problems(error: FlagsiteError) -> list[Problem]:
    """The faults of a form, each at its field; that a key is taken is said at the key."""
    return error.problems if isinstance(error, Invalid) else [Problem("key", str(error))]


def _switch_from(request: HttpRequest, shell: Shell, flag: str, environment: str) -> Save:
    asked = request.GET if request.method == "GET" else request.POST
    on, place = asked.get("on") == "true", shell.environment(environment)
    # Which part of its page shows the switch, and is drawn again.
    part = "header" if asked.get("part") == "header" else "row"
    named = [shell.project.key, flag]
    change = SwitchFlag(
        project=shell.project.key, environment=environment, flag=flag, on=on, was=not on
    )
    return Save(
        changes=[change],
        title=f"Turn {flag} {'on' if on else 'off'} in {place.name}",
        environment=place,
        address=reverse("switch-flag", args=[*named, environment]),
        sends={"on": "true" if on else "false", "part": part},
        page=reverse("flag", args=named),
        replaces="#flag-header" if part == "header" else f"[id='row-{flag}']",
    )


def _switched(request: HttpRequest, shell: Shell, flag: str) -> HttpResponse:
    """The part of the page that asked, as it is now."""
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(came_from(request, reverse("flags", args=[shell.project.key])))
    found = flag_row(shell.project, shell.environments, flag)
    if found is None:
        raise Http404(f"there is no flag {flag} in {shell.project.key}")
    return trigger_client_event(_row(request, shell, found), "close-dialogs")


def _row(request: HttpRequest, shell: Shell, found: FlagRow) -> HttpResponse:
    if request.headers.get("HX-Target") == "flag-header":
        context: dict[str, Any] = {"shell": shell, "row": SwitchRow(found, shell)}
        return render(request, "dashboard/parts/_flag_header.html", context)
    shown = SwitchRow(found, shell, released_in(shell.project))
    context = {"shell": shell, "row": shown}
    context["may_choose"] = may_choose(shell, archived=found.flag.is_archived)
    return render(request, "dashboard/parts/_flag_row.html", context)


def _refusal(shell: Shell, flag: Flag, environment: Any) -> str | None:
    if flag.is_archived:
        return "The flag is archived"
    return shell.refusal_in(environment)

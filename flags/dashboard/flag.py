"""One flag: its header, what it serves in an environment, its variations and its settings."""

import json
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from flags.changes import (
    ArchiveFlag,
    Change,
    ConfigureFlag,
    DeleteFlag,
    EditFlag,
    Outcome,
    RestoreFlag,
    submit,
)
from flags.dashboard.conditions import (
    MODES,
    OPERATOR_GROUPS,
    empty_comparison,
    empty_group,
    empty_segment,
)
from flags.dashboard.flags import SwitchRow, read_tags, read_variations, variation_rows
from flags.dashboard.releases import panels_of
from flags.dashboard.requests import requests_on_flag
from flags.dashboard.review import (
    Save,
    expected_version,
    problems_of,
    reviewed,
    saved,
    sent_by_editor,
    typed_configuration,
)
from flags.dashboard.shell import Shell, chosen_environment, project_page, status_of, whole
from flags.dashboard.targeting import targeting_of
from flags.dashboard.undo import told_what_came
from flags.errors import Conflict, Invalid, NotFound
from flags.models import Environment, Flag, FlagConfiguration
from flags.queries.flags import (
    attributes_in_use,
    flag_row,
    flags_to_require,
    members_of,
    segment_keys,
)

# What the editor writes, and what it is drawn from.
EDITED = ("prerequisites", "targets", "rules", "fallthrough", "off_variation")
SHOWN = ("version", "enabled", *EDITED)


def opened_flag(shell: Shell, key: str) -> SwitchRow:
    """The flag with its state in every environment, for the header; raises Http404."""
    found = flag_row(shell.project, shell.environments, key)
    if found is None:
        raise Http404(f"there is no flag {key} in {shell.project.key}")
    row = SwitchRow(found, shell)
    row.open_requests = requests_on_flag(shell, key)
    return row


@require_GET
@project_page("flags")
def targeting(request: HttpRequest, shell: Shell, flag: str) -> HttpResponse:
    """The Targeting tab of one environment; `?edit=1` gives the editor instead of the sentences."""
    row = opened_flag(shell, flag)
    environment = chosen_environment(request, shell)
    context = _targeting(shell, row, environment)
    if request.GET.get("edit") == "1" and not context["refusal"]:
        context |= for_editing(shell, row.flag)
        context |= {"editing": True, "editor": _editor(shell, flag, context)}
    if request.htmx and request.htmx.target == "targeting":  # type: ignore[attr-defined]
        return render(request, "dashboard/parts/_targeting.html", context)
    context |= panels_of(shell, flag, environment)
    return render(request, "dashboard/flag_targeting.html", context)


@require_GET
@project_page("flags")
def header(request: HttpRequest, shell: Shell, flag: str) -> HttpResponse:
    """The header as it is now."""
    context = {"shell": shell, "row": opened_flag(shell, flag)}
    return render(request, "dashboard/parts/_flag_header.html", context)


@require_POST
@project_page("flags")
def preview(request: HttpRequest, shell: Shell, flag: str, environment: str) -> HttpResponse:
    """What a save would do: the differences and a place for the reason, or what is wrong."""
    return reviewed(request, shell, _save_from(request, shell, flag, environment))


@require_POST
@project_page("flags")
def save(request: HttpRequest, shell: Shell, flag: str, environment: str) -> HttpResponse:
    """Save the editor's whole state; refused when the flag moved since the editor was opened."""
    save = _save_from(request, shell, flag, environment)
    text = f"{flag} is saved in {shell.environment(environment).name}"
    try:
        return saved(request, shell, save, text, lambda: _saved(request, shell, flag, environment))
    except (Invalid, Conflict, NotFound) as error:
        # It was right when it was reviewed; the review says what is wrong with it now.
        return reviewed(request, shell, save, refusal=error)


@require_http_methods(["GET", "POST"])
@project_page("flags")
def variations(request: HttpRequest, shell: Shell, flag: str) -> HttpResponse:
    """The answers there are: keys, values and names, and the JSON Schema of the values."""
    row = opened_flag(shell, flag)
    context: dict[str, Any] = {
        "shell": shell,
        "row": row,
        "tab": "variations",
        "refusal": _refusal_everywhere(shell, row.flag),
        "variations": [_typed(one, row.flag.type) for one in row.flag.variations],
        "schema": ""
        if row.flag.json_schema is None
        else json.dumps(row.flag.json_schema, indent=2, ensure_ascii=False),
        "revision": row.flag.revision,
    }
    if request.method == "GET":
        return render(request, "dashboard/flag_variations.html", context)
    try:
        change = EditFlag(
            project=shell.project.key,
            flag=flag,
            variations=read_variations(request, row.flag.type),
            json_schema=_schema(request.POST.get("json_schema", "")),
            expected_revision=whole(request.POST.get("revision")),
        )
        outcome = submit(change, actor=shell.actor, reason=request.POST.get("reason", ""))
    except (Invalid, Conflict) as error:
        context |= {
            "problems": problems_of(error),
            "variations": variation_rows(request),
            "schema": request.POST.get("json_schema", ""),
            "revision": request.POST.get("revision", ""),
            "typed": request.POST,
        }
        return render(request, "dashboard/flag_variations.html", context, status=status_of(error))
    return _edited(request, shell, flag, "flag-variations", outcome)


@require_http_methods(["GET", "POST"])
@project_page("flags")
def settings(request: HttpRequest, shell: Shell, flag: str) -> HttpResponse:
    """What a flag is called and whose it is, and its end: archived, restored, deleted."""
    row = opened_flag(shell, flag)
    context: dict[str, Any] = {
        "shell": shell,
        "row": row,
        "tab": "settings",
        "members": members_of(shell.project),
        "refusal": shell.edit_refusal,
        "everywhere_refusal": _refusal_everywhere(shell, row.flag),
        "typed": {
            "name": row.flag.name,
            "description": row.flag.description,
            "tags": ", ".join(row.flag.tags),
            "owner": row.flag.owner.username if row.flag.owner else "",
            "client_visible": row.flag.client_visible,
            "is_permanent": row.flag.is_permanent,
            "revision": row.flag.revision,
        },
    }
    if request.method == "GET":
        return render(request, "dashboard/flag_settings.html", context)
    try:
        change = _settings_from(request, shell, row.flag)
        outcome = submit(change, actor=shell.actor, reason=request.POST.get("reason", ""))
    except (Invalid, Conflict, NotFound) as error:
        context["problems"] = problems_of(error)
        context["typed"] = request.POST
        return render(request, "dashboard/flag_settings.html", context, status=status_of(error))
    return _edited(request, shell, flag, "flag-settings", outcome)


@require_POST
@project_page("flags")
def end(request: HttpRequest, shell: Shell, flag: str, how: str) -> HttpResponse:
    """Archive, restore or delete; deleting asks for the key to be typed."""
    kinds = {"archive": ArchiveFlag, "restore": RestoreFlag, "delete": DeleteFlag}
    said = {"archive": "is archived", "restore": "is back", "delete": "is deleted"}
    if how not in kinds:
        raise Http404(f"expected archive, restore or delete, got {how}")
    if how == "delete" and request.POST.get("typed_key", "") != flag:
        raise Invalid.at("typed_key", f"expected the key {flag}, to be sure")
    change: Change = kinds[how](project=shell.project.key, flag=flag)
    outcome = submit(change, actor=shell.actor, reason=request.POST.get("reason", ""))
    is_gone = how == "delete" and outcome.request is None
    where = "flags" if is_gone else "flag-settings"
    named = [shell.project.key] if is_gone else [shell.project.key, flag]
    response = redirect(reverse(where, args=named))
    return told_what_came(request, response, shell, outcome, f"{flag} {said[how]}")


def _saved(request: HttpRequest, shell: Shell, flag: str, environment: str) -> HttpResponse:
    """What is served now, in the place of the editor."""
    row, chosen = opened_flag(shell, flag), shell.environment(environment)
    response = render(request, "dashboard/parts/_targeting.html", _targeting(shell, row, chosen))
    trigger_client_event(response, "close-dialogs")
    return response


def _targeting(shell: Shell, row: SwitchRow, environment: Environment) -> dict[str, Any]:
    state = next(state for state in row.states if state["environment"] == environment)
    configuration: FlagConfiguration = state["configuration"]
    return {
        "shell": shell,
        "row": row,
        "tab": "targeting",
        "environment": environment,
        "targeting": targeting_of(row.flag, configuration),
        "refusal": state["refusal"],
    }


def _editor(shell: Shell, flag: str, context: dict[str, Any]) -> dict[str, Any]:
    """Where the editor asks what its save would do, what it was drawn from, and its way out."""
    environment, named = context["environment"].key, [shell.project.key, flag]
    page = f"{reverse('flag', args=named)}?{urlencode({'environment': environment})}"
    return {
        "preview": reverse("preview-targeting", args=[*named, environment]),
        "expected": context["targeting"].version,
        "cancel": page,
        "noun": "flag",
        "theirs": page,
    }


def for_editing(shell: Shell, flag: Flag) -> dict[str, Any]:
    """What the editor offers to choose from."""
    return {
        "operator_groups": OPERATOR_GROUPS,
        "modes": MODES,
        "segments": segment_keys(shell.project),
        "other_flags": flags_to_require(shell.project, flag.key),
        "attributes": attributes_in_use(shell.project),
        "blank_comparison": empty_comparison(),
        "blank_group": empty_group(),
        "blank_segment": empty_segment(),
    }


def configured_from(
    request: HttpRequest, shell: Shell, flag: str, environment: str
) -> ConfigureFlag:
    """The change that the editor's JSON asks for; raises Invalid when it is none."""
    configuration = typed_configuration(request)
    given = {name: configuration[name] for name in EDITED if name in configuration}
    try:
        return msgspec.convert(
            {
                "project": shell.project.key,
                "environment": environment,
                "flag": flag,
                "expected_version": expected_version(request),
                **given,
            },
            ConfigureFlag,
        )
    except msgspec.ValidationError as error:
        raise Invalid.at("configuration", str(error)) from error


def _save_from(request: HttpRequest, shell: Shell, flag: str, environment: str) -> Save:
    row, place = opened_flag(shell, flag), shell.environment(environment)
    state = next(state for state in row.states if state["environment"] == place)
    named = [shell.project.key, flag]
    return Save(
        changes=[configured_from(request, shell, flag, environment)],
        title=f"Save in {place.name}",
        environment=place,
        address=reverse("save-targeting", args=[*named, environment]),
        sends=sent_by_editor(request),
        page=f"{reverse('flag', args=named)}?{urlencode({'environment': environment})}",
        replaces="#targeting",
        is_edited=True,
        version_now=state["configuration"].version,
    )


def _refusal_everywhere(shell: Shell, flag: Flag) -> str | None:
    """Why this person may not do what touches the flag in every environment; None where they may."""
    if flag.is_archived:
        return "The flag is archived; restore it before changing what it serves"
    return shell.refusal_everywhere


def _typed(variation: dict[str, Any], type_: str) -> dict[str, str]:
    """A stored variation as the form shows it: text as it is, everything else as JSON."""
    value = variation["value"]
    indent = 2 if isinstance(value, dict | list) else None
    return {
        "key": variation["key"],
        "value": value
        if type_ == "string"
        else json.dumps(value, indent=indent, ensure_ascii=False),
        "name": variation.get("name", ""),
        "description": variation.get("description", ""),
    }


def _schema(text: str) -> Any:
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise Invalid.at("json_schema", f"expected a JSON Schema: {error}") from error


def _settings_from(request: HttpRequest, shell: Shell, flag: Flag) -> EditFlag:
    typed = request.POST
    given: dict[str, Any] = {
        "name": typed.get("name", "").strip() or flag.key,
        "description": typed.get("description", "").strip(),
        "tags": read_tags(typed.get("tags", "")),
        "owner": typed.get("owner", "") or None,
        "is_permanent": typed.get("is_permanent") == "on",
    }
    client_visible = typed.get("client_visible") == "on"
    # It is part of every ruleset: given only when it is another one, so that an environment that
    # requires approval does not stand in the way of a new description.
    if client_visible != flag.client_visible:
        given["client_visible"] = client_visible
    return EditFlag(
        project=shell.project.key,
        flag=flag.key,
        expected_revision=whole(request.POST.get("revision")),
        **given,
    )


def _edited(
    request: HttpRequest, shell: Shell, flag: str, page: str, outcome: Outcome
) -> HttpResponse:
    response = redirect(reverse(page, args=[shell.project.key, flag]))
    text = f"{flag} is saved" if outcome.changed else "Nothing was different"
    return told_what_came(request, response, shell, outcome, text)

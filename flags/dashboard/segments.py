"""Segments: the list, and one segment with its condition and its id lists per environment."""

from typing import Any

import msgspec
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from flags.changes import (
    ChangeSegmentIds,
    CreateSegment,
    DefineSegment,
    DeleteSegment,
    EditSegment,
    submit,
)
from flags.dashboard.conditions import (
    MODES,
    OPERATOR_GROUPS,
    Node,
    empty_comparison,
    empty_group,
    empty_segment,
    group_of,
)
from flags.dashboard.flags import read_tags
from flags.dashboard.review import (
    Save,
    expected_version,
    problems_of,
    reviewed,
    saved,
    sent_by_editor,
    typed_configuration,
)
from flags.dashboard.shell import (
    Shell,
    came_from,
    chosen_environment,
    project_page,
    status_of,
    whole,
)
from flags.dashboard.undo import told, told_what_came
from flags.errors import Conflict, Invalid, NotFound
from flags.models import Environment, Segment
from flags.queries.flags import attributes_in_use, segment_keys
from flags.queries.requests import open_requests_on
from flags.queries.segments import (
    SegmentInEnvironment,
    SegmentUse,
    id_lists,
    segment_in_environments,
    segment_list,
    segment_uses,
)


@require_GET
@project_page("segments")
def segments(request: HttpRequest, shell: Shell) -> HttpResponse:
    """The list; htmx gets the results alone."""
    text = request.GET.get("q", "").strip()[:200]
    context = {"shell": shell, "text": text, "rows": segment_list(shell.project, text)}
    if request.htmx and request.htmx.target == "segment-results":  # type: ignore[attr-defined]
        return render(request, "dashboard/parts/_segment_results.html", context)
    return render(request, "dashboard/segments.html", context)


@require_http_methods(["GET", "POST"])
@project_page("segments")
def create(request: HttpRequest, shell: Shell) -> HttpResponse:
    """The form that makes a segment; what was typed stays when something in it is refused."""
    context: dict[str, Any] = {
        "shell": shell,
        "typed": request.POST,
        # A new segment alters nothing that is evaluated anywhere.
        "refusal": shell.edit_refusal,
    }
    if request.method == "GET":
        return render(request, "dashboard/create_segment.html", context)
    change = CreateSegment(
        project=shell.project.key,
        key=request.POST.get("key", "").strip(),
        name=request.POST.get("name", "").strip(),
        description=request.POST.get("description", "").strip(),
        tags=read_tags(request.POST.get("tags", "")),
    )
    try:
        outcome = submit(change, actor=shell.actor)
    except (Invalid, Conflict) as error:
        context["problems"] = problems_of(error)
        return render(request, "dashboard/create_segment.html", context, status=status_of(error))
    text = f"{change.key} is made; say below who is in it"
    if outcome.request is not None:
        # There is no such segment before the request is applied.
        response = redirect("segments", project=shell.project.key)
        return told_what_came(request, response, shell, outcome, text)
    response = redirect("segment", project=shell.project.key, segment=change.key)
    return told(request, response, text)


@require_GET
@project_page("segments")
def segment(request: HttpRequest, shell: Shell, segment: str) -> HttpResponse:
    """Who is in it in one environment; `?edit=1` gives the condition's editor."""
    found = opened_segment(shell, segment)
    environment = chosen_environment(request, shell)
    context = _definition(request, shell, found, environment)
    if request.GET.get("edit") == "1" and not context["refusal"]:
        context |= for_editing(shell, found)
        context |= {"editing": True, "editor": _editor(shell, segment, context)}
    target = request.htmx.target if request.htmx else None  # type: ignore[attr-defined]
    parts = {"definition": "_definition.html", "segment-ids": "_segment_ids.html"}
    template = f"parts/{parts[target]}" if target in parts else "segment.html"
    return render(request, f"dashboard/{template}", context)


@require_POST
@project_page("segments")
def preview(request: HttpRequest, shell: Shell, segment: str, environment: str) -> HttpResponse:
    """What a save of the condition would do."""
    return reviewed(request, shell, _save_from(request, shell, segment, environment))


@require_POST
@project_page("segments")
def save(request: HttpRequest, shell: Shell, segment: str, environment: str) -> HttpResponse:
    """Save the condition; refused when the segment moved since the editor was opened."""
    save = _save_from(request, shell, segment, environment)
    text = f"{segment} is saved in {shell.environment(environment).name}"
    try:
        return saved(
            request, shell, save, text, lambda: _saved(request, shell, segment, environment)
        )
    except (Invalid, Conflict, NotFound) as error:
        # It was right when it was reviewed; the review says what is wrong with it now.
        return reviewed(request, shell, save, refusal=error)


def _saved(request: HttpRequest, shell: Shell, segment: str, environment: str) -> HttpResponse:
    """The condition as it is now, in the place of the editor."""
    found, chosen = opened_segment(shell, segment), shell.environment(environment)
    context = _definition(request, shell, found, chosen)
    response = render(request, "dashboard/parts/_definition.html", context)
    trigger_client_event(response, "close-dialogs")
    return response


@require_POST
@project_page("segments")
def change_ids(request: HttpRequest, shell: Shell, segment: str, environment: str) -> HttpResponse:
    """Put ids on a list, one a line or separated by commas, or take some off."""
    change = ChangeSegmentIds(
        project=shell.project.key,
        environment=environment,
        segment=segment,
        by=request.POST.get("by", "").strip() or "targetingKey",
        id_list="excluded" if request.POST.get("list") == "excluded" else "included",
        add=read_ids(request.POST.get("add", "")),
        remove=tuple(request.POST.getlist("remove")),
    )
    outcome = submit(change, actor=shell.actor, reason=request.POST.get("reason", ""))
    after = [effect.after for effect in outcome.effects if outcome.request is None]
    added = sum(len(entry.get("add", change.add)) for entry in after)
    removed = sum(len(entry.get("remove", change.remove)) for entry in after)
    words = [f"{n:,} {what}" for n, what in ((added, "added"), (removed, "removed")) if n]
    text = f"{segment}: {' and '.join(words)}" if words else "Nothing to change: it was so already"
    if not request.htmx:  # type: ignore[attr-defined]
        named = [shell.project.key, segment]
        response: HttpResponse = redirect(came_from(request, reverse("segment", args=named)))
    else:
        found, chosen = opened_segment(shell, segment), shell.environment(environment)
        context = _definition(request, shell, found, chosen)
        response = render(request, "dashboard/parts/_segment_ids.html", context)
    return told_what_came(request, response, shell, outcome, text)


@require_http_methods(["GET", "POST"])
@project_page("segments")
def settings(request: HttpRequest, shell: Shell, segment: str) -> HttpResponse:
    """What a segment is called, what uses it, and deleting it."""
    found = opened_segment(shell, segment)
    context: dict[str, Any] = {
        "shell": shell,
        "segment": found,
        "open_requests": open_requests_on(shell.project, f"segment:{segment}"),
        "tab": "settings",
        "use": segment_uses(shell.project).get(segment, SegmentUse()),
        "refusal": shell.edit_refusal,
        "delete_refusal": shell.refusal_everywhere,
        "typed": {
            "name": found.name,
            "description": found.description,
            "tags": ", ".join(found.tags),
            "revision": found.revision,
        },
    }
    if request.method == "GET":
        return render(request, "dashboard/segment_settings.html", context)
    change = EditSegment(
        project=shell.project.key,
        segment=segment,
        name=request.POST.get("name", "").strip() or segment,
        description=request.POST.get("description", "").strip(),
        tags=read_tags(request.POST.get("tags", "")),
        expected_revision=whole(request.POST.get("revision")),
    )
    try:
        outcome = submit(change, actor=shell.actor)
    except (Invalid, Conflict) as error:
        context |= {"problems": problems_of(error), "typed": request.POST}
        return render(request, "dashboard/segment_settings.html", context, status=status_of(error))
    response = redirect("segment-settings", project=shell.project.key, segment=segment)
    text = f"{segment} is saved" if outcome.changed else "Nothing was different"
    return told_what_came(request, response, shell, outcome, text)


@require_POST
@project_page("segments")
def delete(request: HttpRequest, shell: Shell, segment: str) -> HttpResponse:
    """Remove a segment that nothing uses; asks for the key to be typed."""
    if request.POST.get("typed_key", "") != segment:
        raise Invalid.at("typed_key", f"expected the key {segment}, to be sure")
    change = DeleteSegment(project=shell.project.key, segment=segment)
    outcome = submit(change, actor=shell.actor)
    response = redirect("segments", project=shell.project.key)
    if outcome.request is not None:
        return told_what_came(request, response, shell, outcome, "")
    return told(request, response, f"{segment} is deleted")


def opened_segment(shell: Shell, key: str) -> Segment:
    """The segment of this key; raises Http404."""
    found = Segment.objects.filter(project=shell.project, key=key).first()
    if found is None:
        raise Http404(f"there is no segment {key} in {shell.project.key}")
    return found


def read_ids(text: str) -> tuple[str, ...]:
    """Ids as people paste them: one a line, or separated by commas or tabs; each once."""
    separated = text.replace("\r", "\n").replace(",", "\n").replace("\t", "\n").split("\n")
    return tuple(dict.fromkeys(part.strip() for part in separated if part.strip()))


def _definition(
    request: HttpRequest, shell: Shell, segment: Segment, environment: Environment
) -> dict[str, Any]:
    everywhere = segment_in_environments(segment)
    here = _in(everywhere, environment)
    text = request.GET.get("ids", "").strip()[:200]
    return {
        "shell": shell,
        "segment": segment,
        "open_requests": open_requests_on(shell.project, f"segment:{segment.key}"),
        "tab": "definition",
        "environment": environment,
        "everywhere": everywhere,
        "definition": here.definition,
        "when": None if here.definition.when is None else group_of(here.definition.when),
        "lists": id_lists(here.definition, text),
        "ids_text": text,
        "refusal": shell.refusal_in(environment),
    }


def _in(everywhere: list[SegmentInEnvironment], environment: Environment) -> SegmentInEnvironment:
    for one in everywhere:
        if one.environment == environment:
            return one
    raise Http404(f"the segment has no definition in {environment.key}")


def _editor(shell: Shell, segment: str, context: dict[str, Any]) -> dict[str, Any]:
    """Where the editor asks what its save would do, what it was drawn from, and its way out."""
    environment, named = context["environment"].key, [shell.project.key, segment]
    page = f"{reverse('segment', args=named)}?{urlencode({'environment': environment})}"
    return {
        "preview": reverse("preview-segment", args=[*named, environment]),
        "expected": context["definition"].version,
        "cancel": page,
        "noun": "segment",
        "theirs": page,
    }


def for_editing(shell: Shell, segment: Segment) -> dict[str, Any]:
    return {
        "operator_groups": OPERATOR_GROUPS,
        "modes": MODES,
        "segments": [key for key in segment_keys(shell.project) if key != segment.key],
        "attributes": attributes_in_use(shell.project),
        "nobody": Node(kind="group", is_bare=True),
        "blank_comparison": empty_comparison(),
        "blank_group": empty_group(),
        "blank_segment": empty_segment(),
    }


def defined_from(
    request: HttpRequest, shell: Shell, segment: str, environment: str
) -> DefineSegment:
    try:
        return msgspec.convert(
            {
                "project": shell.project.key,
                "environment": environment,
                "segment": segment,
                "when": typed_configuration(request).get("when"),
                "expected_version": expected_version(request),
            },
            DefineSegment,
        )
    except msgspec.ValidationError as error:
        raise Invalid.at("configuration", str(error)) from error


def _save_from(request: HttpRequest, shell: Shell, segment: str, environment: str) -> Save:
    found, place = opened_segment(shell, segment), shell.environment(environment)
    named = [shell.project.key, segment]
    return Save(
        changes=[defined_from(request, shell, segment, environment)],
        title=f"Save in {place.name}",
        environment=place,
        address=reverse("save-segment", args=[*named, environment]),
        sends=sent_by_editor(request),
        page=f"{reverse('segment', args=named)}?{urlencode({'environment': environment})}",
        replaces="#definition",
        is_edited=True,
        version_now=_in(segment_in_environments(found), place).definition.version,
    )

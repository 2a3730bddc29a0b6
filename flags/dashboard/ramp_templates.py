"""Templates of ramps: steps that a project keeps under a name."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from flags.changes import RemoveRampTemplate, SetRampTemplate, submit
from flags.changes.releases.plans import DEFAULT_STEPS
from flags.dashboard.problems import by_field
from flags.dashboard.ramp_steps import HOLDS, Row, rows_of, steps_from, typed_rows, with_problems
from flags.dashboard.shell import Shell, project_page, status_of
from flags.dashboard.undo import told_what_came
from flags.differences import steps_in_words
from flags.errors import Invalid
from flags.models import RampTemplate


@require_GET
@project_page("releases")
def templates(request: HttpRequest, shell: Shell) -> HttpResponse:
    """The templates with their steps in words, and that of a ramp without any."""
    context = {
        "shell": shell,
        "templates": [
            {"row": row, "steps": steps_in_words(row.steps)}
            for row in shell.project.ramp_templates.all()
        ],
        "default": steps_in_words(DEFAULT_STEPS),
    }
    return render(request, "dashboard/releases/templates.html", context)


@require_http_methods(["GET", "POST"])
@project_page("releases")
def new_template(request: HttpRequest, shell: Shell) -> HttpResponse:
    if request.method == "GET":
        return _form(request, shell, {"key": "", "name": ""}, rows_of(DEFAULT_STEPS))
    key = request.POST.get("key", "").strip()
    if shell.project.ramp_templates.filter(key=key).exists():
        taken = Invalid.at("key", f"there is a template {key} already")
        return _form(request, shell, request.POST, typed_rows(request.POST), error=taken)
    return _saved(request, shell, key)


@require_http_methods(["GET", "POST"])
@project_page("releases")
def edit_template(request: HttpRequest, shell: Shell, template: str) -> HttpResponse:
    """Ramps that were started with other steps go on as they were."""
    found = shell.project.ramp_templates.filter(key=template).first()
    if found is None:
        raise Http404(f"there is no ramp template {template} in {shell.project.key}")
    if request.method == "GET":
        typed = {"key": found.key, "name": found.name}
        return _form(request, shell, typed, rows_of(found.steps), found=found)
    return _saved(request, shell, template, found=found)


@require_POST
@project_page("releases")
def remove_template(request: HttpRequest, shell: Shell) -> HttpResponse:
    change = RemoveRampTemplate(project=shell.project.key, key=request.POST.get("key", ""))
    outcome = submit(change, actor=shell.actor)
    response = redirect("ramp-templates", project=shell.project.key)
    text = f"The template {change.key} is removed"
    return told_what_came(request, response, shell, outcome, text)


def _saved(
    request: HttpRequest, shell: Shell, key: str, *, found: RampTemplate | None = None
) -> HttpResponse:
    typed, rows = request.POST, typed_rows(request.POST)
    name = typed.get("name", "").strip()
    try:
        steps = steps_from(rows)
        change = SetRampTemplate(project=shell.project.key, key=key, name=name, steps=steps)
        outcome = submit(change, actor=shell.actor, reason=typed.get("reason", ""))
    except Invalid as error:
        return _form(request, shell, typed, rows, found=found, error=error)
    response = redirect(reverse("ramp-templates", args=[shell.project.key]))
    text = f"The template {name or key} is saved" if outcome.changed else "Nothing was different"
    return told_what_came(request, response, shell, outcome, text)


def _form(
    request: HttpRequest,
    shell: Shell,
    typed: Any,
    rows: list[Row],
    *,
    found: RampTemplate | None = None,
    error: Invalid | None = None,
) -> HttpResponse:
    rows, others = with_problems(rows, error.problems if error else [])
    context = {
        "shell": shell,
        "template": found,
        "typed": typed,
        "reason": typed.get("reason", ""),
        "rows": rows,
        "holds": HOLDS,
        "refusal": shell.edit_refusal,
        "problems": by_field(Invalid(others) if others else None, {"key", "name", "steps"}),
    }
    status = status_of(error) if error else 200
    return render(request, "dashboard/releases/template.html", context, status=status)

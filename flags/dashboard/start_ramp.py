"""The form that starts a ramp."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.text import slugify
from django.views.decorators.http import require_http_methods

from flags.changes import SetRampTemplate, StartRamp, submit
from flags.changes.releases.plans import DEFAULT_STEPS, FALLTHROUGH
from flags.dashboard.ramp_steps import HOLDS, rows_of, steps_from, typed_rows, with_problems
from flags.dashboard.releases import rule_in_words
from flags.dashboard.review import problems_of
from flags.dashboard.shell import Shell, chosen_environment, project_page, status_of
from flags.dashboard.undo import told_what_came
from flags.errors import Conflict, Invalid, NotFound
from flags.models import Environment, Flag, FlagConfiguration


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
            "rows": rows_of(_template_steps(shell, context["template"])),
        }
        return render(request, "dashboard/releases/start_ramp.html", context)
    try:
        change = _start_from(request, shell, found, environment)
        kept = _kept(request, shell, change)
        if kept is not None:
            # What cannot be kept is said before the ramp begins.
            submit(kept, actor=shell.actor, dry_run=True)
        outcome = submit(change, actor=shell.actor, reason=request.POST.get("reason", ""))
        if kept is not None:
            submit(kept, actor=shell.actor)
    except (Invalid, Conflict, NotFound) as error:
        rows, others = with_problems(typed_rows(request.POST), problems_of(error))
        context |= {"problems": others, "typed": request.POST, "rows": rows}
        return render(
            request, "dashboard/releases/start_ramp.html", context, status=status_of(error)
        )
    where = f"{reverse('flag', args=[shell.project.key, flag])}?environment={environment.key}"
    text = f"{change.variation} of {flag} is ramping in {environment.name}"
    return told_what_came(request, redirect(where), shell, outcome, text)


def _places(
    flag: Flag, configuration: FlagConfiguration, environment: Environment
) -> list[tuple[str, str]]:
    """Where it may ramp: a flag that is off is switched on by ramping everyone else."""
    rules = configuration.rules if configuration.enabled else []
    named = [(row["id"], f"Rule: {rule_in_words(row)}") for row in rules]
    return [(FALLTHROUGH, "Everyone else"), *named]


def _template_steps(shell: Shell, key: str) -> list[dict[str, Any]]:
    row = shell.project.ramp_templates.filter(key=key).first()
    return row.steps if row else DEFAULT_STEPS


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
        steps=steps_from(typed_rows(request.POST)),
    )


def _kept(request: HttpRequest, shell: Shell, change: StartRamp) -> SetRampTemplate | None:
    """The template under which its steps are to be kept, if any."""
    name = request.POST.get("keep_as", "").strip()
    if not name:
        return None
    assert isinstance(change.steps, list), "the form writes steps out"
    key = slugify(name)
    if shell.project.ramp_templates.filter(key=key).exists():
        raise Invalid.at("keep_as", f"there is a template {key} already")
    return SetRampTemplate(project=shell.project.key, key=key, name=name, steps=change.steps)

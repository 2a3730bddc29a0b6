"""Where a person arrives: the project last looked at, the only one, or the list of them."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from flags import access
from flags.access import Action
from flags.changes import CreateEnvironment, CreateProject, submit
from flags.dashboard.shell import status_of
from flags.errors import FlagsiteError
from flags.queries.notices import unread_count
from flags.queries.projects import projects_with_counts

# What a new project starts with; settings change it.
ENVIRONMENTS = (
    ("development", "Development"),
    ("staging", "Staging"),
    ("production", "Production"),
)


@login_required
def home(request: HttpRequest) -> HttpResponse:
    projects = access.visible_projects(request.user.as_actor())
    last = request.session.get("last_project")
    for project in projects:
        if project.key == last or len(projects) == 1:
            return redirect("flags", project=project.key)
    return redirect("projects")


@login_required
@require_http_methods(["GET", "POST"])
def projects(request: HttpRequest) -> HttpResponse:
    """The projects this person may see; a site administrator may add one."""
    actor = request.user.as_actor()
    refusal = access.missing(actor, Action.ADMINISTER, None)
    context = {
        "create_refusal": refusal,
        "typed": request.POST,
        "unread": unread_count(actor.id),
    }
    status = 200
    if request.method == "POST":
        key = request.POST.get("key", "").strip()
        name = request.POST.get("name", "").strip()
        try:
            submit(CreateProject(project=key, name=name), actor=actor)
            submit(
                *(CreateEnvironment(project=key, key=k, name=n) for k, n in ENVIRONMENTS),
                actor=actor,
            )
        except FlagsiteError as error:
            context["error"], status = error, status_of(error)
        else:
            return redirect("flags", project=key)
    context["projects"] = projects_with_counts(access.visible_projects(actor))
    return render(request, "dashboard/projects.html", context, status=status)

"""What every page stands in: who asks, in which project, and what goes wrong on the way.

A page of a project is a function of (request, shell, …) under `@project_page(section)`. The
decorator asks for a sign-in, answers 404 to whoever may not view the project, and turns what a
change refused into a page or, for htmx, into a message beside the page.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme

from audit.facts import Actor
from flags import access
from flags.access import Action, Rights
from flags.errors import (
    ApprovalNeeded,
    Busy,
    Conflict,
    Denied,
    FlagsiteError,
    Invalid,
    NotFound,
)
from flags.models import Environment, Project, Request
from flags.queries.notices import unread_count
from flags.queries.requests import Draft, drafts_of, unsigned_bypasses, waiting_for
from flags.sessions import actor_in

STATUS = {
    Denied: 403,
    ApprovalNeeded: 403,
    NotFound: 404,
    Conflict: 409,
    Invalid: 422,
    Busy: 503,
}


@dataclass(frozen=True)
class Shell:
    """A project as one person sees it; a refusal is None where the person may.

    Refusals without an environment are about the project as a whole: where an exception gives a
    person another role, ask for the environment's.
    """

    actor: Actor
    project: Project
    environments: list[Environment]
    projects: list[Project]
    section: str
    rights: Rights
    # How many requests wait for this person's verdict or signature.
    waiting: int = 0
    # What this person was told and has not read, in all projects.
    unread: int = 0
    # What was applied without approval and nobody has signed for.
    bypasses: list[Request] = field(default_factory=list)
    # What they have collected and not asked for yet.
    drafts: list[Draft] = field(default_factory=list)

    @property
    def edit_refusal(self) -> str | None:
        return self.rights.missing(Action.EDIT)

    @property
    def administer_refusal(self) -> str | None:
        return self.rights.missing(Action.ADMINISTER)

    @property
    def guarded(self) -> list[Environment]:
        """The environments that require approval: what alters their ruleset becomes a request."""
        return [environment for environment in self.environments if environment.requires_approval]

    @property
    def may_edit(self) -> bool:
        return self.edit_refusal is None

    @property
    def may_administer(self) -> bool:
        return self.administer_refusal is None

    def environment(self, key: str | None) -> Environment:
        """The environment of this key; the first one when no key is given. Raises Http404."""
        for environment in self.environments:
            if key is None or environment.key == key:
                return environment
        raise Http404(f"there is no environment {key} in {self.project.key}")

    def refusal_in(self, environment: Environment) -> str | None:
        """Why this person may not change what flags evaluate to here; None where they may.

        Where the environment requires approval they may ask for it: a save becomes a request.
        """
        return self.rights.missing(Action.EDIT, environment)

    @property
    def refusal_everywhere(self) -> str | None:
        """Why this person may not do what touches every environment; None where they may."""
        refusals = (self.refusal_in(environment) for environment in self.environments)
        return self.edit_refusal or next((refusal for refusal in refusals if refusal), None)

    def administer_refusal_in(self, environment: Environment) -> str | None:
        """Why this person may not manage the environment and its keys; None where they may."""
        return self.rights.missing(Action.ADMINISTER, environment)


def project_page(
    section: str,
) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """Open the project named in the address, as the person who asks may see it."""

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        @login_required
        def opened(request: HttpRequest, project: str, **named: Any) -> HttpResponse:
            leave_out_nul(request)
            try:
                shell = open_shell(request, project, section)
                return view(request, shell, **named)
            except FlagsiteError as error:
                return refused(request, error)

        return opened

    return decorate


def site_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A page for site administrators: a function of (request, actor, …)."""

    @wraps(view)
    @login_required
    def opened(request: HttpRequest, **named: Any) -> HttpResponse:
        leave_out_nul(request)
        actor = request.user.as_actor()  # type: ignore[union-attr]
        try:
            access.require(actor, Action.ADMINISTER, None)
            return view(request, actor, **named)
        except FlagsiteError as error:
            return refused(request, error)

    return opened


def open_shell(request: HttpRequest, key: str, section: str) -> Shell:
    """Raises Http404 for a project that is not there, or not for this person to see."""
    actor = actor_in(request)
    projects = access.visible_projects(actor)
    project = next((project for project in projects if project.key == key), None)
    if project is None:
        raise Http404(f"there is no project {key}")
    if request.session.get("last_project") != key:
        request.session["last_project"] = key
    is_page = not is_part(request)
    return Shell(
        actor=actor,
        project=project,
        environments=list(project.environments.all()),
        projects=projects,
        section=section,
        rights=access.rights(actor, project),
        # Parts show no sidebar.
        waiting=len(waiting_for(project, actor.id)) if is_page else 0,
        unread=unread_count(actor.id) if is_page else 0,
        bypasses=unsigned_bypasses(project) if is_page else [],
        # The pages of requests show drafts themselves.
        drafts=drafts_of(project, actor.id) if is_page and section != "requests" else [],
    )


def leave_out_nul(request: HttpRequest) -> None:
    """Read what was sent without NUL: PostgreSQL's text holds none, so it means nothing of ours.

    Raises Http404 for one in the address itself, which names nothing.
    """
    if "\0" in request.path:
        raise Http404("no address of ours holds a NUL")
    for name in ("GET", "POST"):
        sent: QueryDict = getattr(request, name)
        if any("\0" in text for _, texts in sent.lists() for text in texts):
            cleaned = sent.copy()
            for key, texts in sent.lists():
                cleaned.setlist(key, [text.replace("\0", "") for text in texts])
            setattr(request, name, cleaned)


def asked(request: HttpRequest, name: str) -> str | None:
    """What the address says under this name; None where it says nothing."""
    return request.GET.get(name, "").strip() or None


def whole(text: str | None) -> int | None:
    """A whole number as an address or a form says it; None for anything else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None


def is_part(request: HttpRequest) -> bool:
    """Whether htmx asks for a piece of a page."""
    return bool(getattr(request, "htmx", False)) and not request.htmx.boosted  # type: ignore[attr-defined]


def chosen_environment(request: HttpRequest, shell: Shell) -> Environment:
    """The one asked for, else the one looked at last, else the first."""
    if not shell.environments:
        raise Http404(f"{shell.project.key} has no environment")
    asked = request.GET.get("environment")
    if asked is None:
        last = request.session.get("last_environment")
        keys = [environment.key for environment in shell.environments]
        return shell.environment(last if last in keys else None)
    environment = shell.environment(asked)
    if request.session.get("last_environment") != asked:
        request.session["last_environment"] = asked
    return environment


def refused(request: HttpRequest, error: FlagsiteError) -> HttpResponse:
    """Say what was refused and why: beside the page for htmx, else as a page of its own."""
    context = {"error": error, "problems": getattr(error, "problems", [])}
    template = "dashboard/parts/_refusal.html" if is_part(request) else "dashboard/refusal.html"
    response = render(request, template, context, status=status_of(error))
    if is_part(request):
        # What was asked for stays as it is; only the message is new.
        response["HX-Reswap"] = "none"
    return response


def status_of(error: FlagsiteError) -> int:
    return next(status for kind, status in STATUS.items() if isinstance(error, kind))


def came_from(request: HttpRequest, otherwise: str) -> str:
    """The page of ours that sent this request, to go back to without JavaScript.

    A page that stands in between says in `back` what it was sent by itself.
    """
    address = request.POST.get("back") or request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(address, allowed_hosts={request.get_host()}):
        return address
    return otherwise

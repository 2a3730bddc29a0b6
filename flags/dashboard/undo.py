"""Taking a change back: the offer that follows a change, and what answers it."""

from collections.abc import Sequence

from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_POST
from django_htmx.http import trigger_client_event

from flags.changes import Change, Outcome, from_json, submit
from flags.dashboard.shell import Shell, came_from, project_page

SALT = "flagsite.undo"
OFFERED_FOR_SECONDS = 24 * 60 * 60
# The way back travels inside the page; a change of more ids than this is taken back by hand.
LONGEST_TOKEN = 100_000


def way_back(change: Change, outcome: Outcome) -> str | None:
    """A signed token by which the one change that was submitted can be taken back."""
    changes = change.undo(outcome.effects) if outcome.changed else None
    if not changes:
        return None
    stored = [step.as_json() for step in changes]
    token = signing.dumps(stored, salt=SALT, compress=True)
    return token if len(token) <= LONGEST_TOKEN else None


def told(
    request: HttpRequest,
    response: HttpResponse,
    text: str,
    *,
    undo: str | None = None,
    project: str = "",
) -> HttpResponse:
    """The response, with a message that the page shows for a while and an undo where there is one."""
    if not request.htmx:  # type: ignore[attr-defined]
        messages.success(request, text, extra_tags=undo or "")
        return response
    context = {"text": text, "undo": undo, "project_key": project, "out_of_band": True}
    response.write(render_to_string("dashboard/parts/_toast.html", context, request=request))
    return response


@require_POST
@project_page("flags")
def take_back(request: HttpRequest, shell: Shell) -> HttpResponse:
    """Submit the way back that an earlier answer offered."""
    try:
        stored: Sequence[object] = signing.loads(
            request.POST.get("undo", ""), salt=SALT, max_age=OFFERED_FOR_SECONDS
        )
    except signing.BadSignature:
        return HttpResponseBadRequest("expected the undo that a page offered within the last day")
    changes = [from_json(step) for step in stored]
    submit(*changes, actor=shell.actor, reason="Taken back")
    if request.htmx:  # type: ignore[attr-defined]
        response = told(request, HttpResponse(), "Taken back")
        return trigger_client_event(response, "refresh-all", after="settle")
    messages.success(request, "Taken back")
    return redirect(came_from(request, reverse("flags", args=[shell.project.key])))

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
from flags.changes.outlook import standing
from flags.dashboard.shell import Shell, came_from, project_page
from flags.errors import FlagsiteError

SALT = "flagsite.undo"
OFFERED_FOR_SECONDS = 24 * 60 * 60
# The way back travels inside the page; a change of more ids than this is taken back by hand.
LONGEST_TOKEN = 100_000


def way_back(outcome: Outcome) -> str | None:
    """A signed token by which all that was submitted is taken back, the last change first.

    None where nothing was changed, and where for one of the changes there is no way back.
    """
    steps: list[Change] = []
    for change, effects in reversed(outcome.performed):
        if not effects:
            continue
        back = change.undo(effects)
        if not back:
            return None
        steps += back
    if not steps:
        return None
    token = signing.dumps([step.as_json() for step in steps], salt=SALT, compress=True)
    return token if len(token) <= LONGEST_TOKEN else None


def told(
    request: HttpRequest,
    response: HttpResponse,
    text: str,
    *,
    undo: str | None = None,
    project: str = "",
    link: str = "",
) -> HttpResponse:
    """The response, with a message that the page, or the one it leads to, shows for a while.

    With an undo where there is one, or a link to the request that the save became.
    """
    if not request.htmx or "HX-Redirect" in response:  # type: ignore[attr-defined]
        # base.html takes the tags of an info for a link's address, those of a success for an undo.
        level = messages.INFO if link else messages.SUCCESS
        messages.add_message(request, level, text, extra_tags=link or undo or "")
        return response
    context = {
        "text": text,
        "undo": undo,
        "link": link,
        "project_key": project,
        "out_of_band": True,
    }
    response.write(render_to_string("dashboard/parts/_toast.html", context, request=request))
    return response


def told_what_came(
    request: HttpRequest,
    response: HttpResponse,
    shell: Shell,
    outcome: Outcome,
    text: str,
) -> HttpResponse:
    """What a save did, with its undo; or which request it became, and who can approve that."""
    project = shell.project.key
    if outcome.request is None:
        return told(request, response, text, undo=way_back(outcome), project=project)
    return told(
        request,
        response,
        sent_for_approval(project, outcome.request),
        link=reverse("request", args=[project, outcome.request]),
    )


def sent_for_approval(project: str, number: int) -> str:
    """As `Sent for approval as request #7: needs 1 more approval by a reviewer or above (…)`."""
    try:
        missing = standing(project, number).missing
    except FlagsiteError:
        # The request is there; what it needs is on its page.
        missing = []
    needs = "; ".join(
        f"{row.what} ({', '.join(row.who)})" if row.who else row.what for row in missing
    )
    return f"Sent for approval as request #{number}" + (f": needs {needs}" if needs else "")


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
    outcome = submit(*changes, actor=shell.actor, reason="Taken back")
    if outcome.request is not None:
        response = HttpResponse()
        if not request.htmx:  # type: ignore[attr-defined]
            response = redirect(came_from(request, reverse("flags", args=[shell.project.key])))
        return told_what_came(request, response, shell, outcome, "")
    if request.htmx:  # type: ignore[attr-defined]
        response = told(request, HttpResponse(), "Taken back")
        return trigger_client_event(response, "refresh-all", after="settle")
    messages.success(request, "Taken back")
    return redirect(came_from(request, reverse("flags", args=[shell.project.key])))

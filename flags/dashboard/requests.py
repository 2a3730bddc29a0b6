"""Requests: what waits for whom, and what other pages tell of open ones."""

from dataclasses import replace

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from flags import access
from flags.access import Action
from flags.dashboard.shell import Shell, project_page, whole
from flags.models import Request, State
from flags.queries.requests import (
    all_requests,
    drafts_of,
    open_requests_on,
    requests_for_review,
    requests_of,
    unsigned_bypasses,
    waiting_for,
)

TABS = {"review": "For me to review", "mine": "Mine", "all": "All"}
STATES = {
    "open": "Open",
    **{state.value: state.value.replace("_", " ").capitalize() for state in State},
}
# Which chip a state wears; the others wear the plain one.
TONES = {
    State.IN_REVIEW: "accent",
    State.APPROVED: "on",
    State.SCHEDULED: "on",
    State.APPLIED: "on",
    State.CHANGES_REQUESTED: "warning",
    State.CONFLICTED: "warning",
    State.FAILED: "danger",
    State.REJECTED: "danger",
}


@require_GET
@project_page("requests")
def requests(request: HttpRequest, shell: Shell) -> HttpResponse:
    """The list: what waits for me, mine, or all of them."""
    tab = request.GET.get("tab", "review")
    if tab not in TABS:
        raise Http404(f"expected one of {', '.join(TABS)}, got {tab}")
    state = request.GET.get("state", "" if tab == "review" else "open")
    page = whole(request.GET.get("page")) or 1
    match tab:
        case "review":
            found = requests_for_review(shell.project, shell.actor.id, page=page)
        case "mine":
            found = requests_of(shell.project, shell.actor.id, state=state, page=page)
        case _:
            found = all_requests(shell.project, state=state, page=page)
    context = {
        "shell": shell,
        "tabs": TABS,
        "tab": tab,
        "states": STATES,
        "state": state,
        "found": found,
        "rows": [
            {
                "row": row,
                "state": STATES[row.request.state],
                "tone": TONES.get(State(row.request.state), ""),
            }
            for row in found.rows
        ],
        "previous_page": found.page - 1,
        "next_page": found.page + 1,
        "may_review": access.may(shell.actor, Action.REVIEW, shell.project),
    }
    return render(request, "dashboard/requests/list.html", context)


@require_GET
@project_page("requests")
def waiting(request: HttpRequest, shell: Shell) -> HttpResponse:
    """How many requests wait for me, for the sidebar of an open page."""
    counted = replace(shell, waiting=len(waiting_for(shell.project, shell.actor.id)))
    return render(request, "dashboard/parts/_waiting.html", {"shell": counted})


@require_GET
@project_page("flags")
def on_flag(request: HttpRequest, shell: Shell, flag: str) -> HttpResponse:
    """The open requests that would change a flag, for its page."""
    context = {"shell": shell, "flag": flag, "open_requests": requests_on_flag(shell, flag)}
    return render(request, "dashboard/parts/_open_requests.html", context)


def requests_on_flag(shell: Shell, flag: str) -> list[Request]:
    return open_requests_on(shell.project, f"flag:{flag}")


@require_GET
@project_page("segments")
def on_segment(request: HttpRequest, shell: Shell, segment: str) -> HttpResponse:
    """The open requests that would change a segment, for its page."""
    found = open_requests_on(shell.project, f"segment:{segment}")
    context = {"shell": shell, "segment": segment, "open_requests": found}
    return render(request, "dashboard/parts/_open_requests.html", context)


@require_GET
@project_page("requests")
def bypasses(request: HttpRequest, shell: Shell) -> HttpResponse:
    """The banner that tells of what was applied without approval until somebody signs for it."""
    counted = replace(shell, bypasses=unsigned_bypasses(shell.project))
    return render(request, "dashboard/parts/_bypasses.html", {"shell": counted})


@require_GET
@project_page("requests")
def drafts(request: HttpRequest, shell: Shell) -> HttpResponse:
    """The bar that says what this person has collected and not asked for yet."""
    counted = replace(shell, drafts=drafts_of(shell.project, shell.actor.id))
    return render(request, "dashboard/parts/_drafts.html", {"shell": counted})

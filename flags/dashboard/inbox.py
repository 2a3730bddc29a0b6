"""The inbox: what waits for who is signed in, in all their projects, and what they were told."""

import uuid
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from flags.access import visible_projects
from flags.changes import ChooseMails, submit
from flags.dashboard.shell import refused
from flags.dashboard.undo import told
from flags.errors import FlagsiteError
from flags.models import Notice, Project, Request, User
from flags.notices.reading import mark_read
from flags.notices.words import LOUD, address_of, words_of
from flags.queries.notices import notices_of, unread_count
from flags.queries.requests import open_of, requests_numbered, waiting_for
from flags.sessions import actor_in

TABS = {"unread": "Unread", "all": "All"}


@dataclass(frozen=True)
class Row:
    notice: Notice
    words: str
    address: str
    is_loud: bool


@dataclass(frozen=True)
class Waiting:
    """Requests of one project, by whom they wait for."""

    project: Project
    for_me: list[Request]
    mine: list[Request]


@require_GET
@login_required
def inbox(request: HttpRequest) -> HttpResponse:
    """What waits, then what was told, newest first."""
    person = _person(request)
    tab = request.GET.get("tab", "unread")
    tab = tab if tab in TABS else "unread"
    context = {
        "tab": tab,
        "tabs": TABS,
        "waiting": [row for row in _waiting(person) if row.for_me or row.mine],
        "rows": [
            Row(notice, words_of(notice), address_of(notice), notice.kind in LOUD)
            for notice in notices_of(str(person.pk), only_unread=tab == "unread")
        ],
        "unread": unread_count(str(person.pk)),
        "person": person,
        "sends_mail": settings.MAIL_IS_SENT,
    }
    return render(request, "dashboard/inbox.html", context)


@require_GET
@login_required
def bell(request: HttpRequest) -> HttpResponse:
    """How many notices are unread, for the sidebar of an open page."""
    context = {"unread": unread_count(str(_person(request).pk))}
    return render(request, "dashboard/parts/_bell.html", context)


@require_POST
@login_required
def read(request: HttpRequest) -> HttpResponse:
    """Mark those named as read; all of them when none is."""
    try:
        ids = [uuid.UUID(one) for one in request.POST.getlist("notice")]
    except ValueError:
        return HttpResponseBadRequest("expected the ids of notices")
    mark_read(str(_person(request).pk), now=timezone.now(), ids=ids)
    return redirect("inbox")


@require_POST
@login_required
def mails(request: HttpRequest) -> HttpResponse:
    """Whether each notice comes by mail too."""
    person = _person(request)
    wanted = request.POST.get("mails") == "each"
    try:
        edit = ChooseMails(username=person.get_username(), each=wanted)
        submit(edit, actor=actor_in(request))
    except FlagsiteError as error:
        return refused(request, error)
    text = "Notices come by mail too" if wanted else "Notices stay in the inbox"
    return told(request, redirect("inbox"), text)


def _waiting(person: User) -> list[Waiting]:
    return [
        Waiting(
            project,
            requests_numbered(project, waiting_for(project, str(person.pk))),
            open_of(project, str(person.pk)),
        )
        for project in visible_projects(person.as_actor())
    ]


def _person(request: HttpRequest) -> User:
    user = request.user
    assert isinstance(user, User), "login_required lets nobody else in"
    return user

"""The audit: every event there is to see, narrowed to what is asked for, with its proof."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from audit.facts import Actor
from audit.lines import line
from audit.models import Event
from audit.signing import newest_statement, public_key, statement_lines
from flags.changes.base import KINDS
from flags.dashboard.events import (
    NOUNS,
    Deed,
    Subject,
    about,
    authors_of,
    kinds_by_noun,
    loudest_first,
    member_names,
    subject_of,
)
from flags.dashboard.shell import Shell, asked, project_page, site_page, whole
from flags.differences import actor_in_words, json_lines, told
from flags.errors import Invalid
from flags.models import User
from flags.queries.history import (
    Filters,
    NamedEnvironment,
    Page,
    Streams,
    actors_in,
    all_streams,
    archived_in,
    event_in,
    events_in,
    streams_of,
)
from flags.queries.notices import unread_count
from flags.transfer.events import MEDIA_TYPES, Export, Form
from flags.transfer.progress import note_progress, progress_of

ROWS_A_PAGE = 50
# How much a closed row tells; opened, it tells everything.
MOST_WORDS = 2
# Chosen among the kinds of events, though it is part of one.
BYPASSES = "bypass"


@require_GET
@project_page("audit")
def project_audit(request: HttpRequest, shell: Shell) -> HttpResponse:
    """The events of one project, for whoever may see the project."""
    return _page(request, streams_of(shell.project), {"shell": shell, "scope": shell.project.name})


@require_GET
@site_page
def site_audit(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The events of every project and of the site itself."""
    return _page(
        request,
        all_streams(),
        {"scope": "the whole site", "unread": unread_count(actor.id)},
    )


@require_GET
@site_page
def site_event_json(request: HttpRequest, actor: Actor, event: UUID) -> HttpResponse:
    """Before and after of one event of the site, line by line."""
    found = event_in(all_streams(), event)
    if found is None:
        raise Http404(f"there is no event {event}")
    effects = [
        {
            "subject": effect["subject"],
            "kind": effect["kind"],
            "lines": json_lines(effect["before"], effect["after"]),
        }
        for effect in found.effects
    ]
    return render(request, "dashboard/parts/_json_differences.html", {"effects": effects})


@require_GET
@project_page("audit")
def export_project(request: HttpRequest, shell: Shell, form: Form) -> HttpResponseBase:
    """What the page of a project is narrowed to, as a file."""
    return _download(request, shell.actor, streams_of(shell.project), form, shell.project.key)


@require_GET
@site_page
def export_site(request: HttpRequest, actor: Actor, form: Form) -> HttpResponseBase:
    """What the page of the site is narrowed to, as a file."""
    return _download(request, actor, all_streams(), form, "site")


@require_GET
@site_page
def export_heads(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Every signed statement, to be kept where nobody who can change the database can reach it."""
    response = StreamingHttpResponse(
        map(line, statement_lines()), content_type=MEDIA_TYPES["jsonl"]
    )
    response["Content-Disposition"] = 'attachment; filename="heads.jsonl"'
    response["Cache-Control"] = "no-store"
    return response


@require_GET
@login_required
def export_progress(request: HttpRequest, export: UUID) -> HttpResponse:
    """How far an export of this person is, asked again by the page until it is complete."""
    assert isinstance(request.user, User), "login_required lets nobody else in"
    asked_before = whole(asked(request, "asked")) or 0
    written, total = progress_of(request.user.as_actor(), export) or (0, None)
    context = {
        "export": export,
        "written": written,
        "total": total,
        "written_text": f"{written:,}",
        "total_text": f"{total or 0:,}",
        "is_complete": total is not None and written >= total,
        "asked_again": asked_before + 1 if total is None else 0,
        "is_given_up": asked_before >= MOST_QUESTIONS,
    }
    return render(request, "dashboard/parts/_export_progress.html", context)


# How often the page asks for an export of which nothing is heard.
MOST_QUESTIONS = 20


def _download(
    request: HttpRequest, actor: Actor, streams: Streams, form: Form, name: str
) -> HttpResponseBase:
    filters, problem = filters_of(request)
    if problem:
        raise Invalid.at("", problem)
    try:
        told = UUID(asked(request, "progress") or "")
    except ValueError:
        tell = None
    else:
        tell = partial(note_progress, actor, told)
    export = Export(streams, filters, form, tell=tell)
    response = StreamingHttpResponse(export, content_type=f"{MEDIA_TYPES[form]}; charset=utf-8")
    response["Content-Disposition"] = (
        f'attachment; filename="audit-{name}-{timezone.now():%Y-%m-%d}.{form}"'
    )
    response["Cache-Control"] = "no-store"
    return response


@dataclass(frozen=True)
class Effect:
    """What became of one subject, in words."""

    subject: Subject
    kind: str
    deed: Deed
    words: list[str]


@dataclass(frozen=True)
class Row:
    """One event as the page lists it."""

    event: Event
    actor: str
    project: str | None
    environment: NamedEnvironment | None
    effects: list[Effect]
    json_address: str
    # Whose request it applied.
    asked_by: str = ""

    @property
    def is_long(self) -> bool:
        return len(self.effects) > 1 or len(self.effects[0].words) > MOST_WORDS

    @property
    def words(self) -> list[str]:
        """The beginning of what it says."""
        return self.effects[0].words[:MOST_WORDS] if self.effects else []

    @property
    def left_out(self) -> int:
        return sum(len(effect.words) for effect in self.effects) - len(self.words)


def _page(request: HttpRequest, streams: Streams, context: dict[str, Any]) -> HttpResponse:
    filters, problem = filters_of(request)
    try:
        page = (
            Page([], None)
            if problem
            else events_in(streams, filters, after=asked(request, "after"), limit=ROWS_A_PAGE)
        )
    except ValueError as error:
        raise Http404(str(error)) from error
    query = request.GET.copy()
    query.pop("after", None)
    context |= {
        "export": uuid4(),
        "rows": _rows(page.events, streams),
        "older": page.older,
        "query": query.urlencode(),
        "is_first_page": not request.GET.get("after"),
        "filters": filters,
        "problem": problem,
    }
    if request.htmx and request.htmx.target == "audit-rows":  # type: ignore[attr-defined]
        return render(request, "dashboard/parts/_audit_rows.html", context)
    context |= {
        "asked": {
            name: request.GET.get(name, "") for name in ("since", "until", "subject", "kind")
        },
        "projects": sorted(set(streams.projects.values())) if streams.are_all else [],
        "environments": _environments(streams),
        "kinds": kinds_by_noun(KINDS),
        "bypasses": BYPASSES,
        "actors": actors_in(streams),
        "statement": newest_statement(),
        "public_key": public_key(),
        "archived": archived_in(streams),
    }
    return render(request, "dashboard/audit/audit.html", context)


def filters_of(request: HttpRequest) -> tuple[Filters, str]:
    """What the address asks for, and what of it cannot be understood, in words."""
    since, until = (_day(request, name) for name in ("since", "until"))
    subject, number = asked(request, "subject") or "", asked(request, "request")
    kind = asked(request, "kind")
    problems = [
        f"expected {what}, got {text}"
        for what, text, is_wrong in (
            ("a day such as 2026-11-22", asked(request, "since"), since is None),
            ("a day such as 2026-11-22", asked(request, "until"), until is None),
            ("the number of a request", number, whole(number) is None),
        )
        if text and is_wrong
    ]
    filters = Filters(
        stream=asked(request, "stream"),
        project=asked(request, "project"),
        environment=asked(request, "environment"),
        kind=None if kind == BYPASSES else kind,
        is_bypass=kind == BYPASSES,
        subject=subject if ":" in subject else None,
        # A key alone is that of anything.
        subjects=tuple(f"{noun}:{subject}" for noun in NOUNS)
        if subject and ":" not in subject
        else (),
        actor=asked(request, "actor"),
        request=number if whole(number) is not None else None,
        since=since,
        # The day itself is still wanted; after the last one there is, nothing comes.
        until=until + timedelta(days=1) if until and until.date() != date.max else None,
    )
    return filters, "; ".join(problems)


def _rows(events: Iterable[Event], streams: Streams) -> list[Row]:
    events = list(events)
    names = member_names(events)
    authors = authors_of(events, streams)
    return [_row(event, streams, names, authors) for event in events]


def _row(
    event: Event, streams: Streams, names: dict[str, str], authors: dict[tuple[str, str], str]
) -> Row:
    project = streams.project(event)
    return Row(
        event=event,
        actor=actor_in_words(event.actor.identity),
        project=project,
        environment=streams.environment(event),
        effects=[
            Effect(
                subject=subject_of(about(effect, event), project, names),
                kind=effect["kind"],
                deed=Deed.of(effect),
                words=told(effect["kind"], effect["before"], effect["after"]),
            )
            for effect in loudest_first(event.effects)
        ],
        json_address=reverse("event-json", args=[project, event.pk])
        if project
        else reverse("site-event-json", args=[event.pk]),
        asked_by=authors.get((project or "", event.request or ""), ""),
    )


def _environments(streams: Streams) -> list[tuple[str, str]]:
    """(key, name) of each environment to choose from; across projects the keys are the names."""
    named = [one for one in streams.environments.values() if one is not None]
    if streams.are_all:
        return [(key, key) for key in sorted({one.key for one in named})]
    named.sort(key=lambda one: (one.is_removed, one.position))
    return [(one.key, f"{one.name} (deleted)" if one.is_removed else one.name) for one in named]


def _day(request: HttpRequest, name: str) -> datetime | None:
    text = asked(request, name)
    try:
        return datetime.combine(date.fromisoformat(text), time(), tzinfo=UTC) if text else None
    except ValueError:
        return None

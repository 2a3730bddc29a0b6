"""What happened: the activity of a project, the history of a flag and of a segment, and going back."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from audit.models import Event
from flags.changes import Change, DefineSegment, EditSegment, configured_as, submit
from flags.changes.base import KINDS
from flags.changes.flags import described_as
from flags.changes.flags import facts as flag_facts
from flags.changes.segments import facts as segment_facts
from flags.dashboard.events import Telling, kinds_by_noun
from flags.dashboard.flags import SwitchRow
from flags.dashboard.review import asked_for
from flags.dashboard.shell import Shell, asked, project_page, status_of, whole
from flags.dashboard.undo import told_what_came
from flags.differences import json_lines, sentences
from flags.errors import ApprovalNeeded, FlagsiteError, StaleChange
from flags.models import Flag, FlagConfiguration, Segment, SegmentDefinition
from flags.queries.flags import flag_row
from flags.queries.history import (
    Filters,
    Streams,
    actors_in,
    deliveries_of,
    effects_on,
    event_in,
    events_in,
    leases_with,
    streams_of,
    submitted_with,
)
from flags.snapshots import Entry, flag_entry, segment_entry


@require_GET
@project_page("activity")
def activity(request: HttpRequest, shell: Shell) -> HttpResponse:
    """Everything that happened in the project, newest first."""
    streams = streams_of(shell.project)
    subject = asked(request, "subject")
    filters = Filters(
        environment=asked(request, "environment"),
        kind=asked(request, "kind"),
        actor=asked(request, "actor"),
        subject=subject if subject and ":" in subject else None,
    )
    context = _told_page(request, shell, streams, filters)
    if _wants_entries_alone(request):
        return render(request, "dashboard/parts/_history_entries.html", context)
    context |= {
        "filters": filters,
        "environments": [named for named in streams.environments.values() if named],
        "kinds": kinds_by_noun(kind for kind, change in KINDS.items() if not change.on_site),
        "actors": actors_in(streams),
    }
    return render(request, "dashboard/history/activity.html", context)


@require_GET
@project_page("flags")
def flag_history(request: HttpRequest, shell: Shell, flag: str) -> HttpResponse:
    """What became of one flag in each environment; also of one that is deleted by now."""
    streams = streams_of(shell.project)
    filters = Filters(environment=asked(request, "environment"), subject=f"flag:{flag}")
    found = flag_row(shell.project, shell.environments, flag)
    context = _told_page(request, shell, streams, filters, restorable=found is not None)
    if found is None and not context["submissions"]:
        raise Http404(f"there was never a flag {flag} in {shell.project.key}")
    context |= {
        "compare_address": reverse("flag-compare", args=[shell.project.key, flag]),
        "flag_key": flag,
        "row": SwitchRow(found, shell) if found else None,
        "tab": "history",
        "filters": filters,
    }
    if _wants_entries_alone(request):
        return render(request, "dashboard/parts/_history_entries.html", context)
    template = "flag" if found else "deleted_flag"
    return render(request, f"dashboard/history/{template}.html", context)


@require_GET
@project_page("segments")
def segment_history(request: HttpRequest, shell: Shell, segment: str) -> HttpResponse:
    """What became of one segment in each environment."""
    streams = streams_of(shell.project)
    filters = Filters(environment=asked(request, "environment"), subject=f"segment:{segment}")
    found = Segment.objects.filter(project=shell.project, key=segment).first()
    context = _told_page(request, shell, streams, filters, restorable=found is not None)
    if found is None and not context["submissions"]:
        raise Http404(f"there was never a segment {segment} in {shell.project.key}")
    context |= {
        "compare_address": reverse("segment-compare", args=[shell.project.key, segment]),
        "segment_key": segment,
        "segment": found,
        "tab": "history",
        "filters": filters,
    }
    if _wants_entries_alone(request):
        return render(request, "dashboard/parts/_history_entries.html", context)
    return render(request, "dashboard/history/segment.html", context)


@require_GET
@project_page("activity")
def event(request: HttpRequest, shell: Shell, event: UUID) -> HttpResponse:
    """One event with all that was submitted with it: the page that a link to a change leads to."""
    streams = streams_of(shell.project)
    found = _event(streams, event)
    events = submitted_with(streams, found)
    telling = Telling(
        project=shell.project.key,
        streams=streams,
        deliveries=deliveries_of(events, streams),
        leases=leases_with(streams, events),
        most_blocks=None,
    )
    context = {
        "shell": shell,
        "submission": telling.submissions(events)[0],
        "events": [
            {
                "event": one,
                "environment": streams.environment(one),
                "effects": _with_lines(one, None),
            }
            for one in events
        ],
    }
    return render(request, "dashboard/history/event.html", context)


@require_GET
@project_page("activity")
def event_json(request: HttpRequest, shell: Shell, event: UUID) -> HttpResponse:
    """The differences of one event line by line, only those of `?subject=` when it is given."""
    found = _event(streams_of(shell.project), event)
    context = {"shell": shell, "effects": _with_lines(found, asked(request, "subject"))}
    return render(request, "dashboard/parts/_json_differences.html", context)


@require_http_methods(["GET", "POST"])
@project_page("flags")
def restore_flag(request: HttpRequest, shell: Shell, flag: str, event: UUID) -> HttpResponse:
    """Make a flag's configuration what an event left it as, after showing what that would change."""
    then, environment = _state_left_by(shell, event, f"flag:{flag}", "fallthrough")
    configuration = (
        FlagConfiguration.objects.filter(flag__project=shell.project, flag__key=flag)
        .filter(environment__key=environment)
        .select_related("flag")
        .first()
    )
    if configuration is None:
        raise Http404(f"flag {flag} is no longer in {environment}")
    change = configured_as(
        then,
        project=shell.project.key,
        environment=environment,
        flag=flag,
        expected_version=_expected(request, configuration.version),
    )
    now = flag_entry(configuration.flag, configuration)
    earlier = _described_then(shell, event, flag, configuration.flag)
    return _restore(
        request,
        shell,
        change,
        now=now,
        then={**now, **{name: then[name] for name in then.keys() - FIXED_MEMBERS}},
        expected=configuration.version,
        context={
            "noun": "flag",
            "subject_key": flag,
            "environment": shell.environment(environment),
            "event_id": event,
            "back": reverse("flag-history", args=[shell.project.key, flag]),
            "version": then.get("version"),
            "earlier": earlier,
        },
    )


def _described_then(shell: Shell, event: UUID, key: str, flag: Flag) -> str | None:
    """Where the variations of that time can be brought back; None where they are those of now."""
    streams = streams_of(shell.project)
    found = _event(streams, event)
    filters = Filters(
        stream=shell.project.stream_key,
        subject=f"flag:{key}",
        until=found.at + timedelta(microseconds=1),
    )
    for one in events_in(streams, filters, limit=1).events:
        then = effects_on(one, f"flag:{key}")[-1]["after"]
        if then is not None and then.get("variations") != flag.variations:
            return reverse("flag-restore-facts", args=[shell.project.key, key, one.pk])
    return None


@require_http_methods(["GET", "POST"])
@project_page("segments")
def restore_segment(request: HttpRequest, shell: Shell, segment: str, event: UUID) -> HttpResponse:
    """Make a segment's condition what an event left it as; its id lists stay."""
    then, environment = _state_left_by(shell, event, f"segment:{segment}", "key")
    definition = (
        SegmentDefinition.objects.filter(segment__project=shell.project, segment__key=segment)
        .filter(environment__key=environment)
        .select_related("segment")
        .first()
    )
    if definition is None:
        raise Http404(f"segment {segment} is no longer in {environment}")
    change = DefineSegment(
        project=shell.project.key,
        environment=environment,
        segment=segment,
        when=then.get("when"),
        expected_version=_expected(request, definition.version),
    )
    return _restore(
        request,
        shell,
        change,
        now=segment_entry(definition.segment, definition),
        then=then,
        expected=definition.version,
        context={
            "noun": "segment",
            "subject_key": segment,
            "environment": shell.environment(environment),
            "event_id": event,
            "back": reverse("segment-history", args=[shell.project.key, segment]),
            "version": None,
        },
    )


@require_http_methods(["GET", "POST"])
@project_page("flags")
def restore_flag_facts(request: HttpRequest, shell: Shell, flag: str, event: UUID) -> HttpResponse:
    """Make a flag's name, tags, variations and the like what an event left them as."""
    then = _facts_left_by(shell, event, f"flag:{flag}")
    found = Flag.objects.filter(project=shell.project, key=flag).first()
    if found is None:
        raise Http404(f"there is no flag {flag} any more")
    change = described_as(
        then,
        project=shell.project.key,
        flag=flag,
        expected_revision=_expected(request, found.revision),
    )
    now = flag_facts(found)
    return _restore(
        request,
        shell,
        change,
        now=now,
        # Archiving is no matter of description, and a type is for ever.
        then={**then, "is_archived": now["is_archived"], "type": now["type"]},
        expected=found.revision,
        context={
            "noun": "flag",
            "subject_key": flag,
            "event_id": event,
            "back": reverse("flag-history", args=[shell.project.key, flag]),
        },
    )


@require_http_methods(["GET", "POST"])
@project_page("segments")
def restore_segment_facts(
    request: HttpRequest, shell: Shell, segment: str, event: UUID
) -> HttpResponse:
    """Make a segment's name, description and tags what an event left them as."""
    then = _facts_left_by(shell, event, f"segment:{segment}")
    found = Segment.objects.filter(project=shell.project, key=segment).first()
    if found is None:
        raise Http404(f"there is no segment {segment} any more")
    change = EditSegment(
        project=shell.project.key,
        segment=segment,
        expected_revision=_expected(request, found.revision),
        **then,
    )
    return _restore(
        request,
        shell,
        change,
        now=segment_facts(found),
        then=then,
        expected=found.revision,
        context={
            "noun": "segment",
            "subject_key": segment,
            "event_id": event,
            "back": reverse("segment-history", args=[shell.project.key, segment]),
        },
    )


# What a flag's entry holds that belongs to the flag and not to its configuration.
FIXED_MEMBERS = {"key", "type", "version", "variations", "client_visible"}


def _restore(
    request: HttpRequest,
    shell: Shell,
    change: Change,
    *,
    now: Entry,
    then: Entry,
    expected: int,
    context: dict[str, Any],
) -> HttpResponse:
    """Show what going back would do, or do it. What is refused is said before anyone presses."""
    wants_it_done = request.method == "POST"
    reason = request.POST.get("reason", "")
    error: FlagsiteError | None = None
    approval: dict[str, Any] | None = None
    try:
        outcome = submit(change, actor=shell.actor, reason=reason, dry_run=not wants_it_done)
    except ApprovalNeeded as refusal:
        _, approval = asked_for(shell, [change], refusal)
    except FlagsiteError as refusal:
        error = refusal
    else:
        if wants_it_done:
            back = redirect(context["back"])
            where = context.get("environment")
            text = f"{context['subject_key']} is as it was" + (
                f", in {where.name}" if where else ""
            )
            return told_what_came(request, back, shell, outcome, text)
    return render(
        request,
        "dashboard/history/restore.html",
        {
            **context,
            "shell": shell,
            "words": sentences(now, then),
            "lines": json_lines(now, then),
            "error": error,
            "approval": approval,
            "is_stale": isinstance(error, StaleChange),
            "may_restore": error is None or isinstance(error, StaleChange),
            "problems": getattr(error, "problems", []),
            "reason": reason,
            "expected": expected,
        },
        status=status_of(error) if error and wants_it_done else 200,
    )


def _told_page(
    request: HttpRequest,
    shell: Shell,
    streams: Streams,
    filters: Filters,
    *,
    restorable: bool = False,
) -> dict[str, Any]:
    try:
        page = events_in(streams, filters, after=asked(request, "after"))
    except ValueError as error:
        raise Http404(str(error)) from error
    telling = Telling(
        project=shell.project.key,
        streams=streams,
        deliveries=deliveries_of(page.events, streams),
        leases=leases_with(streams, page.events),
        subject=filters.subject,
    )
    if restorable:
        telling = replace(
            telling,
            restore_address=_restore_addresses(
                shell,
                streams,
                filters,
                page.events,
                newest_first=not request.GET.get("after"),
            ),
        )
    query = request.GET.copy()
    query.pop("after", None)
    return {
        "shell": shell,
        "submissions": telling.submissions(page.events),
        "older": page.older,
        "query": query.urlencode(),
        "is_first_page": not request.GET.get("after"),
    }


def _restore_addresses(
    shell: Shell, streams: Streams, filters: Filters, events: list[Event], *, newest_first: bool
) -> dict[UUID, str]:
    """Where each event's state can be brought back, but for what is the state now anyway.

    With `newest_first` the first state of an environment among the events is the one of now.
    """
    noun, _, key = (filters.subject or "").partition(":")
    open_to_change = {one.key for one in shell.environments if shell.refusal_in(one) is None}
    addresses: dict[UUID, str] = {}
    seen: set[str] = set()
    for one in events:
        environment = streams.environment(one)
        is_open = (
            environment.key in open_to_change and not environment.is_removed
            if environment
            else shell.may_edit
        )
        states = [effect["after"] for effect in effects_on(one, filters.subject)]
        if not is_open or not states or states[-1] is None or "list" in states[-1]:
            continue
        if not newest_first or one.stream_id in seen:
            view = f"{noun}-restore" if environment else f"{noun}-restore-facts"
            addresses[one.pk] = reverse(view, args=[shell.project.key, key, one.pk])
        seen.add(one.stream_id)
    return addresses


def _facts_left_by(shell: Shell, event: UUID, subject: str) -> dict[str, Any]:
    """What the project's own event left the subject described as."""
    found = _event(streams_of(shell.project), event)
    states = [effect["after"] for effect in effects_on(found, subject)]
    if found.stream_id != shell.project.stream_key or not states or states[-1] is None:
        raise Http404(f"event {event} holds no description of {subject} to go back to")
    facts: dict[str, Any] = states[-1]
    return facts


def _state_left_by(shell: Shell, event: UUID, subject: str, member: str) -> tuple[Entry, str]:
    """The subject's entry as the event left it, and the key of the environment where it did."""
    streams = streams_of(shell.project)
    found = _event(streams, event)
    environment = streams.environment(found)
    states = [effect["after"] for effect in effects_on(found, subject)]
    if environment is None or environment.is_removed or not states:
        raise Http404(f"event {event} holds no state of {subject} to go back to")
    if states[-1] is None or member not in states[-1]:
        raise Http404(f"{subject} was not there after event {event}")
    return states[-1], environment.key


def _event(streams: Streams, event: UUID) -> Event:
    found = event_in(streams, event)
    if found is None:
        raise Http404(f"there is no event {event} in this project")
    return found


def _with_lines(event: Event, subject: str | None) -> list[dict[str, Any]]:
    return [
        {
            "subject": effect["subject"],
            "kind": effect["kind"],
            "lines": json_lines(effect["before"], effect["after"]),
        }
        for effect in effects_on(event, subject)
    ]


def _expected(request: HttpRequest, version: int) -> int:
    """The version that the page showed when the form was sent; the one of now when it is opened."""
    expected = whole(request.POST.get("expected"))
    return version if expected is None else expected


def _wants_entries_alone(request: HttpRequest) -> bool:
    return bool(request.htmx) and request.htmx.target == "history-entries"  # type: ignore[attr-defined]

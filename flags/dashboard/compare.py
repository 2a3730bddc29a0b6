"""Two states beside each other: two environments, two instants of one, two versions of a flag."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from flags.changes import submit
from flags.changes.copying import copied
from flags.dashboard.shell import Shell, asked, project_page, status_of, whole
from flags.dashboard.undo import sent_for_approval, told
from flags.differences import Line, json_lines, sentences, serve_in_words
from flags.errors import FlagsiteError, NotFound
from flags.models import Environment, FlagConfiguration, SegmentDefinition
from flags.queries.compare import (
    Difference,
    StateAfter,
    differences_of,
    entries_at,
    entries_now,
    ids_changed_between,
    state_after,
)
from flags.queries.history import streams_of
from flags.snapshots import Entry


@dataclass(frozen=True)
class Row:
    """One subject that differs: how it is on each side in short, and what the difference is."""

    subject: str
    noun: str
    key: str
    address: str
    left: str
    right: str
    words: list[str]
    lines: list[Line]
    # The version on the right, for whoever copies onto it.
    version: int | None = None
    is_chosen: bool = False


@require_http_methods(["GET", "POST"])
@project_page("compare")
def environments(request: HttpRequest, shell: Shell) -> HttpResponse:
    """All flags and segments of two environments; chosen ones are copied from one to the other."""
    if len(shell.environments) < 2:
        return render(request, "dashboard/compare/environments.html", {"shell": shell, "few": True})
    source = shell.environment(asked(request, "from") or shell.environments[-2].key)
    target = shell.environment(asked(request, "to") or shell.environments[-1].key)
    error: FlagsiteError | None = None
    chosen = request.POST.getlist("subject")
    if request.method == "POST":
        try:
            return _copy(request, shell, source, target, chosen)
        except FlagsiteError as refusal:
            error = refusal
    here, there = entries_now(source), entries_now(target)
    # Read as what copying would do: from what the target has to what the source has.
    found = differences_of(there, here)
    versions = _versions_in(target)
    context = {
        "shell": shell,
        "source": source,
        "target": target,
        "rows": [
            _row(shell, one, version=versions.get(one.subject), is_chosen=one.subject in chosen)
            for one in found
        ],
        "alike": len(here.keys() | there.keys()) - len(found),
        "error": error,
        "problems": getattr(error, "problems", []),
        "reason": request.POST.get("reason", ""),
        "refusal": shell.refusal_in(target),
        "tab": "environments",
    }
    status = status_of(error) if error else 200
    return render(request, "dashboard/compare/environments.html", context, status=status)


@require_GET
@project_page("compare")
def instants(request: HttpRequest, shell: Shell) -> HttpResponse:
    """What became of an environment between two instants."""
    if not shell.environments:
        return redirect("compare", project=shell.project.key)
    environment = shell.environment(asked(request, "environment") or shell.environments[-1].key)
    now = timezone.now()
    problems: list[str] = []
    since = _instant(request, "since", now - timedelta(days=1), problems)
    until = _instant(request, "until", now, problems)
    found, ids = [], []
    if since >= until:
        problems.append("expected an earlier instant first and a later one second")
    else:
        try:
            before, after = entries_at(environment, since), entries_at(environment, until)
        except NotFound as error:
            problems.append(str(error))
        else:
            found = differences_of(before, after)
            ids = [
                (subject.partition(":")[2], sentences({}, change))
                for subject, change in ids_changed_between(environment, since, until)
            ]
    context = {
        "shell": shell,
        "environment": environment,
        "rows": [_row(shell, one) for one in found],
        "ids": ids,
        "since": f"{since:%Y-%m-%dT%H:%M}",
        "until": f"{until:%Y-%m-%dT%H:%M}",
        "problems": problems,
        "tab": "instants",
    }
    return render(request, "dashboard/compare/instants.html", context)


@require_GET
@project_page("flags")
def flag_versions(request: HttpRequest, shell: Shell, flag: str) -> HttpResponse:
    """Two versions of a flag, picked in its history."""
    return _versions(request, shell, f"flag:{flag}", reverse("flag-history", args=[shell.project.key, flag]))  # fmt: skip


@require_GET
@project_page("segments")
def segment_versions(request: HttpRequest, shell: Shell, segment: str) -> HttpResponse:
    """Two versions of a segment, picked in its history."""
    return _versions(request, shell, f"segment:{segment}", reverse("segment-history", args=[shell.project.key, segment]))  # fmt: skip


def _versions(request: HttpRequest, shell: Shell, subject: str, back: str) -> HttpResponse:
    problem, sides = "", []
    try:
        picked = [UUID(text) for text in request.GET.getlist("pick")]
    except ValueError as error:
        raise Http404("expected the ids of two events") from error
    if len(picked) != 2:
        problem = f"Pick two versions to compare; {len(picked) or 'none'} came."
    else:
        streams = streams_of(shell.project)
        try:
            sides = [state_after(streams, event, subject) for event in picked]
        except NotFound as error:
            raise Http404(str(error)) from error
        sides.sort(key=lambda side: (side.event.at, side.event.version))
        if len({side.environment is None for side in sides}) > 1:
            problem = "One of them says what the flag serves, the other how it is described: these have nothing in common."
    context = {
        "shell": shell,
        "subject": subject,
        "noun": subject.partition(":")[0],
        "key": subject.partition(":")[2],
        "sides": [_side(shell, side) for side in sides],
        "problem": problem,
        "back": back,
    }
    if sides and not problem:
        context |= {
            "words": sentences(sides[0].state, sides[1].state),
            "lines": json_lines(sides[0].state, sides[1].state),
        }
    return render(
        request, "dashboard/compare/versions.html", context, status=422 if problem else 200
    )


def _side(shell: Shell, side: StateAfter) -> dict[str, Any]:
    name = next(
        (one.name for one in shell.environments if one.key == side.environment), side.environment
    )
    return {
        "event": side.event,
        "where": f"{name}, version {side.event.version}" if side.environment else "The project",
    }  # fmt: skip


def _copy(
    request: HttpRequest, shell: Shell, source: Environment, target: Environment, chosen: list[str]
) -> HttpResponse:
    expected = {
        subject: version
        for subject in chosen
        if (version := whole(request.POST.get(f"version:{subject}"))) is not None
    }
    changes = copied(source, target, chosen, expected=expected)
    outcome = submit(*changes, actor=shell.actor, reason=request.POST.get("reason", ""))
    here = f"{reverse('compare', args=[shell.project.key])}?from={source.key}&to={target.key}"
    if outcome.request is not None:
        number = outcome.request
        address = reverse("request", args=[shell.project.key, number])
        return told(request, redirect(address), sent_for_approval(shell.project.key, number), link=address)  # fmt: skip
    many = "is" if len(changes) == 1 else "are"
    text = f"{len(changes)} of {target.name} {many} now as in {source.name}"
    return told(request, redirect(here), text)


def _row(
    shell: Shell, one: Difference, *, version: int | None = None, is_chosen: bool = False
) -> Row:
    return Row(
        subject=one.subject,
        noun=one.noun,
        key=one.key,
        address=reverse(one.noun, args=[shell.project.key, one.key]),
        left=_in_short(one.after),
        right=_in_short(one.before),
        words=sentences(one.before, one.after),
        lines=json_lines(one.before, one.after),
        version=version,
        is_chosen=is_chosen,
    )


def _in_short(entry: Entry | None) -> str:
    """As `On, 2 rules, else on 25 %, off 75 %`."""
    if entry is None:
        return "Not there"
    if "fallthrough" not in entry:
        return "With a condition" if "when" in entry else "Without a condition"
    rules = len(entry["rules"])
    counted = f", {rules} rule{'s' if rules > 1 else ''}" if rules else ""
    return f"{'On' if entry['enabled'] else 'Off'}{counted}, {'else ' if rules else ''}{serve_in_words(entry['fallthrough'])}"


def _versions_in(environment: Environment) -> dict[str, int]:
    """The versions of what is in an environment, by subject; two queries."""
    flags: Iterable[tuple[str, int]] = FlagConfiguration.objects.filter(
        environment=environment
    ).values_list("flag__key", "version")
    segments: Iterable[tuple[str, int]] = SegmentDefinition.objects.filter(
        environment=environment
    ).values_list("segment__key", "version")
    return {f"flag:{key}": version for key, version in flags} | {
        f"segment:{key}": version for key, version in segments
    }


def _instant(request: HttpRequest, name: str, otherwise: datetime, problems: list[str]) -> datetime:
    """A `datetime-local` of the address, in UTC."""
    text = asked(request, name)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else otherwise
    except ValueError:
        problems.append(f"expected a date and a time, got {text}")
        return otherwise

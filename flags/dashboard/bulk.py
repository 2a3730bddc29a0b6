"""What is done to several flags of the list at once: one submit, all or nothing."""

from collections.abc import Mapping

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST
from django_htmx.http import trigger_client_event

from flags.access import Action
from flags.changes import ArchiveFlag, Change, EditFlag, RestoreFlag, SwitchFlag
from flags.changes.outlook import outlook
from flags.dashboard.flags import ACTIONS
from flags.dashboard.review import Save, reviewed, saved
from flags.dashboard.shell import Shell, came_from, project_page
from flags.errors import Conflict, Denied, FlagsiteError, Invalid, NotFound, StaleChange
from flags.models import Environment, Flag
from flags.queries.flags import PAGE_SIZE, flags_called, flags_on


@require_POST
@project_page("flags")
def preview(request: HttpRequest, shell: Shell) -> HttpResponse:
    """What it would do to each of the flags that were chosen, and which of them cannot take it."""
    return reviewed(request, shell, _save_from(request, shell))


@require_POST
@project_page("flags")
def save(request: HttpRequest, shell: Shell) -> HttpResponse:
    """Do it to all of them, or say again what it would do where that is less than was said."""
    wanted = _save_from(request, shell)
    if wanted.left_out:
        # The dialog sends none that it left out, so these could still take it when it was read.
        said = StaleChange("Not all of them can take it any more, so nothing is done yet")
        return reviewed(request, shell, wanted, refusal=said)
    text = f"Done: {wanted.title[0].lower()}{wanted.title[1:]}"
    try:
        return saved(request, shell, wanted, text, lambda: _done(request, wanted.page))
    except (Invalid, Conflict, NotFound) as error:
        return reviewed(request, shell, wanted, refusal=error)


def _done(request: HttpRequest, page: str) -> HttpResponse:
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(came_from(request, page))
    response = trigger_client_event(HttpResponse(), "close-dialogs")
    trigger_client_event(response, "bulk-done")
    return trigger_client_event(response, "refresh-all", after="settle")


def _save_from(request: HttpRequest, shell: Shell) -> Save:
    what = request.POST.get("what", "")
    if what not in ACTIONS:
        raise Http404(f"expected one of {', '.join(ACTIONS)}, got {what}")
    keys = list(dict.fromkeys(request.POST.getlist("flag")))[:PAGE_SIZE]
    if not keys:
        raise Invalid.at("flag", "choose at least one flag")
    place = shell.environment(request.POST.get("environment")) if what in ("on", "off") else None
    tag = request.POST.get("tag", "").strip()
    if what in ("tag", "untag") and not tag:
        raise Invalid.at("tag", "expected a tag, got nothing")
    changes, left_out = _changes(shell, keys, what, place, tag)
    return Save(
        changes=changes,
        title=_title(what, _counted(len(changes)), place, tag),
        environment=place,
        address=reverse("bulk", args=[shell.project.key]),
        sends={
            "flag": [key for key in keys if key not in dict(left_out)],
            "what": what,
            "environment": place.key if place else "",
            "tag": tag,
        },
        page=reverse("flags", args=[shell.project.key]),
        left_out=left_out,
    )


def _changes(
    shell: Shell, keys: list[str], what: str, place: Environment | None, tag: str
) -> tuple[list[Change], list[tuple[str, str]]]:
    """What is to be done, and the flags that cannot take it with why."""
    found = flags_called(shell.project, keys)
    are_on = flags_on(place, keys) if place else set()
    changes: dict[str, Change] = {}
    left_out: dict[str, str] = {}
    for key in keys:
        if why := _why_not(shell, found.get(key), what, place, tag):
            left_out[key] = why
        elif what in ("on", "off") and (key in are_on) == (what == "on"):
            left_out[key] = f"it is {what} already"
        else:
            changes[key] = _change(shell, found[key], what, place, tag)
    left_out |= _refused(shell, changes)
    return (
        [change for key, change in changes.items() if key not in left_out],
        [(key, left_out[key]) for key in keys if key in left_out],
    )


def _why_not(
    shell: Shell, flag: Flag | None, what: str, place: Environment | None, tag: str
) -> str | None:
    """What can be said of a flag before anything is tried; None where nothing speaks against it."""
    if flag is None:
        return "it is gone"
    if refusal := shell.rights.missing(Action.EDIT, place):
        return refusal
    if what == "restore":
        return None if flag.is_archived else "it is not archived"
    if flag.is_archived and what in ("on", "off", "archive"):
        return "it is archived"
    if what == "tag" and tag in flag.tags:
        return f"it has the tag {tag} already"
    if what == "untag" and tag not in flag.tags:
        return f"it has no tag {tag}"
    return None


def _change(shell: Shell, flag: Flag, what: str, place: Environment | None, tag: str) -> Change:
    project = shell.project.key
    match what:
        case "archive":
            return ArchiveFlag(project=project, flag=flag.key)
        case "restore":
            return RestoreFlag(project=project, flag=flag.key)
        case "tag" | "untag":
            tags = [*flag.tags, tag] if what == "tag" else [one for one in flag.tags if one != tag]
            return EditFlag(
                project=project, flag=flag.key, tags=tags, expected_revision=flag.revision
            )
    assert place is not None
    return SwitchFlag(project=project, environment=place.key, flag=flag.key, on=what == "on")


def _refused(shell: Shell, changes: Mapping[str, Change]) -> dict[str, str]:
    """Which flags stand in the way of all, each with what it is refused with by itself."""
    try:
        if changes:
            outlook(*changes.values(), actor=shell.actor)
    except (Conflict, Denied, Invalid, NotFound):
        return {
            key: why
            for key, change in changes.items()
            if (why := _refusal_of(shell, change)) is not None
        }
    return {}


def _refusal_of(shell: Shell, change: Change) -> str | None:
    try:
        outlook(change, actor=shell.actor)
    except FlagsiteError as error:
        return str(error)
    return None


def _title(what: str, flags: str, place: Environment | None, tag: str) -> str:
    """As `Switch 3 flags on in Production`."""
    match what:
        case "on" | "off":
            return f"Switch {flags} {what}" + (f" in {place.name}" if place else "")
        case "tag":
            return f"Add the tag {tag} to {flags}"
        case "untag":
            return f"Remove the tag {tag} from {flags}"
    return f"{what.capitalize()} {flags}"


def _counted(count: int) -> str:
    return f"{count} flag{'' if count == 1 else 's'}"

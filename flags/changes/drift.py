"""The `drift` subscriber: what changed meanwhile may move where open requests stand.

So that a list and a notice tell of a conflict when it happens, and not when somebody looks.
"""

from django.db.models import Q

from audit.facts import Actor
from audit.models import Event
from flags.changes.locks import lock_all_of
from flags.changes.requests import SettleRequest
from flags.changes.submit import submit
from flags.changes.sweeping import each
from flags.errors import Busy, FlagsiteError
from flags.models import REVIEWED, Environment, Project, Request

DRIFT = Actor.system("drift")
# Who is where, and what an environment asks, is of every request there.
OF_ALL = {"member", "team"}


def look_again(event: Event) -> None:
    """Settle the open requests that the event may concern; raises Busy, to be called again."""
    noun, _, key = event.stream_id.partition(":")
    if noun == "environment":
        environment = Environment.objects.filter(pk=key).select_related("project").first()
        project = environment.project if environment else None
    else:
        project = Project.objects.filter(pk=key).first() if noun == "project" else None
    subjects = {effect["subject"] for effect in event.effects}
    concerned = _concerned(subjects)
    if project is None or concerned is None:
        return
    rows = Request.objects.filter(concerned, project=project, state__in=REVIEWED)
    requests = list(rows.select_related("project"))
    if requests:
        # All of them are settled in the one transaction in which the event is handed over.
        lock_all_of(project)
    each("drift", requests, _settle, passing_on=(Busy,))


def _settle(request: Request) -> int:
    try:
        settling = SettleRequest(project=request.project.key, request=request.number)
        return int(submit(settling, actor=DRIFT).changed)
    except Busy:
        raise
    except FlagsiteError:
        # It cannot be done as things are; its page says why, and so does applying it.
        return 0


def _concerned(subjects: set[str]) -> Q | None:
    found = Q()
    for subject in sorted(subjects):
        noun, _, key = subject.partition(":")
        if noun in OF_ALL:
            return Q(state__in=REVIEWED)
        if noun in {"policy", "environment"}:
            found |= Q(environments__contains=[key])
        elif noun != "request":
            found |= Q(seen__contains=[{"subject": subject}])
    return found or None

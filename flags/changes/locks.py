"""The locks under which a change is judged and performed: touched environments first, project last."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from django.conf import settings
from django.db import OperationalError, connection

from audit.facts import Actor
from audit.log import lock_streams, open_stream
from flags import access, approval
from flags.changes.base import ALL_ENVIRONMENTS, Change, Scope
from flags.errors import Busy, NotFound
from flags.models import Environment, Project
from flags.models.projects import SITE_STREAM


@contextmanager
def waiting_no_longer_than_set() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        # lock_not_available, and deadlock_detected where somebody else went on instead of us.
        if getattr(error.__cause__, "sqlstate", None) in {"55P03", "40P01"}:
            raise Busy("somebody else is saving here at this moment; try again") from error
        raise


def locked(changes: Sequence[Change], *, actor: Actor, reason: str, now: datetime) -> Scope:
    """Lock the touched environments in the order of their ids, the project last."""
    _wait_no_longer_than_set()
    if changes[0].on_site:
        open_stream(SITE_STREAM)
        lock_streams([SITE_STREAM])
        return Scope(
            project=None,
            environments={},
            actor=actor,
            rights=access.rights(actor, None),
            reason=reason,
            now=now,
        )
    key = changes[0].project
    project = Project.objects.filter(key=key).first()
    if project is None:
        raise NotFound(f"there is no project {key}")
    seen = _touched(changes, project)
    lock_streams(environment.stream_key for environment in seen.values())
    lock_streams([project.stream_key])
    # Read again now that nobody can change them: whether an environment requires approval counts
    # as it stands under the locks.
    project.refresh_from_db()
    environments = _touched(changes, project)
    if environments != seen:
        raise Busy("an environment was added or removed at this moment; try again")
    return Scope(
        project=project,
        environments=environments,
        actor=actor,
        rights=access.rights(actor, project),
        reason=reason,
        now=now,
        guards=approval.guards(environments),
    )


def lock_all_of(project: Project) -> None:
    """Lock all that submits to a project lock, for who makes several of them in one transaction.

    A later one would otherwise lock an environment after the project, and meet whoever holds the
    environment and waits for the project. Raises Busy.
    """
    with waiting_no_longer_than_set():
        _wait_no_longer_than_set()
        lock_streams(environment.stream_key for environment in project.environments.all())
        lock_streams([project.stream_key])


def _wait_no_longer_than_set() -> None:
    with connection.cursor() as cursor:
        milliseconds = int(settings.LOCK_TIMEOUT.total_seconds() * 1000)
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{milliseconds}ms"])


def _touched(changes: Sequence[Change], project: Project) -> dict[str, Environment]:
    there = {environment.key: environment for environment in project.environments.all()}
    wanted = {key for change in changes for key in change.touches()}
    if ALL_ENVIRONMENTS in wanted:
        return there
    for key in sorted(wanted - there.keys()):
        raise NotFound(f"there is no environment {key} in {project.key}")
    return {key: environment for key, environment in there.items() if key in wanted}

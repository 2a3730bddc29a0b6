"""Environments, where their streams are, and how many keys open them."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Q

from audit.models import Stream
from flags.models import Environment, Project


@dataclass(frozen=True)
class EnvironmentRow:
    """An environment with the version it is at and how many SDK keys work."""

    environment: Environment
    version: int
    keys: int


def environment_rows(project: Project) -> list[EnvironmentRow]:
    """The project's environments in their order. Two queries."""
    working = Count("sdk_keys", filter=Q(sdk_keys__revoked_at=None))
    environments = list(
        Environment.objects.filter(project=project)
        .annotate(working_keys=working)
        .order_by("position", "key")
    )
    streams = streams_of(environments)
    return [
        EnvironmentRow(environment, streams[environment.pk].version, environment.working_keys)
        for environment in environments
    ]


def streams_of(environments: Iterable[Environment]) -> dict[uuid.UUID, Stream]:
    """Environment's id → its stream. One query."""
    keys = {environment.stream_key: environment.pk for environment in environments}
    return {keys[stream.key]: stream for stream in Stream.objects.filter(key__in=keys)}

"""Ramps and leases: which are under way, and what is coming."""

from flags.models import Environment, Ramp


def ramp_under_way(environment: Environment, flag: str) -> Ramp | None:
    """A ramp of the flag in this environment; one query."""
    return Ramp.objects.filter(environment=environment, flag__key=flag, closed_at=None).first()

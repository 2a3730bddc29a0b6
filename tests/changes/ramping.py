"""A flag that is ramped, and what tests of it share."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from flags.changes import (
    ApplyRequest,
    EditEnvironment,
    ReviewRequest,
    SetPolicy,
    StartRamp,
    submit,
)
from flags.changes.releases import clock
from flags.models import Environment, FlagConfiguration, Ramp
from tests.cast import OPERATOR

SHOP: dict[str, Any] = {"project": "shop"}
PRODUCTION: dict[str, Any] = {**SHOP, "environment": "production"}
HOUR = {"hold": {"seconds": 3_600}}
APPROVAL = {"hold": {"approval": True}}
TIMED = [{"share": 1_000, **HOUR}, {"share": 5_000, **HOUR}, {"share": 25_000, **HOUR}, {"share": 100_000}]  # fmt: skip
WITH_APPROVAL = [
    {"share": 1_000, **HOUR}, {"share": 5_000, **APPROVAL}, {"share": 25_000, **HOUR}, {"share": 100_000},
]  # fmt: skip
BEGIN = timezone.now().replace(microsecond=0)
START = StartRamp(**PRODUCTION, flag="new-checkout", variation="on", steps=TIMED)


def at(hours):
    return BEGIN + timedelta(hours=hours)


def ramp(number=1):
    return Ramp.objects.get(number=number)


def configuration():
    return FlagConfiguration.objects.get(flag__key="new-checkout", environment__key="production")


def share(variation="on"):
    return dict(configuration().fallthrough["split"]["shares"]).get(variation, 0)


def sweep(hours):
    return clock.sweep(now=at(hours))


def guard(**policy):
    submit(
        SetPolicy(**PRODUCTION, **policy),
        EditEnvironment(**PRODUCTION, requires_approval=True),
        actor=OPERATOR,
    )


def unguard():
    Environment.objects.filter(key="production").update(requires_approval=False)


def start(editor, steps=TIMED, **more):
    change = StartRamp(
        **PRODUCTION, flag="new-checkout", variation="on", **{"steps": steps, **more}
    )
    return submit(change, actor=editor, now=at(0))


def agreed(editor, reviewer, steps=TIMED):
    """A ramp that was begun by an approved request."""
    number = start(editor, steps).request
    submit(ReviewRequest(**SHOP, request=number, verdict="approved"), actor=reviewer, now=at(0))
    submit(ApplyRequest(**SHOP, request=number), actor=editor, now=at(0))


@pytest.fixture
def flag(a_flag):
    """On, and serves `off` to everybody."""
    return a_flag("new-checkout", on=True, fallthrough={"variation": "off"})

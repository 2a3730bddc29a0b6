"""The demo project that a first start makes."""

import pytest
from django.core.management import call_command

from audit.models import Event
from audit.verification import faults
from flagengine import Ruleset, problems_in_ruleset
from flags.models import Environment, Flag, Lease, Project, Ramp, Request
from flags.snapshots import ruleset_document

pytestmark = pytest.mark.django_db


def test_the_demo_has_flags_of_every_type_and_weeks_of_history():
    call_command("seed_demo")

    project = Project.objects.get(key="demo")
    assert {flag.type for flag in project.flags.all()} == set(Flag.TYPES)
    assert 15 <= project.flags.count() <= 25
    moments = Event.objects.order_by("at").values_list("at", flat=True)
    assert (moments.last() - moments.first()).days >= 28
    assert list(faults()) == []
    for environment in project.environments.all():
        document = ruleset_document(environment)
        assert problems_in_ruleset(document) == []
        ruleset = Ruleset.compile(document, clock=lambda: 0.0)
        results = ruleset.evaluate_all({"targetingKey": "user-1"})
        assert all(result.error_code is None for result in results.values())


def test_the_demo_shows_requests_in_each_stage():
    call_command("seed_demo")

    states = Request.objects.order_by("number").values_list("state", flat=True)
    assert list(states) == ["applied", "changes_requested", "in_review", "applied", "scheduled"]
    assert [ramp.state for ramp in Ramp.objects.all()] == ["running"]
    assert [lease.state for lease in Lease.objects.all()] == ["running"]
    assert Environment.objects.get(requires_approval=True).key == "production"


def test_a_second_run_changes_nothing():
    call_command("seed_demo")
    events = Event.objects.count()

    call_command("seed_demo")

    assert Event.objects.count() == events

"""Commands that would change a guarded environment: refused, unless past approval on record."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from flags.changes import EditEnvironment, ReviewBypass, submit
from flags.models import Environment, Flag, Request
from flags.snapshots import ruleset_document
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db


@pytest.fixture
def guarded(project):
    submit(
        EditEnvironment(project="shop", environment="production", requires_approval=True),
        actor=OPERATOR,
    )
    return Environment.objects.get(project=project, key="production")


@pytest.fixture
def file(tmp_path):
    """A flagd file with one flag that can be loaded."""
    path = tmp_path / "flags.json"
    flag = {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": "on",
    }
    path.write_text(json.dumps({"flags": {"checkout": flag}}))
    return path


def load(file, *words):
    err = StringIO()
    call_command(
        "load_flagd", str(file), "--project", "shop", "--environment", "production", *words,
        stderr=err,
    )  # fmt: skip
    return err.getvalue()


def test_a_load_into_a_guarded_environment_is_refused_in_one_line(guarded, file):
    before = ruleset_document(guarded)

    with pytest.raises(CommandError, match=r"requires approval.*--bypass --reason") as refusal:
        load(file)

    assert "\n" not in str(refusal.value)
    assert ruleset_document(guarded) == before
    assert not Flag.objects.exists()


def test_a_bypass_takes_a_reason(guarded, file):
    with pytest.raises(CommandError, match="--reason"):
        load(file, "--bypass")

    assert not Flag.objects.exists()


def test_a_bypass_is_on_record_and_is_signed_afterwards(guarded, file, reviewer):
    assert "1 created" in load(file, "--bypass", "--reason", "moving in")

    request = Request.objects.get()
    assert (request.state, request.bypass_reason) == ("applied", "moving in")
    assert "checkout" in ruleset_document(guarded)["flags"]
    submit(ReviewBypass(project="shop", request=request.number), actor=reviewer)
    request.refresh_from_db()
    assert request.bypass_reviewed_by.username == "reviewer"


def test_without_a_guard_a_bypass_bypasses_nothing(project, file):
    assert "1 created" in load(file, "--bypass", "--reason", "moving in")

    assert not Request.objects.exists()

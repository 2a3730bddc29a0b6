"""The commands of an operator's shell."""

import os
import subprocess
import sys
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from audit.models import Event
from flags.models import ApiToken, Environment, Project, SdkKey
from flags.models.secrets import hash_of

pytestmark = pytest.mark.django_db


def run(*words):
    """What the command wrote to standard output and to standard error."""
    out, err = StringIO(), StringIO()
    call_command(*words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_project_and_its_environment_are_made_by_the_operator():
    run("create_project", "garden", "--name", "Garden")
    run("create_environment", "live", "--project", "garden", "--requires-approval")

    assert Project.objects.get(key="garden").name == "Garden"
    assert Environment.objects.get(project__key="garden", key="live").requires_approval
    assert str(Event.objects.order_by("at").last().actor) == "manage.py create_environment"


@pytest.mark.parametrize("kind", ["server", "client"])
def test_an_sdk_key_is_alone_on_standard_output(project, kind):
    out, err = run(
        "create_sdk_key", "--project", "shop", "--environment", "production", "--kind", kind
    )

    secret = out.removesuffix("\n")
    key = SdkKey.objects.get(hash=hash_of(secret))
    assert (key.kind, key.environment.key) == (kind, "production")
    assert key.public_id in err
    assert secret not in err


def test_an_api_token_is_alone_on_standard_output(users):
    out, err = run(
        "create_api_token", "--user", "editor", "--scopes", "read,propose,apply", "--expires", "90d"
    )

    secret = out.removesuffix("\n")
    token = ApiToken.objects.get(hash=hash_of(secret))
    assert (token.user, token.scopes) == (users["editor"], ["apply", "propose", "read"])
    assert round((token.expires_at - token.created_at).total_seconds() / 86_400) == 90
    assert secret not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create_project", "shop"], "there is a project shop already"),
        (["create_project", "no spaces"], "got 'no spaces'"),
        (["create_environment", "x", "--project", "nowhere"], "there is no project nowhere"),
        (
            ["create_sdk_key", "--project", "shop", "--environment", "moon"],
            "there is no environment moon in shop",
        ),
        (["create_api_token", "--user", "nobody"], "there is no account nobody"),
        (["create_api_token", "--user", "editor", "--scopes", "all"], "got all"),
        (["create_api_token", "--user", "editor", "--expires", "2027-01-31"], "got 2027-01-31"),
        (["create_api_token", "--user", "editor", "--expires", "2007-01-31T00:00:00Z"], "passed"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(project, users, words, said):
    with pytest.raises(CommandError) as refusal:
        run(*words)

    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert refusal.value.returncode == 1


def test_a_database_that_is_away_is_one_clear_line():
    away = "postgresql://nobody:nothing@127.0.0.1:1/nowhere"

    answer = subprocess.run(
        [sys.executable, "manage.py", "create_project", "garden"],
        env=os.environ | {"DATABASE_URL": away},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.startswith("CommandError: the database does not answer: ")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["create_project", "migrate"])
def test_a_setting_that_is_missing_is_one_clear_line(tmp_path, command):
    answer = subprocess.run(
        [sys.executable, "manage.py", command],
        env={"PATH": os.environ["PATH"], "FLAGSITE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.startswith("manage.py: FLAGSITE_SECRET_KEY is not set")
    assert "name the FLAGSITE_HOME that it has" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_a_whole_log_is_verified(a_flag):
    a_flag("checkout")

    _, err = run("verify_events")

    assert "are whole" in err


def test_a_tampered_log_is_named_by_its_place(a_flag, project):
    a_flag("checkout")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE audit_event SET reason = 'another' WHERE stream_id = %s AND version = 1",
            [project.stream_key],
        )

    out = StringIO()
    with pytest.raises(CommandError) as refusal:
        call_command("verify_events", stdout=out)

    assert refusal.value.returncode == 1
    assert f"{project.stream_key}@1" in out.getvalue()

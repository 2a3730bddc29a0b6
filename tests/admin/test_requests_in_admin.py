"""Requests in the Django admin: saves that become one, and actions that answer them."""

import pytest
from django.urls import reverse

from flags.changes import EditEnvironment, SwitchFlag, submit
from flags.models import Comment, Environment, Flag, FlagConfiguration, Request
from flags.snapshots import ruleset_document
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db


@pytest.fixture
def guarded(client, users, project, a_flag):
    """Production under approval, and the owner's browser signed in."""
    a_flag("new-checkout")
    submit(
        EditEnvironment(project="shop", environment="production", requires_approval=True),
        actor=OPERATOR,
    )
    client.force_login(users["owner"])
    return Environment.objects.get(project=project, key="production")


@pytest.fixture
def asked(guarded, editor):
    switch = SwitchFlag(project="shop", environment="production", flag="new-checkout", on=True)
    number = submit(switch, actor=editor).request
    return Request.objects.get(number=number)


def told(response):
    return " ".join(str(message) for message in response.context["messages"])


def act(client, action, row, reason=""):
    return client.post(
        reverse("admin:flags_request_changelist"),
        {"action": action, "_selected_action": [row.pk], "reason": reason},
        follow=True,
    )


def test_a_save_that_needs_approval_says_that_it_became_a_request(guarded, client):
    before = ruleset_document(guarded)
    row = FlagConfiguration.objects.get(environment=guarded)
    address = reverse("admin:flags_flagconfiguration_change", args=[row.pk])
    form = client.get(address).context["adminform"].form
    filled = {name: form[name].value() for name in form.fields}
    filled = {name: value for name, value in filled.items() if value not in (None, False)}

    answer = client.post(address, {**filled, "enabled": "on"}, follow=True)

    assert "waits for approval as request #1" in told(answer)
    assert "success" not in told(answer)
    assert ruleset_document(guarded) == before


def test_a_new_flag_in_a_guarded_project_waits(guarded, client, project):
    address = reverse("admin:flags_flag_add")
    form = client.get(address).context["adminform"].form
    filled = {name: form[name].value() for name in form.fields}
    filled = {name: value for name, value in filled.items() if value not in (None, False)}
    filled |= {"project": str(project.pk), "key": "another", "type": "boolean", "name": "Another"}
    filled["json_schema"] = "null"
    filled["variations"] = '[{"key": "on", "value": true}, {"key": "off", "value": false}]'

    answer = client.post(address, filled, follow=True)

    assert "waits for approval as request #1" in told(answer)
    assert not Flag.objects.filter(key="another").exists()


def test_an_action_on_flags_never_skips_the_gate(guarded, client):
    before = ruleset_document(guarded)
    flag = Flag.objects.get(key="new-checkout")

    answer = client.post(
        reverse("admin:flags_flag_changelist"),
        {"action": "archive", "_selected_action": [flag.pk]},
        follow=True,
    )

    assert "waits for approval" in told(answer)
    assert ruleset_document(guarded) == before


def test_requests_are_approved_from_the_list(asked, client):
    assert "done" in told(act(client, "approve", asked))

    asked.refresh_from_db()
    assert asked.state == "approved"


def test_a_rejection_takes_a_reason(asked, client):
    assert "takes a reason" in told(act(client, "reject", asked))

    act(client, "reject", asked, reason="not on Friday")

    asked.refresh_from_db()
    assert (asked.state, asked.outcome) == ("rejected", "not on Friday")


def test_requests_are_commented_on(asked, client):
    act(client, "comment", asked, reason="Why now?")

    assert [comment.body for comment in Comment.objects.filter(request=asked)] == ["Why now?"]

"""Every form and action of the Django admin that could alter a guarded environment."""

from typing import Any

import pytest
from django.urls import reverse

from flags.changes import (
    ArchiveFlag,
    CreateFlag,
    CreateProject,
    CreateSegment,
    EditEnvironment,
    SetPolicy,
    submit,
)
from flags.models import (
    Environment,
    Flag,
    FlagConfiguration,
    Request,
    Segment,
    SegmentDefinition,
)
from flags.snapshots import encoded, ruleset_document
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db


@pytest.fixture
def guarded(client, users, project, a_flag):
    """Production asks for approval; a site administrator is signed in, whom no role limits."""
    submit(CreateSegment(project="shop", key="beta"), actor=OPERATOR)
    a_flag("old")
    submit(ArchiveFlag(project="shop", flag="old"), actor=OPERATOR)
    a_flag("checkout", on=True)
    named: dict[str, Any] = {"project": "shop", "environment": "production"}
    submit(
        SetPolicy(**named, approvals=1),
        EditEnvironment(**named, requires_approval=True),
        actor=OPERATOR,
    )
    client.force_login(users["owner"])
    return Environment.objects.get(project=project, key="production")


def saved(client, row, **typed):
    """The form of a row sent back as it is shown, but for what is typed."""
    name = row._meta.model_name
    address = reverse(f"admin:flags_{name}_change", args=[row.pk])
    form = client.get(address).context["adminform"].form
    filled = {name: form[name].value() for name in form.fields} | typed
    return client.post(
        address, {name: value for name, value in filled.items() if value not in (None, False)}
    )


def removed(client, row):
    address = reverse(f"admin:flags_{row._meta.model_name}_delete", args=[row.pk])
    return client.post(address, {"post": "yes"})


def acted(client, action, *rows):
    address = reverse(f"admin:flags_{rows[0]._meta.model_name}_changelist")
    return client.post(address, {"action": action, "_selected_action": [row.pk for row in rows]})


def flag(key="checkout"):
    return Flag.objects.get(project__key="shop", key=key)


def production():
    return Environment.objects.get(project__key="shop", key="production")


SWAPPED = '[{"key": "on", "value": false}, {"key": "off", "value": true}]'
TARGETS = '[{"variation": "off", "by": "targetingKey", "keys": ["me"]}]'
WAYS = {
    "individual targets": lambda client: saved(
        client,
        FlagConfiguration.objects.get(flag=flag(), environment=production()),
        targets=TARGETS,
    ),
    "a segment's condition": lambda client: saved(
        client,
        SegmentDefinition.objects.get(environment=production()),
        when='{"attribute": "plan", "op": "exists"}',
    ),
    "variations": lambda client: saved(client, flag(), variations=SWAPPED),
    "client visibility": lambda client: saved(client, flag(), client_visible="on"),
    "the archive": lambda client: acted(client, "archive", flag()),
    "back from the archive": lambda client: acted(client, "restore", flag("old")),
    "some of which are archived already": lambda client: acted(
        client, "archive", flag("old"), flag()
    ),
    "no guard": lambda client: saved(client, production(), requires_approval=False),
    "no guard and another name": lambda client: saved(
        client, production(), requires_approval=False, name="Live", position=7
    ),
    "no environment": lambda client: removed(client, production()),
    "a deleted segment": lambda client: removed(client, Segment.objects.get()),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_save_becomes_a_request(guarded, client, way):
    before = encoded(ruleset_document(guarded))

    answer = WAYS[way](client)

    assert answer.status_code == 302, answer.content.decode()[-3000:]
    row = Environment.objects.get(pk=guarded.pk)
    assert (row.requires_approval, row.name) == (True, "Production")
    assert encoded(ruleset_document(row)) == before
    assert Request.objects.count() == 1


def test_of_a_mixed_selection_only_what_needs_no_approval_is_done(guarded, client):
    submit(CreateProject(project="other", name="Other"), actor=OPERATOR)
    submit(CreateFlag(project="other", key="free"), actor=OPERATOR)
    free = Flag.objects.get(key="free")

    acted(client, "archive", flag(), free)

    free.refresh_from_db()
    assert (free.is_archived, flag().is_archived) == (True, False)

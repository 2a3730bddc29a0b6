"""The Django admin: every table can be read, and what it saves goes through `submit`."""

import json

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import reverse

from audit.models import Event
from flags.changes import (
    CreateSdkKey,
    CreateSegment,
    CreateService,
    SetMember,
    SwitchFlag,
    submit,
)
from flags.models import (
    ApiToken,
    Environment,
    EnvironmentRole,
    Flag,
    FlagConfiguration,
    Membership,
    Project,
    SdkKey,
    Segment,
    SegmentDefinition,
    User,
)
from flags.models.secrets import new_secret
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db


@pytest.fixture
def site(client, users, project, a_flag):
    """The owner's browser, in the admin of a project with a flag, a segment and a key."""
    a_flag("new-checkout", on=True)
    submit(
        CreateSegment(project="shop", key="beta"),
        CreateSdkKey.of(
            new_secret("fss"), project="shop", environment="staging", key_kind="server"
        ),
        actor=OPERATOR,
    )
    client.force_login(users["owner"])
    return client


def page(model, what, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{what}", args=args)


def sent(client, model, row, **values):
    """Fills the form as a browser has it, with these values, and sends it."""
    address = page(model, "change", row.pk) if row else page(model, "add")
    form = client.get(address).context["adminform"].form
    filled = {
        name: form[name].value() for name in form.fields if form[name].value() is not None
    } | values
    text = {
        name: json.dumps(value) if isinstance(value, dict | list) else value
        for name, value in filled.items()
        if value is not False
    }
    return client.post(address, text)


def problems(response):
    form = response.context["adminform"].form
    return {name: " ".join(messages) for name, messages in form.errors.items()}


@pytest.mark.parametrize("model", [m for m in admin.site._registry if m._meta.app_label != "auth"])
def test_every_table_is_listed_searched_and_shown(site, model):
    listed = site.get(page(model, "changelist"), {"q": "x"})
    row = model._default_manager.first()

    assert listed.status_code == 200
    assert site.get(page(model, "changelist")).status_code == 200
    if row is not None:
        assert site.get(page(model, "change", row.pk)).status_code == 200
        assert site.get(page(model, "history", row.pk)).status_code == 200


def test_every_table_of_ours_is_there(site):
    ours = {
        model
        for label in ("flags", "audit")
        for model in apps.get_app_config(label).get_models()
        if not model.__name__.startswith("Historical")
    }

    assert ours == {m for m in admin.site._registry if m._meta.app_label in ("flags", "audit")}


def test_a_save_is_an_event(site, users):
    flag = Flag.objects.get()

    sent(site, Flag, flag, name="Checkout", tags="web", reason="Clearer")

    flag.refresh_from_db()
    event = Event.objects.get(reason="Clearer")
    assert (flag.name, flag.tags) == ("Checkout", ["web"])
    assert event.actor.identity["id"] == str(users["owner"].pk)
    assert flag.history.first().history_change_reason == "Clearer"


def test_rows_are_made_by_changes(site):
    sent(site, Project, None, key="garden", name="Garden")
    garden = Project.objects.get(key="garden")
    sent(site, Environment, None, project=garden.pk, key="live", name="Live", position=0)
    sent(
        site,
        Flag,
        None,
        project=garden.pk,
        key="x",
        type="boolean",
        name="X",
        variations=[{"key": "on", "value": True}],
        json_schema="null",
    )
    sent(site, Segment, None, project=garden.pk, key="s", name="S")
    sent(
        site,
        Membership,
        None,
        project=garden.pk,
        user=User.objects.get(username="viewer").pk,
        role="viewer",
    )

    assert FlagConfiguration.objects.filter(flag__project=garden).count() == 1
    assert Segment.objects.filter(project=garden).exists()
    assert Membership.objects.filter(project=garden, user__username="viewer").exists()
    kinds = {
        effect["kind"]
        for event in Event.objects.filter(stream=garden.stream_key)
        for effect in event.effects
    }
    assert kinds == {
        "project.created",
        "environment.created",
        "flag.created",
        "segment.created",
        "member.set",
    }


def test_a_configuration_is_saved_by_its_change(site):
    row = FlagConfiguration.objects.get(environment__key="production")

    sent(site, FlagConfiguration, row, fallthrough={"variation": "off"})

    row.refresh_from_db()
    assert (row.fallthrough, row.version) == ({"variation": "off"}, 3)


def test_a_definition_is_saved_by_its_change(site):
    row = SegmentDefinition.objects.first()

    sent(site, SegmentDefinition, row, when={"attribute": "a", "op": "exists"})

    row.refresh_from_db()
    assert (row.when, row.version) == ({"attribute": "a", "op": "exists"}, 2)


@pytest.mark.parametrize(
    ("fallthrough", "said"),
    [
        ({"variation": "purple"}, "expected a variation of the flag"),
        ({"split": {"shares": [["on", 100_001]]}}, "add up to 100001"),
    ],
)
def test_a_refusal_stands_beside_its_field_and_nothing_is_saved(site, fallthrough, said):
    row = FlagConfiguration.objects.get(environment__key="production")
    before = Event.objects.count()

    answer = sent(site, FlagConfiguration, row, fallthrough=fallthrough, off_variation="on")

    assert said in problems(answer)["fallthrough"]
    row.refresh_from_db()
    assert row.off_variation == "off"
    assert Event.objects.count() == before


def test_a_save_over_somebody_elses_is_refused(site):
    row = FlagConfiguration.objects.get(environment__key="production")
    submit(
        SwitchFlag(project="shop", environment="production", flag="new-checkout", on=False),
        actor=OPERATOR,
    )

    answer = sent(site, FlagConfiguration, row, seen=row.version, off_variation="on")

    assert "somebody changed it meanwhile" in problems(answer)["__all__"]


def test_what_cannot_be_stored_is_refused(site):
    answer = sent(site, Flag, Flag.objects.get(), description="x", json_schema="NaN")

    assert answer.status_code == 200
    assert problems(answer)


def test_an_account_is_made_and_edited_by_its_changes(site):
    sent(site, User, None, username="newcomer", new_password="a long password of theirs")
    newcomer = User.objects.get(username="newcomer")
    sent(site, User, newcomer, email="n@example.test", is_active="")

    assert newcomer.check_password("a long password of theirs")
    newcomer.refresh_from_db()
    assert (newcomer.email, newcomer.is_active) == ("n@example.test", False)
    subjects = [
        e["subject"] for event in Event.objects.filter(stream="site") for e in event.effects
    ]
    assert subjects.count(f"user:{newcomer.pk}") == 2


def test_flags_are_archived_and_removed_by_their_changes(site):
    flag = Flag.objects.get()
    remove = page(Flag, "delete", flag.pk)

    refused = site.post(remove, {"post": "yes"}, follow=True)
    site.post(page(Flag, "changelist"), {"action": "archive", "_selected_action": [flag.pk]})
    site.post(remove, {"post": "yes"})

    assert "only an archived flag can be deleted" in refused.content.decode()
    assert not Flag.objects.exists()
    last = Event.objects.order_by("-at", "-version").first()
    assert last.effects[0]["kind"] == "flag.deleted"


def test_a_key_is_revoked_by_its_change(site):
    key = SdkKey.objects.get()

    site.post(page(SdkKey, "changelist"), {"action": "revoke", "_selected_action": [key.pk]})

    key.refresh_from_db()
    assert key.revoked_at is not None
    assert Event.objects.filter(effects__contains=[{"kind": "sdk_key.revoked"}]).exists()


def test_nothing_is_deleted_in_bulk(site):
    before = Flag.objects.count()

    for model in (Flag, Environment, Segment, Membership, User, ApiToken, Event):
        rows = [row.pk for row in model._default_manager.all()]
        choices = {"action": "delete_selected", "_selected_action": rows, "post": "yes"}
        site.post(page(model, "changelist"), choices)

    assert Flag.objects.count() == before
    assert Environment.objects.count() == 3


def test_a_role_given_in_the_admin_keeps_the_exceptions(site, users):
    excepted = SetMember(
        project="shop", username="editor", role="editor", environments={"production": "viewer"}
    )
    submit(excepted, actor=OPERATOR)
    row = Membership.objects.get(user=users["editor"])

    assert "viewer in production" in site.get(page(Membership, "changelist")).content.decode()
    assert "instead of" in site.get(page(EnvironmentRole, "changelist")).content.decode().lower()
    sent(site, Membership, row, role="reviewer")

    row.refresh_from_db()
    assert (row.role, dict(row.exceptions())) == ("reviewer", {"production": "viewer"})


def test_a_service_is_told_from_a_person_and_removed_as_what_it_is(site):
    submit(CreateService(project="shop", name="deployer", role="editor"), actor=OPERATOR)
    deployer = User.objects.get(username="deployer@shop")

    listed = site.get(page(User, "changelist"), {"kind": "service"}).content.decode()
    shown = site.get(page(User, "change", deployer.pk)).content.decode()
    changed = sent(site, User, deployer, reason="Looked at")
    site.post(page(User, "delete", deployer.pk), {"post": "yes"})

    assert "deployer@shop" in listed
    assert "reviewer" not in listed
    assert 'name="new_password"' not in shown
    assert changed.status_code == 302
    assert not User.objects.get(pk=deployer.pk).is_active
    assert not Membership.objects.filter(user=deployer).exists()


def test_an_old_copy_is_shown_and_not_restored(site):
    flag = Flag.objects.get()
    sent(site, Flag, flag, name="Another")
    copy = flag.history.last()
    address = reverse("admin:flags_flag_simple_history", args=[flag.pk, copy.history_id])

    assert site.get(address).status_code == 200
    assert site.post(address, {"name": "new-checkout"}).status_code == 403
    flag.refresh_from_db()
    assert flag.name == "Another"


@pytest.mark.parametrize("who", ["admin", "editor", "outsider"])
def test_only_site_administrators_come_in(site, users, who):
    site.force_login(users[who])
    User.objects.filter(username=who).update(is_staff=True)

    listed = site.get(page(Flag, "changelist"))
    saved = site.post(page(Flag, "change", Flag.objects.get().pk), {"name": "Another"})

    assert (listed.status_code, saved.status_code) == (403, 403)
    assert Flag.objects.get().name != "Another"


def test_pages_hold_nothing_that_the_content_security_policy_forbids(site):
    flag = Flag.objects.get()

    for address in (
        reverse("admin:index"),
        page(Flag, "changelist"),
        page(Flag, "change", flag.pk),
    ):
        answer = site.get(address)
        text = answer.content.decode()
        assert "style-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "<style" not in text
        assert ' style="' not in text
        assert " onclick=" not in text
        assert "<script>" not in text


def test_who_may_not_is_refused_in_one_line_of_the_log(client, project, users, caplog):
    client.force_login(users["viewer"])

    answer = client.get("/admin/", follow=True)

    assert answer.status_code == 403
    said = [record for record in caplog.records if record.name == "django.request"]
    assert [(record.getMessage(), record.exc_info) for record in said] == [
        ("Forbidden (Permission denied): /admin/login/", None)
    ]


def test_an_icon_is_where_browsers_look_for_one(client, db):
    assert client.get("/favicon.ico").headers["Location"].endswith("/images/icon.svg")

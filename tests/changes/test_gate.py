"""The gate from its other side: what must not be let through, however it is put together."""

from typing import Any

import pytest

from audit.verification import faults
from flags.changes import (
    ArchiveFlag,
    ChangeSegmentIds,
    ConfigureFlag,
    CreateEnvironment,
    CreateFlag,
    CreateSegment,
    DefineSegment,
    DeleteEnvironment,
    DeleteFlag,
    EditEnvironment,
    EditFlag,
    EditRequest,
    OpenRequest,
    ReviewRequest,
    SetPolicy,
    StartRamp,
    SwitchFlag,
    submit,
)
from flags.errors import FlagsiteError, NotFound
from flags.models import Environment, Flag, Request
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

SHOP: dict[str, Any] = {"project": "shop"}
PRODUCTION: dict[str, Any] = {**SHOP, "environment": "production"}
SWITCH = SwitchFlag(**PRODUCTION, flag="new-checkout", on=True)


@pytest.fixture
def guarded(project, a_flag):
    a_flag("new-checkout")
    submit(EditEnvironment(**PRODUCTION, requires_approval=True), actor=OPERATOR)
    return Environment.objects.get(project=project, key="production")


def test_a_guard_loosened_after_the_verdict_makes_it_stale(guarded, admin, reviewer):
    submit(SWITCH, actor=admin)
    submit(ReviewRequest(**SHOP, request=1, verdict="approved"), actor=reviewer)
    looser = SetPolicy(**PRODUCTION, minimum_role="viewer")

    submit(
        EditRequest(**SHOP, request=1, changes=[SWITCH.as_json(), looser.as_json()]), actor=admin
    )

    assert Request.objects.get().state == "in_review"


def test_a_guarded_environment_cannot_be_replaced_by_an_open_one(guarded, admin):
    outcome = submit(
        DeleteEnvironment(**PRODUCTION), CreateEnvironment(**SHOP, key="production"), actor=admin
    )

    assert outcome.request is not None
    assert Environment.objects.get(pk=guarded.pk).requires_approval


@pytest.mark.parametrize("asked", [False, True], ids=["submitted", "asked for"])
def test_what_is_removed_first_is_not_there_for_what_follows(project, a_flag, admin, asked):
    a_flag("new-checkout")
    submit(CreateSegment(**SHOP, key="beta"), actor=OPERATOR)
    for following in (
        SWITCH,
        DefineSegment(**PRODUCTION, segment="beta", when=None),
        ChangeSegmentIds(**PRODUCTION, segment="beta", add=("me",)),
        EditEnvironment(**PRODUCTION, name="Live"),
        SetPolicy(**PRODUCTION, approvals=3),
        DeleteEnvironment(**PRODUCTION),
        StartRamp(**PRODUCTION, flag="new-checkout", variation="on", base="off"),
    ):
        changes = [DeleteEnvironment(**PRODUCTION), following]
        if asked:
            changes = [OpenRequest(**SHOP, changes=[row.as_json() for row in changes])]
        with pytest.raises(NotFound):
            submit(*changes, actor=admin)

    # The other way round it is a history that ends.
    submit(SWITCH, DeleteEnvironment(**PRODUCTION), actor=admin)
    assert not Environment.objects.filter(key="production").exists()
    assert list(faults()) == []


def test_what_was_rehearsed_lets_nothing_through(guarded, admin):
    replaced = [
        DeleteEnvironment(**PRODUCTION).as_json(),
        CreateEnvironment(**SHOP, key="production").as_json(),
    ]

    with pytest.raises(FlagsiteError):
        submit(OpenRequest(**SHOP, changes=replaced), SWITCH, actor=admin)

    assert not Flag.objects.get().configurations.get(environment=guarded).enabled


def guard_by(*rows):
    submit(
        SetPolicy(**PRODUCTION, conditions=list(rows)),
        EditEnvironment(**PRODUCTION, requires_approval=True),
        actor=OPERATOR,
    )


@pytest.mark.parametrize("count", [1, 5_000], ids=["written out", "as a digest"])
def test_a_condition_on_ids_sees_every_length_of_list(project, editor, count):
    submit(CreateSegment(**SHOP, key="beta"), actor=OPERATOR)
    guard_by({"kind": "fields", "fields": ["add"]})
    ids = tuple(f"customer-{number:08}" for number in range(count))

    outcome = submit(ChangeSegmentIds(**PRODUCTION, segment="beta", add=ids), actor=editor)

    assert outcome.request is not None


def test_a_condition_on_variations_tells_true_from_1(editor, a_flag):
    a_flag("limits", type="json", variations=[{"key": "a", "value": {"strict": True}}])
    guard_by({"kind": "fields", "fields": ["variations"]})

    outcome = submit(
        EditFlag(**SHOP, flag="limits", variations=[{"key": "a", "value": {"strict": 1}}]),
        actor=editor,
    )

    assert outcome.request is not None


@pytest.fixture
def guarded_by_tag(project, a_flag):
    a_flag("checkout", tags=["payments", "eu"])
    by_tag = [{"kind": "tagged", "tags": ["payments", "eu"]}]
    submit(
        SetPolicy(**PRODUCTION, conditions=by_tag),
        EditEnvironment(**PRODUCTION, requires_approval=True),
        actor=OPERATOR,
    )


def test_a_tag_by_which_approval_is_asked_is_not_taken_away_without(guarded_by_tag, editor):
    untagged = EditFlag(**SHOP, flag="checkout", tags=["eu"])
    switched = SwitchFlag(**PRODUCTION, flag="checkout", on=True)

    for changes in ([untagged], [untagged, switched], [switched, untagged]):
        assert submit(*changes, actor=editor).request is not None

    assert sorted(Flag.objects.get(key="checkout").tags) == ["eu", "payments"]
    assert submit(EditFlag(**SHOP, flag="checkout", name="Pay"), actor=editor).request is None
    more = EditFlag(**SHOP, flag="checkout", tags=["payments", "eu", "web"])
    assert submit(more, actor=editor).request is None


def test_a_verdict_on_one_tag_is_none_on_another(guarded_by_tag, editor, reviewer):
    submit(EditFlag(**SHOP, flag="checkout", tags=["eu"]), actor=editor)
    submit(ReviewRequest(**SHOP, request=1, verdict="approved"), actor=reviewer)
    other = EditFlag(**SHOP, flag="checkout", tags=["payments"])

    submit(EditRequest(**SHOP, request=1, changes=[other.as_json()]), actor=editor)

    assert Request.objects.get().state == "in_review"


def test_what_reaches_others_is_no_smaller_than_a_share(project, a_flag, editor):
    premium = {"attribute": "plan", "op": "in", "values": ["premium"]}
    rule = {"id": "r", "when": premium, "serve": {"variation": "on"}}
    split = {"by": "targetingKey", "salt": "s", "shares": [["on", 10_000], ["off", 90_000]]}
    a_flag("checkout", on=True, rules=[rule], fallthrough={"split": split})
    submit(
        SetPolicy(**PRODUCTION, conditions=[{"kind": "rollout_grows", "points": 20}]),
        EditEnvironment(**PRODUCTION, requires_approval=True),
        actor=OPERATOR,
    )
    wider = {**rule, "when": {"attribute": "plan", "op": "exists"}}
    target = {"variation": "on", "by": "targetingKey", "keys": ["somebody"]}
    grown = {"split": {**split, "shares": [["on", 25_000], ["off", 75_000]]}}

    for asking in ({"rules": [wider]}, {"rules": []}, {"targets": [target]}):
        change = ConfigureFlag(**PRODUCTION, flag="checkout", **asking)
        assert submit(change, actor=editor).request is not None, asking
    by_a_share = ConfigureFlag(**PRODUCTION, flag="checkout", fallthrough=grown)
    assert submit(by_a_share, actor=editor).request is None


def test_a_flag_is_not_removed_from_under_the_tag_that_guards_it(guarded_by_tag, editor, a_flag):
    archive, delete = ArchiveFlag(**SHOP, flag="checkout"), DeleteFlag(**SHOP, flag="checkout")
    anew = CreateFlag(**SHOP, key="checkout")

    for changes in ([archive, delete], [archive, delete, anew]):
        assert submit(*changes, actor=editor).request is not None

    assert Flag.objects.get(key="checkout").tags == ["eu", "payments"]
    # One that was archived before the policy came is not made anew without its tag either.
    a_flag("old", tags=["other"])
    submit(ArchiveFlag(**SHOP, flag="old"), actor=editor)
    assert submit(DeleteFlag(**SHOP, flag="old"), actor=editor).request is None


def test_what_is_dealt_anew_is_no_smaller_than_a_share(project, a_flag, editor):
    shares = [["on", 40_000], ["off", 60_000]]
    split = {"by": "targetingKey", "salt": "s", "shares": shares}
    a_flag("checkout", on=True, fallthrough={"split": split})
    guard_by({"kind": "rollout_grows", "points": 20})

    def serving(**other: Any) -> ConfigureFlag:
        serve = {"split": split | other}
        return ConfigureFlag(**PRODUCTION, flag="checkout", fallthrough=serve)

    def on(share: int) -> ConfigureFlag:
        return serving(shares=[["on", share], ["off", 100_000 - share]])

    swapped = [{"key": "on", "value": False}, {"key": "off", "value": True}]
    for asking in (
        [serving(salt="t")],
        [serving(by="account")],
        [serving(shares=shares[::-1])],
        [EditFlag(**SHOP, flag="checkout", variations=swapped)],
        [on(55_000), on(70_000)],
    ):
        assert submit(*asking, actor=editor).request is not None, asking
    for within in ([on(55_000)], [on(1_000), on(60_000)]):
        assert submit(*within, actor=editor).request is None, within

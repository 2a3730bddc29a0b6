"""Leases: what is made for a time goes back by itself, and only what the lease changed."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from flags.changes import (
    ApplyRequest,
    ChangeSegmentIds,
    ConfigureFlag,
    CreateFlag,
    CreateSegment,
    DefineSegment,
    EditEnvironment,
    EndLease,
    ExtendLease,
    GrantLease,
    KeepLease,
    OpenRequest,
    ReviewRequest,
    RollBackRamp,
    SetPolicy,
    StartRamp,
    SwitchFlag,
    submit,
)
from flags.changes.releases import clock
from flags.errors import Conflicting, Invalid
from flags.models import Environment, FlagConfiguration, Lease, Ramp, Request
from flags.snapshots import ruleset_document
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

SHOP: dict[str, Any] = {"project": "shop"}
PRODUCTION: dict[str, Any] = {**SHOP, "environment": "production"}
ON = SwitchFlag(**PRODUCTION, flag="new-checkout", on=True)
BEGIN = timezone.now().replace(microsecond=0)


def at(hours):
    return BEGIN + timedelta(hours=hours)


def lease(number=1):
    return Lease.objects.get(number=number)


def configuration():
    return FlagConfiguration.objects.get(flag__key="new-checkout", environment__key="production")


def is_on():
    return configuration().enabled


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


def grant(actor, *changes, hours=2):
    rows = [row.as_json() for row in changes or (ON,)]
    change = GrantLease(**SHOP, changes=rows, seconds=hours * 3_600)
    return submit(change, actor=actor, now=at(0))


def agreed(editor, reviewer, *changes):
    number = grant(editor, *changes).request
    submit(ReviewRequest(**SHOP, request=number, verdict="approved"), actor=reviewer, now=at(0))
    submit(ApplyRequest(**SHOP, request=number), actor=editor, now=at(0))


@pytest.fixture
def flag(a_flag):
    return a_flag("new-checkout")


def test_what_is_lent_goes_back_at_its_end_and_once(flag, editor):
    grant(editor)
    assert is_on()

    assert sweep(1) == 0
    assert sweep(2) == 1
    assert sweep(3) == 0

    assert not is_on()
    assert lease().state == "ended"


def test_only_what_the_lease_changed_goes_back(flag, editor):
    grant(editor)
    submit(ConfigureFlag(**PRODUCTION, flag="new-checkout", off_variation=None), actor=editor)

    sweep(2)

    assert (is_on(), configuration().off_variation) == (False, None)


def test_a_target_moved_meanwhile_is_not_overwritten(flag, editor):
    split = {"split": {"by": "targetingKey", "shares": [["on", 100_000]]}}
    grant(editor, ConfigureFlag(**PRODUCTION, flag="new-checkout", fallthrough=split))
    submit(
        ConfigureFlag(**PRODUCTION, flag="new-checkout", fallthrough={"variation": "off"}),
        actor=editor,
    )

    sweep(2)
    assert sweep(3) == 0

    assert (lease().state, configuration().fallthrough) == ("held", {"variation": "off"})
    assert "fallthrough of flag new-checkout in production was changed" in lease().why
    with pytest.raises(Conflicting):
        submit(EndLease(**SHOP, lease=1), actor=editor)


def test_what_somebody_took_back_already_is_left_alone(flag, editor):
    grant(editor)
    submit(SwitchFlag(**PRODUCTION, flag="new-checkout", on=False), actor=editor)

    sweep(2)

    assert (is_on(), lease().state) == (False, "ended")


def test_a_segment_goes_back_with_its_ids(project, editor):
    beta = {**PRODUCTION, "segment": "beta"}
    submit(CreateSegment(**SHOP, key="beta"), actor=editor)
    submit(ChangeSegmentIds(**beta, add=("user-1",)), actor=editor)
    production = Environment.objects.get(project=project, key="production")
    before = ruleset_document(production)["segments"]
    condition = {"attribute": "plan", "op": "exists"}

    grant(
        editor,
        DefineSegment(**beta, when=condition),
        ChangeSegmentIds(**beta, add=("user-1", "user-2")),
    )
    submit(ChangeSegmentIds(**beta, add=("user-3",)), actor=editor)
    submit(ChangeSegmentIds(**beta, remove=("user-3",)), actor=editor)
    sweep(2)

    assert ruleset_document(production)["segments"] == before


def ids_of(project):
    production = Environment.objects.get(project=project, key="production")
    return {
        row.value
        for row in production.segment_definitions.get(segment__key="beta").listed_ids.all()
    }


@pytest.mark.parametrize(
    ("meanwhile", "state", "left", "why"),
    [
        ({"add": ("x",), "remove": ("other",)}, "ended", {"old", "x"}, ""),
        ({"remove": ("new",)}, "held", {"newer", "other"}, "new was taken off the included ids"),
        (
            {"add": ("old",)},
            "held",
            {"new", "newer", "old", "other"},
            "old was put on the included",
        ),
        ({"add": ("old",), "remove": ("new", "newer")}, "ended", {"old", "other"}, ""),
    ],
)
def test_of_ids_a_lease_takes_back_its_own_and_sees_what_moved(
    project, editor, meanwhile, state, left, why
):
    beta = {**PRODUCTION, "segment": "beta"}
    submit(CreateSegment(**SHOP, key="beta"), actor=editor)
    submit(ChangeSegmentIds(**beta, add=("old", "other")), actor=editor)
    # Put on and taken off within the lease, an id is none of its business.
    grant(
        editor,
        ChangeSegmentIds(**beta, add=("new", "brief"), remove=("old",)),
        ChangeSegmentIds(**beta, add=("newer",), remove=("brief",)),
    )
    submit(ChangeSegmentIds(**beta, **meanwhile), actor=editor)

    sweep(2)

    assert (lease().state, ids_of(project)) == (state, left)
    assert why in lease().why


def test_several_changes_of_one_flag_go_back_together(flag, editor):
    before = configuration()
    grant(
        editor,
        ON,
        ConfigureFlag(**PRODUCTION, flag="new-checkout", fallthrough={"variation": "off"}),
        ConfigureFlag(**PRODUCTION, flag="new-checkout", fallthrough={"variation": "on"},
                      off_variation=None),
    )  # fmt: skip

    sweep(2)

    after = configuration()
    assert (after.enabled, after.fallthrough, after.off_variation) == (
        before.enabled,
        before.fallthrough,
        before.off_variation,
    )


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({}, "ends_at"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": 60, "ends_at": at(1)}, "ends_at"),
        ({"ends_at": at(-1)}, "ends_at"),
        ({"ends_at": at(24 * 400)}, "ends_at"),
    ],
)
def test_an_end_that_is_none_is_refused(flag, editor, more, path):
    with pytest.raises(Invalid, match=path):
        submit(GrantLease(**SHOP, changes=[ON.as_json()], **more), actor=editor)


def test_what_has_no_lawful_way_back_cannot_be_lent(flag, editor):
    start = StartRamp(**PRODUCTION, flag="new-checkout", variation="on")
    submit(start, actor=editor)

    for change in (
        CreateFlag(**SHOP, key="other"),
        EditEnvironment(**PRODUCTION, requires_approval=False),
        RollBackRamp(**SHOP, ramp=1),
    ):
        with pytest.raises(Invalid, match="cannot be made for a time"):
            grant(editor, change)


def test_extending_and_keeping(flag, editor):
    grant(editor)

    submit(ExtendLease(**SHOP, lease=1, ends_at=at(5)), actor=editor, now=at(1))
    assert sweep(2) == 0
    submit(KeepLease(**SHOP, lease=1), actor=editor, now=at(4))
    assert sweep(5) == 0

    assert (is_on(), lease().state) == (True, "kept")


# Approval


def test_a_verdict_covers_the_end_too(flag, editor, reviewer):
    guard()
    agreed(editor, reviewer)
    assert is_on()

    sweep(2)

    assert (is_on(), lease().state, lease().request.number) == (False, "ended", 1)


def test_a_verdict_is_bound_to_the_end(flag, editor, reviewer):
    guard()
    number = grant(editor).request
    grant(editor, hours=3)
    for request in (number, number + 1):
        review = ReviewRequest(**SHOP, request=request, verdict="approved")
        submit(review, actor=reviewer)

    behaviours = {row.verdicts.get().behaviour for row in Request.objects.all()}

    assert len(behaviours) == 2


def test_before_its_end_the_way_back_asks(flag, editor, reviewer):
    guard()
    agreed(editor, reviewer)

    outcome = submit(EndLease(**SHOP, lease=1), actor=editor, now=at(1))

    assert (outcome.request, is_on()) == (2, True)


@pytest.mark.parametrize("hours", [1, 5], ids=["sooner", "later"])
def test_another_end_asks(flag, editor, reviewer, hours):
    guard()
    agreed(editor, reviewer)

    change = ExtendLease(**SHOP, lease=1, ends_at=at(hours))
    outcome = submit(change, actor=editor, now=at(0.5))

    assert (outcome.request, lease().ends_at) == (2, at(2))
    submit(ReviewRequest(**SHOP, request=2, verdict="approved"), actor=reviewer, now=at(0.6))
    submit(ApplyRequest(**SHOP, request=2), actor=editor, now=at(0.7))
    assert lease().ends_at == at(hours)
    sweep(hours)
    assert not is_on()


def test_keeping_asks(flag, editor, reviewer):
    guard()
    agreed(editor, reviewer)

    outcome = submit(KeepLease(**SHOP, lease=1), actor=editor, now=at(1))
    sweep(2)

    assert (outcome.request, lease().state) == (2, "ended")


def test_a_lease_granted_before_the_guard_is_held(flag, editor):
    grant(editor)
    guard()

    sweep(2)

    assert (is_on(), lease().state) == (True, "held")
    assert "requires approval" in lease().why
    assert submit(EndLease(**SHOP, lease=1), actor=editor).request == 1


def test_the_end_waits_for_no_freeze(flag, editor, reviewer):
    guard()
    agreed(editor, reviewer)
    unguard()
    guard(freezes=[{"from": at(1).isoformat(), "to": at(9).isoformat(), "why": "sale"}])

    sweep(2)

    assert not is_on()


def test_a_bypass_with_an_end_goes_back_by_itself(flag, editor, admin):
    guard()
    opened = submit(OpenRequest(**SHOP, changes=[ON.as_json()]), actor=editor)
    bypass = ApplyRequest(
        **SHOP, request=opened.request, bypass_reason="the shop is down", lasts_seconds=3_600
    )

    submit(bypass, actor=admin, now=at(0))
    assert is_on()
    sweep(1)

    assert (is_on(), lease().state) == (False, "ended")
    assert Request.objects.get().bypass_reviewed_by is None


def test_only_a_bypass_is_given_an_end_when_applied(flag, editor, reviewer):
    opened = submit(OpenRequest(**SHOP, changes=[ON.as_json()]), actor=editor)

    with pytest.raises(Invalid, match="ask for a lease"):
        submit(ApplyRequest(**SHOP, request=opened.request, lasts_seconds=60), actor=editor)


def test_a_lease_of_a_ramp_s_place_holds_the_ramp(a_flag, editor):
    a_flag("new-checkout", on=True, fallthrough={"variation": "off"})
    steps = [{"share": 1_000, "hold": {"seconds": 3_600}}, {"share": 5_000}]
    start = StartRamp(**PRODUCTION, flag="new-checkout", variation="on", steps=steps)
    submit(start, actor=editor, now=at(0))
    grant(editor, ConfigureFlag(**PRODUCTION, flag="new-checkout", fallthrough={"variation": "on"}))

    sweep(1)

    assert Ramp.objects.get().state == "held"
    sweep(2)
    assert configuration().fallthrough["split"]["shares"] == [["on", 1_000], ["off", 99_000]]


def test_who_may_only_propose_may_ask_for_a_lease(flag, users):
    scopes = frozenset({"read", "propose"})
    proposing = replace(users["editor"].as_actor(), scopes=scopes, token="fst_1")

    outcome = grant(proposing)

    assert (outcome.request, is_on()) == (1, False)

"""The last days: production asks for approval, and requests are made of it."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from flags.changes import (
    ApplyRequest,
    Change,
    CommentOnRequest,
    EditEnvironment,
    GrantLease,
    OpenRequest,
    ReviewRequest,
    SetPolicy,
    SetTeam,
    StartRamp,
    SwitchFlag,
)
from flags.transfer.demo.moment import PROJECT, Moment, configured

GUARDED = "production"


def approvals(now: datetime) -> Iterator[Moment]:
    yield _moment(
        2.4,
        "release-manager",
        "After the outage: nobody changes production alone",
        SetTeam(
            project=PROJECT, key="release", name="Release", members=["release-manager", "reviewer"]
        ),
        SetPolicy(project=PROJECT, environment=GUARDED, approvals=1, minimum_role="reviewer"),
        EditEnvironment(project=PROJECT, environment=GUARDED, requires_approval=True),
    )
    yield from _one_that_was_applied()
    yield from _one_that_is_talked_about()
    yield _moment(
        0.9,
        "product-manager",
        "Members asked for it; the shop in staging has run with it for five days",
        SwitchFlag(project=PROJECT, environment=GUARDED, flag="loyalty-points", on=True),
    )
    yield from _one_that_is_scheduled(now)
    yield from _one_that_grows_by_itself()
    yield _moment(
        0.3,
        "engineer",
        "To see the page that customers see then",
        GrantLease(
            project=PROJECT,
            changes=[
                SwitchFlag(
                    project=PROJECT, environment="development", flag="payments-maintenance", on=True
                ).as_json()
            ],
            seconds=24 * 60 * 60,
        ),
    )


def _one_that_was_applied() -> Iterator[Moment]:
    yield _moment(
        2.0,
        "product-manager",
        "Support has worked with it for a week",
        SwitchFlag(project=PROJECT, environment=GUARDED, flag="order-tracking-map", on=True),
    )
    yield _moment(
        1.95,
        "reviewer",
        "",
        CommentOnRequest(project=PROJECT, request=1, body="Looks right on a phone, too."),
    )
    yield _moment(
        1.94, "reviewer", "", ReviewRequest(project=PROJECT, request=1, verdict="approved")
    )
    yield _moment(1.9, "product-manager", "", ApplyRequest(project=PROJECT, request=1))


def _one_that_is_talked_about() -> Iterator[Moment]:
    yield configured(
        1.3,
        "product-manager",
        "Everybody",
        "new-checkout",
        GUARDED,
        fallthrough={"variation": "on"},
    )
    yield _moment(
        1.1,
        "reviewer",
        "Half of it is a large step. Can it be 75 % until the weekend is over?",
        ReviewRequest(project=PROJECT, request=2, verdict="changes_requested"),
    )


def _one_that_is_scheduled(now: datetime) -> Iterator[Moment]:
    closing = SwitchFlag(project=PROJECT, environment=GUARDED, flag="gift-wrapping", on=False)
    yield _moment(
        0.5,
        "product-manager",
        "The paper is used up by then",
        OpenRequest(
            project=PROJECT,
            changes=[closing.as_json()],
            title="No more gift wrapping",
            apply_at=now + timedelta(days=5),
        ),
    )
    yield _moment(
        0.4, "release-manager", "", ReviewRequest(project=PROJECT, request=5, verdict="approved")
    )


def _one_that_grows_by_itself() -> Iterator[Moment]:
    yield _moment(
        0.8,
        "product-manager",
        "A day at each share, as long as nobody complains",
        StartRamp(project=PROJECT, environment=GUARDED, flag="referral-bonus", variation="ten"),
    )
    yield _moment(
        0.75, "reviewer", "", ReviewRequest(project=PROJECT, request=4, verdict="approved")
    )
    yield _moment(0.7, "product-manager", "", ApplyRequest(project=PROJECT, request=4))


def _moment(days: float, who: str, reason: str, *changes: Change) -> Moment:
    return Moment(timedelta(days=days), who, reason, changes)

"""The first day, and the audiences: the project, its people, environments and segments."""

from collections.abc import Iterator
from datetime import timedelta

from flags.changes import (
    ChangeSegmentIds,
    CreateEnvironment,
    CreateProject,
    CreateSegment,
    CreateUser,
    DefineSegment,
    SetMember,
)
from flags.transfer.demo.moment import ENVIRONMENTS, PEOPLE, PROJECT, Moment, leaf


def the_beginning() -> Iterator[Moment]:
    start = timedelta(days=36)
    for number, who in enumerate(PEOPLE):
        yield Moment(
            start + timedelta(hours=2, minutes=-number), None, "", [CreateUser(username=who)]
        )
    yield Moment(
        start,
        None,
        "",
        [
            CreateProject(
                project=PROJECT, name="Demo shop", description="A web shop and the apps around it."
            )
        ],
    )
    yield Moment(
        start - timedelta(minutes=5),
        None,
        "The places where the shop runs",
        [
            *(
                CreateEnvironment(project=PROJECT, key=key, name=key.capitalize())
                for key in ENVIRONMENTS
            ),
            *(
                SetMember(project=PROJECT, username=who, role=role)  # type: ignore[arg-type]
                for who, role in PEOPLE.items()
            ),
        ],
    )


def audiences() -> Iterator[Moment]:
    for days, key, name, description, when in (
        (
            34,
            "employees",
            "Employees",
            "Everybody who works here.",
            leaf("email", "ends_with", "@shop.example"),
        ),
        (
            34,
            "beta-testers",
            "Beta testers",
            "People who asked to see things early.",
            leaf("beta", "in", True),
        ),
        (
            31,
            "eu-customers",
            "Customers in the EU",
            "Where the EU's consumer law applies.",
            leaf("country", "in", "AT", "BE", "DE", "ES", "FR", "IE", "IT", "NL", "PL", "PT", "SE"),
        ),
        (
            27,
            "big-spenders",
            "Big spenders",
            "Ten orders or more, or a gold card.",
            {"any": [leaf("orders", "gte", 10), leaf("card", "in", "gold")]},
        ),
        (
            24,
            "modern-app",
            "Modern apps",
            "App versions that carry the new checkout.",
            leaf("app.version", "semver_gte", "4.2.0"),
        ),
    ):
        yield Moment(
            timedelta(days=days, hours=3),
            "product-manager",
            "",
            [
                CreateSegment(project=PROJECT, key=key, name=name, description=description),
                *(
                    DefineSegment(project=PROJECT, environment=environment, segment=key, when=when)
                    for environment in ENVIRONMENTS
                ),
            ],
        )
    yield Moment(
        timedelta(days=20, hours=6),
        "product-manager",
        "Signed up at the fair",
        [
            ChangeSegmentIds(
                project=PROJECT,
                environment="production",
                segment="beta-testers",
                add=tuple(f"user-{number}" for number in range(1001, 1041)),
            )
        ],
    )

"""The demo project: what a team might have done with it over the last five weeks.

A list of moments, oldest first, each with who did what and why. `flags/management/commands/seed_demo.py`
submits them, so the demo's history is made the way everybody's is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flags.changes import (
    ArchiveFlag,
    Change,
    ChangeSegmentIds,
    ConfigureFlag,
    CreateEnvironment,
    CreateFlag,
    CreateProject,
    CreateSegment,
    CreateUser,
    DefineSegment,
    EditFlag,
    SetMember,
    SwitchFlag,
)

PROJECT = "demo"
PEOPLE = {
    "product-manager": "editor",
    "engineer": "editor",
    "release-manager": "admin",
    "reviewer": "reviewer",
    "auditor": "viewer",
}
ENVIRONMENTS = ("development", "staging", "production")


@dataclass(frozen=True)
class Moment:
    """What one person (None: the operator) submitted, how long before now, and why."""

    ago: timedelta
    who: str | None
    reason: str
    changes: Sequence[Change]


def moments() -> Iterator[Moment]:
    yield from _the_beginning()
    yield from _audiences()
    yield from _flags()
    yield from _weeks_of_work()


def _the_beginning() -> Iterator[Moment]:
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


def _audiences() -> Iterator[Moment]:
    for days, key, name, description, when in (
        (
            34,
            "employees",
            "Employees",
            "Everybody who works here.",
            _leaf("email", "ends_with", "@shop.example"),
        ),
        (
            34,
            "beta-testers",
            "Beta testers",
            "People who asked to see things early.",
            _leaf("beta", "in", True),
        ),
        (
            31,
            "eu-customers",
            "Customers in the EU",
            "Where the EU's consumer law applies.",
            _leaf(
                "country", "in", "AT", "BE", "DE", "ES", "FR", "IE", "IT", "NL", "PL", "PT", "SE"
            ),
        ),
        (
            27,
            "big-spenders",
            "Big spenders",
            "Ten orders or more, or a gold card.",
            {"any": [_leaf("orders", "gte", 10), _leaf("card", "in", "gold")]},
        ),
        (
            24,
            "modern-app",
            "Modern apps",
            "App versions that carry the new checkout.",
            _leaf("app.version", "semver_gte", "4.2.0"),
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


def _leaf(attribute: str, op: str, *values: Any) -> dict[str, Any]:
    return {"attribute": attribute, "op": op, "values": list(values)}


def _flag(key: str, description: str, *tags: str, **more: Any) -> CreateFlag:
    return CreateFlag(
        project=PROJECT,
        key=key,
        name=more.pop("name", key.replace("-", " ").capitalize()),
        description=description,
        tags=list(tags),
        **more,
    )


def _values(**values: Any) -> list[dict[str, Any]]:
    return [
        {"key": key.replace("_", "-"), "value": value, "name": key.replace("_", " ").capitalize()}
        for key, value in values.items()
    ]


def _flags() -> Iterator[Moment]:
    for days, who, flag in (
        (
            33,
            "engineer",
            _flag(
                "new-checkout",
                "The checkout on one page.",
                "checkout",
                "web",
                client_visible=True,
                owner="product-manager",
            ),
        ),
        (
            33,
            "product-manager",
            _flag(
                "checkout-button-color",
                "Colour of the button that buys.",
                "checkout",
                "experiment",
                client_visible=True,
                type="string",
                variations=_values(blue="#0054a6", green="#2fb344", orange="#f76707"),
                owner="product-manager",
            ),
        ),
        (
            32,
            "engineer",
            _flag(
                "search-v2",
                "Search by meaning instead of words.",
                "search",
                "backend",
                owner="engineer",
            ),
        ),
        (
            32,
            "engineer",
            _flag(
                "search-results-per-page",
                "How many hits one page of the search shows.",
                "search",
                type="integer",
                variations=_values(many=48, standard=24, few=12),
                is_permanent=True,
            ),
        ),
        (
            31,
            "engineer",
            _flag(
                "recommendation-weight",
                "How strongly what others bought ranks an article.",
                "search",
                "experiment",
                type="float",
                variations=_values(strong=0.8, balanced=0.5, none=0.0),
            ),
        ),
        (
            30,
            "engineer",
            _flag(
                "payments-provider",
                "Who settles card payments.",
                "payments",
                "backend",
                type="string",
                variations=_values(north="north", south="south"),
                is_permanent=True,
                owner="release-manager",
            ),
        ),
        (
            30,
            "release-manager",
            _flag(
                "payments-maintenance",
                "Takes payments down in an orderly way.",
                "payments",
                "kill-switch",
                is_permanent=True,
                owner="release-manager",
            ),
        ),
        (
            29,
            "product-manager",
            _flag(
                "free-shipping-threshold",
                "From which sum of the cart shipping is free, in euros.",
                "cart",
                type="integer",
                variations=_values(standard=50, low=35, promotion=0),
                client_visible=True,
            ),
        ),
        (
            29,
            "product-manager",
            _flag(
                "delivery-slots",
                "Lets a customer choose the hour of delivery.",
                "checkout",
                "logistics",
                client_visible=True,
            ),
        ),
        (
            28,
            "engineer",
            _flag(
                "express-delivery",
                "Delivery on the same day; needs delivery slots.",
                "logistics",
                client_visible=True,
            ),
        ),
        (
            29,
            "engineer",
            _flag(
                "cart-service-timeout",
                "How long the shop waits for the cart service, in seconds.",
                "cart",
                "operations",
                type="float",
                variations=_values(patient=2.5, strict=0.8),
                is_permanent=True,
            ),
        ),
        (
            26,
            "product-manager",
            _flag(
                "home-page-hero",
                "What the home page opens with.",
                "web",
                "content",
                type="json",
                client_visible=True,
                json_schema={
                    "type": "object",
                    "required": ["title"],
                    "properties": {
                        "title": {"type": "string"},
                        "image": {"type": "string"},
                        "countdown": {"type": "boolean"},
                    },
                },
                variations=_values(
                    winter={"title": "Warm things for cold days", "image": "/img/winter.webp"},
                    sale={
                        "title": "Everything must go",
                        "image": "/img/sale.webp",
                        "countdown": True,
                    },
                ),
            ),
        ),
        (
            25,
            "product-manager",
            _flag(
                "gift-wrapping",
                "Offers to wrap the order as a gift.",
                "checkout",
                client_visible=True,
            ),
        ),
        (
            25,
            "engineer",
            _flag(
                "image-format",
                "Format in which article pictures are sent.",
                "web",
                "operations",
                type="string",
                client_visible=True,
                variations=_values(avif="avif", webp="webp", jpeg="jpeg"),
            ),
        ),
        (
            22,
            "engineer",
            _flag(
                "rate-limits",
                "Requests a minute by kind of caller.",
                "operations",
                type="json",
                is_permanent=True,
                variations=_values(
                    standard={"guest": 60, "customer": 240}, tight={"guest": 20, "customer": 120}
                ),
            ),
        ),
        (
            21,
            "product-manager",
            _flag(
                "loyalty-points",
                "Points for each order.",
                "marketing",
                client_visible=True,
                owner="product-manager",
            ),
        ),
        (
            19,
            "engineer",
            _flag("dark-mode", "The shop in dark colours.", "web", client_visible=True),
        ),
        (
            16,
            "product-manager",
            _flag(
                "order-tracking-map", "Shows the parcel on a map.", "logistics", client_visible=True
            ),
        ),
        (
            14,
            "engineer",
            _flag(
                "fraud-check",
                "Scores an order before it is paid.",
                "payments",
                "backend",
                owner="engineer",
            ),
        ),
        (
            12,
            "product-manager",
            _flag(
                "referral-bonus",
                "What a customer gets for bringing a friend, in euros.",
                "marketing",
                type="integer",
                variations=_values(ten=10, five=5, none=0),
            ),
        ),
        (35, "engineer", _flag("old-newsletter-form", "The form before the redesign.", "web")),
    ):
        yield Moment(timedelta(days=days, hours=1, minutes=len(flag.key)), who, "", [flag])


def _switched(
    days: float, who: str, reason: str, flag: str, on: bool, *environments: str
) -> Moment:
    return Moment(
        timedelta(days=days),
        who,
        reason,
        [
            SwitchFlag(project=PROJECT, environment=environment, flag=flag, on=on)
            for environment in environments
        ],
    )


def _configured(
    days: float, who: str, reason: str, flag: str, *environments: str, **parts: Any
) -> Moment:
    return Moment(
        timedelta(days=days),
        who,
        reason,
        [
            ConfigureFlag(project=PROJECT, environment=environment, flag=flag, **parts)
            for environment in environments
        ],
    )


def _split(salt: str, **shares: float) -> dict[str, Any]:
    """A split over percentages; the salt is fixed so that every demo buckets alike."""
    return {
        "split": {
            "by": "targetingKey",
            "salt": salt,
            "shares": [[key, round(percent * 1000)] for key, percent in shares.items()],
        }
    }


def _rule(id_: str, name: str, when: dict[str, Any], serve: dict[str, Any]) -> dict[str, Any]:
    return {"id": id_, "name": name, "when": when, "serve": serve}


def _weeks_of_work() -> Iterator[Moment]:
    on = {"variation": "on"}
    employees = _rule("employees", "Employees first", {"segment": "employees"}, on)
    beta = _rule(
        "beta",
        "Beta testers with a modern app",
        {"all": [{"segment": "beta-testers"}, {"segment": "modern-app"}]},
        on,
    )
    yield _switched(32.5, "engineer", "To build against", "new-checkout", True, "development")
    yield _configured(
        30.2, "engineer", "", "new-checkout", "development", "staging", rules=[employees]
    )
    yield _switched(30.1, "engineer", "Ready to be tried", "new-checkout", True, "staging")
    yield _switched(29.5, "engineer", "", "search-v2", True, "development", "staging")
    yield _switched(
        28.9, "release-manager", "Always answers", "search-results-per-page", True, *ENVIRONMENTS
    )
    yield _switched(
        28.8, "release-manager", "Always answers", "payments-provider", True, *ENVIRONMENTS
    )
    yield _switched(
        28.7, "release-manager", "Always answers", "cart-service-timeout", True, *ENVIRONMENTS
    )
    yield _switched(28.3, "product-manager", "", "free-shipping-threshold", True, *ENVIRONMENTS)
    yield _configured(
        27.6,
        "engineer",
        "Same-day delivery is a kind of slot",
        "express-delivery",
        *ENVIRONMENTS,
        prerequisites=[{"flag": "delivery-slots", "variations": ["on"]}],
    )
    yield _switched(
        26.4,
        "product-manager",
        "Both for the trial",
        "delivery-slots",
        True,
        "development",
        "staging",
    )
    yield _switched(25.9, "product-manager", "", "home-page-hero", True, *ENVIRONMENTS)
    yield _switched(24.5, "engineer", "", "image-format", True, *ENVIRONMENTS)
    yield _configured(
        23.8,
        "engineer",
        "Old apps cannot show AVIF",
        "image-format",
        "production",
        rules=[
            _rule(
                "old-apps",
                "Apps before 3.0",
                _leaf("app.version", "semver_lt", "3.0.0"),
                {"variation": "jpeg"},
            )
        ],
        fallthrough=_split("9b1c44d02f7e6a35", avif=20, webp=80),
    )
    yield _configured(
        21.7,
        "product-manager",
        "First the people who can complain across the table",
        "new-checkout",
        "production",
        rules=[employees, beta],
        fallthrough={"variation": "off"},
    )
    yield _switched(
        21.6,
        "product-manager",
        "Launch to employees and beta testers",
        "new-checkout",
        True,
        "production",
    )
    yield _switched(20.1, "release-manager", "", "rate-limits", True, *ENVIRONMENTS)
    yield _configured(
        19.4,
        "product-manager",
        "Three colours, a third each",
        "checkout-button-color",
        "production",
        fallthrough=_split("4f2a90c7d1e85b36", blue=33.334, green=33.333, orange=33.333),
    )
    yield _switched(
        19.3,
        "product-manager",
        "Starts the experiment",
        "checkout-button-color",
        True,
        *ENVIRONMENTS,
    )
    yield _configured(
        18.2,
        "product-manager",
        "One in twenty",
        "new-checkout",
        "production",
        fallthrough=_split("c83d51fe2a9074b6", on=5, off=95),
    )
    yield _switched(17.9, "engineer", "", "dark-mode", True, "development", "staging")
    yield _configured(
        16.5,
        "engineer",
        "",
        "recommendation-weight",
        "production",
        rules=[
            _rule(
                "big",
                "Big spenders see more of it",
                {"segment": "big-spenders"},
                {"variation": "strong"},
            )
        ],
        fallthrough=_split("77e0b3a1942dc5f8", balanced=50, none=50),
    )
    yield _switched(16.4, "engineer", "", "recommendation-weight", True, *ENVIRONMENTS)
    yield _configured(
        14.6,
        "product-manager",
        "No complaints so far",
        "new-checkout",
        "production",
        fallthrough=_split("c83d51fe2a9074b6", on=25, off=75),
    )
    yield _switched(
        13.5,
        "release-manager",
        "The provider announced an outage",
        "payments-maintenance",
        True,
        "production",
    )
    yield _switched(
        13.45, "release-manager", "Over after an hour", "payments-maintenance", False, "production"
    )
    yield _switched(12.6, "engineer", "", "fraud-check", True, "development", "staging")
    yield _configured(
        11.8,
        "product-manager",
        "The lower threshold sells better in the EU",
        "free-shipping-threshold",
        "production",
        rules=[
            _rule("eu", "Customers in the EU", {"segment": "eu-customers"}, {"variation": "low"})
        ],
    )
    yield Moment(
        timedelta(days=11),
        "engineer",
        "Nobody asks for it any more",
        [ArchiveFlag(project=PROJECT, flag="old-newsletter-form")],
    )
    yield _switched(10.4, "product-manager", "", "gift-wrapping", True, *ENVIRONMENTS)
    yield _switched(9.7, "product-manager", "", "delivery-slots", True, "production")
    yield _configured(
        8.3,
        "product-manager",
        "Support asked to see it",
        "order-tracking-map",
        "staging",
        targets=[
            {"variation": "on", "by": "targetingKey", "keys": ["support-desk-1", "support-desk-2"]}
        ],
        fallthrough={"variation": "off"},
    )
    yield _switched(8.2, "product-manager", "", "order-tracking-map", True, "staging")
    yield Moment(
        timedelta(days=7.1),
        "product-manager",
        "",
        [
            EditFlag(
                project=PROJECT,
                flag="new-checkout",
                description="The checkout on one page, for web and apps.",
            )
        ],
    )
    yield _configured(
        6.2,
        "product-manager",
        "Half of everybody",
        "new-checkout",
        "production",
        fallthrough=_split("c83d51fe2a9074b6", on=50, off=50),
    )
    yield _switched(5.3, "product-manager", "", "loyalty-points", True, "development", "staging")
    yield _configured(
        4.4,
        "product-manager",
        "The sale opens on the second Friday",
        "home-page-hero",
        "production",
        rules=[
            _rule(
                "sale",
                "While the sale lasts",
                {
                    "all": [
                        _leaf("now", "after", "2027-01-08T07:00:00Z"),
                        _leaf("now", "before", "2027-01-18T07:00:00Z"),
                    ]
                },
                {"variation": "sale"},
            )
        ],
    )
    yield _switched(3.2, "engineer", "", "dark-mode", True, "production")
    yield _switched(2.6, "engineer", "Flickers on old phones", "dark-mode", False, "production")
    yield _switched(1.4, "product-manager", "", "referral-bonus", True, "development")
    yield _configured(
        0.6,
        "engineer",
        "The shop times out too early at peak",
        "cart-service-timeout",
        "staging",
        fallthrough={"variation": "strict"},
    )

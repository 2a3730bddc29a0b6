"""Weeks of work: what was switched and configured since."""

from collections.abc import Iterator
from datetime import timedelta

from flags.changes import (
    ArchiveFlag,
    EditFlag,
)
from flags.transfer.demo.moment import (
    ENVIRONMENTS,
    PROJECT,
    Moment,
    configured,
    leaf,
    rule,
    split,
    switched,
)


def weeks_of_work() -> Iterator[Moment]:
    on = {"variation": "on"}
    employees = rule("employees", "Employees first", {"segment": "employees"}, on)
    beta = rule(
        "beta",
        "Beta testers with a modern app",
        {"all": [{"segment": "beta-testers"}, {"segment": "modern-app"}]},
        on,
    )
    yield switched(32.5, "engineer", "To build against", "new-checkout", True, "development")
    yield configured(
        30.2, "engineer", "", "new-checkout", "development", "staging", rules=[employees]
    )
    yield switched(30.1, "engineer", "Ready to be tried", "new-checkout", True, "staging")
    yield switched(29.5, "engineer", "", "search-v2", True, "development", "staging")
    yield switched(
        28.9, "release-manager", "Always answers", "search-results-per-page", True, *ENVIRONMENTS
    )
    yield switched(
        28.8, "release-manager", "Always answers", "payments-provider", True, *ENVIRONMENTS
    )
    yield switched(
        28.7, "release-manager", "Always answers", "cart-service-timeout", True, *ENVIRONMENTS
    )
    yield switched(28.3, "product-manager", "", "free-shipping-threshold", True, *ENVIRONMENTS)
    yield configured(
        27.6,
        "engineer",
        "Same-day delivery is a kind of slot",
        "express-delivery",
        *ENVIRONMENTS,
        prerequisites=[{"flag": "delivery-slots", "variations": ["on"]}],
    )
    yield switched(
        26.4,
        "product-manager",
        "Both for the trial",
        "delivery-slots",
        True,
        "development",
        "staging",
    )
    yield switched(25.9, "product-manager", "", "home-page-hero", True, *ENVIRONMENTS)
    yield switched(24.5, "engineer", "", "image-format", True, *ENVIRONMENTS)
    yield configured(
        23.8,
        "engineer",
        "Old apps cannot show AVIF",
        "image-format",
        "production",
        rules=[
            rule(
                "old-apps",
                "Apps before 3.0",
                leaf("app.version", "semver_lt", "3.0.0"),
                {"variation": "jpeg"},
            )
        ],
        fallthrough=split("9b1c44d02f7e6a35", avif=20, webp=80),
    )
    yield configured(
        21.7,
        "product-manager",
        "First the people who can complain across the table",
        "new-checkout",
        "production",
        rules=[employees, beta],
        fallthrough={"variation": "off"},
    )
    yield switched(
        21.6,
        "product-manager",
        "Launch to employees and beta testers",
        "new-checkout",
        True,
        "production",
    )
    yield switched(20.1, "release-manager", "", "rate-limits", True, *ENVIRONMENTS)
    yield configured(
        19.4,
        "product-manager",
        "Three colours, a third each",
        "checkout-button-color",
        "production",
        fallthrough=split("4f2a90c7d1e85b36", blue=33.334, green=33.333, orange=33.333),
    )
    yield switched(
        19.3,
        "product-manager",
        "Starts the experiment",
        "checkout-button-color",
        True,
        *ENVIRONMENTS,
    )
    yield configured(
        18.2,
        "product-manager",
        "One in twenty",
        "new-checkout",
        "production",
        fallthrough=split("c83d51fe2a9074b6", on=5, off=95),
    )
    yield switched(17.9, "engineer", "", "dark-mode", True, "development", "staging")
    yield configured(
        16.5,
        "engineer",
        "",
        "recommendation-weight",
        "production",
        rules=[
            rule(
                "big",
                "Big spenders see more of it",
                {"segment": "big-spenders"},
                {"variation": "strong"},
            )
        ],
        fallthrough=split("77e0b3a1942dc5f8", balanced=50, none=50),
    )
    yield switched(16.4, "engineer", "", "recommendation-weight", True, *ENVIRONMENTS)
    yield configured(
        14.6,
        "product-manager",
        "No complaints so far",
        "new-checkout",
        "production",
        fallthrough=split("c83d51fe2a9074b6", on=25, off=75),
    )
    yield switched(
        13.5,
        "release-manager",
        "The provider announced an outage",
        "payments-maintenance",
        True,
        "production",
    )
    yield switched(
        13.45, "release-manager", "Over after an hour", "payments-maintenance", False, "production"
    )
    yield switched(12.6, "engineer", "", "fraud-check", True, "development", "staging")
    yield configured(
        11.8,
        "product-manager",
        "The lower threshold sells better in the EU",
        "free-shipping-threshold",
        "production",
        rules=[
            rule("eu", "Customers in the EU", {"segment": "eu-customers"}, {"variation": "low"})
        ],
    )
    yield Moment(
        timedelta(days=11),
        "engineer",
        "Nobody asks for it any more",
        [ArchiveFlag(project=PROJECT, flag="old-newsletter-form")],
    )
    yield switched(10.4, "product-manager", "", "gift-wrapping", True, *ENVIRONMENTS)
    yield switched(9.7, "product-manager", "", "delivery-slots", True, "production")
    yield configured(
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
    yield switched(8.2, "product-manager", "", "order-tracking-map", True, "staging")
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
    yield configured(
        6.2,
        "product-manager",
        "Half of everybody",
        "new-checkout",
        "production",
        fallthrough=split("c83d51fe2a9074b6", on=50, off=50),
    )
    yield switched(5.3, "product-manager", "", "loyalty-points", True, "development", "staging")
    yield configured(
        4.4,
        "product-manager",
        "The sale opens on the second Friday",
        "home-page-hero",
        "production",
        rules=[
            rule(
                "sale",
                "While the sale lasts",
                {
                    "all": [
                        leaf("now", "after", "2027-01-08T07:00:00Z"),
                        leaf("now", "before", "2027-01-18T07:00:00Z"),
                    ]
                },
                {"variation": "sale"},
            )
        ],
    )
    yield switched(3.2, "engineer", "", "dark-mode", True, "production")
    yield switched(2.6, "engineer", "Flickers on old phones", "dark-mode", False, "production")
    yield switched(1.4, "product-manager", "", "referral-bonus", True, "development")
    yield configured(
        0.6,
        "engineer",
        "The shop times out too early at peak",
        "cart-service-timeout",
        "staging",
        fallthrough={"variation": "strict"},
    )

"""The flags as they were made."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from flags.changes import (
    CreateFlag,
)
from flags.transfer.demo.moment import PROJECT, Moment, values_of


def _flag(key: str, description: str, *tags: str, **more: Any) -> CreateFlag:
    return CreateFlag(
        project=PROJECT,
        key=key,
        name=more.pop("name", key.replace("-", " ").capitalize()),
        description=description,
        tags=list(tags),
        **more,
    )


def flags() -> Iterator[Moment]:
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
                variations=values_of(blue="#0054a6", green="#2fb344", orange="#f76707"),
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
                variations=values_of(many=48, standard=24, few=12),
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
                variations=values_of(strong=0.8, balanced=0.5, none=0.0),
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
                variations=values_of(north="north", south="south"),
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
                variations=values_of(standard=50, low=35, promotion=0),
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
                variations=values_of(patient=2.5, strict=0.8),
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
                variations=values_of(
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
                variations=values_of(avif="avif", webp="webp", jpeg="jpeg"),
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
                variations=values_of(
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
                variations=values_of(ten=10, five=5, none=0),
            ),
        ),
        (35, "engineer", _flag("old-newsletter-form", "The form before the redesign.", "web")),
    ):
        yield Moment(timedelta(days=days, hours=1, minutes=len(flag.key)), who, "", [flag])

"""OpenFeature's own OFREP provider for Python, unchanged, against the server."""

from collections.abc import Callable
from typing import Any

import pytest
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode, OpenFeatureError
from openfeature.flag_evaluation import Reason

from flags.changes import ConfigureFlag
from tests.served import Served, change


def values(*pairs: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in pairs]


@pytest.fixture
def provider(server: Served, server_key: str) -> OFREPProvider:
    return OFREPProvider(
        server.url, headers_factory=lambda: {"Authorization": f"Bearer {server_key}"}
    )


def test_every_type_arrives(provider: OFREPProvider, a_flag: Callable[..., Any]) -> None:
    a_flag("boolean", on=True)
    a_flag("string", on=True, type="string", variations=values(("a", "ü"), ("b", "")))
    a_flag("integer", on=True, type="integer", variations=values(("a", 7), ("b", 0)))
    a_flag("float", on=True, type="float", variations=values(("a", 3.0), ("b", 0.5)))
    a_flag("json", on=True, type="json", variations=values(("a", {"x": [1]}), ("b", {})))

    assert provider.resolve_boolean_details("boolean", False).value is True
    assert provider.resolve_string_details("string", "").value == "ü"
    assert provider.resolve_integer_details("integer", 0).value == 7
    assert provider.resolve_float_details("float", 0.0).value == 3.0
    assert provider.resolve_object_details("json", {}).value == {"x": [1]}


def test_reason_variant_and_metadata_arrive(
    provider: OFREPProvider, a_flag: Callable[..., Any]
) -> None:
    rule = {
        "id": "r1",
        "when": {"attribute": "plan", "op": "in", "values": ["pro"]},
        "serve": {"variation": "off"},
    }
    a_flag(on=True, rules=[rule])

    details = provider.resolve_boolean_details(
        "new-checkout", True, EvaluationContext("user-1", {"plan": "pro"})
    )

    assert (details.value, details.variant, details.reason) == (
        False,
        "off",
        Reason.TARGETING_MATCH,
    )
    assert details.flag_metadata["rule"] == "r1"


def test_a_failed_prerequisite_and_a_null_off_variation_are_understood(
    provider: OFREPProvider, a_flag: Callable[..., Any]
) -> None:
    a_flag("billing", on=False)
    a_flag(on=True, prerequisites=[{"flag": "billing", "variations": ["on"]}])
    a_flag("undecided")
    change(
        ConfigureFlag(
            project="shop", environment="production", flag="undecided", off_variation=None
        )
    )

    failed = provider.resolve_boolean_details("new-checkout", True)
    undecided = provider.resolve_boolean_details("undecided", True)

    assert (failed.value, failed.reason) == (False, Reason.DISABLED)
    assert (undecided.value, undecided.reason) == (True, Reason.DISABLED)


def test_errors_arrive_as_openfeatures_own(
    server: Served, provider: OFREPProvider, a_flag: Callable[..., Any]
) -> None:
    split = {"split": {"by": "targetingKey", "shares": [["on", 50_000], ["off", 50_000]]}}
    a_flag(on=True, fallthrough=split)
    stranger = OFREPProvider(server.url)

    for asked, flag, code in (
        (provider, "missing", ErrorCode.FLAG_NOT_FOUND),
        (provider, "new-checkout", ErrorCode.TARGETING_KEY_MISSING),
        (stranger, "new-checkout", ErrorCode.GENERAL),
    ):
        with pytest.raises(OpenFeatureError) as failed:
            asked.resolve_boolean_details(flag, False)

        assert failed.value.error_code == code

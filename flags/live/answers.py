"""What a client key, which is public, may be told of a result."""

from flagengine import Result

# OpenFeature's names only: clients look a reason up, and fail on one they do not know.
REASON_ON_THE_WIRE = {"PREREQUISITE_FAILED": "DISABLED"}
# The engine's own words may name segments and other flags.
PUBLIC_MESSAGES = {
    "TARGETING_KEY_MISSING": "the flag needs a targetingKey in the context",
    "INVALID_CONTEXT": "expected a context that is a JSON object nested at most 64 deep",
}


def reason_of(result: Result) -> str:
    return REASON_ON_THE_WIRE.get(result.reason, result.reason)


def public_message(result: Result) -> str:
    return PUBLIC_MESSAGES.get(result.error_code or "", "the flag cannot be evaluated")


def typed(value: object, type_: str | None) -> object:
    """A number written as its flag's type says: 3.0 for a float flag, 3 for an integer one."""
    if type_ == "float" and type(value) is int:
        return float(value)
    if type_ == "integer" and type(value) is float:
        return int(value)
    return value

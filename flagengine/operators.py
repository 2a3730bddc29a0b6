"""What each operator means, and the expression that decides it fastest.

An operator is prepared once for the `values` of a leaf. It gives

- `holds`, a function of the attribute's value, whatever that is: the meaning;
- optionally `expression`, a Python expression that answers for the common types without a call
  and hands everything else to `holds`: the speed. It is text of this file alone. `{first}` stands
  for the value where it is read first, `{value}` where it is read again, `{0}` for the operand
  and `{holds}` for the function; the operand itself only ever travels as an argument.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import re2

from .addresses import Network, address_of, network_of
from .buckets import LARGEST_INTEGER, encoded
from .instants import instant_of
from .semver import Version, version_of

Scalar = Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class Test:
    """One operator with its operands."""

    holds: Callable[[object], bool]
    expression: str | None = None
    operand: object = None
    # The instants, in Unix seconds, from which on the answer for the attribute `now` may differ.
    flips: tuple[float, ...] = ()


class BadOperand(ValueError):
    """An operand that the operator cannot take; `index` is its place in `values`."""

    def __init__(self, index: int, expected: str) -> None:
        super().__init__(expected)
        self.index = index


# What is missing or null is false without asking `holds`: contexts that say little are common.
_ASK = "{value} is not None and {holds}({value})"
_ASK_UNLESS_TEXT = "{value} is not None and type({value}) is not str and {holds}({value})"
# Up to this many texts are compared one by one, which takes no check that the value can be hashed.
FEW_TEXTS = 3

NEVER = Test(lambda value: False, "False")
EXISTS = Test(lambda value: value is not None, "({first} is not None)")


def any_element(scalar: Scalar) -> Callable[[object], bool]:
    """Lift a test of one value to arrays, of which any element may pass."""

    def holds(value: object) -> bool:
        if isinstance(value, list | tuple):
            return any(scalar(element) for element in value)
        return scalar(value)

    return holds


# Equality


def prepare_in(values: list[object], *, ignore_case: bool) -> Test:
    strings: set[str] = set()
    numbers: set[float] = set()
    booleans: set[bool] = set()
    for index, value in enumerate(values):
        if isinstance(value, str):
            strings.add(value.lower() if ignore_case else value)
        elif isinstance(value, bool):
            booleans.add(value)
        elif isinstance(value, int | float) and math.isfinite(as_double(value)):
            numbers.add(as_double(value))
        else:
            raise BadOperand(index, "expected a string, a number or a boolean")
    texts, doubles, truths = frozenset(strings), frozenset(numbers), frozenset(booleans)

    def scalar(value: object) -> bool:
        if isinstance(value, str):
            return (value.lower() if ignore_case else value) in texts
        if isinstance(value, bool):
            return value in truths
        if isinstance(value, int | float):
            return as_double(value) in doubles
        return False

    holds = any_element(scalar)
    flips = tuple(
        instant
        for number in sorted(doubles)
        for instant in (number, math.nextafter(number, math.inf))
    )
    lower = ".lower()" if ignore_case else ""
    if len(texts) == 1 and not doubles and not truths:
        (text,) = texts
        if ignore_case:
            expression = f"({{value}}.lower() == {{0}} if type({{first}}) is str else {_ASK})"
        else:
            expression = f"({{first}} == {{0}} or {_ASK_UNLESS_TEXT})"
        return Test(holds, expression, text, flips)
    if not texts and not doubles and truths == {True}:
        # `is` tells true from 1; arrays are left to `holds`.
        expression = "({first} is True or type({value}) is not bool and " + _ASK + ")"
        return Test(holds, expression, None, flips)
    if len(texts) <= FEW_TEXTS and not ignore_case:
        expression = f"({{first}} in {{0}} or {_ASK_UNLESS_TEXT})"
        return Test(holds, expression, tuple(sorted(texts)), flips)
    expression = f"({{value}}{lower} in {{0}} if type({{first}}) is str else {_ASK})"
    return Test(holds, expression, texts, flips)


# Text


def prepare_contains(values: list[object], *, ignore_case: bool) -> Test:
    texts = _texts(values, ignore_case=ignore_case)

    def scalar(value: object) -> bool:
        if not isinstance(value, str):
            return False
        text = value.lower() if ignore_case else value
        return any(part in text for part in texts)

    holds = any_element(scalar)
    if len(texts) != 1:
        return Test(holds)
    lower = ".lower()" if ignore_case else ""
    expression = f"({{0}} in {{value}}{lower} if type({{first}}) is str else {_ASK})"
    return Test(holds, expression, texts[0])


def prepare_starts_with(values: list[object], *, ignore_case: bool) -> Test:
    return _affix("startswith", _texts(values, ignore_case=ignore_case), ignore_case=ignore_case)


def prepare_ends_with(values: list[object], *, ignore_case: bool) -> Test:
    return _affix("endswith", _texts(values, ignore_case=ignore_case), ignore_case=ignore_case)


def _affix(method: str, texts: tuple[str, ...], *, ignore_case: bool) -> Test:
    compare = str.startswith if method == "startswith" else str.endswith

    def scalar(value: object) -> bool:
        if not isinstance(value, str):
            return False
        return compare(value.lower() if ignore_case else value, texts)

    holds = any_element(scalar)
    operand = texts[0] if len(texts) == 1 else texts
    lower = ".lower()" if ignore_case else ""
    expression = f"({{value}}{lower}.{method}({{0}}) if type({{first}}) is str else {_ASK})"
    return Test(holds, expression, operand)


def prepare_matches(values: list[object], *, ignore_case: bool) -> Test:
    options = re2.Options()
    options.log_errors = False
    searches = []
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise BadOperand(index, "expected a regular expression")
        try:
            searches.append(re2.compile(value, options).search)
        except UnicodeEncodeError:
            raise BadOperand(
                index, "expected a regular expression without lone surrogates"
            ) from None
        except re2.error as refusal:
            reason = refusal.args[0] if refusal.args else refusal
            if isinstance(reason, bytes):
                reason = reason.decode(errors="replace")
            raise BadOperand(
                index, f"expected an expression RE2 takes; it says: {reason}"
            ) from None

    def scalar(value: object) -> bool:
        if not isinstance(value, str):
            return False
        # As bytes: given a str, the wheel would compute the offsets of every group in characters.
        text = encoded(value)
        return any(search(text) is not None for search in searches)

    return Test(any_element(scalar))


def _texts(values: list[object], *, ignore_case: bool) -> tuple[str, ...]:
    texts = []
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise BadOperand(index, "expected a string")
        texts.append(value.lower() if ignore_case else value)
    return tuple(texts)


# Numbers

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def as_double(number: float) -> float:
    """The IEEE double of a JSON number, as JavaScript would read it; infinite past the range."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def number_of(value: object) -> float | None:
    """The double a number or a string in JSON's number grammar stands for; None for all else."""
    if isinstance(value, str):
        return float(value) if _JSON_NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return as_double(value)


def prepare_lt(values: list[object], *, ignore_case: bool) -> Test:
    return _number_test(values, max, "<", lambda number, bound: number < bound)


def prepare_lte(values: list[object], *, ignore_case: bool) -> Test:
    return _number_test(values, max, "<=", lambda number, bound: number <= bound)


def prepare_gt(values: list[object], *, ignore_case: bool) -> Test:
    return _number_test(values, min, ">", lambda number, bound: number > bound)


def prepare_gte(values: list[object], *, ignore_case: bool) -> Test:
    return _number_test(values, min, ">=", lambda number, bound: number >= bound)


def _number_test(
    values: list[object],
    widest: Callable[[Iterable[float]], float],
    sign: str,
    compare: Callable[[float, float], bool],
) -> Test:
    """A comparison with any of `values`, which is one with the easiest of them to pass."""
    numbers = []
    for index, value in enumerate(values):
        number = number_of(value)
        if number is None or not math.isfinite(number):
            raise BadOperand(index, "expected a number")
        numbers.append(number)
    if not numbers:
        return NEVER
    bound = widest(numbers)

    def scalar(value: object) -> bool:
        number = number_of(value)
        return number is not None and compare(number, bound)

    holds = any_element(scalar)
    flips = (bound if sign in ("<", ">=") else math.nextafter(bound, math.inf),)
    if not -LARGEST_INTEGER <= bound <= LARGEST_INTEGER:
        return Test(holds, flips=flips)
    # Below 2^53 Python's exact comparison of an int with a double agrees with one of doubles.
    operand = int(bound) if bound.is_integer() else bound
    expression = (
        f"({{value}} {sign} {{0}} if type({{first}}) is int or type({{value}}) is float"
        f" else {_ASK})"
    )
    return Test(holds, expression, operand, flips)


# Versions


def prepare_semver_eq(values: list[object], *, ignore_case: bool) -> Test:
    versions = frozenset(_versions(values))

    def scalar(value: object) -> bool:
        return isinstance(value, str) and version_of(value) in versions

    return Test(any_element(scalar))


def prepare_semver_lt(values: list[object], *, ignore_case: bool) -> Test:
    return _version_test(values, max, lambda version, bound: version < bound)


def prepare_semver_lte(values: list[object], *, ignore_case: bool) -> Test:
    return _version_test(values, max, lambda version, bound: version <= bound)


def prepare_semver_gt(values: list[object], *, ignore_case: bool) -> Test:
    return _version_test(values, min, lambda version, bound: version > bound)


def prepare_semver_gte(values: list[object], *, ignore_case: bool) -> Test:
    return _version_test(values, min, lambda version, bound: version >= bound)


def _version_test(
    values: list[object],
    widest: Callable[[Iterable[Version]], Version],
    compare: Callable[[Version, Version], bool],
) -> Test:
    versions = _versions(values)
    if not versions:
        return NEVER
    bound = widest(versions)
    # Apps send the same few versions all the time: their verdicts are remembered, within bounds.
    verdicts: dict[str, bool] = {}

    def scalar(value: object) -> bool:
        if not isinstance(value, str):
            return False
        version = version_of(value)
        verdict = version is not None and compare(version, bound)
        if len(verdicts) < 1024 and len(value) <= 64:
            verdicts[value] = verdict
        return verdict

    holds = any_element(scalar)
    expression = f"({{0}}[{{value}}] if type({{first}}) is str and {{value}} in {{0}} else {_ASK})"
    return Test(holds, expression, verdicts)


def _versions(values: list[object]) -> list[Version]:
    versions = []
    for index, value in enumerate(values):
        version = version_of(value) if isinstance(value, str) else None
        if version is None:
            raise BadOperand(index, "expected a semantic version")
        versions.append(version)
    return versions


# Instants


def prepare_before(values: list[object], *, ignore_case: bool) -> Test:
    instants = _instants(values)
    if not instants:
        return NEVER
    bound = max(instants)

    def scalar(value: object) -> bool:
        instant = instant_of(value)
        return instant is not None and instant < bound

    return Test(any_element(scalar), flips=(bound / 1000,))


def prepare_after(values: list[object], *, ignore_case: bool) -> Test:
    instants = _instants(values)
    if not instants:
        return NEVER
    bound = min(instants)

    def scalar(value: object) -> bool:
        instant = instant_of(value)
        return instant is not None and instant > bound

    return Test(any_element(scalar), flips=((bound + 1) / 1000,))


def _instants(values: list[object]) -> list[int]:
    instants = []
    for index, value in enumerate(values):
        instant = instant_of(value)
        if instant is None:
            raise BadOperand(index, "expected an instant such as 2026-03-01T09:00:00Z")
        instants.append(instant)
    return instants


# Networks


def prepare_in_cidr(values: list[object], *, ignore_case: bool) -> Test:
    networks: set[Network] = set()
    for index, value in enumerate(values):
        network = network_of(value) if isinstance(value, str) else None
        if network is None:
            raise BadOperand(index, "expected a network such as 10.0.0.0/8 or 2001:db8::/32")
        networks.add(network)
    sizes = sorted({(version, dropped) for version, dropped, _ in networks})

    def scalar(value: object) -> bool:
        address = address_of(value) if isinstance(value, str) else None
        if address is None:
            return False
        version, number = address
        return any(
            (version, dropped, number >> dropped) in networks
            for network_version, dropped in sizes
            if network_version == version
        )

    return Test(any_element(scalar))


PREPARE: dict[str, Callable[..., Test]] = {
    "in": prepare_in,
    "contains": prepare_contains,
    "starts_with": prepare_starts_with,
    "ends_with": prepare_ends_with,
    "matches": prepare_matches,
    "lt": prepare_lt,
    "lte": prepare_lte,
    "gt": prepare_gt,
    "gte": prepare_gte,
    "semver_eq": prepare_semver_eq,
    "semver_lt": prepare_semver_lt,
    "semver_lte": prepare_semver_lte,
    "semver_gt": prepare_semver_gt,
    "semver_gte": prepare_semver_gte,
    "before": prepare_before,
    "after": prepare_after,
    "in_cidr": prepare_in_cidr,
}
OPERATORS = frozenset(PREPARE) | {"exists"}
TAKES_IGNORE_CASE = frozenset({"in", "contains", "starts_with", "ends_with"})

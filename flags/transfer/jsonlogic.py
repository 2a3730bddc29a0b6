"""flagd's targeting (JsonLogic) → rules, where both mean the same; else `Inexpressible` says why.

Two things are judged for text, numbers and booleans alone: an attribute that is a list is compared
as a whole by JsonLogic and element by element here.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Any
Condition = dict[str, Any]

ALWAYS: Condition = {"all": []}
NEVER: Condition = {"any": []}
DEEPEST = 40  # so that what comes of it stays within the engine's 64 levels

# Either side of a loose comparison becomes a number when the text reads as one in JavaScript.
_NUMERIC_TEXT = re.compile(
    r"\s*(?:[+-]?(?:Infinity|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|0[xX][\da-fA-F]+|0[oO][0-7]+|0[bB][01]+)?\s*"
)
_VERSION = re.compile(
    r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?"
)


class Inexpressible(Exception):
    """Why there are no rules that mean exactly the same."""


@dataclass(frozen=True)
class Branch:
    """When `when` holds, the outcome is the variant of this name, or the default one (None)."""

    when: Condition
    variant: str | None


@dataclass(frozen=True)
class Attribute:
    """`{"var": …}`: a member of the context, by name."""

    name: str


@dataclass(frozen=True)
class Timestamp:
    """`{"var": "$flagd.timestamp"}`: the clock in whole Unix seconds."""


def branches(targeting: Json, *, flag: str, evaluators: Mapping[str, Json]) -> list[Branch]:
    """Decisions in order; the last one's condition always holds."""
    resolved = _resolved(targeting, evaluators, ())
    return _Reader(flag).branches(resolved, depth=0)


def _resolved(logic: Json, evaluators: Mapping[str, Json], inside: tuple[str, ...]) -> Json:
    """The logic with each `{"$ref": name}` replaced by that evaluator."""
    if isinstance(logic, list):
        return [_resolved(part, evaluators, inside) for part in logic]
    if not isinstance(logic, dict):
        return logic
    if set(logic) != {"$ref"}:
        return {key: _resolved(part, evaluators, inside) for key, part in logic.items()}
    name = logic["$ref"]
    if not isinstance(name, str) or name not in evaluators:
        raise Inexpressible(f"$ref names {name!r}, which $evaluators does not have")
    if name in inside:
        raise Inexpressible(f"$ref leads in a circle: {' → '.join([*inside, name])}")
    return _resolved(evaluators[name], evaluators, (*inside, name))


class _Reader:
    """Reads the logic of one flag, whose key `$flagd.flagKey` stands for."""

    def __init__(self, flag: str) -> None:
        self.flag = flag

    # What is served

    def branches(self, logic: Json, *, depth: int) -> list[Branch]:
        if depth > DEEPEST:
            raise Inexpressible(f"it is nested more than {DEEPEST} deep")
        if logic is None:
            return [Branch(ALWAYS, None)]
        if isinstance(logic, bool):
            return [Branch(ALWAYS, "true" if logic else "false")]
        if isinstance(logic, str):
            return [Branch(ALWAYS, logic)]
        operator, arguments = _operation(logic)
        if operator not in ("if", "?:"):
            raise Inexpressible(f"its outcome is worked out by {operator}{_why(operator)}")
        return self._chain(arguments, depth=depth)

    def _chain(self, arguments: Sequence[Json], *, depth: int) -> list[Branch]:
        """`[condition, outcome, condition, outcome, …, outcome]`; without the last it is null."""
        decided: list[Branch] = []
        for index in range(0, len(arguments) - 1, 2):
            when = self.condition(arguments[index], depth=depth + 1)
            decided += [
                Branch(_all(when, inner.when), inner.variant)
                for inner in self.branches(arguments[index + 1], depth=depth + 1)
            ]
        otherwise = arguments[-1] if len(arguments) % 2 else None
        return [*decided, *self.branches(otherwise, depth=depth + 1)]

    # Conditions

    def condition(self, logic: Json, *, depth: int) -> Condition:
        if depth > DEEPEST:
            raise Inexpressible(f"it is nested more than {DEEPEST} deep")
        if isinstance(logic, bool):
            return ALWAYS if logic else NEVER
        operator, arguments = _operation(logic)
        if operator in ("and", "or"):
            if not arguments:
                raise Inexpressible(f"{operator} has nothing to decide by")
            kind = "all" if operator == "and" else "any"
            return {kind: [self.condition(part, depth=depth + 1) for part in arguments]}
        if operator in ("!", "!!"):
            (part,) = _so_many(arguments, 1, operator)
            inner = self.condition(part, depth=depth + 1)
            return {"not": inner} if operator == "!" else inner
        if operator in ("==", "==="):
            return self._equal(arguments, operator)
        if operator in ("!=", "!=="):
            return {"not": self._equal(arguments, operator)}
        if operator == "in":
            return self._listed(arguments)
        if operator in ("starts_with", "ends_with"):
            return self._affix(arguments, operator)
        if operator == "sem_ver":
            return self._version(arguments)
        if operator in ("<", "<=", ">", ">="):
            return self._instant(arguments, operator)
        raise Inexpressible(f"it decides by {operator}{_why(operator)}")

    def _equal(self, arguments: Sequence[Json], operator: str) -> Condition:
        left, right = (self._operand(part) for part in _so_many(arguments, 2, operator))
        if isinstance(right, Attribute):
            left, right = right, left
        is_strict = len(operator) == 3
        if not isinstance(left, Attribute):
            return self._constant_equality(left, right, operator)
        if not isinstance(right, str | bool | int | float):
            raise Inexpressible(f"{operator} compares an attribute with what is no plain value")
        if not is_strict and (not isinstance(right, str) or _NUMERIC_TEXT.fullmatch(right)):
            raise Inexpressible(
                f'{operator} with {right!r} converts types while comparing (5 equals "5"); '
                "=== does not"
            )
        return _leaf(left, "in", right)

    def _constant_equality(self, left: Json, right: Json, operator: str) -> Condition:
        if isinstance(left, str) and isinstance(right, str):
            return ALWAYS if left == right else NEVER
        raise Inexpressible(f"{operator} compares nothing of the context with text")

    def _listed(self, arguments: Sequence[Json]) -> Condition:
        needle_logic, haystack = _so_many(arguments, 2, "in")
        needle = self._operand(needle_logic)
        if not isinstance(haystack, list):
            raise Inexpressible(
                "in looks for a part of a text but for an element of a list, "
                "and what it looks into is only known later"
            )
        for value in haystack:
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise Inexpressible("in has a list that holds more than text and numbers")
        if isinstance(needle, str):
            return ALWAYS if needle in haystack else NEVER
        if not isinstance(needle, Attribute):
            raise Inexpressible("in looks for nothing of the context")
        return _leaf(needle, "in", *haystack)

    def _affix(self, arguments: Sequence[Json], operator: str) -> Condition:
        text, affix = (self._operand(part) for part in _so_many(arguments, 2, operator))
        if not isinstance(text, Attribute) or not isinstance(affix, str):
            raise Inexpressible(f"{operator} takes an attribute and a text")
        return _leaf(text, operator, affix)

    def _version(self, arguments: Sequence[Json]) -> Condition:
        text, sign, bound = (self._operand(part) for part in _so_many(arguments, 3, "sem_ver"))
        if not isinstance(text, Attribute) or not isinstance(bound, str):
            raise Inexpressible("sem_ver takes an attribute, a sign and a version")
        parts = _VERSION.fullmatch(bound)
        if parts is None:
            raise Inexpressible(f"sem_ver: expected a version such as 1.2.3, got {bound!r}")
        major, minor = int(parts[1]), int(parts[2])
        # -0 is the lowest pre-release there can be, so a range holds all of a release's.
        if sign == "^":
            return _all(
                _leaf(text, "semver_gte", f"{major}.0.0-0"),
                _leaf(text, "semver_lt", f"{major + 1}.0.0-0"),
            )
        if sign == "~":
            return _all(
                _leaf(text, "semver_gte", f"{major}.{minor}.0-0"),
                _leaf(text, "semver_lt", f"{major}.{minor + 1}.0-0"),
            )
        if sign == "!=":  # what is no version at all is not unequal either
            return {"any": [_leaf(text, "semver_lt", bound), _leaf(text, "semver_gt", bound)]}
        names = {"=": "eq", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
        if sign not in names:
            raise Inexpressible(f"sem_ver: there is no sign {sign!r}")
        return _leaf(text, f"semver_{names[sign]}", bound)

    def _instant(self, arguments: Sequence[Json], operator: str) -> Condition:
        left, right = (self._operand(part) for part in _so_many(arguments, 2, operator))
        if isinstance(right, Timestamp):
            left, right = right, left
            operator = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}[operator]
        if not isinstance(left, Timestamp):
            raise Inexpressible(
                f"{operator} counts an attribute that is missing as 0 and reads text and booleans "
                "as numbers"
            )
        if isinstance(right, bool) or not isinstance(right, int):
            raise Inexpressible(f"{operator} compares the clock with what is no whole second")
        # That clock shows whole seconds: it is past N when this one has reached N + 1.
        second = right + 1 if operator in (">", "<=") else right
        return {
            "attribute": "now",
            "op": "gte" if operator in (">", ">=") else "lt",
            "values": [second],
        }

    def _operand(self, logic: Json) -> Any:
        """An Attribute, a Timestamp, or the value itself."""
        if not isinstance(logic, dict):
            return logic
        operator, arguments = _operation(logic)
        if operator != "var":
            raise Inexpressible(f"it compares with what {operator} works out{_why(operator)}")
        if len(arguments) != 1 or not isinstance(arguments[0], str) or not arguments[0]:
            raise Inexpressible("var does more than name an attribute")
        name = arguments[0]
        if name == "$flagd.flagKey":
            return self.flag
        if name == "$flagd.timestamp":
            return Timestamp()
        if name == "now":
            raise Inexpressible("it reads an attribute called now, which is the clock here")
        if "." in name or name.startswith("$"):
            raise Inexpressible(
                f"var {name!r} is a path there; here a member of that very name comes first"
            )
        return Attribute(name)


def _operation(logic: Json) -> tuple[str, list[Json]]:
    if not isinstance(logic, dict) or len(logic) != 1:
        raise Inexpressible(f"expected an operation with one operator, got {_shown(logic)}")
    ((operator, arguments),) = logic.items()
    return operator, arguments if isinstance(arguments, list) else [arguments]


def _so_many(arguments: Sequence[Json], number: int, operator: str) -> Sequence[Json]:
    if len(arguments) != number:
        raise Inexpressible(f"{operator} takes {number} values here, got {len(arguments)}")
    return arguments


def _leaf(attribute: Attribute, op: str, *values: Json) -> Condition:
    for value in values:
        if isinstance(value, float) and not math.isfinite(value):
            raise Inexpressible("it compares with a number past all bounds")
    return {"attribute": attribute.name, "op": op, "values": list(values)}


def _all(*conditions: Condition) -> Condition:
    """All of them, without saying so for what holds anyway."""
    parts = [condition for condition in conditions if condition != ALWAYS]
    return parts[0] if len(parts) == 1 else {"all": parts}


def _why(operator: str) -> str:
    reasons = {
        "fractional": ", which puts users into other buckets than a split here",
        "var": ", whose values count as true or false in a way of their own",
    }
    return reasons.get(operator, ", which has no counterpart here")


def _shown(logic: Json) -> str:
    text = repr(logic)
    return text if len(text) <= 60 else f"{text[:57]}…"

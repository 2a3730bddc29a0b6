"""A flagd flag file, read: what each flag is here, and which cannot be the same here and why.

The format: https://flagd.dev/reference/flag-definitions/
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flagengine import problems_in_flag
from flags.errors import Invalid
from flags.models.keys import KEY_MEANS, is_key
from flags.transfer.jsonlogic import ALWAYS, Branch, Inexpressible, branches

Type = Literal["boolean", "string", "integer", "float", "json"]


@dataclass(frozen=True)
class ReadFlag:
    """A flag of the file in this product's words.

    `off_variation` is null for each of them: a flag that is disabled in flagd leaves the app to its
    own default.
    """

    key: str
    description: str
    type: Type
    variations: list[dict[str, Any]]
    enabled: bool
    rules: list[dict[str, Any]]
    fallthrough: dict[str, Any]


@dataclass(frozen=True)
class LeftOut:
    """A flag of the file that is not loaded."""

    key: str
    why: str


@dataclass(frozen=True)
class Reading:
    """All that a file says, in its order."""

    flags: list[ReadFlag]
    left_out: list[LeftOut]


def read_document(text: str) -> Reading:
    """Reads a whole file. Raises Invalid when it is no flag file at all."""
    document = _parsed(text)
    flags = document.get("flags")
    if not isinstance(flags, dict):
        raise Invalid.at("flags", f"expected an object of flags, got {_type_name(flags)}")
    evaluators = document.get("$evaluators", {})
    if not isinstance(evaluators, dict):
        raise Invalid.at("$evaluators", f"expected an object, got {_type_name(evaluators)}")
    reading = Reading([], [])
    for key, flag in flags.items():
        try:
            reading.flags.append(_read_flag(key, flag, evaluators))
        except Inexpressible as reason:
            reading.left_out.append(LeftOut(key, str(reason)))
    return reading


def _parsed(text: str) -> dict[str, Any]:
    try:
        document = json.loads(
            text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        raise Invalid.at(f"line {error.lineno}, column {error.colno}", error.msg) from error
    except (RecursionError, ValueError) as error:
        raise Invalid.at("", f"is not a document that can be read: {error}") from error
    if not isinstance(document, dict):
        raise Invalid.at("", f"expected an object, got {_type_name(document)}")
    return document


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise Invalid.at(name, "is there twice in one object")
            seen.add(name)
    return members


def _refuse_constant(name: str) -> None:
    raise Invalid.at("", f"{name} is not JSON")


def _read_flag(key: str, flag: Any, evaluators: Mapping[str, Any]) -> ReadFlag:
    if not is_key(key):
        raise Inexpressible(f"a flag's key has {KEY_MEANS}")
    if not isinstance(flag, dict):
        raise Inexpressible(f"expected an object, got {_type_name(flag)}")
    state = flag.get("state")
    if state not in ("ENABLED", "DISABLED"):
        raise Inexpressible(f"state: expected ENABLED or DISABLED, got {state!r}")
    variants = flag.get("variants")
    if not isinstance(variants, dict) or not variants:
        raise Inexpressible("variants: expected an object with at least one variant")
    default = flag.get("defaultVariant")
    if default is not None and default not in variants:
        raise Inexpressible(f"defaultVariant: there is no variant {default!r}")
    type_ = _type_of(list(variants.values()))
    description = flag.get("description", "")
    read = ReadFlag(
        key=key,
        description=description if isinstance(description, str) else "",
        type=type_,
        variations=[
            {"key": name, "value": float(value) if type_ == "float" else value}
            for name, value in variants.items()
        ],
        **_served(key, flag, list(variants), default, evaluators),
    )
    _refuse_what_the_engine_refuses(read)
    return read


def _served(
    key: str, flag: dict[str, Any], variants: list[str], default: Any, evaluators: Mapping[str, Any]
) -> dict[str, Any]:
    targeting = flag.get("targeting") or None
    decisions = (
        _shortened(branches(targeting, flag=key, evaluators=evaluators), default)
        if targeting is not None
        else [Branch(ALWAYS, default)]
    )
    for decision in decisions:
        if decision.variant is not None and decision.variant not in variants:
            raise Inexpressible(f"targeting: there is no variant {decision.variant!r}")
    *ruled, last = decisions
    if last.variant is None and not ruled:
        # Enabled, and yet the app is left to its own default: that is what off means here.
        return {"enabled": False, "rules": [], "fallthrough": {"variation": variants[0]}}
    if any(decision.variant is None for decision in decisions):
        raise Inexpressible(
            "defaultVariant: where targeting decides nothing, the app would be left to its own "
            "default; a flag that is on serves a variation here"
        )
    return {
        "enabled": flag["state"] == "ENABLED",
        "rules": [
            {"id": f"flagd-{number}", "when": branch.when, "serve": {"variation": branch.variant}}
            for number, branch in enumerate(ruled, 1)
        ],
        "fallthrough": {"variation": last.variant},
    }


def _shortened(decisions: Sequence[Branch], default: str | None) -> list[Branch]:
    """The same decisions, up to the first that always holds and without a tail that decides nothing."""
    kept: list[Branch] = []
    for branch in decisions:
        kept.append(Branch(branch.when, default if branch.variant is None else branch.variant))
        if branch.when == ALWAYS:
            break
    while len(kept) > 1 and kept[-2].variant == kept[-1].variant:
        del kept[-2]
    return kept


def _type_of(values: list[Any]) -> Type:
    kinds = {_kind_of(value) for value in values}
    if len(kinds) != 1:
        raise Inexpressible(
            f"variants: the values are of several types: {', '.join(sorted(kinds))}"
        )
    (kind,) = kinds
    if kind == "null":
        raise Inexpressible("variants: the values are null")
    if kind != "number":
        return kind
    return "float" if any(isinstance(value, float) for value in values) else "integer"


def _kind_of(value: Any) -> Any:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "null" if value is None else "json"


def _refuse_what_the_engine_refuses(read: ReadFlag) -> None:
    entry = {
        "key": read.key,
        "type": read.type,
        "version": 1,
        "variations": read.variations,
        "enabled": read.enabled,
        "off_variation": None,
        "prerequisites": [],
        "targets": [],
        "rules": read.rules,
        "fallthrough": read.fallthrough,
        "client_visible": False,
    }
    if problems := problems_in_flag(entry):
        raise Inexpressible("; ".join(str(problem) for problem in problems))


def _type_name(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}
    return "nothing" if value is None else names.get(type(value), "a number")

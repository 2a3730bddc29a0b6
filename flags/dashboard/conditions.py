"""Conditions as the pages show and edit them: a tree of groups, comparisons and segments.

The tree says the same as the JSON of docs/evaluation.md; `not` is folded into what it negates, so
that a person reads "is not one of" and "none of" instead of a negation around a condition.
"""

import json
from dataclasses import dataclass, field
from typing import Any

# mode of a group → how it reads before its parts
MODES = {
    "all": "all of these hold",
    "any": "any of these holds",
    "none": "none of these holds",
    "not-all": "not all of these hold",
}


@dataclass(frozen=True)
class Operator:
    """How a comparison reads, and what is typed for its values."""

    op: str
    words: str
    negated: str
    takes: str  # any, text, expression, number, version, instant, network, nothing
    hint: str = ""


@dataclass(frozen=True)
class OperatorGroup:
    name: str
    operators: list[Operator]


OPERATOR_GROUPS = [
    OperatorGroup(
        "Value",
        [
            Operator("in", "is one of", "is not one of", "any"),
            Operator("exists", "is given", "is not given", "nothing"),
        ],
    ),
    OperatorGroup(
        "Text",
        [
            Operator("contains", "contains", "does not contain", "text"),
            Operator("starts_with", "starts with", "does not start with", "text"),
            Operator("ends_with", "ends with", "does not end with", "text", "@example.com"),
            Operator("matches", "matches", "does not match", "expression", r"^user-\d+$"),
        ],
    ),
    OperatorGroup(
        "Number",
        [
            Operator("lt", "is less than", "is not less than", "number", "18"),
            Operator("lte", "is at most", "is not at most", "number", "18"),
            Operator("gt", "is greater than", "is not greater than", "number", "18"),
            Operator("gte", "is at least", "is not at least", "number", "18"),
        ],
    ),
    OperatorGroup(
        "Version",
        [
            Operator("semver_eq", "is version", "is not version", "version", "2.4.0"),
            Operator(
                "semver_lt", "is a version before", "is not a version before", "version", "2.4.0"
            ),
            Operator(
                "semver_lte", "is a version up to", "is not a version up to", "version", "2.4.0"
            ),
            Operator(
                "semver_gt", "is a version after", "is not a version after", "version", "2.4.0"
            ),
            Operator(
                "semver_gte", "is a version from", "is not a version from", "version", "2.4.0"
            ),
        ],
    ),
    OperatorGroup(
        "Time",
        [
            Operator("before", "is before", "is not before", "instant", "2027-01-31T09:00:00Z"),
            Operator("after", "is after", "is not after", "instant", "2027-01-31T09:00:00Z"),
        ],
    ),
    OperatorGroup(
        "Network",
        [
            Operator(
                "in_cidr", "is in the network", "is not in the network", "network", "10.0.0.0/8"
            ),
        ],
    ),
]
OPERATORS = {operator.op: operator for group in OPERATOR_GROUPS for operator in group.operators}


@dataclass(frozen=True)
class Value:
    """A value to compare with: as JSON, and as a person reads it."""

    json: str
    text: str

    @property
    def is_text(self) -> bool:
        return self.json.startswith('"')


@dataclass(frozen=True)
class Node:
    """One condition of the tree. `is_bare` marks a group that is written without its list."""

    kind: str  # group, comparison, segment
    negated: bool = False
    # group
    mode: str = "all"
    parts: "list[Node]" = field(default_factory=list)
    is_bare: bool = False
    # comparison
    attribute: str = ""
    op: str = "in"
    values: list[Value] = field(default_factory=list)
    ignore_case: bool = False
    # segment
    segment: str = ""

    @property
    def operator(self) -> Operator:
        return OPERATORS.get(self.op, OPERATORS["in"])

    @property
    def words(self) -> str:
        """As "is one of", or "is" where there is one value only."""
        words = self.operator.negated if self.negated else self.operator.words
        return words.removesuffix(" one of") if len(self.values) == 1 else words

    @property
    def chosen(self) -> str:
        """The operator as the editor's select names it."""
        return f"!{self.op}" if self.negated else self.op

    @property
    def mode_words(self) -> str:
        return MODES[self.mode]

    @property
    def joint(self) -> str:
        """The word between the parts of a group."""
        return {"all": "and", "any": "or", "none": "nor", "not-all": "and"}[self.mode]


def group_of(when: Any) -> Node:
    """The tree of a condition; its root is always a group, so that the editor can add to it."""
    root = _node(when)
    return root if root.kind == "group" else Node(kind="group", parts=[root], is_bare=True)


def empty_comparison() -> Node:
    return Node(kind="comparison")


def empty_segment() -> Node:
    return Node(kind="segment")


def empty_group() -> Node:
    return Node(kind="group", mode="any", parts=[empty_comparison()])


def _node(when: Any) -> Node:
    if "all" in when:
        return Node(kind="group", mode="all", parts=[_node(part) for part in when["all"]])
    if "any" in when:
        return Node(kind="group", mode="any", parts=[_node(part) for part in when["any"]])
    if "not" in when:
        return _negated(when["not"])
    if "segment" in when:
        return Node(kind="segment", segment=when["segment"])
    return Node(
        kind="comparison",
        attribute=when["attribute"],
        op=when["op"],
        values=[
            Value(json.dumps(value, ensure_ascii=False), _shown(value))
            for value in when.get("values", [])
        ],
        ignore_case=when.get("ignore_case", False),
    )


def _negated(inner: Any) -> Node:
    node = _node(inner)
    if node.kind != "group" and not node.negated:
        return Node(**{**vars(node), "negated": True})
    if node.kind == "group" and node.mode in ("all", "any") and not node.is_bare:
        mode = "not-all" if node.mode == "all" else "none"
        return Node(kind="group", mode=mode, parts=node.parts)
    return Node(kind="group", mode="none", parts=[node], is_bare=True)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

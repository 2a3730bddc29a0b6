"""Builders and hypothesis strategies for rulesets and contexts.

Everything is drawn from a small vocabulary, so that what a context says is often what a rule asks.
"""

from hypothesis import strategies as st

NOW = 1_700_000_000.0


def a_flag(key="flag", **members):
    """A boolean flag that is on for everyone."""
    flag = {
        "key": key,
        "type": "boolean",
        "version": 3,
        "variations": [{"key": "on", "value": True}, {"key": "off", "value": False}],
        "enabled": True,
        "off_variation": "off",
        "prerequisites": [],
        "targets": [],
        "rules": [],
        "fallthrough": {"variation": "on"},
        "client_visible": True,
    }
    return {**flag, **members}


def a_rule(when, serve="on", rule_id="r1"):
    return {"id": rule_id, "when": when, "serve": {"variation": serve}}


def a_leaf(attribute, op, *values, **members):
    return {"attribute": attribute, "op": op, "values": list(values), **members}


def a_ruleset(*flags, segments=(), version=7, digest="aa"):
    return {
        "environment": "env-1",
        "version": version,
        "digest": digest,
        "flags": {flag["key"]: flag for flag in flags},
        "segments": {segment["key"]: segment for segment in segments},
    }


# Strategies

TEXTS = [
    "", "a", "A", "ab", "DE", "de", "Straße", "İ", "ΣΑΣ", "naïve", "😀", "\ud800", "x\udc00",
    "1", "1.0", "-0", "1e3", "01", "1.2.3", "v1.2", "1.2.3-rc.1", "1.10.0", "2", "1.2.3+b",
    "2023-11-14T22:13:20Z", "2023-11-14 22:13:20.5", "2023-11-14T23:13:20+01:00", "2024-02-30T00:00:00Z",
    "10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1", "10.0.0.0/8", "user-1", "user-2", "targetingKey",
]  # fmt: skip
NUMBERS = [
    0, 1, 1.0, -0.0, 2, 3.5, -1, 100, 2**53 - 1, 2**53, 2**53 + 1, -(2**53), 1e300, 10**400,
    1_700_000_000, 1_699_999_999.999, 1_700_000_000.0005, float("inf"), float("-inf"), float("nan"),
]  # fmt: skip
ATTRIBUTES = ["targetingKey", "a", "b", "c", "a.b", "a.b.c", "é", "now"]
BYS = ["targetingKey", "a", "b", "a.b"]
FLAG_KEYS = ["f1", "f2", "f3", "f4", "f5"]
SEGMENT_KEYS = ["s1", "s2", "s3"]
MISSING_KEYS = ["gone"]
OPERANDS = {
    "in": [text for text in TEXTS if text.isprintable()] + [1, 1.0, 0, True, False, 3.5, 2**53],
    "contains": ["", "a", "D", "straße", "σα", "😀"],
    "starts_with": ["", "a", "D", "user-", "σα", "i"],
    "ends_with": ["", "b", "E", "-1", "ς", "e"],
    "matches": ["a", "^user-[0-9]+$", "(?i)de", "^$", "[^a]", r"\d\.\d", "\N{REPLACEMENT CHARACTER}"],
    "number": [0, 1, 1.0, 2.5, -1, "1", "1e3", 1_700_000_000, 2**53, 1e300],
    "semver": ["1.2.3", "v1.2", "1.2.3-rc.1", "1.10.0", "2", "1.2.3-rc.2", "1.2.3-1"],
    "instant": [1_700_000_000, "2023-11-14T22:13:20Z", "2023-11-14 22:13:20.500", 0, 1_700_000_000.0004],
    "cidr": ["10.0.0.0/8", "10.1.2.3", "::ffff:10.0.0.0/104", "2001:db8::/32", "::/0", "0.0.0.0/0"],
}  # fmt: skip
KINDS = {
    "lt": "number", "lte": "number", "gt": "number", "gte": "number",
    "semver_eq": "semver", "semver_lt": "semver", "semver_lte": "semver",
    "semver_gt": "semver", "semver_gte": "semver",
    "before": "instant", "after": "instant", "in_cidr": "cidr",
}  # fmt: skip
OPERATORS = ["in", "contains", "starts_with", "ends_with", "matches", "exists", *KINDS]

scalars = st.one_of(
    st.sampled_from(TEXTS), st.sampled_from(NUMBERS), st.booleans(), st.none(), st.text(max_size=4)
)
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "b", "c", "b.c"]), inner, max_size=3),
    ),
    max_leaves=6,
)
contexts = st.one_of(
    st.dictionaries(st.sampled_from(ATTRIBUTES), json_values, max_size=6),
    st.builds(
        lambda key, rest: {**rest, "targetingKey": key},
        st.sampled_from(["user-1", "user-2", "a", "é", "\ud800"]),
        st.dictionaries(st.sampled_from(ATTRIBUTES), json_values, max_size=5),
    ),
)


@st.composite
def leaves(draw):
    attribute, op = draw(st.sampled_from(ATTRIBUTES)), draw(st.sampled_from(OPERATORS))
    if op == "exists":
        return {"attribute": attribute, "op": op}
    operands = OPERANDS[KINDS.get(op, op)]
    leaf = {
        "attribute": attribute,
        "op": op,
        "values": draw(st.lists(st.sampled_from(operands), max_size=3)),
    }
    if op in ("in", "contains", "starts_with", "ends_with") and draw(st.booleans()):
        leaf["ignore_case"] = True
    return leaf


conditions = st.recursive(
    st.one_of(
        leaves(),
        leaves(),
        st.builds(lambda key: {"segment": key}, st.sampled_from(SEGMENT_KEYS + MISSING_KEYS)),
    ),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=5,
)

VARIATIONS = {
    "boolean": [{"key": "on", "value": True}, {"key": "off", "value": False}],
    "string": [{"key": "on", "value": "yes"}, {"key": "off", "value": ""}, {"key": "x", "value": "é"}],
    "integer": [{"key": "on", "value": 1.0}, {"key": "off", "value": -7}],
    "float": [{"key": "on", "value": 3}, {"key": "off", "value": 0.1}],
    "json": [{"key": "on", "value": {"a": [1]}}, {"key": "off", "value": None}],
}  # fmt: skip


@st.composite
def splits(draw, keys):
    shares, left = [], 100_000
    for key in draw(st.lists(st.sampled_from(keys), min_size=1, max_size=4)):
        share = draw(st.sampled_from([1, 10_000, 25_000, 50_000, left]))
        if 0 < share <= left:
            shares.append([key, share])
            left -= share
    split = {"salt": draw(st.sampled_from(["", "s", "é\ud800", "a:b"])), "shares": shares}
    if draw(st.booleans()):
        split["by"] = draw(st.sampled_from(BYS))
    return {"split": split}


def serves(keys):
    return st.one_of(st.builds(lambda key: {"variation": key}, st.sampled_from(keys)), splits(keys))


@st.composite
def flags(draw, key, others):
    flag_type = draw(st.sampled_from(list(VARIATIONS)))
    keys = [variation["key"] for variation in VARIATIONS[flag_type]]
    ids = st.lists(st.sampled_from(["user-1", "user-2", "a", ""]), max_size=2)
    rules = draw(
        st.lists(st.tuples(conditions, serves(keys)), max_size=draw(st.sampled_from([1, 3, 8])))
    )
    return a_flag(
        key,
        type=flag_type,
        version=draw(st.integers(1, 9)),
        variations=VARIATIONS[flag_type],
        enabled=draw(st.sampled_from([True, True, True, False])),
        off_variation=draw(st.sampled_from([*keys, None])),
        prerequisites=draw(
            st.lists(
                st.builds(
                    lambda flag, served: {"flag": flag, "variations": served},
                    st.sampled_from(others),
                    st.lists(st.sampled_from(["on", "off"]), max_size=2),
                ),
                max_size=2,
            )
        ),
        targets=draw(
            st.lists(
                st.builds(
                    lambda variation, by, listed: {"variation": variation, "by": by, "keys": listed},
                    st.sampled_from(keys),
                    st.sampled_from(BYS),
                    ids,
                ),
                max_size=2,
            )
        ),
        rules=[
            {"id": f"r{index}", "when": when, "serve": serve}
            for index, (when, serve) in enumerate(rules)
        ],
        fallthrough=draw(serves(keys)),
        client_visible=draw(st.booleans()),
    )  # fmt: skip


id_groups = st.lists(
    st.builds(
        lambda by, keys: {"by": by, "keys": keys},
        st.sampled_from(BYS),
        st.lists(st.sampled_from(["user-1", "user-2", "a", "ab"]), max_size=3),
    ),
    max_size=2,
)


@st.composite
def segments(draw, key):
    segment = {"key": key, "included": draw(id_groups), "excluded": draw(id_groups)}
    if draw(st.booleans()):
        segment["when"] = draw(conditions)
    return segment


@st.composite
def rulesets(draw):
    """Rulesets with everything, cycles and references to nothing included."""
    flag_keys = draw(st.lists(st.sampled_from(FLAG_KEYS), min_size=1, unique=True))
    segment_keys = draw(st.lists(st.sampled_from(SEGMENT_KEYS), unique=True))
    return a_ruleset(
        *[draw(flags(key, FLAG_KEYS + MISSING_KEYS)) for key in flag_keys],
        segments=[draw(segments(key)) for key in segment_keys],
    )

"""From JSON to definitions: what a flag or a segment says, checked once.

One reading serves two callers. Compiling stops at what makes a definition unusable (`broken`);
saving refuses that and, besides, what an evaluation could live with but nobody meant (`odd`).
"""

from dataclasses import dataclass, field
from typing import TypeGuard

from .buckets import BUCKETS, LARGEST_INTEGER, encoded, first_hash_past
from .context import DEEPEST, TARGETING_KEY
from .errors import Problem
from .operators import EXISTS, OPERATORS, PREPARE, TAKES_IGNORE_CASE, BadOperand, Test

TYPES = ("boolean", "string", "integer", "float", "json")
NOW = "now"

Path = tuple[str | int, ...]


@dataclass(slots=True)
class Notes:
    """What a reading found; `broken` makes a definition unusable, `odd` only unfit to be saved."""

    where: str = ""
    broken: list[Problem] = field(default_factory=list)
    odd: list[Problem] = field(default_factory=list)

    def broke(self, path: Path, message: str) -> None:
        self.broken.append(Problem(self._named(path), message))

    def noted(self, path: Path, message: str) -> None:
        self.odd.append(Problem(self._named(path), message))

    def _named(self, path: Path) -> str:
        text = self.where
        for step in path:
            text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
        return text


# Definitions


@dataclass(frozen=True, slots=True)
class Leaf:
    attribute: str
    op: str
    values: list[object] | None
    ignore_case: bool
    test: Test


@dataclass(frozen=True, slots=True)
class InSegment:
    key: str


@dataclass(frozen=True, slots=True)
class Not:
    inner: "Condition"


@dataclass(frozen=True, slots=True)
class All:
    inner: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Any:
    inner: "tuple[Condition, ...]"


Condition = Leaf | InSegment | Not | All | Any


@dataclass(frozen=True, slots=True)
class Variation:
    key: str
    value: object


@dataclass(frozen=True, slots=True)
class Share:
    variation: Variation
    below: int  # the first bucket that is not its own
    below_hash: int  # the same as a hash


@dataclass(frozen=True, slots=True)
class Split:
    by: str
    salt: str
    prefix: str  # what the text is hashed behind: the salt and a colon
    shares: tuple[Share, ...]


Serve = Variation | Split


@dataclass(frozen=True, slots=True)
class Prerequisite:
    flag: str
    variations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Target:
    variation: Variation
    by: str
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rule:
    id: str | None
    name: str | None
    when: Condition
    serve: Serve


@dataclass(frozen=True, slots=True)
class Flag:
    version: int | None
    type: str
    enabled: bool
    off: Variation | None
    prerequisites: tuple[Prerequisite, ...]
    targets: tuple[Target, ...]
    rules: tuple[Rule, ...]
    fallthrough: Serve


# Flags

_FLAG_MEMBERS = frozenset(
    {
        "key", "type", "version", "variations", "enabled", "off_variation", "prerequisites",
        "targets", "rules", "fallthrough", "client_visible",
    }
)  # fmt: skip


def read_flag(flag: object, notes: Notes) -> Flag | None:
    """The flag, or None with what is broken in `notes`."""
    if not _is_object(flag, (), _FLAG_MEMBERS, notes):
        return None
    _read_key(flag, notes)
    version = flag.get("version")
    if version is not None:
        version = whole_number(version)
        if version is None or version < 1:
            notes.broke(("version",), f"expected a positive integer, got {_shown(flag['version'])}")
    if not isinstance(flag.get("client_visible", False), bool):
        notes.broke(("client_visible",), _expected("true or false", flag["client_visible"]))
    enabled = flag.get("enabled")
    if not isinstance(enabled, bool):
        notes.broke(("enabled",), _expected("true or false", enabled))
    flag_type = flag.get("type")
    if flag_type not in TYPES or not isinstance(flag_type, str):
        notes.broke(("type",), _expected(f"one of {', '.join(TYPES)}", flag_type))
        return None
    variations = _read_variations(flag.get("variations"), flag_type, notes)
    off = None
    if flag.get("off_variation") is not None:
        off = _named_variation(flag["off_variation"], variations, ("off_variation",), notes)
    prerequisites = _read_prerequisites(flag.get("prerequisites"), notes)
    targets = _read_targets(flag.get("targets"), variations, notes)
    rules = _read_rules(flag.get("rules"), variations, notes)
    if "fallthrough" in flag:
        fallthrough = _read_serve(flag["fallthrough"], variations, ("fallthrough",), notes)
    else:
        fallthrough = None
        notes.broke(("fallthrough",), "expected a variation or a split, got nothing")
    if notes.broken or fallthrough is None:
        return None
    assert isinstance(enabled, bool)
    return Flag(version, flag_type, enabled, off, prerequisites, targets, rules, fallthrough)


def _read_key(definition: dict[str, object], notes: Notes) -> None:
    key = definition.get("key")
    if not isinstance(key, str) or not key:
        notes.noted(("key",), _expected("a key", key))


def _read_variations(raw: object, flag_type: str, notes: Notes) -> dict[str, Variation]:
    variations: dict[str, Variation] = {}
    for path, variation in _objects(raw, ("variations",), frozenset({"key", "value"}), notes):
        key = variation.get("key")
        if not isinstance(key, str) or not key:
            notes.broke((*path, "key"), _expected("a key", key))
            continue
        if key in variations:
            notes.broke((*path, "key"), f"expected keys that differ, got {_shown(key)} twice")
        if "value" not in variation:
            notes.broke((*path, "value"), f"expected a value of type {flag_type}, got nothing")
            continue
        value, is_valid = typed_value(variation["value"], flag_type)
        if not is_valid:
            expected = f"a value of type {flag_type}"
            if flag_type == "integer":
                expected += " within ±(2^53−1)"
            notes.broke((*path, "value"), _expected(expected, value))
        variations[key] = Variation(key, value)
    if not variations and isinstance(raw, list):
        notes.noted(("variations",), "expected at least one variation, got none")
    if raw is None:
        notes.broke(("variations",), "expected a list, got nothing")
    return variations


def typed_value(value: object, flag_type: str) -> tuple[object, bool]:
    """The value as its flag's type writes it, and whether it is of that type."""
    if flag_type == "json":
        return value, True
    if flag_type == "boolean":
        return value, isinstance(value, bool)
    if flag_type == "string":
        return value, isinstance(value, str)
    if flag_type == "integer":
        number = whole_number(value)
        return (value, False) if number is None else (number, True)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value, False
    try:
        double = float(value)
    except OverflowError:
        return value, False
    return double, double - double == 0  # neither infinite nor NaN


def whole_number(value: object) -> int | None:
    """An integer within ±(2^53−1), however the store wrote it; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not -LARGEST_INTEGER <= value <= LARGEST_INTEGER or value != int(value):
        return None
    return int(value)


def _named_variation(
    key: object, variations: dict[str, Variation], path: Path, notes: Notes
) -> Variation | None:
    variation = variations.get(key) if isinstance(key, str) else None
    if variation is None:
        known = ", ".join(map(_shown, variations)) or "none"
        notes.broke(path, f"expected a variation of the flag ({known}), got {_shown(key)}")
    return variation


def _read_prerequisites(raw: object, notes: Notes) -> tuple[Prerequisite, ...]:
    prerequisites = []
    members = frozenset({"flag", "variations"})
    for path, prerequisite in _objects(raw, ("prerequisites",), members, notes):
        flag = prerequisite.get("flag")
        if not isinstance(flag, str) or not flag:
            notes.broke((*path, "flag"), _expected("a flag's key", flag))
            continue
        variations = _strings(prerequisite.get("variations"), (*path, "variations"), notes)
        if variations is not None:
            if not variations:
                notes.noted((*path, "variations"), "expected at least one variation, got none")
            prerequisites.append(Prerequisite(flag, tuple(variations)))
    return tuple(prerequisites)


def _read_targets(
    raw: object, variations: dict[str, Variation], notes: Notes
) -> tuple[Target, ...]:
    targets = []
    seen: dict[tuple[str, str], int] = {}
    members = frozenset({"variation", "by", "keys"})
    for path, target in _objects(raw, ("targets",), members, notes):
        variation = _named_variation(
            target.get("variation"), variations, (*path, "variation"), notes
        )
        by = _read_by(target, path, notes)
        keys = _strings(target.get("keys"), (*path, "keys"), notes)
        if variation is None or by is None or keys is None:
            continue
        targets.append(Target(variation, by, _ids(keys, by)))
        place = int(path[-1])
        for key in keys:
            first = seen.setdefault((by, key), place)
            if first != place:
                notes.noted(
                    (*path, "keys"),
                    f"expected each id under one target, got {_shown(key)} here and under "
                    f"targets[{first}]",
                )
    return tuple(targets)


def _read_rules(raw: object, variations: dict[str, Variation], notes: Notes) -> tuple[Rule, ...]:
    rules = []
    ids: set[str] = set()
    members = frozenset({"id", "name", "when", "serve"})
    for path, rule in _objects(raw, ("rules",), members, notes):
        rule_id, name = rule.get("id"), rule.get("name")
        if rule_id is not None and not isinstance(rule_id, str):
            notes.broke((*path, "id"), _expected("a text", rule_id))
            continue
        if not rule_id:
            notes.noted((*path, "id"), _expected("an id", rule_id))
        elif rule_id in ids:
            notes.noted((*path, "id"), f"expected ids that differ, got {_shown(rule_id)} twice")
        else:
            ids.add(rule_id)
        if name is not None and not isinstance(name, str):
            notes.noted((*path, "name"), _expected("a text", name))
            name = None
        when = _read_member_condition(rule, path, notes)
        serve = None
        if "serve" in rule:
            serve = _read_serve(rule["serve"], variations, (*path, "serve"), notes)
        else:
            notes.broke((*path, "serve"), "expected a variation or a split, got nothing")
        if when is not None and serve is not None:
            rules.append(Rule(rule_id, name, when, serve))
    return tuple(rules)


def _read_serve(
    raw: object, variations: dict[str, Variation], path: Path, notes: Notes
) -> Serve | None:
    if not _is_object(raw, path, frozenset({"variation", "split"}), notes):
        return None
    if len(raw.keys() & {"variation", "split"}) != 1:
        notes.broke(path, "expected either a variation or a split")
        return None
    if "variation" in raw:
        return _named_variation(raw["variation"], variations, (*path, "variation"), notes)
    return _read_split(raw["split"], variations, (*path, "split"), notes)


def _read_split(
    raw: object, variations: dict[str, Variation], path: Path, notes: Notes
) -> Split | None:
    if not _is_object(raw, path, frozenset({"by", "salt", "shares", "hash"}), notes):
        return None
    if raw.get("hash") is not None:
        notes.broke((*path, "hash"), f"this engine knows no bucketing named {_shown(raw['hash'])}")
    by = _read_by(raw, path, notes)
    salt = raw.get("salt")
    if not isinstance(salt, str):
        notes.broke((*path, "salt"), _expected("a text", salt))
        salt = ""
    shares = _read_shares(raw.get("shares"), variations, (*path, "shares"), notes)
    if by is None or shares is None:
        return None
    return Split(by, salt, encoded(salt).decode() + ":", shares)


def _read_shares(
    raw: object, variations: dict[str, Variation], path: Path, notes: Notes
) -> tuple[Share, ...] | None:
    if not isinstance(raw, list):
        notes.broke(path, _expected("a list of [variation, share]", raw))
        return None
    if not raw:
        notes.noted(path, "expected at least one share, got none")
    shares = []
    total = 0
    for index, pair in enumerate(raw):
        place = (*path, index)
        if not isinstance(pair, list) or len(pair) != 2:
            notes.broke(place, _expected("[variation, share]", pair))
            continue
        variation = _named_variation(pair[0], variations, (*place, 0), notes)
        share = whole_number(pair[1])
        if share is None or share < 0:
            notes.broke(
                (*place, 1), _expected("a share in thousandths of a percent, 1 to 100000", pair[1])
            )
            continue
        if share == 0:
            notes.noted((*place, 1), "expected a share of at least 1, got 0")
        total += share
        if variation is not None and share:
            shares.append(Share(variation, total, first_hash_past(min(total, BUCKETS))))
    if total > BUCKETS:
        notes.broke(path, f"shares add up to {total}, expected {BUCKETS} at most")
        return None
    return tuple(shares)


def _read_by(raw: dict[str, object], path: Path, notes: Notes) -> str | None:
    by = raw.get("by", TARGETING_KEY)
    if not isinstance(by, str) or not by or by == NOW:
        notes.broke((*path, "by"), _expected("an attribute of the context", by))
        return None
    return by


# Conditions


def _read_member_condition(holder: dict[str, object], path: Path, notes: Notes) -> Condition | None:
    if "when" not in holder:
        notes.broke((*path, "when"), "expected a condition, got nothing")
        return None
    return read_condition(holder["when"], (*path, "when"), notes)


_KINDS = ("all", "any", "not", "segment", "attribute")
_LEAF_MEMBERS = frozenset({"attribute", "op", "values", "ignore_case"})


def read_condition(raw: object, path: Path, notes: Notes, depth: int = 1) -> Condition | None:
    """The condition, or None with what is broken in `notes`."""
    if depth > DEEPEST:
        notes.broke(path, f"expected conditions nested at most {DEEPEST} deep")
        return None
    if not isinstance(raw, dict):
        notes.broke(path, _expected("a condition", raw))
        return None
    kinds = [kind for kind in _KINDS if kind in raw]
    if len(kinds) != 1:
        notes.broke(path, f"expected one of {', '.join(_KINDS)}, got {', '.join(kinds) or 'none'}")
        return None
    kind = kinds[0]
    _note_unknown(raw, _LEAF_MEMBERS if kind == "attribute" else frozenset({kind}), path, notes)
    if kind == "attribute":
        return _read_leaf(raw, path, notes)
    if kind == "segment":
        key = raw["segment"]
        if not isinstance(key, str) or not key:
            notes.broke((*path, "segment"), _expected("a segment's key", key))
            return None
        return InSegment(key)
    if kind == "not":
        inner = read_condition(raw["not"], (*path, "not"), notes, depth + 1)
        return None if inner is None else Not(inner)
    if not isinstance(raw[kind], list):
        notes.broke((*path, kind), _expected("a list of conditions", raw[kind]))
        return None
    conditions = []
    for index, child in enumerate(raw[kind]):
        condition = read_condition(child, (*path, kind, index), notes, depth + 1)
        if condition is not None:
            conditions.append(condition)
    return All(tuple(conditions)) if kind == "all" else Any(tuple(conditions))


def _read_leaf(raw: dict[str, object], path: Path, notes: Notes) -> Leaf | None:
    attribute, op = raw["attribute"], raw.get("op")
    if not isinstance(attribute, str) or not attribute:
        notes.broke((*path, "attribute"), _expected("an attribute's name", attribute))
        return None
    if not isinstance(op, str) or op not in OPERATORS:
        notes.broke((*path, "op"), _expected(f"one of {', '.join(sorted(OPERATORS))}", op))
        return None
    ignore_case = raw.get("ignore_case", False)
    if not isinstance(ignore_case, bool):
        notes.broke((*path, "ignore_case"), _expected("true or false", ignore_case))
        return None
    if ignore_case and op not in TAKES_IGNORE_CASE:
        notes.noted((*path, "ignore_case"), f"{op} takes no ignore_case")
    if op == "exists":
        if "values" in raw:
            notes.noted((*path, "values"), "exists takes no values")
        return Leaf(attribute, op, None, ignore_case=False, test=EXISTS)
    values = raw.get("values")
    if not isinstance(values, list):
        notes.broke((*path, "values"), _expected("a list", values))
        return None
    try:
        test = PREPARE[op](values, ignore_case=ignore_case)
    except BadOperand as refusal:
        shown = _shown(values[refusal.index])
        notes.broke((*path, "values", refusal.index), f"{refusal}, got {shown}")
        return None
    return Leaf(attribute, op, values, ignore_case=ignore_case, test=test)


# Segments

_SEGMENT_MEMBERS = frozenset({"key", "included", "excluded", "when"})


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment without its id lists, which live apart because they are large."""

    when: Condition | None


def read_segment(segment: object, notes: Notes) -> Segment | None:
    """The segment, or None with what is broken in `notes`."""
    if not _is_object(segment, (), _SEGMENT_MEMBERS, notes):
        return None
    _read_key(segment, notes)
    when = None
    if segment.get("when") is not None:
        when = read_condition(segment["when"], ("when",), notes)
    return None if notes.broken else Segment(when)


def read_id_lists(raw: object, path: Path, notes: Notes) -> dict[str, frozenset[str]]:
    """The ids of `included` or `excluded` by the attribute they are listed by."""
    lists: dict[str, frozenset[str]] = {}
    for place, group in _objects(raw, path, frozenset({"by", "keys"}), notes):
        by = _read_by(group, place, notes)
        keys = _strings(group.get("keys"), (*place, "keys"), notes)
        if by is not None and keys is not None:
            ids = _ids(keys, by)
            lists[by] = lists[by] | ids if by in lists else ids
    return lists


def _ids(keys: list[str], by: str) -> frozenset[str]:
    """The ids of a list; an empty targeting key counts as missing, so that no list has it."""
    ids = frozenset(keys)
    return ids - {""} if by == TARGETING_KEY and "" in ids else ids


# Pieces


def _is_object(
    raw: object, path: Path, members: frozenset[str], notes: Notes
) -> TypeGuard[dict[str, object]]:
    if not isinstance(raw, dict):
        notes.broke(path, _expected("an object", raw))
        return False
    _note_unknown(raw, members, path, notes)
    return True


def _note_unknown(
    raw: dict[str, object], members: frozenset[str], path: Path, notes: Notes
) -> None:
    if not raw.keys() <= members:
        for member in raw.keys() - members:
            expected = ", ".join(sorted(members))
            notes.noted(path, f"unknown member {_shown(member)}, expected {expected}")


def _objects(
    raw: object, path: Path, members: frozenset[str], notes: Notes
) -> list[tuple[Path, dict[str, object]]]:
    if raw is None:
        return []
    if not isinstance(raw, list):
        notes.broke(path, _expected("a list", raw))
        return []
    return [
        ((*path, index), item)
        for index, item in enumerate(raw)
        if _is_object(item, (*path, index), members, notes)
    ]


def _strings(raw: object, path: Path, notes: Notes) -> list[str] | None:
    if not isinstance(raw, list):
        notes.broke(path, _expected("a list of texts", raw))
        return None
    if not {str}.issuperset(map(type, raw)):
        for index, item in enumerate(raw):
            if not isinstance(item, str):
                notes.broke((*path, index), _expected("a text", item))
        return None
    return raw


def _expected(what: str, came: object) -> str:
    return f"expected {what}, got {_shown(came)}"


def _shown(value: object) -> str:
    """A value for a message: short, whatever it is."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int) and not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 80 else f"{text[:77]}…"

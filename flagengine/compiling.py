"""From definitions to functions (docs/adr/0003-compiled-rulesets.md).

A definition becomes Python source in the shape of its rules, with every text and number of the
ruleset left out: source is built from the templates of this package and from names counted here
(`k0`, `r1`, …). The ruleset's own text goes in as arguments of the function that the source
defines, so it is never parsed, whatever it says. Definitions of one shape share their source, and
source is turned into code once.

What depends on the rest of the ruleset (results with the environment's version, segments,
prerequisites) is bound later by `Piece.bind`, which costs a few microseconds.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any as Anything

from .buckets import HASHES, hash_of, murmur3, subject_of, text_of
from .context import TARGETING_KEY, Context, reader_of
from .id_lists import IdList
from .reading import (
    NOW,
    All,
    Any,
    Condition,
    Flag,
    InSegment,
    Leaf,
    Not,
    Rule,
    Segment,
    Serve,
    Split,
    Variation,
)
from .result import (
    DEFAULT,
    DISABLED,
    ERROR,
    PREREQUISITE_FAILED,
    SPLIT,
    STATIC,
    TARGETING_KEY_MISSING,
    TARGETING_MATCH,
    Result,
)

# A function of more conditions than this is cut into several, so that the time the Python compiler
# takes grows with the number of different shapes and not with the number of conditions.
LARGEST_FUNCTION = 24


class Moment:
    """What one evaluation knows besides the context; None in its place when it needs nothing."""

    __slots__ = ("memo", "now")

    def __init__(self, now: float | None, memo: dict[str, Anything] | None = None) -> None:
        self.now = now
        self.memo = memo if memo is not None else {}


Run = Callable[[Context, "Moment | None"], Anything]
Answer = Callable[[Anything], object]  # from a Result; never to None
ResultTemplate = tuple[object, str | None, str, str | None, str | None, str | None, str | None]


@dataclass(slots=True)
class Piece:
    """A compiled function that waits for what only a whole ruleset can give."""

    make: Callable[..., Run]
    constants: tuple[object, ...]
    results: tuple[ResultTemplate, ...]
    segments: tuple[str, ...]
    flags: tuple[str, ...]
    pieces: "tuple[Piece, ...]"
    reads_clock: bool

    def bind(
        self,
        flag_version: int | None,
        environment_version: int,
        segment: Callable[[str], Run],
        flag: Callable[[str], Run],
        answer: Answer | None = None,
    ) -> Run:
        """The function, answering for one ruleset with its results, or with what `answer` makes."""
        results: list[object] = [
            Result(value, variation, reason, rule, flag_version, environment_version, *error)
            for value, variation, reason, rule, *error in self.results
        ]
        return self.make(
            *self.constants,
            *(results if answer is None else map(answer, results)),
            *map(segment, self.segments),
            *map(flag, self.flags),
            *[
                piece.bind(flag_version, environment_version, segment, flag, answer)
                for piece in self.pieces
            ],
        )


def conditions_in(condition: Condition) -> Iterator[Condition]:
    """The condition and everything inside it."""
    yield condition
    if isinstance(condition, Not):
        yield from conditions_in(condition.inner)
    elif isinstance(condition, All | Any):
        for inner in condition.inner:
            yield from conditions_in(inner)


def compile_flag(flag: Flag) -> Piece:
    """The function that evaluates the flag: (context, moment) → Result."""
    source = _Source()
    if not flag.enabled:
        source.line(f"return {source.result(flag.off, DISABLED)}")
        return source.piece()
    for prerequisite in flag.prerequisites:
        failed = source.result(flag.off, PREREQUISITE_FAILED, prerequisite=prerequisite.flag)
        listed = source.constant(frozenset(prerequisite.variations))
        source.line(f"if {source.flag(prerequisite.flag)}(c, e)[1] not in {listed}:")
        source.line(f"    return {failed}")
    for target in flag.targets:
        value = source.listed_value(target.by)
        source.line(f"if {source.is_listed(value, IdList(target.keys))}:")
        source.line(f"    return {source.result(target.variation, TARGETING_MATCH)}")
    if sum(_size(rule.when) for rule in flag.rules) > LARGEST_FUNCTION:
        _add_rules_as_loop(source, flag)
    else:
        for index, rule in enumerate(flag.rules):
            later = {name for each in flag.rules[index + 1 :] for name in _attributes_in(each.when)}
            for attribute in _attributes_in(rule.when):
                if attribute in later:
                    source.read_ahead(attribute)
            _add_rule(source, rule)
    if isinstance(flag.fallthrough, Variation):
        is_static = not (flag.rules or flag.targets or flag.prerequisites)
        reason = STATIC if is_static else DEFAULT
        source.line(f"return {source.result(flag.fallthrough, reason)}")
    else:
        source.split(flag.fallthrough, rule=None)
        if not _serves_everyone(flag.fallthrough):
            source.line(f"return {source.result(flag.off, DEFAULT)}")
    return source.piece()


def compile_segment(
    segment: Segment,
    included: Mapping[str, IdList],
    excluded: Mapping[str, IdList],
) -> Piece:
    """The function that tells who is in the segment: (context, moment) → bool."""
    source = _Source()
    for lists, answer in ((excluded, "False"), (included, "True")):
        for by, ids in lists.items():
            value = source.listed_value(by)
            source.line(f"if {source.is_listed(value, ids)}:")
            source.line(f"    return {answer}")
    source.line(f"return {source.condition(segment.when)}" if segment.when else "return False")
    return source.piece()


def _add_rule(source: "_Source", rule: Rule) -> None:
    code, if_true, if_false = source.expression(rule.when, source.defined)
    source.line(f"if {code}:")
    source.indent += 1
    source.serve(rule.serve, rule.id)
    source.indent -= 1
    # A split may yield nothing, so that the next line is also reached when the condition held.
    source.defined = if_true & if_false if isinstance(rule.serve, Split) else if_false


def _add_rules_as_loop(source: "_Source", flag: Flag) -> None:
    """Many rules: the condition of each a function of its own, tried in order."""
    steps = []
    for rule in flag.rules:
        condition = _Source()
        condition.line(f"return {condition.condition(rule.when)}")
        holds = source.nested(condition.piece())
        if isinstance(rule.serve, Variation):
            result = source.result(rule.serve, TARGETING_MATCH, rule=rule.id)
            steps.append(f"({holds}, {result}, None)")
        else:
            serve = _Source()
            serve.split(rule.serve, rule=rule.id)
            serve.line("return None")
            steps.append(f"({holds}, None, {source.nested(serve.piece())})")
    source.preparation.append(f"rules = ({', '.join(steps)},)")
    source.line("for holds, x, serve in rules:")
    source.line("    if holds(c, e):")
    source.line("        if serve is not None:")
    source.line("            x = serve(c, e)")
    source.line("        if x is not None:")
    source.line("            return x")


@dataclass(slots=True)
class _Source:
    """The body of one function and the arguments it needs, as they are found."""

    lines: list[str] = field(default_factory=list)
    indent: int = 2
    defined: frozenset[str] = frozenset()  # the variables surely assigned at this line
    variables: dict[str, str] = field(default_factory=dict)  # attribute → variable
    constants: list[object] = field(default_factory=list)
    results: list[ResultTemplate] = field(default_factory=list)
    segments: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    preparation: list[str] = field(default_factory=list)
    reads_clock: bool = False

    def piece(self) -> Piece:
        names = [
            *(f"k{index}" for index in range(len(self.constants))),
            *(f"r{index}" for index in range(len(self.results))),
            *(f"s{index}" for index in range(len(self.segments))),
            *(f"f{index}" for index in range(len(self.flags))),
            *(f"p{index}" for index in range(len(self.pieces))),
        ]
        text = "\n".join(
            [
                f"def make({', '.join(names)}):",
                *(f"    {line}" for line in self.preparation),
                "    def run(c, e):",
                *self.lines,
                "    return run",
            ]
        )
        return Piece(
            factory(text),
            tuple(self.constants),
            tuple(self.results),
            tuple(self.segments),
            tuple(self.flags),
            tuple(self.pieces),
            self.reads_clock or any(piece.reads_clock for piece in self.pieces),
        )

    # Names for what is not text of ours

    def constant(self, value: object) -> str:
        self.constants.append(value)
        return f"k{len(self.constants) - 1}"

    def result(
        self,
        variation: Variation | None,
        reason: str,
        *,
        rule: str | None = None,
        error: tuple[str, str] | None = None,
        prerequisite: str | None = None,
    ) -> str:
        value, key = (None, None) if variation is None else (variation.value, variation.key)
        self.results.append((value, key, reason, rule, *(error or (None, None)), prerequisite))
        return f"r{len(self.results) - 1}"

    def segment(self, key: str) -> str:
        if key not in self.segments:
            self.segments.append(key)
        return f"s{self.segments.index(key)}"

    def flag(self, key: str) -> str:
        self.flags.append(key)
        return f"f{len(self.flags) - 1}"

    def nested(self, piece: Piece) -> str:
        self.pieces.append(piece)
        return f"p{len(self.pieces) - 1}"

    def variable(self, attribute: str) -> str:
        return self.variables.setdefault(attribute, f"v{len(self.variables)}")

    # Statements

    def line(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    def listed_value(self, attribute: str) -> str:
        """Read an attribute that is looked up in lists into its variable, unless that is done."""
        # An empty targeting key is in no list, so that it need not be told from a missing one.
        if attribute == TARGETING_KEY:
            variable, code = "t", f"c.get({self.constant(TARGETING_KEY)})"
        else:
            variable, code = self.variable(attribute), self.read(attribute)
        if variable not in self.defined:
            self.line(f"{variable} = {code}")
            self.defined |= {variable}
        return variable

    def read_ahead(self, attribute: str) -> None:
        """Read an attribute now, unless that is done, since several rules want it.

        Within a rule it would be read where it is needed first, which is not sure to be reached:
        the next rule would have to read it again.
        """
        variable = self.variable(attribute)
        if variable not in self.defined:
            self.line(f"{variable} = {self.read(attribute)}")
            self.defined |= {variable}

    def is_listed(self, value: str, ids: IdList) -> str:
        """Whether the value of a variable is in the list, as an expression."""
        listed = f"{value} in {self.constant(ids.base)}"
        if ids.removed:
            listed += f" and {value} not in {self.constant(ids.removed)}"
        if ids.added:
            listed += f" or {value} in {self.constant(ids.added)}"
        # What is no plain text may be a subclass of it, or not even hashable.
        holds = self.constant(ids.holds)
        return f"({listed}) if type({value}) is str else {value} is not None and {holds}({value})"

    def read(self, attribute: str) -> str:
        reader = reader_of(attribute)
        if reader is not None:
            return f"{self.constant(reader)}(c)"
        return f"c.get({self.constant(attribute)})"

    def serve(self, serve: Serve, rule: str | None) -> None:
        if isinstance(serve, Variation):
            self.line(f"return {self.result(serve, TARGETING_MATCH, rule=rule)}")
        else:
            self.split(serve, rule=rule)

    def split(self, split: Split, *, rule: str | None) -> None:
        """Return the variation of the subject's bucket, or go on."""
        prefix = self.constant(split.prefix)
        if split.by == TARGETING_KEY:
            message = f"the context has no {TARGETING_KEY}, which a split of the flag needs"
            missing = self.result(None, ERROR, error=(TARGETING_KEY_MISSING, message))
            self.line(f"t = c.get({self.constant(TARGETING_KEY)})")
            self.line("if type(t) is not str:")
            self.line(f"    t = {self.constant(subject_of)}(t)")
            self.line("if not t:")
            self.line(f"    return {missing}")
        else:
            self.line(f"t = {self.read(split.by)}")
            self.line("if type(t) is not str:")
            self.line(f"    t = {self.constant(text_of)}(t)")
            self.line("if t is not None:")
            self.indent += 1
        self.line("try:")
        self.line(f"    h = {self.constant(murmur3)}(({prefix} + t).encode())")
        self.line("except UnicodeEncodeError:")
        self.line(f"    h = {self.constant(hash_of)}({prefix}, t)")
        for share in split.shares:
            served = self.result(share.variation, SPLIT, rule=rule)
            if share.below_hash >= HASHES:
                self.line(f"return {served}")
                break
            self.line(f"if h < {self.constant(share.below_hash)}:")
            self.line(f"    return {served}")
        if split.by != TARGETING_KEY:
            self.indent -= 1

    # Conditions

    def condition(self, condition: Condition) -> str:
        code, _, _ = self.expression(condition, self.defined)
        return code

    def expression(
        self, condition: Condition, defined: frozenset[str]
    ) -> tuple[str, frozenset[str], frozenset[str]]:
        """The condition as an expression, and the variables assigned if it holds and if not.

        An attribute is read where it is needed first, and never twice where that is sure.
        """
        if isinstance(condition, Leaf):
            code, after = self._leaf(condition, defined)
            return code, after, after
        if isinstance(condition, InSegment):
            return f"{self.segment(condition.key)}(c, e)", defined, defined
        if isinstance(condition, Not):
            code, if_true, if_false = self.expression(condition.inner, defined)
            return f"(not {code})", if_false, if_true
        is_all = isinstance(condition, All)
        if not condition.inner:
            return str(is_all), defined, defined
        parts = []
        reached, left = defined, None
        is_large = _size(condition) > LARGEST_FUNCTION and len(condition.inner) > 1
        for inner in _portions(condition) if is_large else condition.inner:
            if is_large:
                part = _Source()
                part.line(f"return {part.condition(inner)}")
                parts.append(f"{self.nested(part.piece())}(c, e)")
                if_true = if_false = reached
            else:
                code, if_true, if_false = self.expression(inner, reached)
                parts.append(code)
            leaving = if_false if is_all else if_true
            left = leaving if left is None else left & leaving
            reached = if_true if is_all else if_false
        assert left is not None
        code = f"({(' and ' if is_all else ' or ').join(parts)})"
        return (code, reached, left) if is_all else (code, left, reached)

    def _leaf(self, leaf: Leaf, defined: frozenset[str]) -> tuple[str, frozenset[str]]:
        test = leaf.test
        if leaf.attribute == NOW:
            self.reads_clock = True
            return f"{self.constant(test.holds)}(e.now)", defined
        variable = self.variable(leaf.attribute)
        first = variable
        if variable not in defined:
            first = f"({variable} := {self.read(leaf.attribute)})"
        after = defined | {variable}
        if test.expression is None:
            return f"{self.constant(test.holds)}({first})", after
        if "{" not in test.expression:
            return test.expression, defined
        holds = self.constant(test.holds) if "{holds}" in test.expression else ""
        operand = self.constant(test.operand) if "{0}" in test.expression else ""
        return test.expression.format(operand, first=first, value=variable, holds=holds), after


def _serves_everyone(split: Split) -> bool:
    """Whether a split always ends the evaluation, in a variation or in an error."""
    is_whole = bool(split.shares) and split.shares[-1].below_hash >= HASHES
    return is_whole and split.by == TARGETING_KEY


def _attributes_in(condition: Condition) -> dict[str, None]:
    """The attributes whose value decides, in the order they are mentioned."""
    leaves = [each for each in conditions_in(condition) if isinstance(each, Leaf)]
    return {leaf.attribute: None for leaf in leaves if leaf.attribute != NOW}


def _size(condition: Condition) -> int:
    return sum(1 for _ in conditions_in(condition))


def _portions(condition: All | Any) -> list[Condition]:
    """A large condition as at most eight of the same kind, which mean the same in their order."""
    width = -(-len(condition.inner) // 8)
    groups = [
        condition.inner[start : start + width] for start in range(0, len(condition.inner), width)
    ]
    return [group[0] if len(group) == 1 else type(condition)(group) for group in groups]


@lru_cache(maxsize=4096)
def factory(source: str) -> Callable[..., Run]:
    """The `make` that the source defines; definitions of one shape share it."""
    namespace: dict[str, Anything] = {}
    # The source holds no text of a ruleset: docs/adr/0003-compiled-rulesets.md says why and how.
    exec(compile(source, "<flagengine>", "exec"), namespace)  # noqa: S102
    made: Callable[..., Run] = namespace["make"]
    return made

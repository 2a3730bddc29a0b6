"""From compiled definitions to functions that answer for one ruleset.

Binding resolves what a flag refers to: its segments, its prerequisites, the environment's version.
It happens when a flag of a ruleset is asked for first.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from .compiling import Answer, Moment, Run
from .context import Context
from .definitions import FlagDefinition, SegmentDefinition
from .instants import now_in
from .result import ERROR, GENERAL, PREREQUISITE_FAILED, Result

# References are followed by plain calls as long as they are few. Deeper or more often joined ones
# (each of n flags requiring the next twice makes 2^n ways) are worked out one by one, in order.
DEEPEST_CALLS = 32
MOST_WAYS = 256


class Bound(NamedTuple):
    """A function of this ruleset, and what calling it takes."""

    run: Run
    reads_clock: bool
    depth: int  # calls below one another
    ways: int  # calls in all, were nothing remembered


class Binder:
    """The functions of one ruleset, made as they are asked for.

    Safe to use from several threads: at worst the same function is made twice.
    """

    def __init__(
        self,
        version: int,
        flags: Mapping[str, FlagDefinition],
        segments: Mapping[str, SegmentDefinition],
    ) -> None:
        self.version = version
        self.flags = flags
        self.segments = segments
        self._flags: dict[str, Bound] = {}
        self._segments: dict[str, Bound] = {}
        self._faults: dict[str, str | None] = {}

    # Flags

    def flag(self, key: str) -> Bound:
        """The function that evaluates a flag of the ruleset, and nothing around it."""
        bound = self._flags.get(key)
        if bound is None:
            bound = self._flags[key] = self.answering_flag(key, None)
        return bound

    def answering_flag(self, key: str, answer: Answer | None) -> Bound:
        """The same, made anew with what `answer` makes of each result in place of the result."""
        order, cycle = references_in_order(key, self._prerequisites_of)
        if cycle is not None:
            fault = f"prerequisites lead into a cycle: {' → '.join(cycle)}"
            return self._faulty(key, fault, answer)
        for name in order[:-1]:
            if name not in self._flags:
                self._flags[name] = self._bind_flag(name, None)
        return self._bind_flag(key, answer)

    def _bind_flag(self, key: str, answer: Answer | None) -> Bound:
        """Bind a flag whose prerequisites are bound already."""
        definition = self.flags[key]
        piece = definition.piece
        fault = definition.fault or self._fault_of_segments(definition.segments)
        if piece is None or fault is not None:
            return self._faulty(key, fault or "", answer)
        parts = [self._flags[name] for name in piece.flags if name in self._flags]
        segments = [self.segment(name) for name in definition.segments]
        depth = 1 + max((part.depth for part in parts), default=0)
        ways = min(1 + sum(part.ways for part in parts), MOST_WAYS + 1)
        reads_clock = piece.reads_clock or any(part.reads_clock for part in (*parts, *segments))
        if depth <= DEEPEST_CALLS and ways <= MOST_WAYS:
            run = piece.bind(
                definition.version, self.version, self._run_segment, self._prerequisite, answer
            )
            return Bound(run, reads_clock, depth, ways)
        # Whoever requires this flag is worked out in order, too: hence one way too many.
        run = self._in_order(key, self._prerequisites_of, self._flag_step)
        if answer is not None:
            run = answered_by(run, answer)
        return Bound(run, reads_clock, 1, MOST_WAYS + 1)

    def _flag_step(self, key: str) -> Run:
        """A flag that finds its prerequisites in the memo."""
        definition = self.flags[key]
        if definition.piece is None or self._fault_of_segments(definition.segments) is not None:
            return self._flags[key].run
        return definition.piece.bind(
            definition.version, self.version, self._run_segment, self._remembered_prerequisite
        )

    def _prerequisites_of(self, key: str) -> Iterable[str]:
        return [name for name in self.flags[key].prerequisites if name in self.flags]

    def _prerequisite(self, key: str) -> Run:
        return self._flags[key].run if self._can_serve(key) else never_serves

    def _remembered_prerequisite(self, key: str) -> Run:
        return remembered(key) if self._can_serve(key) else never_serves

    def _can_serve(self, key: str) -> bool:
        """Whether a prerequisite may be met at all: it is there, readable and enabled."""
        definition = self.flags.get(key)
        return definition is not None and definition.flag is not None and definition.flag.enabled

    def _faulty(self, key: str, fault: str, answer: Answer | None) -> Bound:
        flag_version = self.flags[key].version
        result = Result(None, None, ERROR, None, flag_version, self.version, GENERAL, fault)
        answered = result if answer is None else answer(result)
        return Bound(lambda context, moment: answered, False, 1, 1)

    # Segments

    def segment(self, key: str) -> Bound:
        """The function that tells who is in a segment; in one that does not exist is nobody."""
        bound = self._segments.get(key)
        if bound is not None:
            return bound
        if key not in self.segments:
            return Bound(nobody, False, 1, 1)
        order, _ = references_in_order(key, self._segments_of)
        for name in order:
            if name not in self._segments:
                self._segments[name] = self._bind_segment(name)
        return self._segments[key]

    def _bind_segment(self, key: str) -> Bound:
        """Bind a segment without fault whose own segments are bound already."""
        definition = self.segments[key]
        piece = definition.piece
        assert piece is not None
        parts = [self._segments[name] for name in definition.segments if name in self._segments]
        depth = 1 + max((part.depth for part in parts), default=0)
        ways = min(1 + sum(part.ways for part in parts), MOST_WAYS + 1)
        reads_clock = piece.reads_clock or any(part.reads_clock for part in parts)
        if depth <= DEEPEST_CALLS and ways <= MOST_WAYS:
            run = piece.bind(None, self.version, self._run_segment, self._prerequisite)
            return Bound(run, reads_clock, depth, ways)
        run = self._in_order(key, self._segments_of, self._segment_step)
        return Bound(run, reads_clock, 1, MOST_WAYS + 1)

    def _segment_step(self, key: str) -> Run:
        """A segment without fault that finds its own segments in the memo."""
        piece = self.segments[key].piece
        assert piece is not None
        return piece.bind(None, self.version, self._remembered_segment, self._prerequisite)

    def _segments_of(self, key: str) -> Iterable[str]:
        return [name for name in self.segments[key].segments if name in self.segments]

    def _run_segment(self, key: str) -> Run:
        return self.segment(key).run

    def _remembered_segment(self, key: str) -> Run:
        return remembered(key) if key in self.segments else nobody

    def _fault_of_segments(self, keys: Iterable[str]) -> str | None:
        """Why a flag that uses these segments cannot be evaluated; None when it can."""
        for key in keys:
            fault = self._fault_of_segment(key)
            if fault is not None:
                return fault
        return None

    def _fault_of_segment(self, key: str) -> str | None:
        if key not in self.segments:
            return None
        if key not in self._faults:
            order, cycle = references_in_order(key, self._segments_of)
            fault = None
            if cycle is not None:
                fault = f"segments lead into a cycle: {' → '.join(cycle)}"
            for name in order:
                own = self.segments[name].fault
                if fault is None and own is not None:
                    fault = f"segment {name}: {own}"
            self._faults[key] = fault
        return self._faults[key]

    # Both

    def _in_order(
        self,
        key: str,
        references_of: Callable[[str], Iterable[str]],
        step_of: Callable[[str], Run],
    ) -> Run:
        """Run all that `key` leads to one by one; each finds the answers before it in the memo."""
        steps: list[tuple[str, Run]] = []

        def run(context: Context, moment: Moment | None) -> object:
            nonlocal steps
            if not steps:
                order, _ = references_in_order(key, references_of)
                steps = [(name, step_of(name)) for name in order]
            inner = Moment(None if moment is None else moment.now)
            answer: object = None
            for name, step in steps:
                answer = inner.memo[name] = step(context, inner)
            return answer

        return run


def references_in_order(
    key: str, references_of: Callable[[str], Iterable[str]]
) -> tuple[list[str], list[str] | None]:
    """Everything `key` leads to, what is referred to first, `key` last; and a cycle, if any.

    Without recursion: a chain of ten thousand is no reason to fail.
    """
    order: list[str] = []
    finished: set[str] = set()
    trail: dict[str, None] = {key: None}  # from `key` to where we are
    waiting = [iter(references_of(key))]
    while waiting:
        name = next(waiting[-1], None)
        if name is None:
            waiting.pop()
            done, _ = trail.popitem()
            finished.add(done)
            order.append(done)
        elif name in trail:
            steps = list(trail)
            return [], [*steps[steps.index(name) :], name]
        elif name not in finished:
            trail[name] = None
            waiting.append(iter(references_of(name)))
    return order, None


def remembered(key: str) -> Run:
    def run(context: Context, moment: Moment | None) -> object:
        assert moment is not None
        return moment.memo[key]

    return run


_NOTHING = Result(None, None, PREREQUISITE_FAILED, None, None, 0)


def never_serves(context: Context, moment: Moment | None) -> Result:
    """What a prerequisite that is missing, broken or disabled serves."""
    return _NOTHING


def nobody(context: Context, moment: Moment | None) -> bool:
    return False


def answered_by(run: Run, answer: Answer) -> Run:
    return lambda context, moment: answer(run(context, moment))


def with_clock(run: Run, clock: Callable[[], float], *, context_sets_now: bool) -> Run:
    """The function, told the time: once for the whole evaluation, so that it sees one instant."""

    def run_now(context: Context, moment: Moment | None) -> object:
        if moment is None:
            now = now_in(context) if context_sets_now else None
            moment = Moment(clock() if now is None else now)
        return run(context, moment)

    return run_now

"""A ruleset, compiled: what the server and the SDK evaluate with."""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from gc import is_tracked
from types import MappingProxyType
from typing import Any as Anything
from typing import TypeVar

from .binding import Binder, Bound, with_clock
from .compiling import Moment, Run
from .context import TARGETING_KEY, Context, checked
from .definitions import FlagDefinition, SegmentDefinition
from .errors import DeltaMismatch, InvalidRuleset
from .explanation import Explanation, explained
from .instants import now_in
from .reading import whole_number
from .result import ERROR, FLAG_NOT_FOUND, INVALID_CONTEXT, Result

Answer = TypeVar("Answer")

_BAD_CONTEXT = "expected a context that is a JSON object nested at most 64 deep"


class Ruleset:
    """An immutable snapshot of one environment, ready to evaluate.

    Flags are compiled when they are first asked for (`warm` does it ahead), and once: `advance`
    carries everything that did not change over to the new ruleset. All methods may be called from
    any thread.
    """

    __slots__ = (
        "_binder",
        "_clock",
        "_context_sets_now",
        "_everything",
        "_flags",
        "_flips",
        "_runs",
        "_segments",
        "digest",
        "environment",
        "version",
    )

    def __init__(
        self,
        *,
        environment: str,
        version: int,
        digest: str,
        flags: dict[str, FlagDefinition],
        segments: dict[str, SegmentDefinition],
        clock: Callable[[], float],
        context_sets_now: bool,
    ) -> None:
        self.environment = environment
        self.version = version
        self.digest = digest
        self._flags = flags
        self._segments = segments
        self._clock = clock
        self._context_sets_now = context_sets_now
        self._binder = Binder(version, flags, segments)
        self._runs: dict[str, Run] = {}
        self._everything: dict[bool, list[tuple[str, Run]]] = {}
        self._flips: list[float] | None = None

    @classmethod
    def compile(
        cls, document: object, *, clock: Callable[[], float], context_sets_now: bool = False
    ) -> "Ruleset":
        """The ruleset a document says, with `clock` telling Unix seconds for `now` conditions.

        A flag or segment that cannot be read never fails the whole: it answers an error, alone.
        With `context_sets_now` a `now` in a context comes before the clock: only for callers that
        may choose the time. Raises InvalidRuleset when the document is no ruleset at all.
        """
        if not isinstance(document, dict):
            raise InvalidRuleset(f"expected an object, got {type(document).__name__}")
        environment = document.get("environment")
        if not isinstance(environment, str):
            raise InvalidRuleset("environment: expected a text")
        version, digest = _version_in(document, InvalidRuleset)
        tables = []
        for member in ("flags", "segments"):
            table = document.get(member)
            if not isinstance(table, dict):
                raise InvalidRuleset(f"{member}: expected an object of {member} by key")
            tables.append(table)
        flags, segments = tables
        return cls(
            environment=environment,
            version=version,
            digest=digest,
            flags={key: FlagDefinition(key, flag) for key, flag in flags.items()},
            segments={key: SegmentDefinition(key, segment) for key, segment in segments.items()},
            clock=clock,
            context_sets_now=context_sets_now,
        )

    def advance(self, delta: object) -> "Ruleset":
        """A new ruleset with the delta applied; this one stays as it is.

        Raises DeltaMismatch unless the delta follows this very state and says nothing unknown.
        """
        if not isinstance(delta, dict) or not isinstance(delta.get("changes"), list):
            raise DeltaMismatch("expected a delta with a list of changes")
        if delta.get("previous") != self.state:
            raise DeltaMismatch(f"expected a delta for {self.state}, got {delta.get('previous')!r}")
        version, digest = _version_in(delta, DeltaMismatch)
        if version != self.version + 1:
            raise DeltaMismatch(f"expected version {self.version + 1}, got {version}")
        flags, segments = dict(self._flags), dict(self._segments)
        for index, change in enumerate(delta["changes"]):
            _apply(change, flags, segments, where=f"changes[{index}]")
        return Ruleset(
            environment=self.environment,
            version=version,
            digest=digest,
            flags=flags,
            segments=segments,
            clock=self._clock,
            context_sets_now=self._context_sets_now,
        )

    # Evaluating

    def evaluate(self, flag_key: str, context: object, *, now: float | None = None) -> Result:
        """What the flag is for the context; `now`, in Unix seconds, replaces the clock.

        Never raises for a JSON context: what cannot be answered is a result with an error code.
        """
        # A dict that the garbage collector does not track holds no container (the documented
        # behaviour of gc.is_tracked), so that its depth need not be looked at.
        if type(context) is not dict or is_tracked(context):
            context = checked(context)
            if context is None:
                return self._invalid_context(flag_key)
        try:
            run = self._runs[flag_key]
        except (KeyError, TypeError):
            run = self._run(flag_key)
        result: Result = run(context, None if now is None else Moment(now))
        return result

    def evaluate_all(
        self, context: object, *, client_visible_only: bool = False, now: float | None = None
    ) -> dict[str, Result]:
        """What every flag is for the context, all at one instant."""
        runs = self._everything.get(client_visible_only)
        if runs is None:
            runs = self._everything[client_visible_only] = [
                (key, self._run(key))
                for key, flag in self._flags.items()
                if flag.client_visible or not client_visible_only
            ]
        plain = checked(context)
        if plain is None:
            return {key: self._invalid_context(key) for key, _ in runs}
        moment = self._moment(plain, now)
        return {key: run(plain, moment) for key, run in runs}

    def explain(self, flag_key: str, context: object, *, now: float | None = None) -> Explanation:
        """The result that `evaluate` gives, and every step that led to it."""
        plain = checked(context)
        if plain is None:
            step = {"step": "context", "held": False, "why": _BAD_CONTEXT}
            return Explanation(self._invalid_context(flag_key), [step])
        moment = self._moment(plain, now)
        assert moment.now is not None
        result = self.evaluate(flag_key, plain, now=moment.now)
        return explained(flag_key, plain, moment, result, self._binder)

    def evaluator(
        self, flag_key: str, answer: Callable[[Result], Answer]
    ) -> Callable[[Context, None], Answer]:
        """A function that evaluates one flag, giving `answer(result)` in place of a result.

        For hot loops, which keep it: `answer` is called while the function is made, for each result
        that the flag may have, so that evaluating costs no call beyond the compiled flag itself. The
        context must be one that `checked` let pass. KeyError when there is no such flag.
        """
        if flag_key not in self._flags:
            raise KeyError(flag_key)
        return self._timed(self._binder.answering_flag(flag_key, answer))

    def warm(self) -> None:
        """Compile and bind every flag now, so that no evaluation has to."""
        for key in self._flags:
            self._run(key)

    def _run(self, flag_key: str) -> Run:
        run = self._runs.get(flag_key) if isinstance(flag_key, str) else None
        if run is not None:
            return run
        if not isinstance(flag_key, str) or flag_key not in self._flags:
            return self._not_found(flag_key)
        return self._runs.setdefault(flag_key, self._timed(self._binder.flag(flag_key)))

    def _timed(self, bound: Bound) -> Run:
        if not bound.reads_clock:
            return bound.run
        return with_clock(bound.run, self._clock, context_sets_now=self._context_sets_now)

    def _moment(self, context: Context, now: float | None) -> Moment:
        if now is None and self._context_sets_now:
            now = now_in(context)
        return Moment(self._clock() if now is None else now)

    def _not_found(self, flag_key: object) -> Run:
        message = f"no flag {flag_key!r:.200} in this environment"
        result = Result(None, None, ERROR, None, None, self.version, FLAG_NOT_FOUND, message)
        return lambda context, moment: result

    def _invalid_context(self, flag_key: object) -> Result:
        flag = self._flags.get(flag_key) if isinstance(flag_key, str) else None
        flag_version = None if flag is None else flag.version
        return Result(
            None, None, ERROR, None, flag_version, self.version, INVALID_CONTEXT, _BAD_CONTEXT
        )

    # What it is

    @property
    def state(self) -> str:
        """Version and digest, as deltas and ETags name them."""
        return f"{self.version}-{self.digest}"

    @property
    def flags(self) -> Mapping[str, FlagDefinition]:
        """The flags by key, with `type`, `version`, `client_visible`, `needs_targeting_key`."""
        return MappingProxyType(self._flags)

    @property
    def document(self) -> dict[str, Anything]:
        """The ruleset as JSON; its parts are shared and must not be changed."""
        return {
            "environment": self.environment,
            "version": self.version,
            "digest": self.digest,
            "flags": {key: flag.raw for key, flag in self._flags.items()},
            "segments": {key: segment.raw for key, segment in self._segments.items()},
        }

    def next_flip(self, now: float) -> float | None:
        """The first instant after `now` at which a condition on `now` may change its answer."""
        flips = self._all_flips()
        place = bisect_right(flips, now)
        return flips[place] if place < len(flips) else None

    def last_flip(self, now: float) -> float | None:
        """The latest such instant that is not after `now`."""
        flips = self._all_flips()
        place = bisect_right(flips, now)
        return flips[place - 1] if place else None

    def _all_flips(self) -> list[float]:
        if self._flips is None:
            of_flags = {flip for flag in self._flags.values() for flip in flag.flips}
            of_segments = {flip for segment in self._segments.values() for flip in segment.flips}
            self._flips = sorted(of_flags | of_segments)
        return self._flips


def _version_in(document: dict[str, Anything], error: type[ValueError]) -> tuple[int, str]:
    version, digest = whole_number(document.get("version")), document.get("digest")
    if version is None or version < 1:
        raise error("version: expected a positive integer")
    if not isinstance(digest, str) or not digest:
        raise error("digest: expected a text")
    return version, digest


def _apply(
    change: object,
    flags: dict[str, FlagDefinition],
    segments: dict[str, SegmentDefinition],
    *,
    where: str,
) -> None:
    """Apply one change of a delta to the tables."""
    kind = change.get("kind") if isinstance(change, dict) else None
    key = change.get("key") if isinstance(change, dict) else None
    if not isinstance(change, dict) or not isinstance(key, str):
        raise DeltaMismatch(f"{where}: expected a change with kind and key")
    if kind == "segment_ids":
        _apply_ids(change, key, segments, where=where)
        return
    if kind not in ("flag", "segment"):
        raise DeltaMismatch(f"{where}: this engine knows no change of kind {kind!r}")
    if "value" not in change:
        raise DeltaMismatch(f"{where}: expected a value, or null to delete")
    value = change["value"]
    if kind == "flag":
        if value is None:
            flags.pop(key, None)
        else:
            flags[key] = FlagDefinition(key, value)
    elif value is None:
        segments.pop(key, None)
    elif not isinstance(value, dict) or "included" in value or "excluded" in value:
        raise DeltaMismatch(f"{where}: expected a segment without its id lists")
    else:
        old = segments.get(key) or SegmentDefinition(key, {"key": key})
        segments[key] = old.redefined(value)


def _apply_ids(
    change: dict[str, Anything], key: str, segments: dict[str, SegmentDefinition], *, where: str
) -> None:
    name, by = change.get("list"), change.get("by", TARGETING_KEY)
    add, remove = change.get("add", []), change.get("remove", [])
    if key not in segments:
        raise DeltaMismatch(f"{where}: there is no segment {key!r} to change")
    if name not in ("included", "excluded") or not isinstance(by, str):
        raise DeltaMismatch(f"{where}: expected the list included or excluded, and by")
    if not (change.keys() & {"add", "remove"} and _are_ids(add) and _are_ids(remove)):
        raise DeltaMismatch(f"{where}: expected ids to add or to remove")
    segments[key] = segments[key].with_ids(name, by, add=add, remove=remove)


def _are_ids(ids: object) -> bool:
    return isinstance(ids, list) and {str}.issuperset(map(type, ids))

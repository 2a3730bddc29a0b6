"""One ruleset, with the answers it has already given ready to be given again.

A compiled flag gives whatever was prepared for each of its results, so here it gives what the app
gets (type checked, shaped) and the counter to move: the public call looks nothing up but the flag.
"""

import marshal
import time
from collections.abc import Callable, Mapping
from typing import Any

from flagclient.counts import Answered, Counts, Tally
from flagclient.details import Details
from flagengine import Result, Ruleset
from flagengine.context import checked

BOOLEAN, STRING, INTEGER, FLOAT, JSON = KINDS = ("boolean", "string", "integer", "float", "json")

NOT_READY = Details(
    None, None, "ERROR", None, None, None, "PROVIDER_NOT_READY", "no ruleset has arrived yet"
)


# Stands in until a ruleset arrives, so that evaluations need not ask whether there is one.
_NO_RULESET = Ruleset.compile(
    {"environment": "", "version": 1, "digest": "none", "flags": {}, "segments": {}},
    clock=time.time,
)


class Prepared:
    """What the app gets for one result of the engine, and how often it got it.

    Until it is given for the first time, and for ever when the caller's default is the answer, it
    has no `counter`: the AttributeError leads the public call to Serving.answer.
    """

    __slots__ = ("_frozen", "counter", "details", "result")

    def __init__(self, result: Result) -> None:
        self.result = result

    def give(self, value: Any, tally: Tally) -> None:
        """Become ready to be given, with the result's value in Python's type for the flag's."""
        self.details = _details(self.result, value)
        # The fastest way to copy a JSON value; these bytes never leave the process.
        self._frozen = marshal.dumps(value)
        # Last, since other threads may be waiting for it.
        self.counter = tally.counter

    def with_own_value(self) -> Details[Any]:
        """Return the details with a value of which the caller may change every part."""
        return Details(marshal.loads(self._frozen), *self.details[1:])  # noqa: S302


Table = dict[str, Callable[[dict[str, Any], None], Prepared]]


class Serving:
    """Answers from one ruleset; a new ruleset is a new object, swapped in by one assignment.

    The tables are named as the types of flags and hold the flags of that type that were asked for,
    compiled: `serving.boolean[flag](context, None)`, with a context that `plain` lets pass.
    """

    __slots__ = ("_counts", "_tables", "boolean", "float", "integer", "json", "ruleset", "string")

    def __init__(self, ruleset: Ruleset | None, counts: Counts) -> None:
        self.ruleset = ruleset or _NO_RULESET
        self.boolean: Table = {}
        self.string: Table = {}
        self.integer: Table = {}
        self.float: Table = {}
        self.json: Table = {}
        self._tables: dict[str | None, Table] = {kind: getattr(self, kind) for kind in KINDS}
        self._counts = counts

    def answer(self, kind: str, flag: str, default: Any, context: object) -> Details[Any]:
        """Evaluate the long way: the first time, and whenever the default is the answer."""
        try:
            return self._answer(kind, flag, default, context)
        except Exception as error:
            # Whatever the app passed in, it gets its default. The message may quote the context,
            # so only the kind of the error is told.
            message = f"the evaluation failed: {type(error).__name__}"
            return self._failure(flag, default, "GENERAL", message)

    def _answer(self, kind: str, flag: str, default: Any, context: object) -> Details[Any]:
        if context is not None and not isinstance(context, dict) and isinstance(context, Mapping):
            context = dict(context)
        if self.ruleset is _NO_RULESET:
            return NOT_READY._replace(value=default)
        prepared = self._evaluated(flag, context)
        result = prepared.result
        if result.error_code is not None:
            return self._failure(flag, default, result.error_code, result.error_message, result)
        served = self.ruleset.flags[flag].type
        if served != kind:
            message = f"the flag is of type {served}, expected {kind}"
            return self._failure(flag, default, "TYPE_MISMATCH", message, result)
        tally = self._counts.tally(
            Answered(flag, result.variation, result.rule, result.reason, None)
        )
        if result.variation is None:
            next(tally.counter)
            return _details(result, default)
        prepared.give(_typed(kind, result.value), tally)
        next(prepared.counter)
        return prepared.with_own_value() if kind == JSON else prepared.details

    def _evaluated(self, flag: str, context: object) -> Prepared:
        definition = self.ruleset.flags.get(flag) if isinstance(flag, str) else None
        table = None if definition is None else self._tables.get(definition.type)
        context_checked = checked(context)
        if table is None or context_checked is None:
            return Prepared(self.ruleset.evaluate(flag, context))
        run = table.get(flag)
        if run is None:
            run = table.setdefault(flag, self.ruleset.evaluator(flag, Prepared))
        return run(context_checked, None)

    def _failure(
        self,
        flag: str,
        default: Any,
        code: str,
        message: str | None,
        result: Result | None = None,
    ) -> Details[Any]:
        # Not isinstance(): that asks the object, and this must not raise for any object. What is
        # no text at all names no flag and is not counted.
        if issubclass(type(flag), str):
            name = str.__str__(flag)
            if code == "FLAG_NOT_FOUND":
                next(self._counts.unknown(name).counter)
            else:
                next(self._counts.tally(Answered(name, None, None, "ERROR", code)).counter)
        flag_version = None if result is None else result.flag_version
        environment_version = None if result is None else result.environment_version
        return Details(
            default, None, "ERROR", None, flag_version, environment_version, code, message
        )


def plain(context: object) -> dict[str, Any]:
    """Return the context as compiled flags take it; ValueError when it cannot be one."""
    context_checked = checked(context)
    if context_checked is None:
        raise ValueError("expected a context that is an object, not nested too deep")
    return context_checked


def _typed(kind: str, value: Any) -> Any:
    """Return the value as Python's type for the flag's: JSON may write 3.0 as 3."""
    if kind == FLOAT:
        return float(value)
    return int(value) if kind == INTEGER else value


def _details(result: Result, value: Any) -> Details[Any]:
    return Details(
        value,
        result.variation,
        result.reason,
        result.rule,
        result.flag_version,
        result.environment_version,
        None,
        None,
    )

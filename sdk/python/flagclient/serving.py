"""One ruleset, with the answers it has already given ready to be given again.

The engine makes its results when it compiles: the same answer is the same object every time. So
what the app gets for a result (type checked, shaped, with the counter to move) is made once and
found again by the result's identity. That is all the public call adds to the engine's own work.
"""

import marshal
import time
from collections.abc import Mapping
from typing import Any

from flagclient.counts import Answered, Counts, Tally
from flagclient.details import Details
from flagengine import Result, Ruleset

BOOLEAN, STRING, INTEGER, FLOAT, JSON = KINDS = ("boolean", "string", "integer", "float", "json")

# Results kept ready per kind. The engine makes no more than a ruleset has answers; the bound only
# makes certain that a mistake there costs time, not memory.
PREPARED_LIMIT = 200_000

NOT_READY = Details(
    None, None, "ERROR", None, None, None, "PROVIDER_NOT_READY", "no ruleset has arrived yet"
)


# Stands in until a ruleset arrives, so that evaluations need not ask whether there is one.
_NO_RULESET = Ruleset.compile(
    {"environment": "", "version": 1, "digest": "none", "flags": {}, "segments": {}},
    clock=time.time,
)


class Prepared:
    """What the app gets for one result of the engine, and how often it got it."""

    __slots__ = ("_frozen", "counter", "details", "result")

    def __init__(self, result: Result, details: Details[Any], tally: Tally) -> None:
        # Keeping the result keeps its identity from being given to another object.
        self.result = result
        self.details = details
        self.counter = tally.counter
        # The fastest way to copy a JSON value; these bytes never leave the process.
        self._frozen = marshal.dumps(details.value)

    def with_own_value(self) -> Details[Any]:
        """Return the details with a value of which the caller may change every part."""
        return Details(marshal.loads(self._frozen), *self.details[1:])  # noqa: S302


class Serving:
    """Answers from one ruleset; a new ruleset is a new object, swapped in by one assignment.

    The tables are named as the types of flags; they find what was prepared by a result's id().
    """

    __slots__ = ("_counts", "boolean", "float", "integer", "json", "ruleset", "runs", "string")

    def __init__(self, ruleset: Ruleset | None, counts: Counts) -> None:
        self.ruleset = ruleset or _NO_RULESET
        self.runs = self.ruleset.compiled
        self.boolean: dict[int, Prepared] = {}
        self.string: dict[int, Prepared] = {}
        self.integer: dict[int, Prepared] = {}
        self.float: dict[int, Prepared] = {}
        self.json: dict[int, Prepared] = {}
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
        result = self.ruleset.evaluate(flag, context)
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
        prepared = Prepared(result, _details(result, _typed(kind, result.value)), tally)
        table: dict[int, Prepared] = getattr(self, kind)
        if len(table) < PREPARED_LIMIT:
            prepared = table.setdefault(id(result), prepared)
        next(prepared.counter)
        return prepared.with_own_value() if kind == JSON else prepared.details

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

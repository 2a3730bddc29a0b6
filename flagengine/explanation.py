"""Why a flag answered what it did, step by step.

The result and the outcome of every prerequisite and segment come from the compiled functions; the
steps are walked on the definitions those were compiled from.
"""

import math
from dataclasses import dataclass, field
from typing import Any as Anything

from .binding import Binder
from .buckets import BUCKETS, LARGEST_INTEGER, bucket_of, text_of
from .compiling import Moment
from .context import TARGETING_KEY, Context, value_in
from .reading import NOW, All, Any, Condition, Flag, InSegment, Leaf, Not, Serve, Variation
from .result import FLAG_NOT_FOUND, GENERAL, Result

Step = dict[str, Anything]
DEEPEST = 16  # explanations inside explanations; below, only the outcome is told
LONGEST = 200  # characters of a text that is shown


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result, and the ordered list of steps that led to it."""

    result: Result
    steps: list[Step]

    def as_json(self) -> dict[str, Anything]:
        """The explanation in JSON types; odd values of the context are described."""
        return {"result": self.result._asdict(), "steps": self.steps}


def explained(
    flag_key: str, context: Context, moment: Moment, result: Result, binder: Binder
) -> Explanation:
    """The steps behind the result that was just evaluated."""
    if result.error_code == FLAG_NOT_FOUND:
        return Explanation(result, [{"step": "flag", "held": False, "why": result.error_message}])
    return Explanation(result, _Walk(context, moment, binder).flag(flag_key, depth=0))


@dataclass(slots=True)
class _Walk:
    context: Context
    moment: Moment
    binder: Binder
    told_flags: set[str] = field(default_factory=set)
    told_segments: set[str] = field(default_factory=set)

    def flag(self, key: str, *, depth: int) -> list[Step]:
        """The steps of a flag, up to the one that decided."""
        outcome: Result = self.binder.flag(key).run(self.context, self.moment)
        flag = self.binder.flags[key].flag
        if flag is None or outcome.error_code == GENERAL:
            return [{"step": "flag", "flag": key, "held": False, "why": outcome.error_message}]
        steps: list[Step] = [{"step": "enabled", "flag": key, "held": flag.enabled}]
        if not flag.enabled:
            steps.append(_served("off", flag.off))
            return steps
        if (
            self._prerequisites(flag, steps, depth)
            or self._targets(flag, steps)
            or self._rules(flag, steps, depth)
        ):
            return steps
        if not self._serve(flag.fallthrough, "fallthrough", None, steps):
            steps.append(_served("off", flag.off))
        return steps

    def _prerequisites(self, flag: Flag, steps: list[Step], depth: int) -> bool:
        for prerequisite in flag.prerequisites:
            step: Step = {
                "step": "prerequisite",
                "flag": prerequisite.flag,
                "expected": list(prerequisite.variations),
            }
            held = False
            if prerequisite.flag not in self.binder.flags:
                step["why"] = "no such flag"
            else:
                served: Result = self.binder.flag(prerequisite.flag).run(self.context, self.moment)
                definition = self.binder.flags[prerequisite.flag].flag
                is_enabled = definition is not None and definition.enabled
                held = is_enabled and served.variation in prerequisite.variations
                step |= {"variation": served.variation, "reason": served.reason}
                if depth < DEEPEST and prerequisite.flag not in self.told_flags:
                    self.told_flags.add(prerequisite.flag)
                    step["steps"] = self.flag(prerequisite.flag, depth=depth + 1)
            step["held"] = held
            steps.append(step)
            if not held:
                steps.append(_served("off", flag.off))
                return True
        return False

    def _targets(self, flag: Flag, steps: list[Step]) -> bool:
        for index, target in enumerate(flag.targets):
            value = value_in(self.context, target.by)
            held = isinstance(value, str) and value in target.keys
            steps.append(
                {
                    "step": "target",
                    "index": index,
                    "by": target.by,
                    "value": shown(value),
                    "held": held,
                }
            )
            if held:
                steps.append(_served("target", target.variation))
                return True
        return False

    def _rules(self, flag: Flag, steps: list[Step], depth: int) -> bool:
        for index, rule in enumerate(flag.rules):
            conditions: list[Step] = []
            held = self.condition(rule.when, conditions, depth)
            steps.append(
                {
                    "step": "rule",
                    "index": index,
                    "rule": rule.id,
                    "name": rule.name,
                    "held": held,
                    "decided_by": conditions[-1] if conditions else None,
                    "conditions": conditions,
                }
            )
            if held and self._serve(rule.serve, "rule", rule.id, steps):
                return True
        return False

    def _serve(self, serve: Serve, source: str, rule: str | None, steps: list[Step]) -> bool:
        """Tell what is served; False when a split yields nothing."""
        if isinstance(serve, Variation):
            steps.append(_served(source, serve, rule=rule))
            return True
        text = text_of(value_in(self.context, serve.by))
        step: Step = {"step": "split", "of": source, "rule": rule, "by": serve.by}
        steps.append(step)
        step["value"] = shown(text)
        if text is None:
            step |= {"held": False, "why": f"the context has no text in {serve.by}"}
            # Without a targeting key the evaluation ends here, in an error.
            return serve.by == TARGETING_KEY
        bucket = bucket_of(serve.salt, text)
        share = next((share for share in serve.shares if bucket < share.below), None)
        step |= {"bucket": bucket, "of_buckets": BUCKETS, "held": share is not None}
        if share is None:
            return False
        steps.append(_served(source, share.variation, rule=rule))
        return True

    def condition(self, condition: Condition, told: list[Step], depth: int) -> bool:
        """Whether the condition holds; tells every leaf and segment that was looked at."""
        if isinstance(condition, All):
            return all(self.condition(inner, told, depth) for inner in condition.inner)
        if isinstance(condition, Any):
            return any(self.condition(inner, told, depth) for inner in condition.inner)
        if isinstance(condition, Not):
            return not self.condition(condition.inner, told, depth)
        if isinstance(condition, InSegment):
            return self._segment(condition, told, depth)
        return self._leaf(condition, told)

    def _leaf(self, leaf: Leaf, told: list[Step]) -> bool:
        value = self.moment.now if leaf.attribute == NOW else value_in(self.context, leaf.attribute)
        held = bool(leaf.test.holds(value))
        step: Step = {"attribute": leaf.attribute, "op": leaf.op, "value": shown(value)}
        if leaf.values is not None:
            step["values"] = shown(leaf.values)
        if leaf.ignore_case:
            step["ignore_case"] = True
        told.append({**step, "held": held})
        return held

    def _segment(self, condition: InSegment, told: list[Step], depth: int) -> bool:
        key = condition.key
        step: Step = {"segment": key}
        told.append(step)
        definition = self.binder.segments.get(key)
        if definition is None or definition.segment is None:
            step |= {"held": False, "why": "no such segment"}
            return False
        held = bool(self.binder.segment(key).run(self.context, self.moment))
        step["held"] = held
        for name in ("excluded", "included"):
            for by, ids in definition.lists[name].items():
                value = value_in(self.context, by)
                if isinstance(value, str) and value in ids:
                    step |= {"why": name, "by": by, "value": shown(value)}
                    return held
        step["why"] = "conditions" if definition.segment.when is not None else "not listed"
        if (
            definition.segment.when is not None
            and depth < DEEPEST
            and key not in self.told_segments
        ):
            self.told_segments.add(key)
            inner: list[Step] = []
            self.condition(definition.segment.when, inner, depth + 1)
            step["conditions"] = inner
        return held


def _served(source: str, variation: Variation | None, *, rule: str | None = None) -> Step:
    key = None if variation is None else variation.key
    return {"step": "served", "by": source, "rule": rule, "variation": key}


def shown(value: object, *, depth: int = 3) -> Anything:
    """A value in JSON types that any encoder takes and a page can hold."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    if isinstance(value, int):
        if -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            return value
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth and isinstance(value, dict):
        members = list(value.items())[:20]
        return {shown(str(name)): shown(inner, depth=depth - 1) for name, inner in members}
    if depth and isinstance(value, list | tuple):
        return [shown(inner, depth=depth - 1) for inner in value[:20]]
    return "an object" if isinstance(value, dict) else "a list"

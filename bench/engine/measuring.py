"""Interleaved blocks of calls, timed by the CPU time of this thread."""

import gc
import statistics
from collections.abc import Callable
from itertools import repeat
from time import thread_time_ns
from typing import Any

from bench.engine.contenders import Contender
from bench.engine.workloads import Workload, is_split

BLOCK_NS = 3_000_000  # long against the clock's resolution, short against other people's bursts

Block = Callable[[], None]


def checked_block(contender: Contender, workload: Workload) -> tuple[Block, int]:
    """A block of calls of which every answer was checked, and how many calls it makes."""
    contexts = [contender.context(context) for context in workload.contexts]
    if workload.evaluates_all:
        everything = contender.everything()
        _check_all(contender, everything(contexts[0]), workload)
        evaluate: Callable[[Any], Any] = everything
    else:
        (flag,) = workload.flags
        evaluate = contender.one(flag)
        _check(contender, flag, [evaluate(context) for context in contexts])
    started = thread_time_ns()
    for context in contexts:
        evaluate(context)
    one_round = max(thread_time_ns() - started, 1)
    rounds = max(1, round(BLOCK_NS / one_round))

    def block() -> None:
        for _ in repeat(None, rounds):
            for context in contexts:
                evaluate(context)

    return block, rounds * len(contexts)


def _check(contender: Contender, flag: str, values: list[Any]) -> None:
    if not is_split(flag):
        assert all(value is True for value in values), (contender.name, flag, values)
        return
    # Everyone has buckets of their own; what they must agree on is the shares.
    for variation in "abc":
        share = values.count(variation) / len(values)
        assert 0.28 < share < 0.39, (contender.name, flag, variation, share)


def _check_all(contender: Contender, values: dict[str, Any], workload: Workload) -> None:
    assert set(values) == set(workload.flags), (contender.name, len(values))
    for flag, value in values.items():
        expected = value in ("a", "b", "c") if is_split(flag) else value is True
        assert expected, (contender.name, flag, value)


def measured(contenders: list[Contender], workload: Workload, *, blocks: int) -> dict[str, float]:
    """The median time of a call in microseconds, by contender."""
    prepared = [(each.name, *checked_block(each, workload)) for each in contenders]
    times: dict[str, list[float]] = {name: [] for name, _, _ in prepared}
    gc.collect()
    gc.freeze()
    for _ in range(blocks):
        for name, block, calls in prepared:
            started = thread_time_ns()
            block()
            times[name].append((thread_time_ns() - started) / calls / 1000)
    gc.unfreeze()
    return {name: statistics.median(each) for name, each in times.items()}

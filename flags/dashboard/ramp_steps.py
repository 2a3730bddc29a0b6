"""The rows in which the steps of a ramp are typed: on the page that starts one, and of a template."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.http import QueryDict

from flagengine import Problem
from flags.changes.releases.plans import EVERYBODY, LONGEST_HOLD_SECONDS
from flags.dashboard.review import UNITS
from flags.errors import Invalid

HOLDS = {**{unit: unit for unit in UNITS}, "approval": "until approved"}
ROWS = 8
# What a row has to hold, as a person types it; a step itself is in thousandths and in seconds.
EXPECTED = {
    "share": "Expected a share in percent, above the one before it and at most 100",
    "hold": f"Expected how long it holds, up to {LONGEST_HOLD_SECONDS // 86_400} days",
}


@dataclass(frozen=True)
class Row:
    """A step as it is typed; `problem` is what is wrong with it, `field` where."""

    share: str = ""
    amount: str = ""
    unit: str = "hours"
    problem: str = ""
    field: str = ""

    @property
    def is_given(self) -> bool:
        return bool(self.share.strip())


def rows_of(steps: Sequence[dict[str, Any]]) -> list[Row]:
    """The steps as rows, and some that are empty."""
    return [*map(_row_of, steps), *[Row()] * max(1, ROWS - len(steps))]


def typed_rows(typed: QueryDict) -> list[Row]:
    columns = [typed.getlist(name) for name in ("share", "amount", "unit")]
    return [Row(*row) for row in zip(*columns, strict=False)]


def steps_from(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """What the rows say; raises Invalid with the place of everything that is no number."""
    given = [row for row in rows if row.is_given]
    steps: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for index, row in enumerate(given):
        share, amount = _number(row.share), _number(row.amount)
        step: dict[str, Any] = {"share": round(share * 1_000) if share is not None else None}
        if share is None:
            problems.append(Problem(f"steps[{index}].share", EXPECTED["share"]))
        if index < len(given) - 1 and row.unit == "approval":
            step["hold"] = {"approval": True}
        elif index < len(given) - 1 and amount is not None:
            step["hold"] = {"seconds": round(amount * UNITS.get(row.unit, 1))}
        elif index < len(given) - 1:
            problems.append(Problem(f"steps[{index}].hold", EXPECTED["hold"]))
        steps.append(step)
    if problems:
        raise Invalid(problems)
    return steps


def with_problems(
    rows: Sequence[Row], problems: Iterable[Problem]
) -> tuple[list[Row], list[Problem]]:
    """The rows with what is wrong with each of them, and what belongs to none."""
    given = [index for index, row in enumerate(rows) if row.is_given]
    marked, others = list(rows), []
    for problem in problems:
        where, field = _place(problem.path)
        if where is None or where >= len(given) or field not in EXPECTED:
            others.append(problem)
            continue
        row = given[where]
        marked[row] = replace(marked[row], problem=EXPECTED[field], field=field)
    return marked, others


def _place(path: str) -> tuple[int | None, str]:
    """`steps[2].hold.seconds` as (2, `hold`)."""
    head, _, rest = path.partition(".")
    number = head.removeprefix("steps[").removesuffix("]")
    return (int(number) if number.isdigit() else None), rest.partition(".")[0]


def _row_of(step: dict[str, Any]) -> Row:
    share, hold = f"{step['share'] / 1000:g}", step.get("hold") or {}
    if "approval" in hold:
        return Row(share, "", "approval")
    seconds = hold.get("seconds", 0)
    unit = next((name for name in ("days", "hours", "minutes") if seconds % UNITS[name] == 0), "minutes")  # fmt: skip
    return Row(share, f"{seconds / UNITS[unit]:g}" if seconds else "", unit)


def _number(text: str) -> float | None:
    try:
        number = float(text.replace(",", ".").strip())
    except ValueError:
        return None
    return number if 0 <= number <= EVERYBODY else None

"""Two states as JSON, compared line by line."""

import difflib
import json
from dataclasses import dataclass

from flags.differences.wording import State

LINES_AROUND = 3


@dataclass(frozen=True)
class Line:
    """One line of a difference. `mark` is `same`, `added`, `removed` or `skipped`."""

    mark: str
    text: str
    old_number: int | None = None
    new_number: int | None = None


def json_lines(before: State, after: State) -> list[Line]:
    """The two states written as indented JSON and compared by line.

    Long runs of equal lines are folded into one `skipped` line, whose text says how many.
    """
    old, new = _written(before), _written(after)
    lines: list[Line] = []
    seen = 0
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for group in matcher.get_grouped_opcodes(LINES_AROUND):
        if skipped := group[0][1] - seen:
            lines.append(_skipped(skipped))
        for tag, old_from, old_to, new_from, new_to in group:
            if tag == "equal":
                lines += [
                    Line(
                        "same", old[old_from + offset], old_from + offset + 1, new_from + offset + 1
                    )
                    for offset in range(old_to - old_from)
                ]
                continue
            lines += [Line("removed", old[at], old_number=at + 1) for at in range(old_from, old_to)]
            lines += [Line("added", new[at], new_number=at + 1) for at in range(new_from, new_to)]
        seen = group[-1][2]
    if lines and (skipped := len(old) - seen):
        lines.append(_skipped(skipped))
    return lines


def _written(state: State) -> list[str]:
    if state is None:
        return []
    return json.dumps(state, indent=2, ensure_ascii=False, sort_keys=True).split("\n")


def _skipped(count: int) -> Line:
    return Line("skipped", f"{count} equal {'line' if count == 1 else 'lines'}")

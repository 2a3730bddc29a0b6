"""Values, lists and shares as a person would write them."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

State = Mapping[str, Any] | None

NO_BREAK = "\u00a0"  # a number and its sign stay on one line


LONGEST_VALUE = 80


MOST_NAMED = 8


def percentage(weight: Any) -> str:
    """A weight in thousandths of a percent, as `12.5 %`, the two kept together."""
    if not isinstance(weight, int):
        return written(weight)
    return f"{f'{weight / 1000:.3f}'.rstrip('0').rstrip('.')}{NO_BREAK}%"


def replaced(what: str, old: Any, new: Any) -> str:
    old_text, new_text = written(old), written(new)
    if old_text == new_text:
        return f"{what} changed"
    return f"{what} changed from {old_text} to {new_text}"


def counted(number: Any, noun: str) -> str:
    """As `1 day` or `3 days`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def with_article(noun: str) -> str:
    """As `an admin`, `a reviewer` or `an SDK key`."""
    vowels = "AEFHILMNORSX" if noun[:2].isupper() else "aeiou"
    return f"{'an' if noun[:1] in vowels else 'a'} {noun}"


def instant_in_words(text: str) -> str:
    """An instant as it was written down, with its offset: `1 July 2031, 09:00 UTC+02:00`."""
    instant = datetime.fromisoformat(text)
    return f"{instant:%-d %B %Y, %H:%M} {instant.tzname()}"


def spaced(text: Any) -> str:
    return str(text).replace("_", " ")


def reordered(what: str, before: list[Any], after: list[Any]) -> list[str]:
    old = [key for key in before if key in after]
    new = [key for key in after if key in before]
    if old == new:
        return []
    return [f"The order of {what} is now {listed(after)}"]


def listed(values: Sequence[Any] | None, last: str = "and") -> str:
    """`DE, FR and 3 more`; with an empty `last` only commas."""
    texts = [written(value) for value in values or []]
    if len(texts) > MOST_NAMED + 1:
        return f"{', '.join(texts[:MOST_NAMED])} and {len(texts) - MOST_NAMED} more"
    if last and len(texts) > 1:
        return f"{', '.join(texts[:-1])} {last} {texts[-1]}"
    return ", ".join(texts)


def written(value: Any) -> str:
    """A value for a sentence: text bare where that cannot be misread, all else as JSON, shortened."""
    if value is None:
        return "nothing"
    text = value if _reads_as_text(value) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def quoted(value: Any) -> str:
    """A person's own words; those of two long texts that differ late are told apart by the JSON."""
    text = value if isinstance(value, str) else written(value)
    return f"“{text}”" if len(text) <= LONGEST_VALUE else f"“{text[: LONGEST_VALUE - 1]}…”"


def _reads_as_text(value: Any) -> bool:
    if not isinstance(value, str) or not value or value != value.strip():
        return False
    if any(character in value for character in ',"\n\r\t'):
        return False
    return not (value in ("true", "false", "null", "nothing") or _is_number(value))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: Python holds 1 == 1.0 == True, a ruleset does not."""
    if one is other:
        return True
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)

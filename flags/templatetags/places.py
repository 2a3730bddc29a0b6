"""Where a fault is, as the page counts: `{{ problem.path|place }}`."""

import re

from django import template

register = template.Library()

_NUMBERED = re.compile(r"^(rule|target|prerequisite|variation)s\[(\d+)\]\.?(.*)$")


@register.filter
def place(path: str) -> str:
    """`rules[1].serve` as `Rule 2: serve`: people count from one, and so do the pages."""
    numbered = _NUMBERED.match(path)
    if numbered is None:
        return path
    noun, index, rest = numbered.groups()
    named = f"{noun.capitalize()} {int(index) + 1}"
    return f"{named}: {rest}" if rest else named

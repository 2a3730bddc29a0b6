"""`{% icon "flag" %}`: a vendored icon, drawn inline so that it takes the colour of its text."""

import re
from functools import cache

from django import template
from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()
FOLDER = settings.BASE_DIR / "static" / "vendor" / "tabler-icons"


@register.simple_tag
def icon(name: str) -> SafeString:
    """The icon as an `<svg>` that assistive technology passes over: its button has the words."""
    return _drawn(name)


@cache
def _drawn(name: str) -> SafeString:
    source = (FOLDER / f"{name}.svg").read_text()
    shapes = "".join(re.findall(r"<(?:path|circle|rect|line)\b[^>]*/>", source))
    return format_html(
        '<svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75"'
        ' stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">{}</svg>',
        mark_safe(shapes),  # noqa: S308 - our own file
    )

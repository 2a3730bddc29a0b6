"""Times for people, with the instant itself on hover.

`{% ago moment %}` says how long since, `{% until moment %}` how long it is still, `token|days_left:now`
how many days.
"""

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from flags.models import ApiToken

register = template.Library()


@register.simple_tag
def ago(moment: datetime) -> SafeString:
    """`<time>` with words that static/js/times.js keeps true while the page is open."""
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>',
        moment.isoformat(),
        moment.strftime("%-d %B %Y, %H:%M:%S %Z"),
        words(moment, now=timezone.now()),
    )


@register.simple_tag
def until(moment: datetime) -> SafeString:
    """`<time>` with words that static/js/times.js keeps true while the page is open."""
    return format_html(
        '<time datetime="{}" title="{}" data-until>{}</time>',
        moment.isoformat(),
        moment.strftime("%-d %B %Y, %H:%M:%S %Z"),
        words_until(moment, now=timezone.now()),
    )


def words_until(moment: datetime, *, now: datetime) -> str:
    """As `is due`, `in less than a minute`, `in 5 min`, `in 3 h 20 min`, `in 2 d 4 h`."""
    seconds = int((moment - now).total_seconds())
    if seconds <= 0:
        return "is due"
    if seconds < 60:
        return "in less than a minute"
    if seconds < 3600:
        return f"in {seconds // 60} min"
    if seconds < 86_400:
        return f"in {seconds // 3600} h {seconds % 3600 // 60} min"
    return f"in {seconds // 86_400} d {seconds % 86_400 // 3600} h"


@register.filter
def days_left(token: ApiToken, now: datetime) -> int | None:
    """Whole days until a token ends, once that is near."""
    return token.days_left(now)


def words(moment: datetime, *, now: datetime) -> str:
    """As `just now`, `5 min ago`, `3 h ago`, `6 d ago`, `12 Mar`, `12 Mar 2024`."""
    seconds = (now - moment).total_seconds()
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min ago"
    if seconds < 86_400:
        return f"{seconds // 3600:.0f} h ago"
    if seconds < 7 * 86_400:
        return f"{seconds // 86_400:.0f} d ago"
    return moment.strftime("%-d %b" if moment.year == now.year else "%-d %b %Y")

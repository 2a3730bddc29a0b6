"""Times for people: `{% ago moment %}` says how long since, and the instant itself on hover."""

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

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

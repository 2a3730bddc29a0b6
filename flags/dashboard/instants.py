"""Instants as people type them, in the time zone of their browser."""

from datetime import UTC, datetime

from flags.errors import Invalid


def read_instant(text: str, offset: str) -> datetime | None:
    """A `datetime-local` as an instant; `offset` is the browser's, in minutes behind UTC."""
    if not text.strip():
        return None
    try:
        local = datetime.fromisoformat(text.strip())
        minutes = int(offset or 0)
        return datetime.fromtimestamp(local.replace(tzinfo=UTC).timestamp() + minutes * 60, UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid.at("apply_at", f"expected a date and a time, got {text!r}") from error

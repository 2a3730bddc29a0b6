"""What the clock says of tokens: that they end soon, once at each of a few days before."""

from datetime import datetime, timedelta

from flags.changes.keys import WarnOfExpiry
from flags.changes.submit import submit
from flags.changes.sweeping import CLOCK, each
from flags.errors import Busy
from flags.models import ApiToken


def warn_of_expiry(*, now: datetime) -> int:
    """Announce the tokens that end soon and were not announced yet; how many."""
    horizon = now + timedelta(days=max(ApiToken.TOLD_DAYS_BEFORE))
    near = ApiToken.objects.filter(revoked_at=None, expires_at__gt=now, expires_at__lte=horizon)
    return each("tokens", near.order_by("expires_at"), lambda token: _warn(token, now))


def _warn(token: ApiToken, now: datetime) -> int:
    assert token.expires_at is not None, "only tokens with an end are looked at"
    left = token.expires_at - now
    # After a pause one announcement stands for all that were missed.
    days = min(days for days in ApiToken.TOLD_DAYS_BEFORE if left <= timedelta(days=days))
    if token.told_days_left is not None and token.told_days_left <= days:
        return 0
    try:
        change = WarnOfExpiry(public_id=token.public_id, days=days)
        return int(submit(change, actor=CLOCK, now=now).changed)
    except Busy:
        # Somebody is saving; the next sweep says it.
        return 0

"""API tokens of one person. One query."""

from flags.models import ApiToken


def tokens_of(user_id: str) -> list[ApiToken]:
    """Those that work first, newest first."""
    rows = ApiToken.objects.filter(user_id=user_id).order_by("-created_at")
    return sorted(rows, key=lambda token: token.revoked_at is not None)

"""Makes an API token and prints it: the only time that anybody sees it."""

import re
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from flags.changes import CreateApiToken
from flags.management.operator import OperatorCommand
from flags.models import ApiToken
from flags.models.secrets import new_secret


class Command(OperatorCommand):
    help = "Make an API token in a person's name and print it, alone on a line of standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", required=True, help="the username of whom it acts for")
        parser.add_argument(
            "--scopes",
            default=",".join(ApiToken.SCOPES),
            help=f"some of {', '.join(ApiToken.SCOPES)}, separated by commas; all unless given",
        )
        parser.add_argument(
            "--expires", help="in so many days (90d), or at an instant (2027-01-31T12:00:00Z)"
        )
        parser.add_argument("--name", default="", help="what the token is for")

    def handle(
        self, *args: Any, user: str, scopes: str, expires: str | None, name: str, **options: Any
    ) -> None:
        secret = new_secret(ApiToken.PREFIX)
        self.submit(
            CreateApiToken(
                username=user,
                name=name,
                public_id=secret.public_id,
                hash=secret.hash,
                scopes=_scopes(scopes),
                expires_at=_instant(expires) if expires else None,
            )
        )
        self.say(f"API token {secret.public_id} of {user}, shown only now:")
        self.stdout.write(secret.text)


def _scopes(text: str) -> list[Any]:
    named = [scope.strip() for scope in text.split(",") if scope.strip()]
    for scope in named:
        if scope not in ApiToken.SCOPES:
            raise CommandError(
                f"--scopes: expected some of {', '.join(ApiToken.SCOPES)}, got {scope}"
            )
    return named


def _instant(text: str) -> datetime:
    if days := re.fullmatch(r"([1-9][0-9]{0,4})d", text):
        return timezone.now() + timedelta(days=int(days[1]))
    try:
        instant = parse_datetime(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise CommandError(
            "--expires: expected days such as 90d or an instant such as 2027-01-31T12:00:00Z, "
            f"got {text}"
        )
    return instant

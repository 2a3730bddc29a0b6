"""Makes the administrator's account, or gives it a new password."""

import sys
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Make an account that may do everything, or give it a new password (read from standard input)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        password = sys.stdin.readline().rstrip("\n")
        if not password:
            raise CommandError("expected the password as one line on standard input, nothing came")
        account, is_new = get_user_model().objects.get_or_create(username=username)
        account.is_staff = account.is_superuser = account.is_active = True
        account.set_password(password)
        account.save()
        self.stdout.write(f"{username} is {'made' if is_new else 'up to date'}")

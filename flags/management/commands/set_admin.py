"""Makes the administrator's account, or gives it a new password."""

import sys
from typing import Any

from django.contrib.auth.hashers import make_password
from django.core.management.base import CommandError, CommandParser

from flags.changes import CreateUser, EditUser
from flags.management.operator import OperatorCommand
from flags.models import User


class Command(OperatorCommand):
    help = "Make an account that may do everything, or give it a new password (read from standard input)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        password = sys.stdin.readline().rstrip("\n")
        if not password:
            raise CommandError("expected the password as one line on standard input, nothing came")
        user = User.objects.filter(username=username).first()
        if user is None:
            self.submit(
                CreateUser(
                    username=username, password_hash=make_password(password), is_superuser=True
                )
            )
        elif not (user.is_active and user.is_superuser and user.check_password(password)):
            self.submit(
                EditUser(
                    username=username,
                    password_hash=make_password(password),
                    is_active=True,
                    is_superuser=True,
                )
            )
        self.say(f"account {username} is ready")

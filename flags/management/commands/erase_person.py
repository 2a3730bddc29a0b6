"""Erases what names a person."""

from typing import Any

from django.core.management.base import CommandParser

from flags.changes import EraseUser
from flags.management.operator import OperatorCommand


class Command(OperatorCommand):
    help = "Erase an account's name, address, sign-ins and tokens; what its person did stays."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        self.submit(EraseUser(username=username))
        self.say(f"{username} is erased; backups and exports made before still hold the name")

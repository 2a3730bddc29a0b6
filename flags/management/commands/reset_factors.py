"""Takes the second factors from an account whose person lost them."""

from typing import Any

from django.core.management.base import CommandParser

from flags.changes import ResetFactors
from flags.management.operator import OperatorCommand


class Command(OperatorCommand):
    help = "Take every second factor from an account and sign its browsers out."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        self.submit(ResetFactors(username=username))
        self.say(f"{username} signs in with the password alone until a new factor is enrolled")

"""Makes a project."""

from typing import Any

from django.core.management.base import CommandParser

from flags.changes import CreateProject
from flags.management.operator import OperatorCommand


class Command(OperatorCommand):
    help = "Make a project. It has no environments yet: see create_environment."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key", help="how apps and addresses name it")
        parser.add_argument("--name", default="", help="how people name it; the key unless given")
        parser.add_argument("--description", default="")

    def handle(self, *args: Any, key: str, name: str, description: str, **options: Any) -> None:
        self.submit(CreateProject(project=key, name=name, description=description))
        self.say(f"project {key} is made")

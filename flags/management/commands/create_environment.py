"""Makes an environment of a project."""

from typing import Any

from django.core.management.base import CommandParser

from flags.changes import CreateEnvironment
from flags.management.operator import OperatorCommand


class Command(OperatorCommand):
    help = "Make an environment, in which every flag of the project is off."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key", help="how apps and addresses name it")
        parser.add_argument("--project", required=True, help="the project's key")
        parser.add_argument("--name", default="", help="how people name it; the key unless given")
        parser.add_argument(
            "--requires-approval", action="store_true", help="let it accept approved changes only"
        )

    def handle(
        self,
        *args: Any,
        key: str,
        project: str,
        name: str,
        requires_approval: bool,
        **options: Any,
    ) -> None:
        self.submit(
            CreateEnvironment(
                project=project, key=key, name=name, requires_approval=requires_approval
            )
        )
        self.say(f"environment {key} of {project} is made")

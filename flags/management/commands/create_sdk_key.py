"""Makes an SDK key and prints it: the only time that anybody sees it."""

from typing import Any, Literal

from django.core.management.base import CommandParser

from flags.changes import CreateSdkKey
from flags.management.operator import OperatorCommand
from flags.models import SdkKey
from flags.models.secrets import new_secret


class Command(OperatorCommand):
    help = "Make an SDK key and print it, alone on a line of standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, help="the project's key")
        parser.add_argument("--environment", required=True, help="the environment's key")
        parser.add_argument(
            "--kind",
            choices=tuple(SdkKey.PREFIXES),
            default="server",
            help="server keys read the whole ruleset; client keys are public and only evaluate",
        )
        parser.add_argument("--name", default="", help="what the key is for")

    def handle(
        self,
        *args: Any,
        project: str,
        environment: str,
        kind: Literal["server", "client"],
        name: str,
        **options: Any,
    ) -> None:
        secret = new_secret(SdkKey.PREFIXES[kind])
        self.submit(
            CreateSdkKey.of(
                secret, project=project, environment=environment, key_kind=kind, name=name
            )
        )
        self.say(f"{kind} key {secret.public_id} for {project}/{environment}, shown only now:")
        self.stdout.write(secret.text)

"""Brings the flags of a flagd file into an environment."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from flags.management.operator import OperatorCommand
from flags.transfer.flagd import read_document
from flags.transfer.loading import load


class Command(OperatorCommand):
    help = "Load a flagd flag file: what it says becomes what the environment serves."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the flag file, as JSON")
        parser.add_argument("--project", required=True, help="the project's key")
        parser.add_argument("--environment", required=True, help="the environment's key")
        parser.add_argument("--reason", default="", help="why; it goes into the event")
        parser.add_argument(
            "--bypass",
            action="store_true",
            help="where approval is needed, load past it, to be reviewed afterwards; takes --reason",
        )

    def handle(
        self,
        *args: Any,
        file: Path,
        project: str,
        environment: str,
        reason: str,
        bypass: bool,
        **options: Any,
    ) -> None:
        if bypass and not reason.strip():
            raise CommandError("--bypass takes --reason, which is kept on record; it was not given")
        loaded = load(
            read_document(_text_of(file)),
            project=project,
            environment=environment,
            actor=self.actor,
            reason=reason or f"Loaded from {file.name}",
            bypass=bypass,
        )
        for left_out in loaded.left_out:
            self.say(f"left out: {left_out.key}: {left_out.why}")
        self.say(
            f"{len(loaded.created)} created, {len(loaded.changed)} changed, "
            f"{len(loaded.unchanged)} unchanged, {len(loaded.left_out)} left out"
        )


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file}: expected UTF-8, byte {error.start} is not") from error

"""Signs what every stream of events ends at."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from audit.lines import line
from audit.signing import NoSigningKey, sign_heads, statement_line, statement_lines
from flags.management.operator import OperatorCommand


class Command(OperatorCommand):
    help = "Sign what every stream ends at, and print the statement as a line of JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--all", action="store_true", help="sign nothing: print every statement there is"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["all"]:
            for values in statement_lines():
                self.stdout.write(line(values).decode(), ending="")
            return
        try:
            made = sign_heads(now=timezone.now())
        except NoSigningKey as error:
            raise CommandError(str(error)) from error
        self.stdout.write(line(statement_line(made)).decode(), ending="")

"""What the operator's commands share: who acts, and errors as one clear line."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from audit.facts import Actor
from flags.changes import Change, Outcome, submit
from flags.errors import ApprovalNeeded, FlagsiteError


class OperatorCommand(BaseCommand):
    """A command run by the operator. What it makes goes to stdout, what it says to stderr."""

    @property
    def actor(self) -> Actor:
        name = type(self).__module__.rpartition(".")[2]
        return Actor.system(f"manage.py {name}")

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except ApprovalNeeded as error:
            way = "; --bypass --reason does it all the same" if "bypass" in options else ""
            raise CommandError(f"{error}{way}") from error
        except FlagsiteError as error:
            raise CommandError(str(error)) from error
        except OperationalError as error:
            first_line = str(error).strip().partition("\n")[0]
            raise CommandError(f"the database does not answer: {first_line}") from error

    def submit(self, *changes: Change) -> Outcome:
        return submit(*changes, actor=self.actor)

    def say(self, text: str) -> None:
        """Tell the operator something that is not the command's product."""
        # `str` leaves the text as it is: standard error's own style is the red of an error.
        self.stderr.write(text, str)

"""Moves old events out of the database into files."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone

from audit.archiving import NoArchivist, Unwritten
from flags.changes.archives import archive
from flags.management.operator import OperatorCommand


class Command(OperatorCommand):
    help = "Write old events to FLAGSITE_ARCHIVE, check what was written, and remove the rows."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--days", type=int, help="how many days stay (default: FLAGSITE_EVENTS_KEPT_DAYS)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        kept = settings.EVENTS_KEPT if options["days"] is None else timedelta(days=options["days"])
        if options["days"] is None and not kept:
            raise CommandError(
                "events are kept for ever: set FLAGSITE_EVENTS_KEPT_DAYS, or give --days"
            )
        now = timezone.now()
        files = 0
        try:
            for made in archive(
                before=now - kept, folder=settings.ARCHIVE, actor=self.actor, now=now
            ):
                files += 1
                self.stdout.write(str(settings.ARCHIVE / made.file))
        except NoArchivist as error:
            raise CommandError(str(error)) from error
        except (Unwritten, OSError) as error:
            raise CommandError(f"the archive cannot be written: {error}") from error
        self.say(f"{files} files of events older than {now - kept:%Y-%m-%d %H:%M} UTC")

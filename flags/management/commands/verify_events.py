"""Checks the hash chain of every stream of events, and what was signed of them."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from audit.archiving import faults_in_archive
from audit.models import Event, Statement, Stream
from audit.verification import faults
from flags.management.operator import OperatorCommand


class Command(OperatorCommand):
    help = "Check that every event is what was written and that none is missing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--archive", action="store_true", help="check the files in FLAGSITE_ARCHIVE too"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = 0
        for fault in faults():
            found += 1
            self.stdout.write(f"{fault.stream}@{fault.version} {fault.what}")
        for span, what in faults_in_archive(settings.ARCHIVE) if options["archive"] else ():
            found += 1
            self.stdout.write(f"{span} {what}")
        if found:
            raise CommandError(f"the log contradicts itself in {found} places")
        self.say(
            f"{Event.objects.count()} events in {Stream.objects.count()} streams are whole, "
            f"with {Statement.objects.count()} signed statements"
        )

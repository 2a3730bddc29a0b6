"""`manage.py seed_demo`: the demo project, made through `submit` like everything else."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from audit.facts import Actor
from flags.changes import submit
from flags.models import Project, User
from flags.transfer.demo import PROJECT, moments


class Command(BaseCommand):
    help = "Make the demo project with weeks of history. Does nothing where it is already."

    def handle(self, *args: Any, **options: Any) -> None:
        if Project.objects.filter(key=PROJECT).exists():
            self.stderr.write(f"The project {PROJECT} is there already.")
            return
        now = timezone.now()
        operator = Actor.system("manage.py seed_demo")
        for moment in sorted(moments(now), key=lambda moment: -moment.ago):
            submit(
                *moment.changes,
                actor=User.objects.get(username=moment.who).as_actor() if moment.who else operator,
                reason=moment.reason,
                now=now - moment.ago,
            )
        project = Project.objects.get(key=PROJECT)
        self.stderr.write(
            f"Made the project {PROJECT}: {project.flags.count()} flags, "
            f"{project.segments.count()} segments, {project.environments.count()} environments."
        )

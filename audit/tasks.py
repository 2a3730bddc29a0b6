"""Celery's side of the log: woken at commit, swept by beat."""

from celery import shared_task
from django.utils import timezone

from audit import outbox, signing


@shared_task
def deliver(queue: str) -> int:
    return outbox.deliver(queue)


@shared_task
def sign_heads() -> int | None:
    """The number of the statement that was due; None when none was."""
    made = signing.sign_when_due(now=timezone.now())
    return made.number if made else None

"""Celery's side of the log: woken at commit, swept by beat."""

from celery import shared_task

from audit import outbox


@shared_task
def deliver(queue: str) -> int:
    return outbox.deliver(queue)

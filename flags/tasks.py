"""Clock-driven work; every body is a call."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from audit.facts import Actor
from flags.changes import due, expiry
from flags.changes.archives import archive
from flags.changes.releases import clock
from flags.notices import mailing, telling


@shared_task
def sweep_requests() -> int:
    now = timezone.now()
    # A sweep may have been missed while no worker was up; looking twice does no harm.
    return due.sweep(now=now, since=now - max(settings.REQUEST_SWEEP * 5, timedelta(minutes=5)))


@shared_task
def sweep_releases() -> int:
    return clock.sweep(now=timezone.now())


@shared_task
def send_mail() -> int:
    return mailing.send_due(timezone.now())


@shared_task
def tell_what_expires() -> int:
    """Requests that expire within a day, and leases that end within the hour."""
    now = timezone.now()
    return telling.tell_what_expires(now) + telling.tell_what_ends(now)


@shared_task
def sweep_tokens() -> int:
    return expiry.warn_of_expiry(now=timezone.now())


@shared_task
def archive_events() -> int:
    """How many files were written; none where events are kept for ever."""
    if not settings.EVENTS_KEPT:
        return 0
    now = timezone.now()
    made = archive(
        before=now - settings.EVENTS_KEPT,
        folder=settings.ARCHIVE,
        actor=Actor.system("retention"),
        now=now,
    )
    return sum(1 for _ in made)

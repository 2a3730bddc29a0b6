"""Clock-driven work; every body is a call."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from flags.changes import due, expiry
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
    return telling.tell_what_expires(timezone.now())


@shared_task
def sweep_tokens() -> int:
    return expiry.warn_of_expiry(now=timezone.now())

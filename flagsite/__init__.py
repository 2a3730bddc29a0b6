"""The Django project: settings, addresses, start-up. Wiring, no rules."""

from flagsite.celery import app as celery_app

__all__ = ["celery_app"]
__version__ = "0.1.0"

"""When and from where a browser was last used: seldom enough written to be no write per page.

Like what a person has read, it decides nothing and is nobody's history: it is written without an event.
"""

import hashlib
from collections.abc import Callable
from datetime import timedelta

from allauth.account.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.contrib.auth import SESSION_KEY
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

EVERY = timedelta(minutes=5)


class LastSeen:
    """Notes it after the page is made, of sessions that the page asked for anyway."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.session.accessed and SESSION_KEY in request.session:
            _note(request)
        return response


def _note(request: HttpRequest) -> None:
    key = request.session.session_key or ""
    # The key opens the session: what only counts need not hold it.
    place = f"sign-in:seen:{hashlib.sha256(key.encode()).hexdigest()}"
    if not cache.add(place, True, timeout=int(EVERY.total_seconds())):
        return
    now = timezone.now()
    # Judged again by the database, for when the cache is away.
    UserSession.objects.filter(session_key=key, last_seen_at__lt=now - EVERY).update(
        last_seen_at=now,
        ip=get_adapter(request).get_client_ip(request),
        user_agent=request.headers.get("User-Agent", "")[
            : UserSession._meta.get_field("user_agent").max_length
        ],
    )

"""/ws/live: open pages of the dashboard hear of every event of their project.

Signed in by the session cookie, as pages are; the Origin is checked, because a browser sends that
cookie along for whatever site asks. Permission is checked again every few seconds.
"""

import time
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.contrib.auth import get_user

from flags.access import Action, may
from flags.live.database import UNREACHABLE
from flags.live.outbox import Frame
from flags.live.process import live
from flags.models import Project, User
from flags.sessions import must_enrol
from flags.websockets.sockets import Close, LiveSocket

CHECK_EVERY_SECONDS = 3

# Why a page may not be here, and the id of its project.
Judgement = tuple[Close | None, str | None]

SessionStore: Any = import_module(settings.SESSION_ENGINE).SessionStore


class PageSocket(LiveSocket):
    """One open page."""

    project: str | None = None
    is_checking = False
    checked_at = 0.0

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        if not _comes_from_us(self.scope):
            # Refuses the handshake, with 403.
            await self.close()
            return
        await super().websocket_connect(message)
        if self.is_closing:
            return
        self.is_greeted = True
        self.session, self.project_key = _session_in(self.scope), _project_in(self.scope)
        refusal, project = await self._judged()
        if refusal is not None or project is None:
            await self.end(refusal or Close.RESTARTING)
            return
        await live.announcements.follow(project, self, live.in_database)
        self.project = project
        if self.is_closing:
            self.left()
            return
        self.outbox.put(Frame(_hello(self.project_key)))

    async def hear(self, kind: str, said: dict[str, Any]) -> None:
        """A page has nothing to say."""

    def catch_up(self, state: str | None) -> Frame | None:
        """A page that fell behind asks for what it shows, as it does after a first hello."""
        return Frame(_hello(self.project_key))

    def tell(self, text: str) -> None:
        self.outbox.put(Frame(text))

    def left(self) -> None:
        if self.project is not None:
            live.announcements.leave(self.project, self)
            self.project = None

    def sweep(self, now: float) -> None:
        super().sweep(now)
        if now - self.checked_at > CHECK_EVERY_SECONDS and not self.is_checking:
            live.spawn(self._check_again())

    async def _check_again(self) -> None:
        refusal, _ = await self._judged()
        if refusal is not None:
            await self.end(refusal)

    async def _judged(self) -> Judgement:
        """Why the page may not be here, and its project's id; neither when nobody can tell now."""
        self.is_checking = True
        try:
            judged: Judgement = await live.in_database(_judge, self.session, self.project_key)
            return judged
        except UNREACHABLE:
            return None, None
        finally:
            self.is_checking = False
            self.checked_at = time.monotonic()


def _judge(session: str, project_key: str) -> Judgement:
    """At most five queries."""
    user = get_user(SimpleNamespace(session=SessionStore(session)))  # type: ignore[arg-type]
    if not isinstance(user, User) or not user.is_active:
        return Close.UNKNOWN_KEY, None
    if must_enrol(user.pk):
        return Close.WRONG_KIND, None
    project = Project.objects.filter(key=project_key).first()
    if project is None or not may(user.as_actor(), Action.VIEW, project):
        return Close.WRONG_KIND, None
    return None, str(project.pk)


def _hello(project: str) -> str:
    return f'{{"type":"hello","project":"{project}"}}'


def _comes_from_us(scope: dict[str, Any]) -> bool:
    origin, host = _header(scope, b"origin"), _header(scope, b"host")
    scheme, netloc = urlsplit(origin)[:2]
    is_ours = bool(host) and netloc.lower() == host.lower()
    # Where pages are served by HTTPS alone, a page of the same host without it is another's.
    is_safe = scheme == "https" or not settings.SESSION_COOKIE_SECURE
    return origin in settings.CSRF_TRUSTED_ORIGINS or (is_ours and is_safe)


def _session_in(scope: dict[str, Any]) -> str:
    try:
        cookies = SimpleCookie(_header(scope, b"cookie"))
    except CookieError:
        return ""
    morsel = cookies.get(settings.SESSION_COOKIE_NAME)
    return str(morsel.value) if morsel else ""


def _project_in(scope: dict[str, Any]) -> str:
    asked = parse_qs(scope["query_string"].decode("latin-1")).get("project", [""])
    return str(asked[0])


def _header(scope: dict[str, Any], name: bytes) -> str:
    for found, value in scope["headers"]:
        if found == name:
            text: str = value.decode("latin-1")
            return text
    return ""

"""Signing in and out."""

import contextlib
import hashlib
import logging

import redis
from django.contrib.auth import authenticate, login, logout
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST

logger = logging.getLogger(__name__)

# Guessing is slowed per address and per account; a person who mistypes is not.
TRIES = 10
WINDOW_SECONDS = 5 * 60


@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(_where_to(request))
    if request.method != "POST":
        return render(request, "dashboard/sign_in.html", {"next": request.GET.get("next", "")})
    username = request.POST.get("username", "")
    if _has_failed_too_often(request, username):
        return _again(
            request, "Too many failed sign-ins. Wait five minutes, then try again.", status=429
        )
    user = authenticate(request, username=username, password=request.POST.get("password", ""))
    if user is None:
        _count_failure(request, username)
        return _again(request, "The username or the password is not right.", status=422)
    login(request, user)
    return redirect(_where_to(request))


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("sign-in")


def _again(request: HttpRequest, problem: str, *, status: int) -> HttpResponse:
    context = {
        "problem": problem,
        "username": request.POST.get("username", ""),
        "next": request.POST.get("next", ""),
    }
    return render(request, "dashboard/sign_in.html", context, status=status)


def _where_to(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return resolve_url(wanted)
    return reverse("home")


def _counters(request: HttpRequest, username: str) -> list[str]:
    named = (f"address:{request.META.get('REMOTE_ADDR', '')}", f"account:{username}")
    return ["sign-in:" + hashlib.sha256(name.encode()).hexdigest() for name in named]


def _has_failed_too_often(request: HttpRequest, username: str) -> bool:
    try:
        counts = cache.get_many(_counters(request, username))
    except redis.RedisError:
        # Without its store nothing is counted; people must be able to sign in all the same.
        logger.warning("sign_in.uncounted")
        return False
    return any(count >= TRIES for count in counts.values())


def _count_failure(request: HttpRequest, username: str) -> None:
    for counter in _counters(request, username):
        # `incr` refuses a counter that ended between the two.
        with contextlib.suppress(redis.RedisError, ValueError):
            cache.add(counter, 0, timeout=WINDOW_SECONDS)
            cache.incr(counter)

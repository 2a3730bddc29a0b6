"""A person's own pages: who they are, and the tokens by which programs act in their name."""

from datetime import datetime, time, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from flags.access import visible_projects
from flags.changes import CreateApiToken, RevokeApiToken, submit
from flags.dashboard.problems import by_field
from flags.dashboard.shell import refused, status_of
from flags.dashboard.undo import told
from flags.errors import FlagsiteError, Invalid
from flags.models import ApiToken, User
from flags.models.secrets import Secret, new_secret
from flags.queries.members import memberships_of
from flags.queries.notices import unread_count
from flags.queries.tokens import tokens_of
from flags.sessions import actor_at_place

SCOPES = {
    "read": "see what you see",
    "propose": "ask for changes of flags and segments, which wait as requests",
    "apply": "change flags and segments where you may, and apply approved requests",
    "review": "give verdicts on requests, where the policy lets programs do so",
    "admin": "manage environments, keys and members where you may",
}
# Days a token lives; none is the choice that has to be made on purpose.
LIFETIMES = (("30", "30 days"), ("90", "90 days"), ("365", "One year"), ("", "No end"))


@require_GET
@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """Who is signed in, and what they may do where."""
    user = user_of(request)
    context = own_page(user, "profile") | {
        "memberships": memberships_of(str(user.pk)),
        "projects": visible_projects(user.as_actor()),
    }
    return render(request, "dashboard/settings/profile.html", context)


@never_cache
@require_http_methods(["GET", "POST"])
@login_required
def api_tokens(request: HttpRequest) -> HttpResponse:
    """The tokens of who is signed in; making one shows its secret, this once."""
    user = user_of(request)
    secret: Secret | None = None
    error: FlagsiteError | None = None
    if request.method == "POST":
        try:
            secret = _new_token(request, user)
        except FlagsiteError as refusal:
            error = refusal
    context = own_page(user, "tokens") | {
        "tokens": tokens_of(str(user.pk)),
        "scopes": SCOPES,
        "chosen": request.POST.getlist("scopes") if error else ["read"],
        "lifetimes": LIFETIMES,
        "typed": request.POST if error else None,
        "problems": by_field(error, {"name", "scopes", "expires_at"}),
        "secret": secret,
        "now": timezone.now(),
    }
    status = status_of(error) if error else 200
    return render(request, "dashboard/settings/tokens.html", context, status=status)


@require_POST
@login_required
def revoke_token(request: HttpRequest, token: str) -> HttpResponse:
    """Refuse a token from now on."""
    try:
        submit(RevokeApiToken(public_id=token), actor=actor_at_place(request))
    except FlagsiteError as error:
        return refused(request, error)
    return told(request, redirect("api-tokens"), f"{token} is revoked")


def _new_token(request: HttpRequest, user: User) -> Secret:
    secret = new_secret(ApiToken.PREFIX)
    name = request.POST.get("name", "").strip()
    if not name:
        raise Invalid.at("name", "expected a name, such as the program that will use it")
    if len(name) > 200:
        raise Invalid.at("name", f"expected at most 200 characters, got {len(name)}")
    scopes = request.POST.getlist("scopes")
    if unknown := sorted(set(scopes) - SCOPES.keys()):
        raise Invalid.at("scopes", f"expected some of {', '.join(SCOPES)}, got {unknown[0]!r}")
    submit(
        CreateApiToken(
            username=user.get_username(),
            public_id=secret.public_id,
            hash=secret.hash,
            scopes=scopes,  # type: ignore[arg-type]
            name=name,
            expires_at=end_of_life(request.POST.get("lifetime", "")),
        ),
        actor=actor_at_place(request),
    )
    return secret


def end_of_life(days: str) -> datetime | None:
    """Midnight after so many days; None for a token without an end."""
    if days not in dict(LIFETIMES):
        raise Invalid.at("expires_at", f"expected one of the lifetimes offered, got {days!r}")
    if not days:
        return None
    last_day = timezone.now().date() + timedelta(days=int(days) + 1)
    return datetime.combine(last_day, time(), tzinfo=timezone.get_default_timezone())


def own_page(user: User, tab: str) -> dict[str, Any]:
    """What a person's own pages show around their content: the tabs, and the sidebar's number."""
    return {"tab": tab, "unread": unread_count(str(user.pk))}


def user_of(request: HttpRequest) -> User:
    user = request.user
    assert isinstance(user, User), "login_required lets nobody else in"
    return user

"""How a person signs in: their password, second factors, and the browsers they are signed in with."""

from collections.abc import Sequence

from allauth.account.decorators import reauthentication_required
from allauth.core import ratelimit
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from flagengine import Problem
from flags.browsers import browser_named
from flags.changes import ChangePassword, DisconnectIdentity, RevokeSessions, submit
from flags.dashboard.account import own_page, user_of
from flags.dashboard.problems import by_field
from flags.dashboard.shell import refused, status_of
from flags.dashboard.undo import told
from flags.errors import FlagsiteError, Invalid
from flags.models import User
from flags.queries.sign_in import factors_of, identities_of, sessions_of
from flags.sessions import actor_at_place


@never_cache
@require_http_methods(["GET", "POST"])
@login_required
def signing_in(request: HttpRequest) -> HttpResponse:
    """Everything a person signs in with; here they change their password."""
    user = user_of(request)
    error: FlagsiteError | None = None
    if request.method == "POST":
        try:
            _change_password(request, user)
        except FlagsiteError as refusal:
            error = refusal
        else:
            return told(request, redirect("signing-in"), "Your password is changed")
    context = own_page(user, "signing-in") | {
        "factors": factors_of(user),
        "required": settings.REQUIRE_SECOND_FACTOR,
        "identities": [
            (row, settings.OIDC_PROVIDERS.get(row.provider)) for row in identities_of(user)
        ],
        "providers": settings.OIDC_PROVIDERS.values(),
        "sessions": [(row, browser_named(row.user_agent)) for row in sessions_of(user)],
        "problems": by_field(error, {"current", "password", "again"}),
    }
    status = status_of(error) if error else 200
    return render(request, "dashboard/settings/signing_in.html", context, status=status)


@require_POST
@login_required
def revoke_session(request: HttpRequest, session: int) -> HttpResponse:
    """Sign one browser out."""
    return _revoke(request, [session], "That browser is signed out")


@require_POST
@login_required
def revoke_other_sessions(request: HttpRequest) -> HttpResponse:
    """Sign every browser out but this one."""
    others = [row.pk for row in sessions_of(user_of(request)) if not row.is_current()]
    return _revoke(request, others, "All other browsers are signed out")


@require_POST
@login_required
@reauthentication_required
def disconnect_identity(request: HttpRequest, identity: int) -> HttpResponse:
    """Come in no longer by what an identity provider says."""
    user = user_of(request)
    change = DisconnectIdentity(username=user.get_username(), identity=identity)
    try:
        submit(change, actor=actor_at_place(request))
    except FlagsiteError as error:
        return refused(request, error)
    return told(request, redirect("signing-in"), "It no longer signs you in")


def _revoke(request: HttpRequest, sessions: Sequence[int], text: str) -> HttpResponse:
    user = user_of(request)
    change = RevokeSessions(username=user.get_username(), sessions=list(sessions))
    try:
        submit(change, actor=actor_at_place(request))
    except FlagsiteError as error:
        return refused(request, error)
    return told(request, redirect("signing-in"), text)


def _change_password(request: HttpRequest, user: User) -> None:
    """Of all sessions only the one that asks goes on: the others were signed in by the old one."""
    typed = {name: request.POST.get(name, "") for name in ("current", "password", "again")}
    problems = []
    # Whoever found an open session is not to find out its password.
    if not ratelimit.consume(request, action="change_password", user=user):
        raise Invalid.at("current", "tried too often; wait a minute")
    if user.has_usable_password() and not user.check_password(typed["current"]):
        problems.append(Problem("current", "this is not your current password"))
    if typed["password"] != typed["again"]:
        problems.append(Problem("again", "expected the new password once more, got another one"))
    try:
        validate_password(typed["password"], user)
    except ValidationError as error:
        problems += [Problem("password", message) for message in error.messages]
    if problems:
        raise Invalid(problems)
    change = ChangePassword(
        username=user.get_username(), password_hash=make_password(typed["password"])
    )
    submit(change, actor=actor_at_place(request))
    user.refresh_from_db()
    update_session_auth_hash(request, user)
    UserSession.objects.create_from_request(request)

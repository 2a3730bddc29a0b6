"""The page that an invitation leads to: join with the account one has, or make one."""

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from flagengine import Problem
from flags.changes.invitations import accept, accept_as_newcomer
from flags.errors import Conflict, FlagsiteError, Invalid, StaleChange
from flags.models import Invitation, User

# In the session of who came by an invitation: an identity provider may make their account.
INVITED = "sign-in.invitation"


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    found = Invitation.of(token)
    if found is None or not found.is_open(timezone.now()):
        return render(request, "sign_in/invitation_over.html", status=410)
    request.session[INVITED] = token
    if request.method != "POST":
        return _page(request, found)
    try:
        if isinstance(request.user, User):
            accept(found, request.user.get_username())
            return redirect("flags", project=found.project.key)
        return _new_account(request, found)
    except FlagsiteError as error:
        return _page(request, found, error)


def is_invited(request: HttpRequest) -> bool:
    """Whether this browser came by an invitation that is still open."""
    found = Invitation.of(request.session.get(INVITED, ""))
    return found is not None and found.is_open(timezone.now())


def _new_account(request: HttpRequest, found: Invitation) -> HttpResponse:
    username, password = request.POST.get("username", "").strip(), request.POST.get("password", "")
    problems = []
    if password != request.POST.get("again", ""):
        problems.append(Problem("again", "expected the password once more, got another one"))
    try:
        validate_password(password, User(username=username, email=found.email))
    except ValidationError as error:
        problems += [Problem("password", message) for message in error.messages]
    if problems:
        raise Invalid(problems)
    accept_as_newcomer(found, username=username, password_hash=make_password(password))
    login = Login(
        user=User.objects.get(username=username), redirect_url=f"/p/{found.project.key}/flags"
    )
    answer: HttpResponse = perform_password_login(request, {"username": username}, login)
    return answer


def _page(
    request: HttpRequest, found: Invitation, error: FlagsiteError | None = None
) -> HttpResponse:
    problems: dict[str, str] = {}
    for problem in getattr(error, "problems", []):
        problems[problem.path] = f"{problems.get(problem.path, '')} {problem.message}".strip()
    context = {
        "invitation": found,
        "typed": request.POST,
        "suggested": found.email.partition("@")[0],
        "problems": problems,
        "refused": "You are a member already." if isinstance(error, StaleChange) else error,
        "providers": settings.OIDC_PROVIDERS.values(),
        "has_account": found.is_mailed and User.objects.filter(email__iexact=found.email).exists(),
    }
    if problems:
        context["refused"] = None
    status = 200 if error is None else 409 if isinstance(error, Conflict) else 422
    return render(request, "sign_in/invitation.html", context, status=status)

"""Where the site requires a second factor, who has none does nothing before enrolling one."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import resolve

from flags.sessions import must_enrol

# How one enrols, and what may come before: confirming who one is, setting a password, leaving.
LEADS_THERE = {
    "account_login", "account_logout", "account_reauthenticate", "signing-in", "mfa_index",
    "mfa_activate_totp", "mfa_add_webauthn", "mfa_list_webauthn",
}  # fmt: skip
API = "/api/"


class RequiredSecondFactor:
    """Sessions only: a token of the management API was made by somebody who was let in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if _is_to_enrol(request):
            if request.path.startswith(API):
                detail = "enrol a second factor first, at /account/signing-in"
                answer = {
                    "type": "urn:flagsite:problem:second-factor-needed",
                    "title": "Forbidden",
                    "status": 403,
                    "detail": detail,
                    "problems": [],
                }
                media_type = "application/problem+json"
                return JsonResponse(answer, status=403, content_type=media_type)
            return redirect("signing-in")
        return self.get_response(request)


def _is_to_enrol(request: HttpRequest) -> bool:
    user = request.user
    if not user.is_authenticated or user.pk is None or not must_enrol(user.pk):
        return False
    return resolve(request.path_info).url_name not in LEADS_THERE

"""Coming in by what an identity provider says: whose account it is, and who is given one."""

from typing import Any, NoReturn

from allauth.account.adapter import get_adapter as account_adapter
from allauth.account.decorators import reauthentication_required
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.openid_connect import views as openid
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST
from requests import RequestException

from flags.changes import ConnectIdentity, CreateUser, FailSignIn, submit
from flags.errors import AlreadyExists
from flags.models import User
from flags.sessions import actor_at_place
from flags.sign_in.adapters import SYSTEM
from flags.sign_in.invitations import is_invited

# In the session of who confirmed that they want to connect an identity to the account they are in:
# the provider that they chose.
CONNECTING = "sign-in.connecting"
NO_ACCOUNT = "There is no account for you yet. Ask for an invitation."
NOT_CONNECTED = "No account is connected to it. Sign in another way, and connect it there."


class IdentityAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """An identity is matched to an account by an address that its provider has verified, once, and
    only where the provider is believed about addresses of that domain.

    Addresses of accounts are given by site administrators, by invitations that were mailed there
    and by the provider itself, so nobody can lay claim to somebody else's in advance.
    """

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        provider = _provider_of(sociallogin)
        asked_to_connect = request.session.pop(CONNECTING, None) == provider.id
        address = _verified_address(sociallogin)
        if address is None:
            _refuse(request, "The provider has not verified your mail address.")
        if provider.domains and not provider.speaks_for(address):
            _refuse(
                request, "People with addresses of your domain do not come in by this provider."
            )
        if sociallogin.state.get("process") == AuthProcess.CONNECT:
            if not asked_to_connect:
                _refuse(request, "Begin on the page about signing in.")
            raise ImmediateHttpResponse(_connected(request, sociallogin))
        if not sociallogin.is_existing:
            self._match(request, sociallogin, address)

    def _match(self, request: HttpRequest, sociallogin: Any, address: str) -> None:
        believed = _provider_of(sociallogin).speaks_for(address)
        accounts = list(User.objects.filter(email__iexact=address)[:2]) if believed else []
        if len(accounts) > 1 or any(not account.is_active for account in accounts):
            _refuse(request, "The account of your mail address may not sign in.")
        if accounts:
            _take_in(request, sociallogin, accounts[0])
        elif not self.is_open_for_signup(request, sociallogin):
            _refuse(request, NO_ACCOUNT if believed else NOT_CONNECTED)

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return _provider_of(sociallogin).makes_accounts or is_invited(request)

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> User:
        """Make the account of who came for the first time.

        It gets the address only from a provider that is believed about it: by the address other
        providers would find the account.
        """
        new = sociallogin.user
        address = _verified_address(sociallogin) or ""
        believed = _provider_of(sociallogin).speaks_for(address)
        username = account_adapter().generate_unique_username([new.username, address, "user"])
        change = CreateUser(
            username=username,
            email=address if believed else "",
            first_name=new.first_name,
            last_name=new.last_name,
        )
        with transaction.atomic():
            submit(change, actor=SYSTEM)
            _take_in(request, sociallogin, User.objects.get(username=username))
        return sociallogin.user  # type: ignore[no-any-return]


def begin(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Lead to the provider, or say that it cannot be reached."""
    try:
        response: HttpResponse = openid.login(request, provider_id)
    except RequestException:
        why = f"{settings.OIDC_PROVIDERS[provider_id].title} cannot be reached at this moment. Try again."
        return render(request, "socialaccount/authentication_error.html", {"why": why}, status=503)
    return response


@require_POST
@login_required
@reauthentication_required
def connect(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Begin to connect an identity: only from here, so that no link elsewhere can."""
    request.session[CONNECTING] = provider_id
    begin = reverse("openid_connect_login", args=[provider_id])
    address = f"{begin}?process={AuthProcess.CONNECT}"
    # A page rather than a redirect: the policy keeps forms from leading to another host.
    context = {"provider": settings.OIDC_PROVIDERS[provider_id].title, "address": address}
    return render(request, "sign_in/continue.html", context)


def _connected(request: HttpRequest, sociallogin: Any) -> HttpResponse:
    if not isinstance(request.user, User):
        _refuse(request, "You were signed out meanwhile.")
    identity = sociallogin.account
    change = ConnectIdentity(
        username=request.user.get_username(), provider=identity.provider, uid=identity.uid
    )
    try:
        submit(change, actor=actor_at_place(request))
    except AlreadyExists:
        _refuse(request, "This identity signs somebody in already.")
    return redirect("signing-in")


def _take_in(request: HttpRequest, sociallogin: Any, user: User) -> None:
    """From now on the identity is the account's."""
    identity = sociallogin.account
    change = ConnectIdentity(
        username=user.get_username(), provider=identity.provider, uid=identity.uid
    )
    submit(change, actor=actor_at_place(request, user))
    sociallogin.user = user
    sociallogin.account = SocialAccount.objects.get(provider=identity.provider, uid=identity.uid)


def _provider_of(sociallogin: Any) -> Any:
    return settings.OIDC_PROVIDERS[sociallogin.account.provider]


def _verified_address(sociallogin: Any) -> str | None:
    for address in sociallogin.email_addresses:
        if address.verified is True:
            return str(address.email).lower()
    return None


def _refuse(request: HttpRequest, why: str) -> NoReturn:
    submit(FailSignIn(username=None, by="identity"), actor=SYSTEM)
    context = {"why": why}
    raise ImmediateHttpResponse(
        render(request, "socialaccount/authentication_error.html", context, status=403)
    )

"""Addresses of signing in. Their names are the ones allauth looks for."""

from allauth.account import views as account
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as passkeys
from allauth.socialaccount.providers.openid_connect import views as openid
from django.conf import settings
from django.urls import path, register_converter
from django.urls.converters import StringConverter
from django.views.generic import RedirectView

from flags.sign_in import identities
from flags.sign_in.invitations import invitation
from flags.sign_in.views import ForgottenPage, SignInPage


class ProviderConverter(StringConverter):
    """The name of an identity provider, for its id."""

    def to_python(self, value: str) -> str:
        for provider in settings.OIDC_PROVIDERS.values():
            if provider.name == value:
                return str(provider.id)
        raise ValueError(value)

    def to_url(self, value: str) -> str:
        if value not in settings.OIDC_PROVIDERS:
            raise ValueError(value)
        return str(settings.OIDC_PROVIDERS[value].name)


register_converter(ProviderConverter, "provider")
WITH = "sign-in/with/<provider:provider_id>"
SIGN_IN = RedirectView.as_view(pattern_name="account_login")
FACTORS = RedirectView.as_view(pattern_name="signing-in")

urlpatterns = [
    path("sign-in", SignInPage.as_view(), name="account_login"),
    path("sign-in/passkey", passkeys.login_webauthn, name="mfa_login_webauthn"),
    path(WITH, identities.begin, name="openid_connect_login"),
    path(f"{WITH}/callback", openid.callback, name="openid_connect_callback"),
    path("sign-in/cancelled", SIGN_IN, name="socialaccount_login_cancelled"),
    path(
        "account/identities/<provider:provider_id>/connect",
        identities.connect,
        name="connect-identity",
    ),
    path("sign-in/second-factor", mfa.authenticate, name="mfa_authenticate"),
    path("invitations/<str:token>", invitation, name="invitation"),
    path("sign-in/forgotten", ForgottenPage.as_view(), name="account_reset_password"),
    path("sign-in/forgotten/sent", account.password_reset_done, name="account_reset_password_done"),
    path(
        "sign-in/new-password/<str:uidb36>/<str:key>",
        account.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path(
        "sign-in/new-password/done",
        account.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    path("sign-in/inactive", account.account_inactive, name="account_inactive"),
    path("sign-out", account.logout, name="account_logout"),
    # The Django admin has no way in or out of its own.
    path("admin/logout/", account.logout),
    path("admin/password_change/", FACTORS),
    path("account/confirm/password", account.reauthenticate, name="account_reauthenticate"),
    path("account/confirm/code", mfa.reauthenticate, name="mfa_reauthenticate"),
    path(
        "account/confirm/passkey",
        passkeys.reauthenticate_webauthn,
        name="mfa_reauthenticate_webauthn",
    ),
    # After each change to a factor allauth leads to lists of its own: the page on signing in is that list.
    path("account/factors", FACTORS, name="mfa_index"),
    path("account/passkeys", FACTORS, name="mfa_list_webauthn"),
    path("account/app/enrol", totp.activate_totp, name="mfa_activate_totp"),
    path("account/app/remove", totp.deactivate_totp, name="mfa_deactivate_totp"),
    path("account/passkeys/add", passkeys.add_webauthn, name="mfa_add_webauthn"),
    path("account/passkeys/<int:pk>/rename", passkeys.edit_webauthn, name="mfa_edit_webauthn"),
    path("account/passkeys/<int:pk>/remove", passkeys.remove_webauthn, name="mfa_remove_webauthn"),
    path("account/recovery-codes", codes.view_recovery_codes, name="mfa_view_recovery_codes"),
    path(
        "account/recovery-codes/new",
        codes.generate_recovery_codes,
        name="mfa_generate_recovery_codes",
    ),
    path(
        "account/recovery-codes/download",
        codes.download_recovery_codes,
        name="mfa_download_recovery_codes",
    ),
]

"""allauth's views where our pages differ: an answer's status says that it is a refusal."""

from typing import Any

from allauth.account import views as account
from django.conf import settings
from django.http import HttpResponse


class SignInPage(account.LoginView):  # type: ignore[misc]
    """422 for what is wrong, 429 for who tries too often."""

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        providers, sent = settings.OIDC_PROVIDERS.values(), settings.MAIL_IS_SENT
        return {**super().get_context_data(**more), "providers": providers, "mail_is_sent": sent}

    def form_invalid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_invalid(form)
        too_often = form.has_error("__all__", "too_many_login_attempts")
        response.status_code = 429 if too_often else 422
        return response


class ForgottenPage(account.PasswordResetView):  # type: ignore[misc]
    """Says so where no mail is sent."""

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        return {**super().get_context_data(**more), "mail_is_sent": settings.MAIL_IS_SENT}

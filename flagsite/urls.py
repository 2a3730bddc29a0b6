"""Addresses of everything Django serves; the evaluation API and websockets are in asgi.py."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.utils.functional import lazy
from django.views.generic import RedirectView

# Where it is, is known once static files are collected.
ICON = lazy(static, str)("images/icon.svg")

urlpatterns = [
    # For who asks without having read a page: pages name it themselves.
    path("favicon.ico", RedirectView.as_view(url=ICON)),
    path("", include("flags.sign_in.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("flags.management_api.urls")),
    path("", include("flags.dashboard.urls")),
]

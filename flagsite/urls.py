"""Addresses of everything Django serves; the evaluation API and websockets are in asgi.py."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("flags.sign_in.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("flags.management_api.urls")),
    path("", include("flags.dashboard.urls")),
]

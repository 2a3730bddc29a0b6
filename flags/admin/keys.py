"""SDK keys and API tokens: revoked here, and made where their secret can be shown."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from flags.admin.door import Door, may
from flags.changes import RevokeApiToken, RevokeSdkKey
from flags.models import ApiToken, SdkKey


@admin.register(SdkKey)
class SdkKeyTable(Door):
    """Keys are made where their secret can be shown: the dashboard, the API, the command line."""

    can_add = False
    seen = None
    list_display = ("public_id", "environment", "kind", "name", "created_at", "revoked_at")
    list_filter = ("kind", "environment__project", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("environment",)
    search_fields = ("public_id", "name")
    actions = ("revoke",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and may(request)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        return self.list_display

    get_readonly_fields = get_fields

    @admin.action(description="Revoke: refuse from now on")
    def revoke(self, request: HttpRequest, keys: "models.QuerySet[SdkKey]") -> None:
        changes = [
            (key, RevokeSdkKey(project=key.environment.project.key, public_id=key.public_id))
            for key in keys.select_related("environment__project")
        ]
        self.act(request, changes)


@admin.register(ApiToken)
class ApiTokenTable(Door):
    """Tokens are made where their secret can be shown: the dashboard, the API, the command line."""

    can_add = False
    seen = None
    list_display = (
        "public_id",
        "user",
        "name",
        "scopes",
        "expires_at",
        "revoked_at",
        "last_used_at",
    )
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("user",)
    search_fields = ("public_id", "name", "user__username")
    actions = ("revoke",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and may(request)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        return self.list_display

    get_readonly_fields = get_fields

    @admin.action(description="Revoke: refuse from now on")
    def revoke(self, request: HttpRequest, tokens: "models.QuerySet[ApiToken]") -> None:
        self.act(request, [(token, RevokeApiToken(public_id=token.public_id)) for token in tokens])

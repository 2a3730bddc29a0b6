"""allauth's tables, to look at. Its own doors to them would write past `submit`."""

from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin

from flags.admin.door import ReadOnly

for model in (
    *(EmailAddress, EmailConfirmation, Authenticator, UserSession),
    *(SocialAccount, SocialApp, SocialToken),
):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


@admin.register(Authenticator)
class FactorTable(ReadOnly):
    # What they are proved with (`data`) is for nobody to see.
    fields = ("user", "type", "created_at", "last_used_at")
    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    list_select_related = ("user",)
    search_fields = ("user__username",)


@admin.register(SocialAccount)
class IdentityTable(ReadOnly):
    fields = ("user", "provider", "uid", "last_login", "date_joined")
    list_display = ("user", "provider", "last_login", "date_joined")
    list_select_related = ("user",)
    search_fields = ("user__username",)


@admin.register(UserSession)
class SessionTable(ReadOnly):
    fields = ("user", "ip", "user_agent", "created_at", "last_seen_at")
    list_display = ("user", "ip", "user_agent", "created_at", "last_seen_at")
    list_select_related = ("user",)
    search_fields = ("user__username", "ip")

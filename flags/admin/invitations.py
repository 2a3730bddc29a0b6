"""Invitations, to look at: they are made and taken back on the page of their project."""

from django.contrib import admin

from flags.admin.door import ReadOnly
from flags.models import Invitation


@admin.register(Invitation)
class InvitationTable(ReadOnly):
    list_display = ("email", "project", "role", "invited_by", "expires_at", "accepted_at")
    list_filter = ("project", "role")
    list_select_related = ("project", "invited_by")
    search_fields = ("email", "invited_by__username")

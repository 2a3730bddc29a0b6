"""What people were told, and whether it went out by mail."""

from django.contrib import admin

from flags.admin.door import ReadOnly
from flags.models import Notice


@admin.register(Notice)
class NoticeTable(ReadOnly):
    list_display = ("person", "kind", "project", "at", "read_at", "mailed_at", "mail_attempts")
    list_filter = ("kind", "project", ("mail_due_at", admin.EmptyFieldListFilter))
    list_select_related = ("person", "project")
    search_fields = ("person__username", "text", "mail_error")

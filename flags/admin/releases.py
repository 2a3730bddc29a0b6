"""Ramps and leases, to be read; what is done with them is done on their pages and by the API."""

from django.contrib import admin

from flags.admin.door import ReadOnly
from flags.models import Lease, Ramp, RampTemplate, StepApproval


@admin.register(Ramp)
class RampTable(ReadOnly):
    list_display = ("number", "project", "environment", "flag", "place", "state", "next_due_at")
    list_filter = ("state", "project")
    list_select_related = ("project", "environment", "flag")
    search_fields = ("flag__key", "environment__key", "number__exact")


@admin.register(RampTemplate)
class RampTemplateTable(ReadOnly):
    list_display = ("key", "project", "name")
    list_filter = ("project",)
    list_select_related = ("project",)
    search_fields = ("key", "name")


@admin.register(StepApproval)
class StepApprovalTable(ReadOnly):
    list_display = ("ramp", "step", "reviewer", "at", "by_token")
    list_select_related = ("ramp", "reviewer")
    search_fields = ("reviewer__username",)


@admin.register(Lease)
class LeaseTable(ReadOnly):
    list_display = ("number", "project", "state", "granted_by", "granted_at", "ends_at")
    list_filter = ("state", "project")
    list_select_related = ("project", "granted_by")
    search_fields = ("number__exact", "granted_by__username")

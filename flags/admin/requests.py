"""Requests, and what answers them."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db import models
from django.http import HttpRequest

from flags.admin.door import ReadOnly, actor_of
from flags.changes import (
    Change,
    CommentOnRequest,
    ReviewRequest,
    submit,
)
from flags.errors import FlagsiteError
from flags.models import (
    Comment,
    Policy,
    Request,
    Team,
    Verdict,
)


class ReasonForm(ActionForm):
    """Beside the actions on requests: why, or what to say."""

    reason = forms.CharField(required=False, max_length=2000, label="Reason or comment:")


@admin.register(Request)
class RequestTable(ReadOnly):
    list_display = ("number", "project", "title", "state", "author", "created_at", "apply_at")
    list_filter = ("state", "project", "is_armed")
    list_select_related = ("project", "author")
    search_fields = ("title", "reason", "author__username", "number__exact")
    action_form = ReasonForm
    actions = ("approve", "reject", "comment")

    @admin.action(description="Approve what they do now")
    def approve(self, request: HttpRequest, rows: "models.QuerySet[Request]") -> None:
        self._act(request, rows, lambda named: ReviewRequest(**named, verdict="approved"))

    @admin.action(description="Reject (takes a reason)")
    def reject(self, request: HttpRequest, rows: "models.QuerySet[Request]") -> None:
        self._act(request, rows, lambda named: ReviewRequest(**named, verdict="rejected"))

    @admin.action(description="Comment")
    def comment(self, request: HttpRequest, rows: "models.QuerySet[Request]") -> None:
        body = request.POST.get("reason", "")
        self._act(request, rows, lambda named: CommentOnRequest(**named, body=body))

    def _act(
        self,
        request: HttpRequest,
        rows: "models.QuerySet[Request]",
        made: Callable[[dict[str, Any]], Change],
    ) -> None:
        for row in rows.select_related("project"):
            change = made({"project": row.project.key, "request": row.number})
            try:
                submit(change, actor=actor_of(request), reason=request.POST.get("reason", ""))
            except FlagsiteError as refusal:
                messages.error(request, f"{row}: {refusal}")
            else:
                messages.success(request, f"{row}: done")


@admin.register(Verdict)
class VerdictTable(ReadOnly):
    list_display = ("request", "reviewer", "verdict", "at", "undone_at", "by_token")
    list_filter = ("verdict",)
    list_select_related = ("request", "reviewer")
    search_fields = ("request__title", "reviewer__username", "reason")


@admin.register(Comment)
class CommentTable(ReadOnly):
    list_display = ("request", "author", "at", "line", "body")
    list_select_related = ("request", "author")
    search_fields = ("request__title", "author__username", "body")


@admin.register(Policy)
class PolicyTable(ReadOnly):
    list_display = ("environment", "approvals", "minimum_role", "expires_after_days")
    list_filter = ("environment__project",)
    list_select_related = ("environment",)
    search_fields = ("environment__key", "environment__project__key")


@admin.register(Team)
class TeamTable(ReadOnly):
    list_display = ("key", "project", "name")
    list_filter = ("project",)
    list_select_related = ("project",)
    search_fields = ("key", "name", "members__username")

"""`/projects/{project}/flags`"""

from typing import Any

from django.db.models import Q, QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from flags.changes import ArchiveFlag, Change, CreateFlag, DeleteFlag, EditFlag, RestoreFlag
from flags.management_api.base import ManagementView, creates, edits, reads, removes
from flags.management_api.fields import (
    AnyJson,
    Body,
    Choice,
    JsonObjects,
    Query,
    Text,
    Texts,
    Truth,
    Whole,
)
from flags.management_api.pages import Pages
from flags.management_api.preconditions import etag, expected
from flags.models import Flag


class FlagShown(serializers.ModelSerializer[Flag]):
    """What a flag is in all environments; what it serves in each is its configuration there."""

    type = Choice(Flag.TYPES)
    variations = JsonObjects()
    json_schema = AnyJson()
    owner = serializers.CharField(
        source="owner.username", allow_null=True, default=None, help_text="A username."
    )

    class Meta:
        model = Flag
        fields = [
            "key",
            "name",
            "description",
            "type",
            "variations",
            "json_schema",
            "owner",
            "tags",
            "is_permanent",
            "client_visible",
            "created_at",
            "changed_at",
            "archived_at",
            "revision",
        ]


class NewFlag(Body):
    key = Text()
    name = Text(required=False, max_length=200)
    description = Text(required=False)
    type = Choice(Flag.TYPES, required=False)
    variations = JsonObjects(required=False)
    json_schema = AnyJson(required=False)
    owner = Text(required=False, allow_null=True)
    tags = Texts(required=False)
    is_permanent = Truth(required=False)
    client_visible = Truth(required=False)
    on_variation = Text(required=False)
    off_variation = Text(required=False, allow_null=True)


class FlagEdit(Body):
    name = Text(required=False, max_length=200, allow_blank=False)
    description = Text(required=False)
    variations = JsonObjects(required=False)
    json_schema = AnyJson(required=False)
    owner = Text(required=False, allow_null=True)
    tags = Texts(required=False)
    is_permanent = Truth(required=False)
    client_visible = Truth(required=False)
    expected_revision = Whole(required=False)


class FlagFilters(Query):
    q = serializers.CharField(required=False, help_text="Part of the key or the name.")
    type = Choice(Flag.TYPES, required=False)
    tag = serializers.CharField(required=False)
    owner = serializers.CharField(required=False, help_text="A username.")
    archived = Choice(
        ["true", "false", "all"],
        required=False,
        help_text="Archived flags are left out unless asked for.",
    )


class FlagAction(Body):
    expected_revision = Whole(required=False)


def filtered(flags: "QuerySet[Flag]", filters: dict[str, Any]) -> "QuerySet[Flag]":
    if text := filters.get("q"):
        flags = flags.filter(Q(key__icontains=text) | Q(name__icontains=text))
    if "type" in filters:
        flags = flags.filter(type=filters["type"])
    if "tag" in filters:
        flags = flags.filter(tags__contains=[filters["tag"]])
    if "owner" in filters:
        flags = flags.filter(owner__username=filters["owner"])
    archived = filters.get("archived", "false")
    return flags if archived == "all" else flags.filter(archived_at__isnull=archived == "false")


class Flags(ManagementView):
    pagination_class = Pages

    @reads(
        FlagShown,
        summary="The flags of a project",
        many=True,
        parameters=[FlagFilters],
        operation_id="flags",
    )
    def get(self, request: Request, project: str) -> Response:
        flags = self.project(project).flags.select_related("owner")
        return self.page(filtered(flags, FlagFilters.of(request.query_params)), FlagShown)

    @creates(NewFlag, FlagShown, summary="Make a flag, off in every environment")
    def post(self, request: Request, project: str) -> Response:
        self.project(project)
        given = self.body(NewFlag)
        reason = given.pop("reason", "")

        def answer() -> tuple[str, Any, str]:
            row = self.flag(project, given["key"])
            address = reverse("api-flag", args=[project, row.key])
            return address, FlagShown(row).data, etag(row, row.revision)

        return self.created([CreateFlag(project=project, **given)], answer, reason=reason)


class OneFlag(ManagementView):
    @reads(FlagShown, summary="A flag")
    def get(self, request: Request, project: str, flag: str) -> Response:
        return self.now(project, flag)

    @edits(FlagEdit, FlagShown, summary="Say something else about a flag")
    def patch(self, request: Request, project: str, flag: str) -> Response:
        row = self.flag(project, flag)
        given = self.body(FlagEdit)
        reason = given.pop("reason", "")
        seen = expected(request, row, row.revision, in_body=given.pop("expected_revision", None))
        change = EditFlag(project=project, flag=flag, expected_revision=seen, **given)
        return self.edited([change], lambda: self.now(project, flag), reason=reason)

    @removes(summary="Remove an archived flag for good", is_compared=True)
    def delete(self, request: Request, project: str, flag: str) -> Response:
        row = self.flag(project, flag)
        return self.removed(
            unedited(row, expected(request, row, row.revision)),
            DeleteFlag(project=project, flag=flag),
        )

    def now(self, project: str, flag: str) -> Response:
        row = self.flag(project, flag)
        return self.shown(FlagShown(row).data, etag(row, row.revision))


class FlagArchive(OneFlag):
    """Taking a flag out of every ruleset, and bringing it back."""

    http_method_names = ["post", "options"]
    change: type[ArchiveFlag] | type[RestoreFlag] = ArchiveFlag

    def act(self, request: Request, project: str, flag: str) -> Response:
        row = self.flag(project, flag)
        given = self.body(FlagAction)
        seen = expected(request, row, row.revision, in_body=given.get("expected_revision"))
        changes = [unedited(row, seen), self.change(project=project, flag=flag)]
        return self.edited(changes, lambda: self.now(project, flag), reason=given.get("reason", ""))

    @edits(FlagAction, FlagShown, summary="Take a flag out of every ruleset and keep it")
    def post(self, request: Request, project: str, flag: str) -> Response:
        return self.act(request, project, flag)


class FlagRestore(FlagArchive):
    change = RestoreFlag

    @edits(FlagAction, FlagShown, summary="Bring an archived flag back")
    def post(self, request: Request, project: str, flag: str) -> Response:
        return self.act(request, project, flag)


def unedited(flag: Flag, revision: int | None) -> Change:
    """A change that alters nothing: it makes sure that nobody edited the flag meanwhile."""
    return EditFlag(project=flag.project.key, flag=flag.key, expected_revision=revision)

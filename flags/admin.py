"""The Django admin: one more door. What it saves goes through `submit`; the rest can only be read.

A form asks `submit` in a dry run while it is validated, so that a refusal stands beside the field it
is about; `save_model` then submits. Nothing here saves or deletes a row.
"""

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import PermissionDenied
from django.db import DataError, models, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from simple_history.admin import SimpleHistoryAdmin

from audit.facts import Actor
from audit.models import Event, OutboxEntry, Person, Stream
from flags import access
from flags.access import Action
from flags.changes import (
    ArchiveFlag,
    Change,
    CommentOnRequest,
    ConfigureFlag,
    CreateEnvironment,
    CreateFlag,
    CreateProject,
    CreateSegment,
    CreateUser,
    DefineSegment,
    DeleteEnvironment,
    DeleteFlag,
    DeleteSegment,
    EditEnvironment,
    EditFlag,
    EditProject,
    EditSegment,
    EditUser,
    Outcome,
    RemoveMember,
    RestoreFlag,
    ReviewRequest,
    RevokeApiToken,
    RevokeSdkKey,
    SetMember,
    submit,
)
from flags.errors import ApprovalNeeded, FlagsiteError, Invalid
from flags.models import (
    ApiToken,
    Comment,
    Delivery,
    Environment,
    Flag,
    FlagConfiguration,
    Instance,
    Membership,
    Policy,
    Project,
    Request,
    SdkKey,
    Segment,
    SegmentDefinition,
    SegmentId,
    SegmentIdBatch,
    Team,
    User,
    Verdict,
)

# Groups and their permissions mean nothing here: flags/access.py answers every question.
admin.site.unregister(Group)
admin.site.site_header = admin.site.site_title = "Flagsite"


class ReadOnly(admin.ModelAdmin):
    """A table that site administrators may look at and search."""

    actions: Sequence[Any] = ()
    show_full_result_count = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _may(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_actions(self, request: HttpRequest) -> Any:
        # Django's own deletes rows; no change says that it does.
        return {
            name: action
            for name, action in super().get_actions(request).items()
            if name != "delete_selected"
        }


class ChangeForm(forms.ModelForm):
    """A form whose values become changes. `door` and `actor` are set by the door it belongs to."""

    door: "Door"
    actor: Actor

    seen = forms.IntegerField(required=False, widget=forms.HiddenInput)
    reason = forms.CharField(
        required=False,
        max_length=2000,
        help_text="Why; it goes into the event.",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.door.seen is not None and not self.instance._state.adding:
            self.initial["seen"] = getattr(self.instance, self.door.seen)

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        if not self.errors:
            try:
                with transaction.atomic():
                    submit(
                        *self.changes(), actor=self.actor, reason=self.reason_given, dry_run=True
                    )
            except ApprovalNeeded:
                # It will wait as a request, which `save_model` tells.
                if not all(change.can_wait for change in self.changes()):
                    raise
            except Invalid as refusal:
                for problem in refusal.problems:
                    field = problem.path.partition(".")[0].partition("[")[0]
                    self.add_error(field if field in self.fields else None, str(problem))
            except FlagsiteError as refusal:
                self.add_error(None, str(refusal))
            except DataError:
                self.add_error(
                    None, "It holds something that cannot be stored, such as NUL or NaN."
                )
        return given

    def changes(self) -> list[Change]:
        return self.door.changes(
            self.cleaned_data, None if self.instance._state.adding else self.instance
        )

    @property
    def reason_given(self) -> str:
        return str(self.cleaned_data.get("reason", ""))


class Door(ReadOnly):
    """A table whose rows are changed, each save being a submit."""

    form = ChangeForm
    # Names which row it is, so it is set when the row is made and stays.
    identity: Sequence[str] = ()
    # The number that grows with each edit, by which a save over somebody else's is noticed.
    seen: str | None = "revision"
    edited: Sequence[str] = ()
    shown: Sequence[str] = ()
    can_add = True

    def changes(self, given: dict[str, Any], row: Any) -> list[Change]:
        """What saving these values means; `row` is None when it is to be made."""
        raise NotImplementedError

    def removal(self, row: Any) -> list[Change] | None:
        """What deleting the row means, None when nothing does."""
        return None

    # Permissions

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.can_add and _may(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_removable = type(self).removal is not Door.removal
        return is_removable and obj is not None and _may(request)

    # The form

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        if obj is None:
            return [*self.identity, *self.edited, "reason"]
        return [*self.identity, *self.edited, *self.shown, "reason", "seen"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        return () if obj is None else [*self.identity, *self.shown]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **options)
        return type(form.__name__, (form,), {"door": self, "actor": _actor(request)})

    # What is saved

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        outcome = submit(*form.changes(), actor=_actor(request), reason=form.reason_given)
        if _waits(request, obj, outcome):
            return
        if not change:
            # The row that the change made takes the place of the one that the form dreamt up.
            obj.pk = self.made(form.cleaned_data).pk

    def made(self, given: dict[str, Any]) -> Any:
        """The row that was made of these values."""
        return self.model._default_manager.get(**{name: given[name] for name in self.identity})

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Everything was submitted by `save_model`."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        outcome = submit(*(self.removal(obj) or ()), actor=_actor(request))
        _waits(request, obj, outcome)

    # What is told of a save that became a request, instead of that it was done

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None if _is_waiting(request) else super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None if _is_waiting(request) else super().log_change(request, obj, message)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        if _is_waiting(request):
            return self.response_post_save_add(request, obj)
        return super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        if _is_waiting(request):
            return self.response_post_save_change(request, obj)
        return super().response_change(request, obj)

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: Any) -> Any:
        if _is_waiting(request):
            return self.response_post_save_change(request, None)
        return super().response_delete(request, obj_display, obj_id)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        # What goes with the row is the change's to say, and its event lists it.
        return [str(obj) for obj in objs], {}, set(), []

    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> Any:
        with _told(request) as refused:
            return super().changeform_view(request, *args, **options)
        return refused.answer

    def delete_view(self, request: HttpRequest, *args: Any, **options: Any) -> Any:
        with _told(request) as refused:
            return super().delete_view(request, *args, **options)
        return refused.answer

    def act(self, request: HttpRequest, changes: Sequence[tuple[Any, Change]]) -> None:
        """An action on several rows: each is submitted by itself, a refusal is told."""
        for row, change in changes:
            try:
                outcome = submit(change, actor=_actor(request))
            except FlagsiteError as refusal:
                messages.error(request, f"{row}: {refusal}")
            else:
                if not _waits(request, row, outcome):
                    messages.success(request, f"{row}: done")


class DoorWithHistory(Door, SimpleHistoryAdmin):
    """The same for tables whose rows' copies are kept. They are shown; restoring is the dashboard's."""

    def history_form_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        if request.method != "GET":
            raise PermissionDenied("a row is restored from the history of its flag or segment")
        answer: HttpResponse = super().history_form_view(request, *args, **options)
        return answer

    def revert_disabled(self, request: HttpRequest, obj: Any = None) -> bool:
        return True


class _told:  # noqa: N801
    """Turns a refusal inside the block into a message and the way back to the same page."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.answer: HttpResponse | None = None

    def __enter__(self) -> "_told":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if not isinstance(error, FlagsiteError):
            return False
        messages.error(self.request, str(error))
        self.answer = HttpResponseRedirect(self.request.get_full_path())
        return True


def _may(request: HttpRequest) -> bool:
    user = request.user
    return isinstance(user, User) and access.may(user.as_actor(), Action.ADMINISTER, None)


def _actor(request: HttpRequest) -> Actor:
    assert isinstance(request.user, User), "the admin site lets nobody else in"
    return request.user.as_actor()


def _waits(request: HttpRequest, row: Any, outcome: Outcome) -> bool:
    """Whether the save became a request; says so, and keeps for the answer that it did."""
    if outcome.request is None:
        return False
    request.META["flagsite.request"] = outcome.request
    messages.warning(request, f"{row}: waits for approval as request #{outcome.request}")
    return True


def _is_waiting(request: HttpRequest) -> bool:
    return "flagsite.request" in request.META


def _given(given: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names}


# Projects and what is in them


@admin.register(Project)
class ProjectDoor(DoorWithHistory):
    identity = ("key",)
    edited = ("name", "description")
    shown = ("created_at", "revision")
    list_display = ("key", "name", "created_at")
    search_fields = ("key", "name")

    def changes(self, given: dict[str, Any], row: Project | None) -> list[Change]:
        values = _given(given, *self.edited)
        if row is None:
            return [CreateProject(project=given["key"], **values)]
        return [EditProject(project=row.key, expected_revision=given["seen"], **values)]


@admin.register(Environment)
class EnvironmentDoor(DoorWithHistory):
    identity = ("project", "key")
    edited = ("name", "position", "requires_approval")
    shown = ("created_at", "revision")
    list_display = ("key", "project", "name", "position", "requires_approval")
    list_filter = ("project", "requires_approval")
    list_select_related = ("project",)
    search_fields = ("key", "name", "project__key")

    def changes(self, given: dict[str, Any], row: Environment | None) -> list[Change]:
        values = _given(given, *self.edited)
        if row is None:
            project = given["project"].key
            return [CreateEnvironment(project=project, key=given["key"], **values)]
        return [
            EditEnvironment(
                project=row.project.key,
                environment=row.key,
                expected_revision=given["seen"],
                **values,
            )
        ]

    def removal(self, row: Environment) -> list[Change]:
        return [DeleteEnvironment(project=row.project.key, environment=row.key)]


@admin.register(Membership)
class MembershipDoor(DoorWithHistory):
    identity = ("project", "user")
    edited = ("role",)
    seen = None
    list_display = ("user", "project", "role")
    list_filter = ("project", "role")
    list_select_related = ("project", "user")
    search_fields = ("user__username", "project__key")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "role":
            roles = [(role, role) for role in ("viewer", "editor", "reviewer", "admin")]
            return forms.ChoiceField(choices=roles)
        return super().formfield_for_dbfield(db_field, request, **options)

    def changes(self, given: dict[str, Any], row: Membership | None) -> list[Change]:
        project = given["project"].key if row is None else row.project.key
        user = given["user"] if row is None else row.user
        return [SetMember(project=project, username=user.get_username(), role=given["role"])]

    def removal(self, row: Membership) -> list[Change]:
        return [RemoveMember(project=row.project.key, username=row.user.get_username())]


# Flags and segments


@admin.register(Flag)
class FlagDoor(DoorWithHistory):
    identity = ("project", "key", "type")
    edited = (
        "name",
        "description",
        "variations",
        "json_schema",
        "owner",
        "tags",
        "is_permanent",
        "client_visible",
    )
    shown = ("created_at", "changed_at", "archived_at", "revision")
    list_display = ("key", "project", "name", "type", "owner", "changed_at", "archived_at")
    list_filter = ("project", "type", "is_permanent", ("archived_at", admin.EmptyFieldListFilter))
    list_select_related = ("project", "owner")
    search_fields = ("key", "name", "description")
    actions = ("archive", "restore")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "type":
            return forms.ChoiceField(choices=[(type_, type_) for type_ in Flag.TYPES])
        return super().formfield_for_dbfield(db_field, request, **options)

    def changes(self, given: dict[str, Any], row: Flag | None) -> list[Change]:
        owner = given["owner"].get_username() if given["owner"] else None
        values = _given(given, *self.edited) | {"owner": owner}
        if row is None:
            named = _given(given, "key", "type")
            return [CreateFlag(project=given["project"].key, **named, **values)]
        return [
            EditFlag(
                project=row.project.key, flag=row.key, expected_revision=given["seen"], **values
            )
        ]

    def removal(self, row: Flag) -> list[Change]:
        return [DeleteFlag(project=row.project.key, flag=row.key)]

    @admin.action(description="Archive: take out of every ruleset and keep")
    def archive(self, request: HttpRequest, flags: "models.QuerySet[Flag]") -> None:
        self.act(request, [(f, ArchiveFlag(project=f.project.key, flag=f.key)) for f in flags])

    @admin.action(description="Bring back from the archive")
    def restore(self, request: HttpRequest, flags: "models.QuerySet[Flag]") -> None:
        self.act(request, [(f, RestoreFlag(project=f.project.key, flag=f.key)) for f in flags])


@admin.register(FlagConfiguration)
class FlagConfigurationDoor(DoorWithHistory):
    can_add = False  # it comes with its flag and its environment
    identity = ("flag", "environment")
    edited = ("enabled", "off_variation", "prerequisites", "targets", "rules", "fallthrough")
    seen = "version"
    shown = ("version", "changed_at")
    list_display = ("flag", "environment", "enabled", "version", "changed_at")
    list_filter = ("enabled", "environment__project", "environment__key")
    list_select_related = ("flag", "environment")
    search_fields = ("flag__key", "environment__key")

    def changes(self, given: dict[str, Any], row: FlagConfiguration) -> list[Change]:
        lists = {name: given[name] or [] for name in ("prerequisites", "targets", "rules")}
        return [
            ConfigureFlag(
                project=row.flag.project.key,
                environment=row.environment.key,
                flag=row.flag.key,
                expected_version=given["seen"],
                **_given(given, "enabled", "off_variation", "fallthrough"),
                **lists,
            )
        ]


@admin.register(Segment)
class SegmentDoor(DoorWithHistory):
    identity = ("project", "key")
    edited = ("name", "description", "tags")
    shown = ("created_at", "changed_at", "revision")
    list_display = ("key", "project", "name", "changed_at")
    list_filter = ("project",)
    list_select_related = ("project",)
    search_fields = ("key", "name", "description")

    def changes(self, given: dict[str, Any], row: Segment | None) -> list[Change]:
        values = _given(given, *self.edited)
        if row is None:
            return [CreateSegment(project=given["project"].key, key=given["key"], **values)]
        return [
            EditSegment(
                project=row.project.key, segment=row.key, expected_revision=given["seen"], **values
            )
        ]

    def removal(self, row: Segment) -> list[Change]:
        return [DeleteSegment(project=row.project.key, segment=row.key)]


@admin.register(SegmentDefinition)
class SegmentDefinitionDoor(DoorWithHistory):
    can_add = False  # it comes with its segment and its environment
    identity = ("segment", "environment")
    edited = ("when",)
    seen = "version"
    shown = ("version", "changed_at")
    list_display = ("segment", "environment", "version", "changed_at")
    list_filter = ("environment__project", "environment__key")
    list_select_related = ("segment", "environment")
    search_fields = ("segment__key", "environment__key")

    def changes(self, given: dict[str, Any], row: SegmentDefinition) -> list[Change]:
        return [
            DefineSegment(
                project=row.segment.project.key,
                environment=row.environment.key,
                segment=row.segment.key,
                when=given["when"],
                expected_version=given["seen"],
            )
        ]


@admin.register(SegmentId)
class SegmentIdTable(ReadOnly):
    list_display = ("value", "by", "list", "definition")
    list_filter = ("list",)
    list_select_related = ("definition",)
    search_fields = ("value__exact",)


@admin.register(SegmentIdBatch)
class SegmentIdBatchTable(ReadOnly):
    fields = ("digest",)
    search_fields = ("digest",)


# Requests, and who answers them


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
                submit(change, actor=_actor(request), reason=request.POST.get("reason", ""))
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


# People and secrets


class UserForm(ChangeForm):
    new_password = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Left empty, the password stays; a new account without one cannot sign in.",
    )

    def clean_new_password(self) -> str:
        password: str = self.cleaned_data["new_password"]
        if password:
            validate_password(password, self.instance)
        return password


@admin.register(User)
class UserDoor(Door):
    form = UserForm
    identity = ("username",)
    edited = ("email", "first_name", "last_name", "is_active", "is_superuser", "new_password")
    seen = None
    shown = ("is_staff", "last_login", "date_joined")
    list_display = ("username", "email", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser")
    search_fields = ("username", "email", "first_name", "last_name")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        # An account is active when it is made.
        fields = super().get_fields(request, obj)
        return [name for name in fields if obj is not None or name != "is_active"]

    def changes(self, given: dict[str, Any], row: User | None) -> list[Change]:
        values = _given(given, "email", "first_name", "last_name", "is_superuser")
        if given["new_password"]:
            values["password_hash"] = make_password(given["new_password"])
        if row is None:
            return [CreateUser(username=given["username"], **values)]
        return [EditUser(username=row.get_username(), is_active=given["is_active"], **values)]


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
        return obj is None and _may(request)

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
        return obj is None and _may(request)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        return self.list_display

    get_readonly_fields = get_fields

    @admin.action(description="Revoke: refuse from now on")
    def revoke(self, request: HttpRequest, tokens: "models.QuerySet[ApiToken]") -> None:
        self.act(request, [(token, RevokeApiToken(public_id=token.public_id)) for token in tokens])


# The log, and what is told of connections


@admin.register(Event)
class EventTable(ReadOnly):
    list_display = ("stream", "version", "at", "actor", "reason")
    list_select_related = ("actor", "stream")
    list_filter = ("at",)
    search_fields = ("stream__key__exact", "reason", "hash__startswith")
    exclude = ("delta", "canonical")
    ordering = ("-at",)


@admin.register(Stream)
class StreamTable(ReadOnly):
    list_display = ("key", "version", "head_hash", "at")
    search_fields = ("key",)


@admin.register(Person)
class PersonTable(ReadOnly):
    list_display = ("digest", "__str__")
    search_fields = ("digest", "identity__name")
    exclude = ("salt",)


@admin.register(OutboxEntry)
class OutboxEntryTable(ReadOnly):
    list_display = ("subscriber", "stream", "version", "attempts", "not_before")
    list_filter = ("subscriber",)
    search_fields = ("stream", "last_error")


@admin.register(Instance)
class InstanceTable(ReadOnly):
    list_display = ("instance", "environment", "kind", "name", "sdk", "version", "seen_at")
    list_select_related = ("environment",)
    list_filter = ("kind", "sdk")
    search_fields = ("name", "sdk")


@admin.register(Delivery)
class DeliveryTable(ReadOnly):
    list_display = ("environment", "version", "committed_at", "expected", "receipts")
    list_select_related = ("environment",)
    search_fields = ("environment__key",)

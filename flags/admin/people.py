"""Accounts of people and services, memberships, and the exceptions to them."""

from collections.abc import Sequence
from typing import Any

from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.db.models import QuerySet
from django.http import HttpRequest

from flags.admin.door import ChangeForm, Door, DoorWithHistory, ReadOnly, taken
from flags.changes import (
    Change,
    CreateUser,
    EditUser,
    EraseUser,
    RemoveMember,
    RemoveService,
    RevokeSessions,
    SetMember,
)
from flags.models import EnvironmentRole, Membership, User


@admin.register(Membership)
class MembershipDoor(DoorWithHistory):
    """A role given here leaves the exceptions, which are given on the page of members."""

    identity = ("project", "user")
    edited = ("role",)
    shown = ("exceptions",)
    seen = None
    list_display = ("user", "project", "role", "exceptions")
    list_filter = ("project", "role")
    list_select_related = ("project", "user")
    search_fields = ("user__username", "project__key")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "role":
            roles = [(role, role) for role in ("viewer", "editor", "reviewer", "admin")]
            return forms.ChoiceField(choices=roles)
        return super().formfield_for_dbfield(db_field, request, **options)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Membership]":
        rows: QuerySet[Membership] = super().get_queryset(request)
        return rows.prefetch_related("environment_roles__environment")

    @admin.display(description="other roles", empty_value="none")
    def exceptions(self, row: Membership) -> str | None:
        return ", ".join(f"{role} in {key}" for key, role in row.exceptions().items()) or None

    def changes(self, given: dict[str, Any], row: Membership | None) -> list[Change]:
        project = given["project"].key if row is None else row.project.key
        user = given["user"] if row is None else row.user
        return [SetMember(project=project, username=user.get_username(), role=given["role"])]

    def removal(self, row: Membership) -> list[Change]:
        if row.user.is_service:
            return [removal_of_service(row.user)]
        return [RemoveMember(project=row.project.key, username=row.user.get_username())]


@admin.register(EnvironmentRole)
class ExceptionTable(ReadOnly):
    """The roles that members have in single environments instead of theirs in the project."""

    list_display = ("account", "environment", "role", "instead_of")
    list_filter = ("environment__project", "role")
    list_select_related = ("membership__user", "membership__project", "environment")
    search_fields = ("membership__user__username", "environment__key")

    @admin.display(ordering="membership__user__username")
    def account(self, row: EnvironmentRole) -> str:
        return row.membership.user.get_username()

    @admin.display(description="instead of")
    def instead_of(self, row: EnvironmentRole) -> str:
        return f"{row.membership.role} in {row.membership.project.key}"


class KindFilter(admin.SimpleListFilter):
    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("person", "People"), ("service", "Services")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[User]") -> "QuerySet[User]":
        if self.value() is None:
            return queryset
        return queryset.filter(service_of__isnull=self.value() == "person")


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
    actions = ("end_sessions",)
    identity = ("username",)
    edited = ("email", "first_name", "last_name", "is_active", "is_superuser", "new_password")
    seen = None
    shown = ("is_staff", "last_login", "date_joined")
    list_display = ("username", "service_of", "email", "is_active", "is_superuser", "last_login")
    list_filter = (KindFilter, "is_active", "is_superuser")
    list_select_related = ("service_of",)
    search_fields = ("username", "email", "first_name", "last_name")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        if obj is not None and obj.is_service:
            return ["username", "service_of", "is_active", "date_joined", "reason"]
        # An account is active when it is made.
        fields = super().get_fields(request, obj)
        return [name for name in fields if obj is not None or name != "is_active"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        fields = super().get_readonly_fields(request, obj)
        # A service has only its name, and is or is not there.
        return [*fields, "service_of"] if obj is not None and obj.is_service else fields

    def changes(self, given: dict[str, Any], row: User | None) -> list[Change]:
        if row is not None and row.is_service:
            return [EditUser(username=row.get_username(), is_active=given["is_active"])]
        values = taken(given, "email", "first_name", "last_name", "is_superuser")
        if given["new_password"]:
            values["password_hash"] = make_password(given["new_password"])
        if row is None:
            return [CreateUser(username=given["username"], **values)]
        return [EditUser(username=row.get_username(), is_active=given["is_active"], **values)]

    @admin.action(description="Sign out everywhere")
    def end_sessions(self, request: HttpRequest, rows: "QuerySet[User]") -> None:
        changes = []
        for row in rows:
            sessions = list(UserSession.objects.filter(user=row).values_list("pk", flat=True))
            change = RevokeSessions(username=row.get_username(), sessions=sessions)
            changes.append((row, change))
        self.act(request, changes)

    def removal(self, row: User) -> list[Change]:
        """What the person did needs an account to be of, so nobody's is what is left."""
        if row.is_service:
            return [removal_of_service(row)]
        return [EraseUser(username=row.get_username())]


def removal_of_service(account: User) -> Change:
    """Takes it out of its project and refuses its tokens; what it did stays on record."""
    assert account.service_of is not None, "a person is removed as a member"
    name = account.get_username().partition("@")[0]
    return RemoveService(project=account.service_of.key, name=name)

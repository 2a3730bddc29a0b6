"""Accounts and memberships."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.http import HttpRequest

from flags.admin.door import ChangeForm, Door, DoorWithHistory, taken
from flags.changes import (
    Change,
    CreateUser,
    EditUser,
    EraseUser,
    RemoveMember,
    SetMember,
)
from flags.models import Membership, User


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
        values = taken(given, "email", "first_name", "last_name", "is_superuser")
        if given["new_password"]:
            values["password_hash"] = make_password(given["new_password"])
        if row is None:
            return [CreateUser(username=given["username"], **values)]
        return [EditUser(username=row.get_username(), is_active=given["is_active"], **values)]

    def removal(self, row: User) -> list[Change]:
        """What the person did needs an account to be of, so nobody's is what is left."""
        return [EraseUser(username=row.get_username())]

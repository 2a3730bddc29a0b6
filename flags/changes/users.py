"""Accounts: made and edited by site administrators. Names and addresses stay out of the events."""

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError

from flags.access import Action
from flags.changes.base import UNSET, Change, Effect, Scope, UnsetType, change
from flags.errors import AlreadyExists, Invalid
from flags.models import User


def facts(user: User) -> dict[str, Any]:
    """What the site's stream says of an account: nothing that names the person."""
    return {"is_active": user.is_active, "is_superuser": user.is_superuser}


@change("user.created")
class CreateUser(Change, frozen=True, kw_only=True):
    """Make an account. `password_hash` is Django's encoded form; None lets nobody sign in."""

    can_wait = False
    on_site = True
    needs = Action.ADMINISTER

    project: str = ""
    username: str
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    password_hash: str | None = None
    is_superuser: bool = False

    def perform(self, scope: Scope) -> list[Effect]:
        try:
            UnicodeUsernameValidator()(self.username)
        except ValidationError as error:
            raise Invalid.at("username", "; ".join(error.messages)) from error
        if User.objects.filter(username=self.username).exists():
            raise AlreadyExists(f"there is an account {self.username} already")
        user = User(
            username=self.username,
            email=self.email,
            first_name=self.first_name,
            last_name=self.last_name,
            is_superuser=self.is_superuser,
            is_staff=self.is_superuser,
            date_joined=scope.now,
        )
        if self.password_hash is None:
            user.set_unusable_password()
        else:
            user.password = self.password_hash
        scope.create(user)
        return [Effect(self.kind, f"user:{user.pk}", None, facts(user))]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [EditUser(username=self.username, is_active=False)]


@change("user.edited")
class EditUser(Change, frozen=True, kw_only=True):
    """Change an account; what is not given stays."""

    can_wait = False
    on_site = True
    needs = Action.ADMINISTER

    project: str = ""
    username: str
    email: str | UnsetType = UNSET
    first_name: str | UnsetType = UNSET
    last_name: str | UnsetType = UNSET
    password_hash: str | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    is_superuser: bool | UnsetType = UNSET

    def perform(self, scope: Scope) -> list[Effect]:
        user = scope.user(self.username)
        before = facts(user)
        given = {
            "email": self.email,
            "first_name": self.first_name,
            "last_name": self.last_name,
            "password": self.password_hash,
            "is_active": self.is_active,
            "is_superuser": self.is_superuser,
            "is_staff": self.is_superuser,
        }
        new = {
            name: value
            for name, value in given.items()
            if value is not UNSET and getattr(user, name) != value
        }
        if not new:
            return []
        if user.is_service and new.keys() - {"is_active"}:
            raise Invalid.at(
                "username",
                f"{self.username} is a service, which never signs in and has only a name",
            )
        for name, value in new.items():
            setattr(user, name, value)
        scope.save(user, *new)
        after = facts(user) | ({"password": "set"} if "password" in new else {})
        return [Effect(self.kind, f"user:{user.pk}", before, after)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [EditUser(username=self.username, **effect.before) for effect in effects]


@change("user.mails_chosen")
class ChooseMails(Change, frozen=True, kw_only=True):
    """Say whether notices come by mail too: of one's own account, or as a site administrator."""

    can_wait = False
    on_site = True
    needs = Action.VIEW

    project: str = ""
    username: str
    each: bool

    def perform(self, scope: Scope) -> list[Effect]:
        user = scope.user(self.username)
        if scope.actor.kind != "person" or scope.actor.id != str(user.pk):
            scope.require_site_administrator()
        if user.notices_by_mail == self.each:
            return []
        before = {"notices_by_mail": user.notices_by_mail}
        user.notices_by_mail = self.each
        scope.save(user, "notices_by_mail")
        after = {"notices_by_mail": self.each}
        return [Effect(self.kind, f"user:{user.pk}", before, after)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [ChooseMails(username=self.username, each=not self.each) for _ in effects]

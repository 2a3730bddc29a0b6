"""Erasing a person: what names them goes, what they did stays, and the chain still verifies."""

import secrets
from collections.abc import Sequence
from typing import Any

from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q

from audit.models import Person
from flags.access import Action
from flags.changes.base import Change, Effect, Scope, change
from flags.changes.sign_in import end_sessions
from flags.changes.users import facts
from flags.errors import Conflict, Invalid
from flags.models import ApiToken, Invitation, Notice, Policy, Request, User

ERASED = "erased-"
# Where a stored change names an account.
NAMING = {"username", "owner", "person"}


@change("user.erased")
class EraseUser(Change, frozen=True, kw_only=True):
    """Make an account nobody's: its name, address, sign-ins, tokens and inbox go for good.

    What the person did and said stays, as an erased person's. There is no way back.
    """

    can_wait = False
    on_site = True
    needs = Action.ADMINISTER

    project: str = ""
    username: str

    def perform(self, scope: Scope) -> list[Effect]:
        user = scope.user(self.username)
        if user.username.startswith(ERASED) and not user.is_active:
            return []
        self._refuse_where_needed(scope, user)
        before, digests = facts(user), self._forget_identities(user)
        name, email = f"{ERASED}{secrets.token_hex(6)}", user.email
        self._forget_sign_in(scope, user)
        self._forget_mentions(user, name, email)
        user.username, user.email, user.first_name, user.last_name = name, "", "", ""
        user.is_active = user.is_superuser = user.is_staff = False
        user.last_login = None
        user.set_unusable_password()
        scope.save(
            user,
            *("username", "email", "first_name", "last_name", "password", "last_login"),
            *("is_active", "is_superuser", "is_staff"),
        )
        after = {**facts(user), "erased": digests}
        return [Effect(self.kind, f"user:{user.pk}", before, after)]

    def _refuse_where_needed(self, scope: Scope, user: User) -> None:
        if user.is_service:
            raise Invalid.at("username", f"{self.username} is a service, which is no person")
        if scope.actor.kind == "person" and scope.actor.id == str(user.pk):
            raise Conflict("nobody erases themselves: ask another site administrator")
        asking = Policy.objects.filter(from_whom__contains=[{"person": user.username}])
        if first := asking.select_related("environment__project").first():
            where = first.environment
            raise Conflict(
                f"the policy of {where.key} in {where.project.key} asks for the approval of "
                f"{user.username}; name somebody else there first"
            )

    def _forget_identities(self, user: User) -> list[str]:
        """The digests by which the log knows the person, from now on without a way back."""
        people = Person.objects.filter(identity__kind="person", identity__id=str(user.pk))
        digests = sorted(people.values_list("digest", flat=True))
        people.update(identity=None, salt="")
        return digests

    def _forget_sign_in(self, scope: Scope, user: User) -> None:
        """Sessions end, tokens are refused; what other packages keep of the person is removed."""
        end_sessions(scope, UserSession.objects.filter(user=user))
        tokens = ApiToken.objects.filter(user=user)
        tokens.filter(revoked_at=None).update(revoked_at=scope.now)
        tokens.update(name="")
        for relation in User._meta.related_objects:
            if relation.related_model._meta.app_label != "flags":
                relation.related_model._default_manager.filter(
                    **{relation.field.name: user}
                ).delete()

    def _forget_mentions(self, user: User, name: str, email: str) -> None:
        """The name and the address where rows of others hold them as values."""
        Notice.objects.filter(person=user).delete()
        Notice.objects.filter(by=user.username).update(by=name)
        if email:
            Invitation.objects.filter(email__iexact=email).update(email=f"{name}@erased.invalid")
        account = ContentType.objects.get_for_model(User)
        LogEntry.objects.filter(content_type=account, object_id=str(user.pk)).delete()
        _rename(Policy.history.model, ("from_whom",), user.username, name)
        _rename(Request, ("changes", "seen", "asked"), user.username, name)

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


def _rename(model: Any, columns: Sequence[str], username: str, name: str) -> None:
    """Put another name where stored JSON names the account."""
    mentions = Q()
    for column in columns:
        mentions |= Q(**{f"{column}__icontains": f'"{username}"'})
    for row in model.objects.filter(mentions):
        for column in columns:
            setattr(row, column, _renamed(getattr(row, column), username, name))
        row.save(update_fields=columns)


def _renamed(value: Any, username: str, name: str) -> Any:
    if isinstance(value, list):
        return [_renamed(inner, username, name) for inner in value]
    if not isinstance(value, dict):
        return value
    renamed = {}
    for member, inner in value.items():
        if member in NAMING and inner == username:
            inner = name
        elif member == "members" and isinstance(inner, list):
            inner = [name if one == username else one for one in inner]
        renamed[member] = _renamed(inner, username, name)
    return renamed

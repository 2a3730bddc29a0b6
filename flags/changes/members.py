"""Members: who belongs to a project, in which role."""

from collections.abc import Sequence
from typing import Literal

from flags.access import Action
from flags.changes.base import Change, Effect, Scope, change
from flags.errors import NotFound, StaleChange
from flags.models import Membership


@change("member.set")
class SetMember(Change, frozen=True, kw_only=True):
    """Give a person a role in a project, or another one."""

    needs = Action.ADMINISTER

    username: str
    role: Literal["viewer", "editor", "reviewer", "admin"]
    was: str | None = None  # the role that the author saw; None skips the check

    def perform(self, scope: Scope) -> list[Effect]:
        user = scope.user(self.username)
        member = Membership.objects.filter(project=scope.project, user=user).first()
        _refuse_another_role(member, self.username, self.was)
        if member is None:
            scope.create(Membership(project=scope.the_project(), user=user, role=self.role))
            return [Effect(self.kind, f"member:{user.pk}", None, {"role": self.role})]
        if member.role == self.role:
            return []
        before = {"role": member.role}
        member.role = self.role
        scope.save(member, "role")
        return [Effect(self.kind, f"member:{user.pk}", before, {"role": self.role})]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            SetMember(project=self.project, username=self.username, role=effect.before["role"])
            if effect.before
            else RemoveMember(project=self.project, username=self.username)
            for effect in effects
        ]


@change("member.removed")
class RemoveMember(Change, frozen=True, kw_only=True):
    """Take a person out of a project."""

    needs = Action.ADMINISTER

    username: str
    was: str | None = None  # the role that the author saw; None skips the check

    def perform(self, scope: Scope) -> list[Effect]:
        user = scope.user(self.username)
        member = Membership.objects.filter(project=scope.project, user=user).first()
        _refuse_another_role(member, self.username, self.was)
        if member is None:
            raise NotFound(f"{self.username} is not a member of {self.project}")
        before = {"role": member.role}
        scope.delete(member)
        return [Effect(self.kind, f"member:{user.pk}", before, None)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            SetMember(project=self.project, username=self.username, role=effect.before["role"])
            for effect in effects
        ]


def _refuse_another_role(member: Membership | None, username: str, was: str | None) -> None:
    role = member.role if member else "no member"
    if was is not None and role != was:
        raise StaleChange(f"{username} is {role}, expected {was}: somebody changed it meanwhile")

"""Invitations: a role for whoever comes with the link that was sent."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from audit.facts import Actor
from flags.access import Action
from flags.changes.base import Change, Effect, Scope, change
from flags.changes.members import AnyRole, SetMember, refuse_above_own
from flags.changes.submit import submit
from flags.changes.users import CreateUser
from flags.errors import AlreadyExists, Denied, Invalid, NotFound, WrongState
from flags.models import Invitation, User

GOOD_FOR = timedelta(days=7)


def facts(invitation: Invitation) -> dict[str, Any]:
    """What the project's stream says of an invitation: not to whom."""
    return {
        "role": invitation.role,
        "mailed": invitation.is_mailed,
        "expires_at": invitation.expires_at.isoformat(),
    }


@change("invitation.created")
class CreateInvitation(Change, frozen=True, kw_only=True):
    """Invite an address. `mailed` says that the link goes there by mail and to nobody else."""

    can_wait = False
    needs = Action.ADMINISTER

    email: str
    role: AnyRole
    mailed: bool

    def perform(self, scope: Scope) -> list[Effect]:
        try:
            validate_email(self.email)
        except ValidationError:
            raise Invalid.at("email", f"expected a mail address, got {self.email!r}") from None
        if scope.actor.kind == "service":
            raise Denied("an invitation is a person's to make")
        after: dict[str, Any] = {"role": self.role, "environments": {}}
        refuse_above_own(scope, self.email, None, after)
        invitation = Invitation(
            project=scope.the_project(),
            email=self.email.lower(),
            role=self.role,
            invited_by=User.objects.get(pk=scope.actor.id)
            if scope.actor.kind == "person"
            else None,
            is_mailed=self.mailed,
            created_at=scope.now,
            expires_at=scope.now + GOOD_FOR,
        )
        scope.create(invitation)
        return [Effect(self.kind, f"invitation:{invitation.pk}", None, facts(invitation))]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        ids = [effect.subject.partition(":")[2] for effect in effects]
        return [RevokeInvitation(project=self.project, invitation=one) for one in ids]


class OnInvitation(Change, frozen=True, kw_only=True):
    """A change of one invitation, which has to be open."""

    can_wait = False
    needs = Action.ADMINISTER

    invitation: str

    def found(self, scope: Scope) -> Invitation:
        try:
            key = uuid.UUID(self.invitation)
        except ValueError:
            raise NotFound(f"there is no invitation {self.invitation}") from None
        row = Invitation.objects.filter(project=scope.project, pk=key).first()
        if row is None:
            raise NotFound(f"there is no invitation {self.invitation}")
        if not row.is_open(scope.now):
            raise WrongState("the invitation is used, revoked or over")
        return row

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return None


@change("invitation.revoked")
class RevokeInvitation(OnInvitation, frozen=True, kw_only=True):
    """Let nobody in by it any more."""

    def perform(self, scope: Scope) -> list[Effect]:
        invitation = self.found(scope)
        invitation.revoked_at = scope.now
        scope.save(invitation, "revoked_at")
        return [Effect(self.kind, f"invitation:{invitation.pk}", facts(invitation), None)]


@change("invitation.accepted")
class UseInvitation(OnInvitation, frozen=True, kw_only=True):
    """Use an invitation up. That the role is given is a change beside it: see `accept`."""

    def perform(self, scope: Scope) -> list[Effect]:
        invitation = self.found(scope)
        invitation.accepted_at = scope.now
        scope.save(invitation, "accepted_at")
        return [Effect(self.kind, f"invitation:{invitation.pk}", facts(invitation), None)]


def accept(invitation: Invitation, username: str) -> None:
    """Give an account what it was invited to.

    In the name and with the rights of who invited, as they are now: an invitation by somebody who
    may no longer give that role gives nothing. Raises what `submit` raises; StaleChange for who is
    a member already, whose role an invitation does not touch.
    """
    by = invitation.invited_by
    project = invitation.project.key
    submit(
        UseInvitation(project=project, invitation=str(invitation.pk)),
        SetMember(project=project, username=username, role=invitation.role, was="no member"),  # type: ignore[arg-type]
        actor=by.as_actor() if by else Actor.system("invitation"),
        reason="An invitation was accepted",
    )


def accept_as_newcomer(invitation: Invitation, *, username: str, password_hash: str) -> None:
    """Make the account of who was invited, and give it what it was invited to.

    The address becomes the account's only where the link went there by mail: who was shown the link
    could otherwise claim the address of somebody else, and with it how they sign in.
    """
    if not invitation.is_open(timezone.now()):
        raise WrongState("the invitation is used, revoked or over")
    if "@" in username:
        raise Invalid.at("username", "expected a name, got a mail address")
    email = invitation.email if invitation.is_mailed else ""
    if User.objects.filter(username__iexact=username).exists():
        raise AlreadyExists(f"there is an account {username} already")
    if email and User.objects.filter(email__iexact=email).exists():
        raise AlreadyExists(f"there is an account of {email} already: sign in with it")
    with transaction.atomic():
        new = CreateUser(username=username, email=email, password_hash=password_hash)
        submit(new, actor=Actor.system("invitation"))
        accept(invitation, username)

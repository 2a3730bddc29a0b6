"""The `notices` subscriber: whom an event concerns, and what they are told of it.

Told once for each event and person, however often it is called.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from audit.models import Event
from flags import approval
from flags.access import people_with
from flags.changes.outlook import standing
from flags.changes.sweeping import each
from flags.differences.wording import instant_in_words
from flags.errors import Busy, FlagsiteError
from flags.live.hints import send_hint
from flags.models import (
    EXPIRING,
    ApiToken,
    Comment,
    Environment,
    Lease,
    LeaseState,
    Notice,
    Policy,
    Project,
    Request,
    Role,
    State,
    User,
    Verdict,
)
from flags.models.projects import SITE_STREAM
from flags.notices.accounts import told_of_accounts
from flags.notices.approvers import newcomers
from flags.notices.releases import told_of_releases
from flags.notices.words import is_mailed
from flags.queries.members import admins_of, members_of
from flags.queries.releases import subjects_of

LONGEST_TEXT = 500
EXPIRES_SOON = timedelta(days=1)
ENDS_SOON = timedelta(hours=1)
MENTION = re.compile(r"(?<![\w@.+-])@([\w.@+-]+)")
APPROVED = (State.APPROVED, State.SCHEDULED)


@dataclass(frozen=True)
class Told:
    """What some people are told; whoever did it themselves is not."""

    kind: str
    people: Iterable[User]
    text: str = ""
    # What it is of, and whom it is about, where it is.
    request: Request | None = None
    about: User | None = None
    # Tells apart what one event tells somebody twice.
    which: str = ""


@dataclass(frozen=True)
class Step:
    """What became of a request in one event."""

    request: Request
    kind: str
    before: dict[str, Any]
    after: dict[str, Any]
    reason: str

    def came_to(self, *states: str) -> bool:
        return self.after.get("state") in states and self.before.get("state") not in states

    def left(self, *states: str) -> bool:
        return self.before.get("state") in states and self.after.get("state") not in states


def tell(event: Event) -> None:
    """Write a notice for each person whom the event concerns, and let open pages count anew.

    Raises Busy where somebody is saving, to be called again.
    """
    if event.stream_id == SITE_STREAM:
        for token in _ending_tokens(event):
            _write_of(event, token.user.service_of, [_told_of_end(token)])
        _write_of_accounts(event)
        return
    kind, _, key = event.stream_id.partition(":")
    project = Project.objects.filter(pk=key).first() if kind == "project" else None
    if project is None:
        return
    of_requests = [told for step in _steps(event, project) for told in _told(step)]
    of_releases = [Told(*row) for row in told_of_releases(event, project)]
    of_approvers = _told_of_approvers(event, project)
    _write_of(event, project, [*of_requests, *of_releases, *of_approvers])


def _write_of(event: Event, project: Project | None, all_told: Sequence[Told]) -> None:
    identity = event.actor.identity or {}
    by = identity.get("name", "") if identity.get("kind") != "system" else ""
    but = identity.get("id") if identity.get("kind") == "person" else None
    rows = [
        notice
        for told in all_told
        for notice in _notices(told, project, key=_key_of(event, told), at=event.at, by=by, but=but)
    ]
    _write(project, rows)


def _write_of_accounts(event: Event) -> None:
    """Of these who did it is told as well: they may be somebody else than they seem."""
    rows = [
        notice
        for which, (kind, person, text, by) in enumerate(told_of_accounts(event))
        for notice in _notices(
            Told(kind, [person], text),
            None,
            key=f"{event.pk}:{kind}:{which}",
            at=event.at,
            by=by,
            but=None,
        )
    ]
    _write(None, rows)


def _key_of(event: Event, told: Told) -> str:
    return ":".join(part for part in (str(event.pk), told.kind, told.which) if part)


def tell_what_expires(now: datetime) -> int:
    """Tell authors and reviewers of requests that expire within a day; how many were looked at."""
    near = Request.objects.filter(
        state__in=EXPIRING, expires_at__gt=now, expires_at__lte=now + EXPIRES_SOON
    ).select_related("project", "author")
    return each("requests expiring soon", near, lambda request: _tell_of_expiry(request, now))


def _tell_of_expiry(request: Request, now: datetime) -> int:
    key = f"expires:{request.pk}:{request.expires_at:%Y-%m-%dT%H:%M}"
    if not Notice.objects.filter(request=request, key=key).exists():
        people = {*_owners(request), *_asked(request)}
        told = Told("expires_soon", people, request=request)
        _write(request.project, _notices(told, request.project, key=key, at=now, by="", but=None))
    return 1


def tell_what_ends(now: datetime) -> int:
    """Tell whose leases end within the hour, but for those that were granted for no longer."""
    near = Lease.objects.filter(
        state=LeaseState.RUNNING, ends_at__gt=now, ends_at__lte=now + ENDS_SOON
    ).select_related("project", "granted_by", "request")
    return each("leases ending soon", near, lambda lease: _tell_of_end(lease, now))


def _tell_of_end(lease: Lease, now: datetime) -> int:
    key = f"lease-ends:{lease.pk}:{lease.ends_at:%Y-%m-%dT%H:%M}"
    was_granted_for_longer = lease.ends_at - lease.granted_at > ENDS_SOON
    if (
        was_granted_for_longer
        and not Notice.objects.filter(project=lease.project, key=key).exists()
    ):
        people = _owners(lease.request) if lease.request else set()
        people |= {lease.granted_by} if lease.granted_by else set()
        words = f"Lease #{lease.number} of {', '.join(subjects_of(lease))} ends at {lease.ends_at:%H:%M} UTC"
        told = Told("lease_ends_soon", people, words)
        _write(lease.project, _notices(told, lease.project, key=key, at=now, by="", but=None))
    return int(was_granted_for_longer)


def mentioned_in(text: str, project: Project) -> list[User]:
    """Members whom a comment names with an @."""
    names = {name.rstrip(".") for name in MENTION.findall(text)}
    return [row.user for row in members_of(project) if row.user.get_username() in names]


def _steps(event: Event, project: Project) -> Iterator[Step]:
    for effect in event.effects:
        noun, _, number = effect["subject"].partition(":")
        if noun != "request":
            continue
        request = (
            Request.objects.filter(project=project, number=number)
            .select_related("project", "author", "armed_by", "applied_by")
            .first()
        )
        if request is not None:
            before, after = effect["before"] or {}, effect["after"] or {}
            yield Step(request, effect["kind"], before, after, event.reason)


def _told(step: Step) -> Iterator[Told]:
    for told in _told_of(step):
        yield replace(told, request=step.request)


def _told_of(step: Step) -> Iterator[Told]:
    if step.kind in PARTICULAR:
        yield from PARTICULAR[step.kind](step)
    if step.came_to("in_review"):
        yield Told("review_asked", _asked(step.request), step.request.reason)
    if step.kind in {"request.edited", "request.rebased", "request.settled"}:
        yield Told("review_again", _overtaken(step.request))
    if step.came_to(*APPROVED):
        yield Told("ready", _who_goes_on(step), _what_it_waits_for(step.after))
    elif step.left(*APPROVED) and step.after.get("state") == "in_review":
        yield Told("drifted", _owners(step.request))
    if step.came_to("conflicted"):
        yield Told("conflicted", _owners(step.request), step.after["outcome"])


def _who_goes_on(step: Step) -> set[User]:
    """Whose it is; of a service, which reads nothing, the project's admins, who may apply it."""
    author = step.request.author
    is_left = author is not None and author.is_service and not step.after["armed"]
    if is_left and not step.after["apply_at"]:
        return {*_owners(step.request), *admins_of(step.request.project)}
    return _owners(step.request)


def _what_it_waits_for(after: dict[str, Any]) -> str:
    if after["apply_at"]:
        return f"It is applied on {instant_in_words(after['apply_at'])}"
    return "It is applied by itself" if after["armed"] else "It waits for somebody to apply it"


def _on_verdict(step: Step) -> Iterator[Told]:
    yield Told(step.after["verdict"], _owners(step.request), step.reason)


def _on_comment(step: Step) -> Iterator[Told]:
    rows = Comment.objects.filter(pk=step.after["comment"]).select_related("answers__author")
    comment = rows.first()
    if comment is None:
        return
    named = {*mentioned_in(comment.body, step.request.project)}
    answered = {comment.answers.author} - named if comment.answers else set()
    others = User.objects.filter(comments__request=step.request).distinct()
    yield Told("mentioned", named, comment.body)
    yield Told("answered", answered, comment.body)
    yield Told("commented", {*_owners(step.request), *others} - named - answered, comment.body)


def _on_applied(step: Step) -> Iterator[Told]:
    if step.after.get("bypass"):
        everybody = {*_owners(step.request), *_answerable(step.request)}
        yield Told("bypassed", everybody, step.after["bypass"])
    else:
        yield Told("applied", _owners(step.request))


def _on_signed(step: Step) -> Iterator[Told]:
    by = step.request.applied_by
    yield Told("bypass_signed", {*_owners(step.request), *([by] if by is not None else [])})


def _on_closed(step: Step) -> Iterator[Told]:
    yield Told(step.after["state"], _owners(step.request), step.after["outcome"])


PARTICULAR: dict[str, Callable[[Step], Iterator[Told]]] = {
    "request.reviewed": _on_verdict,
    "request.commented": _on_comment,
    "request.applied": _on_applied,
    "request.bypass_reviewed": _on_signed,
    "request.closed": _on_closed,
}


def _owners(request: Request) -> set[User]:
    """Whose request it is: who wrote it, and who lets it happen."""
    people = (request.author, request.armed_by, *request.contributors.all())
    return {person for person in people if person is not None}


def _answerable(request: Request) -> set[User]:
    """Every reviewer and admin of its environments, and the project's and the site's admins."""
    there = Environment.objects.filter(project_id=request.project_id, key__in=request.environments)
    reviewers = {person for one in there for person in people_with(Role.REVIEWER, one)}
    site = User.objects.filter(is_superuser=True, is_active=True)
    return {*reviewers, *_asked(request), *admins_of(request.project), *site}


def _asked(request: Request) -> set[User]:
    """Whose verdict would count in any of its environments, and who has not given one."""
    environments = Environment.objects.filter(
        project_id=request.project_id, key__in=request.environments, requires_approval=True
    ).select_related("policy")
    contributors = list(request.contributors.all())
    found = set()
    for environment in environments:
        policy = getattr(environment, "policy", None) or Policy(environment=environment)
        found |= approval.eligible_reviewers(
            policy, environment, author=request.author, contributors=contributors
        )
    return found - {verdict.reviewer for verdict in _in_force(request)}


def _overtaken(request: Request) -> set[User]:
    """Who gave a verdict that counts no more, while the request waits for verdicts."""
    given = _in_force(request)
    if request.state != State.IN_REVIEW or not given:
        return set()
    try:
        now = standing(request.project.key, request.number).behaviour
    except Busy:
        raise
    except FlagsiteError:
        return set()
    return {verdict.reviewer for verdict in given if verdict.behaviour != now}


def _in_force(request: Request) -> Sequence[Verdict]:
    return list(request.verdicts.filter(undone_at=None).select_related("reviewer"))


def _told_of_approvers(event: Event, project: Project) -> Iterator[Told]:
    for one in newcomers(event, project):
        yield Told(
            "approver_added",
            one.reviewers,
            f"In {one.environment.name}, {one.why}",
            about=one.person,
            which=f"{one.environment.pk}:{one.person.pk}",
        )


def _ending_tokens(event: Event) -> Iterator[ApiToken]:
    """The tokens whose end the event announces, but for those that were revoked since."""
    ids = [
        effect["subject"].partition(":")[2]
        for effect in event.effects
        if effect["kind"] == "api_token.expires_soon"
    ]
    tokens = ApiToken.objects.filter(public_id__in=ids, revoked_at=None)
    yield from tokens.select_related("user__service_of")


def _told_of_end(token: ApiToken) -> Told:
    """Whoever can make another: the token's person, of a service the project's admins."""
    assert token.expires_at is not None, "only of tokens with an end is it announced"
    named = f"{token.name} ({token.public_id})" if token.name else token.public_id
    words = f"{named} ends on {token.expires_at:%-d %B %Y, %H:%M} UTC"
    project = token.user.service_of
    if project is None:
        return Told("token_ends", [token.user], words, which=token.public_id)
    service = token.user.get_username().partition("@")[0]
    return Told(
        "service_token_ends", admins_of(project), f"{service}: {words}", which=token.public_id
    )


def _notices(
    told: Told, project: Project | None, *, key: str, at: datetime, by: str, but: str | None
) -> list[Notice]:
    text = " ".join(told.text.split())
    return [
        Notice(
            person=person,
            key=key,
            kind=told.kind,
            project=project,
            request=told.request,
            about=told.about,
            by=by,
            text=text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…",
            at=at,
            mail_due_at=at if settings.MAIL_IS_SENT and is_mailed(told.kind, person) else None,
        )
        for person in sorted(told.people, key=lambda person: person.pk)
        # A service reads nothing.
        if person.is_active and not person.is_service and str(person.pk) != but
    ]


def _write(project: Project | None, rows: Sequence[Notice]) -> None:
    if not rows:
        return
    Notice.objects.bulk_create(rows, ignore_conflicts=True)
    # What belongs to no project is counted by the next page that is opened.
    if project is not None:
        send_hint(f"notices:{project.pk}:{rows[-1].pk}", 0)

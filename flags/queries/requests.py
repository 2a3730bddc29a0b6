"""Requests of a project: the lists, one of them with its conversation, and what waits for whom."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import Prefetch, Q, QuerySet

from audit.facts import Actor
from audit.models import Event
from flags.access import Rights, rights
from flags.models import (
    OPEN,
    REVIEWED,
    Comment,
    Environment,
    Policy,
    Project,
    Request,
    Role,
    State,
    Team,
    Verdict,
)

ROWS_A_PAGE = 25
CLOSED = (State.APPLIED, State.REJECTED, State.WITHDRAWN, State.EXPIRED)


@dataclass(frozen=True)
class RequestRow:
    """A request in a list. `asked` is how many approvals its environments ask for, at most."""

    request: Request
    environments: list[Environment]
    asked: int
    given: int

    @property
    def is_waiting(self) -> bool:
        return self.request.state == State.IN_REVIEW


@dataclass(frozen=True)
class RequestPage:
    rows: list[RequestRow]
    page: int
    pages: int
    total: int


def waiting_for(project: Project, user_id: str) -> list[int]:
    """Numbers of the requests whose verdict this person could give, newest first.

    Also the bypasses that somebody else has to sign. One query where nothing is in review, else at
    most seven.
    """
    open_ones = (
        Request.objects.filter(project=project, state=State.IN_REVIEW)
        .exclude(author_id=int(user_id))
        .prefetch_related(_in_force(), "contributors")
    )
    bypassed = Request.objects.filter(
        project=project, state=State.APPLIED, bypass_reviewed_by=None
    ).exclude(bypass_reason="")
    candidates = list(open_ones)
    to_sign = [
        request.number
        for request in bypassed.exclude(author_id=int(user_id)).exclude(applied_by_id=int(user_id))
    ]
    if not candidates:
        return sorted(to_sign, reverse=True)
    asked = _policies(project)
    # Whoever looks by whichever door: the role alone says whose verdict could count.
    held = rights(Actor(kind="person", id=str(user_id), name=""), project)
    waiting = [
        request.number for request in candidates if _waits_for(request, user_id, held, asked)
    ]
    return sorted({*waiting, *to_sign}, reverse=True)


def requests_for_review(project: Project, user_id: str, *, page: int = 1) -> RequestPage:
    return _paged(project, _all(project).filter(number__in=waiting_for(project, user_id)), page)


def requests_of(project: Project, user_id: str, *, state: str = "", page: int = 1) -> RequestPage:
    return _paged(project, _in_state(_all(project).filter(author_id=int(user_id)), state), page)


def all_requests(project: Project, *, state: str = "", page: int = 1) -> RequestPage:
    return _paged(project, _in_state(_all(project), state), page)


def one_request(project: Project, number: int) -> Request | None:
    """With author and everybody who had a hand in it; two queries."""
    rows = Request.objects.filter(project=project, number=number)
    return (
        rows.select_related("author", "armed_by", "applied_by", "bypass_reviewed_by")
        .prefetch_related("contributors")
        .first()
    )


def verdicts_on(request: Request) -> list[Verdict]:
    """All of them, also those taken back."""
    return list(request.verdicts.select_related("reviewer").order_by("at"))


@dataclass(frozen=True)
class Said:
    """A comment and what was answered to it."""

    comment: Comment
    answers: list[Comment]


def conversation_on(request: Request) -> list[Said]:
    """Comments in the order they were made, answers below what they answer."""
    comments = list(request.comments.select_related("author").order_by("at"))
    by_id = {comment.pk: comment for comment in comments}
    threads = {comment.pk: Said(comment, []) for comment in comments if comment.answers_id is None}
    for comment in comments:
        first = comment
        while first.answers_id is not None:
            first = by_id[first.answers_id]
        if first is not comment:
            threads[first.pk].answers.append(comment)
    return list(threads.values())


def events_of(project: Project, environments: Sequence[Environment], number: int) -> list[Event]:
    """What applying the request recorded, the environments' events before the project's."""
    streams = [environment.stream_key for environment in environments]
    rows = Event.objects.filter(
        stream__in=[*streams, project.stream_key], request=str(number)
    ).defer("canonical", "delta")
    return sorted(rows, key=lambda event: event.stream_id == project.stream_key)


def request_authors(wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Usernames of the authors, by project and number; one query where any is wanted."""
    if not wanted:
        return {}
    rows = Request.objects.filter(
        project__key__in={project for project, _ in wanted},
        number__in={int(number) for _, number in wanted},
    ).exclude(author=None)
    return {
        (project, str(number)): username
        for project, number, username in rows.values_list(
            "project__key", "number", "author__username"
        )
    }


def policy_of(environment: Environment) -> Policy:
    """The environment's policy; the one that counts where it has none of its own."""
    return Policy.objects.filter(environment=environment).first() or Policy(environment=environment)


def teams_of(project: Project) -> list[Team]:
    """With their members; two queries."""
    return list(project.teams.prefetch_related("members"))


def open_requests_touching(project: Project, environment: Environment) -> list[Request]:
    """What another policy of this environment would be asked of, newest first."""
    return list(
        Request.objects.filter(
            project=project, state__in=OPEN, environments__contains=[environment.key]
        ).select_related("author")
    )


def requests_numbered(project: Project, numbers: Sequence[int]) -> list[Request]:
    return list(_all(project).filter(number__in=numbers).order_by("-number")) if numbers else []


def open_of(project: Project, user_id: str) -> list[Request]:
    """What somebody asked for, or drafts, and is not done with; one query."""
    return list(_all(project).filter(author_id=int(user_id), state__in=OPEN).order_by("-number"))


def in_review_of(project: Project, user_id: str, environments: Sequence[str]) -> list[Request]:
    """What somebody asked for that touches one of these environments and may still be edited.

    One query; none of it drafts. Without environments, all that they asked for.
    """
    rows = Request.objects.filter(project=project, author_id=int(user_id), state__in=REVIEWED)
    touching = [Q(environments__contains=[key]) for key in environments]
    return list(rows.filter(reduce(or_, touching, Q())).order_by("-number"))


def unsigned_bypasses(project: Project) -> list[Request]:
    """What was applied without approval and nobody has signed for; one query."""
    rows = Request.objects.filter(project=project, state=State.APPLIED, bypass_reviewed_by=None)
    return list(rows.exclude(bypass_reason="").select_related("applied_by").order_by("number"))


@dataclass(frozen=True)
class Draft:
    """What somebody has collected for some environments."""

    number: int
    environments: list[str]
    changes: int


def drafts_of(project: Project, user_id: str) -> list[Draft]:
    """One query."""
    rows = Request.objects.filter(project=project, author_id=int(user_id), state=State.DRAFT)
    return [
        Draft(number, environments, len(changes))
        for number, environments, changes in rows.order_by("number").values_list(
            "number", "environments", "changes"
        )
    ]


def open_requests_on(project: Project, subject: str) -> list[Request]:
    """Open requests that would change this subject: what an editor is told before they begin."""
    rows = Request.objects.filter(project=project, state__in=OPEN)
    return list(rows.filter(seen__contains=[{"subject": subject}]))


def _all(project: Project) -> QuerySet[Request]:
    return Request.objects.filter(project=project).select_related("author")


def _in_state(rows: QuerySet[Request], state: str) -> QuerySet[Request]:
    if state == "open":
        return rows.exclude(state__in=CLOSED)
    return rows.filter(state=state) if state in State.values else rows


def _paged(project: Project, rows: QuerySet[Request], page: int) -> RequestPage:
    total = rows.count()
    pages = max(1, -(-total // ROWS_A_PAGE))
    page = min(max(1, page), pages)
    shown = rows.order_by("-number")[(page - 1) * ROWS_A_PAGE : page * ROWS_A_PAGE]
    environments = {row.key: row for row in project.environments.all()}
    asked = _policies(project)
    return RequestPage(
        rows=[
            RequestRow(
                request=request,
                environments=[
                    environments[key] for key in environments if key in request.environments
                ],
                asked=max((asked[key].approvals for key in request.environments if key in asked), default=0),
                given=sum(row.verdict == "approved" for row in request.current_verdicts()),
            )
            for request in shown.prefetch_related(_in_force())
        ],
        page=page,
        pages=pages,
        total=total,
    )  # fmt: skip


def _in_force() -> "Prefetch[str]":
    return Prefetch("verdicts", Verdict.objects.filter(undone_at=None))


def _policies(project: Project) -> dict[str, Policy]:
    """By the key of each environment that requires approval; two queries."""
    rows = project.environments.filter(requires_approval=True)
    own = {
        row.environment_id: row
        for row in Policy.objects.filter(environment__in=rows).select_related("environment")
    }
    return {row.key: own.get(row.pk, Policy(environment=row)) for row in rows}


def _waits_for(request: Request, user_id: str, held: Rights, asked: dict[str, Policy]) -> bool:
    policies = [asked[key] for key in request.environments if key in asked] or [Policy()]
    contributors = {str(person.pk) for person in request.contributors.all()}
    if any(str(row.reviewer_id) == str(user_id) for row in request.current_verdicts()):
        return False
    return any(
        held.holds(Role(policy.minimum_role), policy.environment if policy.environment_id else None)
        and not (policy.exclude_contributors and str(user_id) in contributors)
        for policy in policies
    )

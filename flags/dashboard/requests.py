"""Requests: what waits for whom, one request with all that is said of it, and what is done to it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from allauth.core.exceptions import ReauthenticationRequired
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from audit.facts import Effect
from flags import access, approval
from flags.access import Action
from flags.changes import (
    UNSET,
    ApplyRequest,
    Change,
    CommentOnRequest,
    EditRequest,
    RebaseRequest,
    ReviewBypass,
    ReviewRequest,
    SubmitRequest,
    UndoVerdict,
    WithdrawRequest,
    submit,
)
from flags.changes.outlook import lacking, standing
from flags.changes.requests import Standing, overlaps_in
from flags.dashboard.events import NOUNS
from flags.dashboard.instants import read_instant
from flags.dashboard.shell import Shell, project_page, status_of
from flags.dashboard.undo import told
from flags.differences import Line, json_lines, sentences
from flags.errors import FlagsiteError, Invalid, SecondFactorNeeded
from flags.models import OPEN, REVIEWED, Comment, Environment, Request, State, Verdict
from flags.notices.reading import mark_read
from flags.queries.notices import unread_count
from flags.queries.requests import (
    all_requests,
    conversation_on,
    drafts_of,
    events_of,
    one_request,
    open_requests_on,
    requests_for_review,
    requests_of,
    unsigned_bypasses,
    verdicts_on,
    waiting_for,
)

TABS = {"review": "For me to review", "mine": "Mine", "all": "All"}
STATES = {
    "open": "Open",
    **{state.value: state.value.replace("_", " ").capitalize() for state in State},
}
# Which chip a state wears; the others wear the plain one.
TONES = {
    State.IN_REVIEW: "accent",
    State.APPROVED: "on",
    State.SCHEDULED: "on",
    State.APPLIED: "on",
    State.CHANGES_REQUESTED: "warning",
    State.CONFLICTED: "warning",
    State.FAILED: "danger",
    State.REJECTED: "danger",
}
VERDICTS = {
    "approved": "approved",
    "changes_requested": "asked for changes",
    "rejected": "rejected",
}
DONE = {
    "approved": "You approved request #{}",
    "changes_requested": "You asked for changes to request #{}",
    "rejected": "Request #{} is rejected",
}
# The ways out of a conflict, and what is said when one was taken; {} is a flag or a segment.
CHOICES = {
    "merge": "Both edits of {} are kept",
    "theirs": "Theirs stays where both changed the same of {}, and the rest of yours is on top",
    "mine": "Yours is on top of theirs in {}",
    "drop": "{} is left out",
}
# What a bypass may last: key → words, seconds; None for good.
BYPASS_LASTS: dict[str, tuple[str, int | None]] = {
    "": ("For good", None),
    "1h": ("For an hour, then back", 3_600),
    "4h": ("For four hours, then back", 4 * 3_600),
    "1d": ("For a day, then back", 24 * 3_600),
    "7d": ("For a week, then back", 7 * 24 * 3_600),
}
LONGEST_LINE = 500


@require_GET
@project_page("requests")
def requests(request: HttpRequest, shell: Shell) -> HttpResponse:
    """The list: what waits for me, mine, or all of them."""
    tab = request.GET.get("tab", "review")
    if tab not in TABS:
        raise Http404(f"expected one of {', '.join(TABS)}, got {tab}")
    state = request.GET.get("state", "" if tab == "review" else "open")
    page = _whole(request.GET.get("page")) or 1
    match tab:
        case "review":
            found = requests_for_review(shell.project, shell.actor.id, page=page)
        case "mine":
            found = requests_of(shell.project, shell.actor.id, state=state, page=page)
        case _:
            found = all_requests(shell.project, state=state, page=page)
    context = {
        "shell": shell,
        "tabs": TABS,
        "tab": tab,
        "states": STATES,
        "state": state,
        "found": found,
        "rows": [
            {
                "row": row,
                "state": STATES[row.request.state],
                "tone": TONES.get(State(row.request.state), ""),
            }
            for row in found.rows
        ],
        "previous_page": found.page - 1,
        "next_page": found.page + 1,
        "may_review": access.may(shell.actor, Action.REVIEW, shell.project),
    }
    return render(request, "dashboard/requests/list.html", context)


@require_GET
@project_page("requests")
def waiting(request: HttpRequest, shell: Shell) -> HttpResponse:
    """How many requests wait for me, for the sidebar of an open page."""
    counted = replace(shell, waiting=len(waiting_for(shell.project, shell.actor.id)))
    return render(request, "dashboard/parts/_waiting.html", {"shell": counted})


@require_GET
@project_page("flags")
def on_flag(request: HttpRequest, shell: Shell, flag: str) -> HttpResponse:
    """The open requests that would change a flag, for its page."""
    context = {"shell": shell, "flag": flag, "open_requests": requests_on_flag(shell, flag)}
    return render(request, "dashboard/parts/_open_requests.html", context)


def requests_on_flag(shell: Shell, flag: str) -> list[Request]:
    return open_requests_on(shell.project, f"flag:{flag}")


@require_GET
@project_page("segments")
def on_segment(request: HttpRequest, shell: Shell, segment: str) -> HttpResponse:
    """The open requests that would change a segment, for its page."""
    found = open_requests_on(shell.project, f"segment:{segment}")
    context = {"shell": shell, "segment": segment, "open_requests": found}
    return render(request, "dashboard/parts/_open_requests.html", context)


@require_GET
@project_page("requests")
def bypasses(request: HttpRequest, shell: Shell) -> HttpResponse:
    """The banner that tells of what was applied without approval until somebody signs for it."""
    counted = replace(shell, bypasses=unsigned_bypasses(shell.project))
    return render(request, "dashboard/parts/_bypasses.html", {"shell": counted})


@require_GET
@project_page("requests")
def drafts(request: HttpRequest, shell: Shell) -> HttpResponse:
    """The bar that says what this person has collected and not asked for yet."""
    counted = replace(shell, drafts=drafts_of(shell.project, shell.actor.id))
    return render(request, "dashboard/parts/_drafts.html", {"shell": counted})


@require_GET
@project_page("requests")
def show(request: HttpRequest, shell: Shell, number: int) -> HttpResponse:
    """One request, as it stands now. Who looks at it has read what they were told of it."""
    found = _opened(shell, number)
    if mark_read(shell.actor.id, now=timezone.now(), request=found):
        shell = replace(shell, unread=unread_count(shell.actor.id))
    return _page(request, shell, found)


@require_POST
@project_page("requests")
def review(request: HttpRequest, shell: Shell, number: int) -> HttpResponse:
    """Give a verdict on what the page showed."""
    verdict = request.POST.get("verdict", "")
    if verdict not in VERDICTS:
        raise Http404(f"expected one of {', '.join(VERDICTS)}, got {verdict}")
    change = ReviewRequest(
        project=shell.project.key,
        request=number,
        verdict=verdict,  # type: ignore[arg-type]
        behaviour=request.POST.get("behaviour") or None,
    )
    if verdict == "changes_requested" and not request.POST.get("reason", "").strip():
        error = Invalid.at("reason", "say what should be different")
        return _page(request, shell, _opened(shell, number), error=error)
    return _done(request, shell, number, change, DONE[verdict].format(number))


@require_POST
@project_page("requests")
def act(request: HttpRequest, shell: Shell, number: int, what: str) -> HttpResponse:
    """Everything else that is done to a request."""
    named: dict[str, Any] = {"project": shell.project.key, "request": number}
    try:
        change, text = _change_from(request, shell, number, what, named)
    except Invalid as error:
        return _page(request, shell, _opened(shell, number), error=error)
    return _done(request, shell, number, change, text)


def _change_from(
    request: HttpRequest, shell: Shell, number: int, what: str, named: dict[str, Any]
) -> tuple[Change, str]:
    typed = request.POST
    match what:
        case "undo-verdict":
            return UndoVerdict(**named), "Your verdict is taken back"
        case "withdraw":
            return WithdrawRequest(**named), f"Request #{number} is withdrawn"
        case "submit":
            title = typed.get("title", "").strip() or UNSET
            return SubmitRequest(**named, title=title), f"Request #{number} asks for review"
        case "rebase":
            subject, choice = typed.get("subject", ""), typed.get("choice", "")
            if choice not in CHOICES:
                raise Http404(f"expected one of {', '.join(CHOICES)}, got {choice}")
            change = RebaseRequest(**named, subject=subject, choice=choice)  # type: ignore[arg-type]
            return change, CHOICES[choice].format(subject.partition(":")[2])
        case "apply":
            return ApplyRequest(**named), f"Request #{number} is applied"
        case "bypass":
            why = typed.get("bypass_reason", "").strip()
            if not why:
                raise Invalid.at("bypass_reason", "a bypass takes a reason, for who reviews it")
            text = (
                f"Request #{number} is applied without approval; somebody else has to sign for it"
            )
            lasts = typed.get("lasts", "")
            if lasts not in BYPASS_LASTS:
                raise Invalid.at("lasts", f"expected one of {list(BYPASS_LASTS)}, got {lasts!r}")
            seconds = BYPASS_LASTS[lasts][1]
            return ApplyRequest(**named, bypass_reason=why, lasts_seconds=seconds), text
        case "sign":
            return ReviewBypass(**named), f"You signed for the bypass of request #{number}"
        case "arm":
            armed = typed.get("armed") == "on"
            text = "applies by itself once approved" if armed else "waits for somebody to apply it"
            return EditRequest(**named, armed=armed), f"Request #{number} {text}"
        case "schedule":
            at = read_instant(typed.get("apply_at", ""), typed.get("offset", ""))
            text = (
                "has no time set any more"
                if at is None
                else f"is set for {at:%-d %B %Y, %H:%M} UTC"
            )
            return EditRequest(**named, apply_at=at), f"Request #{number} {text}"
        case "comment":
            comment = CommentOnRequest(
                **named,
                body=typed.get("body", ""),
                line=typed.get("line", "")[:LONGEST_LINE],
                answers=typed.get("answers") or None,
            )
            return comment, "Your comment is there"
    raise Http404(f"nothing called {what} is done to a request")  # fmt: skip


def _done(
    request: HttpRequest, shell: Shell, number: int, change: Change, text: str
) -> HttpResponse:
    """Submit and go back to the request; what is refused is said on it, and what was typed stays."""
    try:
        submit(change, actor=shell.actor, reason=request.POST.get("reason", ""))
    except SecondFactorNeeded as error:
        # allauth asks for it and then sends the same form again.
        raise ReauthenticationRequired from error
    except FlagsiteError as error:
        return _page(request, shell, _opened(shell, number), error=error)
    return told(request, redirect("request", project=shell.project.key, number=number), text)


def _opened(shell: Shell, number: int) -> Request:
    found = one_request(shell.project, number)
    if found is None:
        raise Http404(f"there is no request {number} in {shell.project.key}")
    return found


@dataclass(frozen=True)
class Part:
    """What a request does to one flag, segment or setting, in one place."""

    noun: str
    name: str
    subject: str
    words: list[str]
    lines: list[Line]
    address: str | None


@dataclass(frozen=True)
class Place:
    """An environment and what happens there; None is the project itself."""

    environment: Environment | None
    parts: list[Part]


@dataclass(frozen=True)
class Given:
    """A verdict as the page shows it; `stale` says why it counts no more."""

    verdict: Verdict
    words: str
    stale: str


@dataclass(frozen=True)
class May:
    """What this person may do to the request; a text says why not, None that there is no question."""

    approve: str | None
    judge: bool
    apply: str | None
    edit: str | None
    bypass: str | None
    withdraw: bool
    undo: bool
    sign: bool


def _page(
    request: HttpRequest, shell: Shell, found: Request, *, error: FlagsiteError | None = None
) -> HttpResponse:
    stands, trouble = _standing(shell, found)
    effects = stands.effects if stands else _remembered(shell, found)
    places = _places(shell, effects)
    verdicts = verdicts_on(found)
    given = _given(verdicts, stands)
    conversation = conversation_on(found)
    context = {
        "shell": shell,
        "found": found,
        "state": STATES[found.state],
        "tone": TONES.get(State(found.state), ""),
        "is_open": found.state in OPEN,
        "stands": stands,
        "trouble": trouble,
        "places": places,
        "places_count": len({part.subject for place in places for part in place.parts}),
        "subjects": " ".join(sorted(_watched(found, effects))),
        "given": given,
        "contributors": [person.username for person in found.contributors.all()],
        "conversation": conversation,
        "conflicts": _conflicts(stands),
        "answered": _answered(request, conversation),
        "about": request.GET.get("line", "")[:LONGEST_LINE],
        "may": _may(shell, found, stands, verdicts),
        "typed": request.POST if error else {},
        "bypass_lasts": BYPASS_LASTS,
        "error": error,
        "state_help": STATE_MEANS.get(State(found.state), ""),
    }
    if request.htmx and request.htmx.target == "request":  # type: ignore[attr-defined]
        return render(request, "dashboard/parts/_request.html", context)
    status = status_of(error) if error else 200
    return render(request, "dashboard/requests/request.html", context, status=status)


STATE_MEANS = {
    State.DRAFT: "Its author is still collecting changes; nobody is asked yet.",
    State.CHANGES_REQUESTED: "A reviewer asked for something else first.",
    State.APPROVED: "Everything the policies ask for is there.",
    State.CONFLICTED: "Somebody else changed the same thing meanwhile.",
}


def _standing(shell: Shell, found: Request) -> tuple[Standing | None, str]:
    """Where it stands; or nothing, and why that cannot be told."""
    if found.state not in OPEN:
        return None, ""
    try:
        return standing(shell.project.key, found.number), ""
    except FlagsiteError as error:
        return None, str(error)


def _remembered(shell: Shell, found: Request) -> list[Effect]:
    """What applying it recorded; of one that never was, what its author saw."""
    if found.state == State.APPLIED:
        keys = {environment.stream_key: environment.key for environment in shell.environments}
        recorded = [
            Effect(effect["kind"], effect["subject"], effect["before"], effect["after"], keys.get(event.stream_id))
            for event in events_of(shell.project, shell.environments, found.number)
            for effect in event.effects
            if not effect["subject"].startswith("request:")
        ]  # fmt: skip
        if recorded:
            return recorded
    return [
        Effect("", row["subject"], row["before"], row["after"], row["environment"])
        for row in found.seen
    ]


def _places(shell: Shell, effects: Iterable[Effect]) -> list[Place]:
    by_environment: dict[str | None, list[Effect]] = {}
    for effect in effects:
        by_environment.setdefault(effect.environment, []).append(effect)
    found = [
        Place(environment, [_part(shell, effect) for effect in by_environment[environment.key]])
        for environment in shell.environments
        if environment.key in by_environment
    ]
    if None in by_environment:
        # What an environment tells of a flag is not told again for the project, which adds nothing.
        found.append(Place(None, [_part(shell, effect) for effect in by_environment[None]]))
    return found


def _part(shell: Shell, effect: Effect) -> Part:
    kind, _, key = effect.subject.partition(":")
    pages = {
        "flag": "flag",
        "segment": "segment",
        "environment": "environment-settings",
        "policy": "policy",
    }
    address = reverse(pages[kind], args=[shell.project.key, key]) if kind in pages else None
    return Part(
        noun={**NOUNS, "policy": "Policy of"}.get(kind, kind),
        name=key,
        subject=effect.subject,
        words=sentences(effect.before, effect.after),
        lines=json_lines(effect.before, effect.after),
        address=address,
    )  # fmt: skip


def _watched(found: Request, effects: Sequence[Effect]) -> set[str]:
    """Whose changes move where the request stands."""
    subjects = {effect.subject for effect in effects}
    policies = {f"{noun}:{key}" for key in found.environments for noun in ("policy", "environment")}
    return {f"request:{found.number}"} | subjects | policies


def _given(verdicts: Sequence[Verdict], stands: Standing | None) -> list[Given]:
    given = []
    for verdict in verdicts:
        stale = ""
        if verdict.undone_at is not None:
            is_answered = verdict.verdict == "changes_requested"
            stale = "answered or taken back" if is_answered else "taken back"
        elif stands and verdict.behaviour != stands.behaviour:
            stale = "the request does something else by now, so it counts no more"
        given.append(Given(verdict, VERDICTS[verdict.verdict], stale))
    return given


def _conflicts(stands: Standing | None) -> list[dict[str, Any]]:
    """What was, what somebody else made of it and what this request would, by subject.

    `overlaps` are the pieces in which both cannot be kept; without any, the edits can be merged.
    """
    if stands is None:
        return []
    by_subject: dict[tuple[str | None, str], list[Any]] = {}
    for row in stands.moved:
        by_subject.setdefault((row.environment, row.subject), []).append(row)
    return [
        {
            "environment": environment,
            "subject": subject,
            "name": subject.partition(":")[2],
            "overlaps": (overlaps := overlaps_in(rows)),
            "is_whole": (is_whole := any(row.is_whole for row in rows)),
            "merges": not overlaps and not is_whole,
            "member_names": [row.member.replace("_", " ") for row in rows],
            "members": [
                {
                    "name": row.member.replace("_", " "),
                    "theirs": sentences({row.member: row.was}, {row.member: row.theirs}),
                    "yours": sentences({row.member: row.was}, {row.member: row.yours}),
                    "values": [
                        ("Was", json_text(row.was)),
                        ("Theirs", json_text(row.theirs)),
                        ("Yours", json_text(row.yours)),
                    ],
                }
                for row in rows
            ],
        }
        for (environment, subject), rows in by_subject.items()
    ]


def json_text(value: Any) -> str:
    lines = json_lines(None, {"value": value})
    text = "\n".join(line.text.removeprefix("  ") for line in lines[1:-1])
    return text.removeprefix('"value": ')


def _answered(request: HttpRequest, conversation: Sequence[Any]) -> Comment | None:
    """The comment that is being answered, if the address names one."""
    asked = request.POST.get("answers") or request.GET.get("answer")
    for said in conversation:
        for comment in (said.comment, *said.answers):
            if str(comment.pk) == asked:
                return comment  # type: ignore[no-any-return]
    return None


def _may(shell: Shell, found: Request, stands: Standing | None, verdicts: Sequence[Verdict]) -> May:
    me = shell.actor.id
    is_mine = found.author is not None and str(found.author.pk) == str(me)
    mine = [row for row in verdicts if str(row.reviewer_id) == str(me) and row.undone_at is None]
    in_review = found.state in REVIEWED
    may_review = access.missing(shell.actor, Action.REVIEW, shell.project)
    asked = [row.environment for row in stands.demands] if stands else []
    return May(
        approve=may_review or _why_no_approval(shell, stands, mine, is_mine=is_mine),
        judge=in_review and not is_mine and may_review is None and _counts(shell, found, asked),
        apply=_why_no_applying(shell, found, stands),
        edit=_refusal(shell, found, stands, asking=True),
        bypass=_why_no_bypass(shell, asked),
        withdraw=found.state in OPEN and (is_mine or shell.may_administer),
        undo=bool(mine) and in_review,
        sign=found.state == State.APPLIED
        and bool(found.bypass_reason)
        and found.bypass_reviewed_by is None
        and not is_mine
        and str(found.applied_by_id) != str(me)
        and may_review is None
        and _counts(shell, found, found.environments),
    )


def _counts(shell: Shell, found: Request, asked: Sequence[str]) -> bool:
    """Whether this person's verdict counts in any of the environments that ask for one, if any."""
    there = {row.key: row for row in shell.environments if row.key in asked}
    guarded = approval.guards(there)
    contributors = list(found.contributors.all())
    return not guarded or any(
        str(person.pk) == shell.actor.id
        for key, policy in guarded.items()
        for person in approval.eligible_reviewers(
            policy, there[key], author=found.author, contributors=contributors
        )
    )


def _refusal(shell: Shell, found: Request, stands: Standing | None, *, asking: bool) -> str | None:
    return lacking(
        found,
        stands.effects if stands else [],
        held=shell.rights,
        environments={row.key: row for row in shell.environments},
        asking=asking,
    )


def _why_no_bypass(shell: Shell, asked: Sequence[str]) -> str | None:
    """In each environment whose approval would be passed by; in the project where none asks."""
    places = [row for row in shell.environments if row.key in asked] or [None]
    refusals = (shell.rights.missing(Action.BYPASS, place) for place in places)
    return next((refusal for refusal in refusals if refusal), None)


def _why_no_approval(
    shell: Shell, stands: Standing | None, mine: Sequence[Verdict], *, is_mine: bool
) -> str | None:
    if is_mine:
        return "Nobody approves a request of their own"
    if stands is None:
        return None
    if any(row.verdict == "approved" and row.behaviour == stands.behaviour for row in mine):
        return "You approved it"
    asked = {name for row in stands.missing for name in row.who}
    if stands.missing and shell.actor.name not in asked:
        return "Your approval is not among those that are asked for"
    return None


def _why_no_applying(shell: Shell, found: Request, stands: Standing | None) -> str | None:
    if refusal := _refusal(shell, found, stands, asking=False):
        return refusal
    if stands is None:
        return None
    if stands.moved:
        return "The conflict has to be settled first"
    if stands.missing:
        return "It is not approved yet"
    if found.state == State.CHANGES_REQUESTED:
        return "A reviewer asked for changes"
    return "; ".join(stands.closed) or None


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 8 else None

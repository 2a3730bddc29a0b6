"""One request: what it would do, what is said of it, and what this person may do to it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from audit.facts import Effect
from flags import access, approval
from flags.access import Action
from flags.changes import Change, GrantLease, StartRamp, SwitchFlag
from flags.changes.outlook import lacking, standing
from flags.changes.requests import Standing, overlaps_in
from flags.changes.requests.kept import stored, subjects_of
from flags.dashboard.events import NOUNS
from flags.dashboard.requests import STATES, TONES
from flags.dashboard.shell import Shell, project_page, status_of
from flags.differences import Line, json_lines, sentences
from flags.errors import FlagsiteError, Invalid
from flags.models import OPEN, REVIEWED, Comment, Environment, Policy, Request, State, Verdict
from flags.notices.reading import mark_read
from flags.queries.notices import unread_count
from flags.queries.requests import conversation_on, events_of, one_request, verdicts_on

VERDICTS = {
    "approved": "approved",
    "changes_requested": "asked for changes",
    "rejected": "rejected",
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
def show(request: HttpRequest, shell: Shell, number: int) -> HttpResponse:
    """One request, as it stands now. Who looks at it has read what they were told of it."""
    found = opened_request(shell, number)
    if mark_read(shell.actor.id, now=timezone.now(), request=found):
        shell = replace(shell, unread=unread_count(shell.actor.id))
    return request_page(request, shell, found)


def opened_request(shell: Shell, number: int) -> Request:
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
    # Its editor with what the request makes of it; None where none could show that.
    edit: str | None = None
    # Why it has no editor, where one would be looked for.
    why_no_edit: str = ""
    may_leave_out: bool = False
    # Whether the request changes it in other places too, which are left out with this one.
    is_elsewhere: bool = False


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


def request_page(
    request: HttpRequest,
    shell: Shell,
    found: Request,
    *,
    error: FlagsiteError | None = None,
    sent: str = "",
) -> HttpResponse:
    """The request as this person sees it; `sent` is the form that was refused with `error`."""
    is_part = request.htmx and request.htmx.target == "request"  # type: ignore[attr-defined]
    stands, trouble = _standing(shell, found)
    effects = stands.effects if stands else _remembered(shell, found)
    may = _may(shell, found, stands, verdicts := verdicts_on(found))
    places = _places(shell, effects)
    if found.state in OPEN and may.edit is None:
        places = _with_edits(shell, found, places, effects if stands else [])
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
        "subjects": " ".join(sorted(_watched(found, effects))),
        "given": given,
        "has_verdicts": any(not one.stale for one in given),
        "is_of_one_thing": len({part.subject for place in places for part in place.parts}) == 1,
        "contributors": [person.username for person in found.contributors.all()],
        "conversation": conversation,
        "conflicts": _conflicts(stands),
        "answered": _answered(request, conversation),
        "about": request.GET.get("line", "")[:LONGEST_LINE],
        "may": may,
        "typed": request.POST if error else {},
        "sent": sent,
        "is_part": is_part,
        "bypass_lasts": BYPASS_LASTS,
        "error": error,
        "state_help": STATE_MEANS.get(State(found.state), ""),
    }
    if is_part:
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
    for effect in _from_first_to_last(effects):
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


def _from_first_to_last(effects: Iterable[Effect]) -> list[Effect]:
    """What several changes do to one thing in one place, told of once."""
    found: dict[tuple[str | None, str, str], Effect] = {}
    for effect in effects:
        # Of the ids of a segment each list is told of by itself, apart from its condition.
        facts = effect.after or effect.before or {}
        place = (effect.environment, effect.subject, f"{facts.get('list')} {facts.get('by')}")
        first = found.get(place, effect)
        found[place] = effect if "list" in facts else replace(effect, before=first.before)
    return list(found.values())


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


def _with_edits(
    shell: Shell, found: Request, places: list[Place], effects: Sequence[Effect]
) -> list[Place]:
    """The same parts with what their author may do about each of them.

    `effects` is what the request would do, nothing where that cannot be told.
    """
    try:
        held = stored(found.changes)
    except Invalid:
        return places
    entries = {(row.environment, row.subject): row for row in effects if not _is_of_ids(row)}
    return [
        replace(
            place,
            parts=[
                _with_edit(shell, found, part, place.environment, held, entries)
                for part in place.parts
            ],
        )
        for place in places
    ]


def _with_edit(
    shell: Shell,
    found: Request,
    part: Part,
    environment: Environment | None,
    held: Sequence[Change],
    entries: Mapping[tuple[str | None, str], Effect],
) -> Part:
    where = environment.key if environment else None
    of_it = [row for row in held if part.subject in subjects_of(row)]
    part = replace(
        part,
        may_leave_out=0 < len(of_it) < len(held),
        is_elsewhere=sum(subject == part.subject for _, subject in entries) > 1,
    )
    noun, _, key = part.subject.partition(":")
    effect = entries.get((where, part.subject))
    if noun not in ("flag", "segment") or effect is None or where is None:
        return part
    here = [row for row in of_it if where in row.touches()]
    if any(isinstance(row, GrantLease) for row in here):
        why = "It is made for a time: to have it otherwise, leave it out and save it again."
        return replace(part, why_no_edit=why)
    if any(isinstance(row, StartRamp) for row in here):
        why = "It grows by a ramp: to have it otherwise, leave it out and start another."
        return replace(part, why_no_edit=why)
    # Of a switch alone no editor would show what is changed: it is left out, or stays.
    is_switch = all(isinstance(row, SwitchFlag) for row in here)
    if not effect.before or not effect.after or is_switch:
        return part
    named = [shell.project.key, found.number, key, where]
    return replace(part, edit=reverse(f"edit-request-{noun}", args=named))


def _is_of_ids(effect: Effect) -> bool:
    return "list" in (effect.after or {})


def _watched(found: Request, effects: Sequence[Effect]) -> set[str]:
    """Whose changes move where the request stands."""
    subjects = {effect.subject for effect in effects}
    policies = {f"{noun}:{key}" for key in found.environments for noun in ("policy", "environment")}
    return {f"request:{found.number}"} | subjects | policies


def _given(verdicts: Sequence[Verdict], stands: Standing | None) -> list[Given]:
    given = []
    for verdict in verdicts:
        stale = ""
        if any(
            other.reviewer_id == verdict.reviewer_id and other.at > verdict.at for other in verdicts
        ):
            stale = "a later verdict took its place"
        elif verdict.undone_at is not None:
            is_answered = verdict.verdict == "changes_requested"
            stale = "answered or taken back" if is_answered else "taken back"
        elif stands and verdict.behaviour != stands.behaviour:
            stale = "what the request does, or when, is something else by now, so it counts no more"
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
            "overlaps": list(map(_in_words, (overlaps := overlaps_in(rows)))),
            "is_whole": (is_whole := any(row.is_whole for row in rows)),
            "merges": not overlaps and not is_whole,
            "member_names": [_in_words(row.member) for row in rows],
            "members": [
                {
                    "name": _in_words(row.member),
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


def _in_words(piece: str) -> str:
    """A member of an entry, or a piece of one, as pages call it."""
    return piece.replace("fallthrough", "what everyone else gets").replace("_", " ")


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
    asking = [*stands.demands, *stands.former] if stands else []
    policies = {row.environment: row.policy for row in asking}
    here = {row.key: row for row in shell.environments if row.key in found.environments}
    return May(
        approve=may_review or _why_no_approval(shell, stands, mine, is_mine=is_mine),
        judge=in_review and not is_mine and may_review is None and _counts(shell, found, policies),
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
        and _counts(shell, found, approval.guards(here)),
    )


def _counts(shell: Shell, found: Request, policies: Mapping[str, Policy]) -> bool:
    """Whether this person's verdict counts in any of the environments that ask for one, if any."""
    there = {row.key: row for row in shell.environments}
    contributors = list(found.contributors.all())
    return not policies or any(
        str(person.pk) == shell.actor.id
        for key, policy in policies.items()
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
    asked = {name for row in (*stands.missing, *stands.lapsed) for name in row.who}
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

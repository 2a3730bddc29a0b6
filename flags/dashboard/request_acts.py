"""What is done to a request from its page: verdicts, edits, applying, comments."""

from typing import Any

from allauth.core.exceptions import ReauthenticationRequired
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

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
from flags.dashboard.instants import read_instant
from flags.dashboard.request import (
    BYPASS_LASTS,
    LONGEST_LINE,
    VERDICTS,
    opened_request,
    request_page,
)
from flags.dashboard.shell import Shell, project_page
from flags.dashboard.undo import told
from flags.errors import FlagsiteError, Invalid, SecondFactorNeeded

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


@require_http_methods(["GET", "POST"])
@project_page("requests")
def review(request: HttpRequest, shell: Shell, number: int) -> HttpResponse:
    """Give a verdict on what the page showed."""
    if request.method == "GET":
        return _back(shell, number)
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
        return _refused(request, shell, number, error, sent="review")
    text = DONE[verdict].format(number)
    return _done(request, shell, number, change, sent="review", text=text)


@require_http_methods(["GET", "POST"])
@project_page("requests")
def act(request: HttpRequest, shell: Shell, number: int, what: str) -> HttpResponse:
    """Everything else that is done to a request."""
    if request.method == "GET":
        return _back(shell, number)
    named: dict[str, Any] = {"project": shell.project.key, "request": number}
    try:
        change, text = _change_from(request, shell, number, what, named)
    except Invalid as error:
        return _refused(request, shell, number, error, sent=what)
    if what == "submit" and request.POST.get("apply") == "1":
        # Where nobody has to approve it, asking and applying are one step for who does both.
        applying = ApplyRequest(**named)
        text = f"Request #{number} is applied"
        return _done(request, shell, number, change, applying, sent=what, text=text)
    return _done(request, shell, number, change, sent=what, text=text)


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
        case "words":
            title, why = typed.get("title", ""), typed.get("reason", "")
            return EditRequest(**named, title=title, reason=why), f"Request #{number} is saved"
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
    request: HttpRequest, shell: Shell, number: int, *changes: Change, sent: str, text: str
) -> HttpResponse:
    """Submit one after the other and go back to the request; `sent` is the form they came by."""
    try:
        for change in changes:
            submit(change, actor=shell.actor, reason=request.POST.get("reason", ""))
    except SecondFactorNeeded as error:
        # allauth asks for it and then sends the same form again.
        raise ReauthenticationRequired from error
    except FlagsiteError as error:
        return _refused(request, shell, number, error, sent=sent)
    return told(request, _back(shell, number), text)


def _back(shell: Shell, number: int) -> HttpResponse:
    """To the request: also for who reloads an address at which something was refused."""
    return redirect("request", project=shell.project.key, number=number)


def _refused(
    request: HttpRequest, shell: Shell, number: int, error: FlagsiteError, *, sent: str
) -> HttpResponse:
    """What is refused is said on the request, and what was typed stays."""
    return request_page(request, shell, opened_request(shell, number), error=error, sent=sent)

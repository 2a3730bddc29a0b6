"""What another policy would do, before it is saved: in words, and to the open requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flags.approval import DEFAULT, Missing, policy_facts
from flags.changes import SetPolicy
from flags.changes.outlook import Fate, outlook, under_policy
from flags.changes.requests.standing import Standing
from flags.dashboard.shell import Shell
from flags.differences import sentences
from flags.models import Environment, Request, State
from flags.queries.requests import open_requests_touching

PASSED = (State.APPROVED, State.SCHEDULED)


@dataclass(frozen=True)
class Row:
    """What would become of one open request, in words. `tone` is that of its chip."""

    request: Request
    tone: str
    becomes: str
    words: list[str]


def policy_outlook(
    shell: Shell, change: SetPolicy, environment: Environment, *, reason: str
) -> dict[str, Any]:
    """What `policy_review.html` shows. Raises what `submit` raises, but for ApprovalNeeded."""
    would = outlook(change, actor=shell.actor, reason=reason)
    rows = [row_of(fate) for fate in under_policy(change, actor=shell.actor, reason=reason)]
    because = [f"{demand.environment}: {'; '.join(demand.because)}" for demand in would.demands]
    return {
        "words": [
            sentence
            for effect in would.effects
            # An environment without a policy of its own asks for the default.
            for sentence in sentences(effect.before or policy_facts(DEFAULT), effect.after)
            or ["It is asked for as without a policy of its own"]
        ],
        "approval": {"because": because, "missing": would.missing} if would.demands else None,
        "moved": [row for row in rows if row.words],
        "unmoved": [row.request for row in rows if not row.words],
        "left_out": len(open_requests_touching(shell.project, environment)) - len(rows),
    }


def row_of(fate: Fate) -> Row:
    """No words where nothing becomes of it."""
    request, now, then = fate.request, fate.now, fate.then
    if now is None or then is None:
        return Row(request, "warning", "cannot be applied", [fate.why_not])
    if not fate.is_moved:
        return Row(request, "", request.state_words.lower(), [])
    tone, becomes = _becomes(fate, now, then)
    return Row(request, tone, becomes, [*_needed(fate, now, then), *_closed(fate)])


def _becomes(fate: Fate, now: Standing, then: Standing) -> tuple[str, str]:
    """The tone and words of what it comes to."""
    if fate.state == State.CONFLICTED:
        return "warning", "would be in conflict"
    if now.demands and not then.demands:
        return ("warning" if then.lapsed else "on"), "no longer needs approval"
    if then.missing and fate.request.state in PASSED:
        return "warning", "would not be approved any more"
    if then.missing:
        return "", "would need other approvals" if now.demands else "would need approval"
    if then.lapsed:
        return "warning", "no longer needs all of its approval"
    if fate.request.state not in PASSED and fate.request.state != State.DRAFT:
        return "on", "would be approved"
    return "", "stays " + fate.request.state_words.lower()


def _needed(fate: Fate, now: Standing, then: Standing) -> list[str]:
    if fate.state == State.CONFLICTED:
        return [str(row) for row in then.moved]
    if now.missing == then.missing:
        return []
    if then.lapsed:
        return ["Nobody has approved it, so a person has to apply it: the clock does not"]
    if not then.missing:
        return [f"Nothing is missing then; now it needs {_listed(now.missing)}"]
    needs = [f"Needs {row.what}: {_who(row)}" for row in then.missing]
    return needs + ([f"Now it needs {_listed(now.missing)}"] if now.missing else [])


def _listed(missing: Sequence[Missing]) -> str:
    return ", ".join(row.what for row in missing)


def _who(row: Missing) -> str:
    return ", ".join(row.who) or "nobody can give it at present"


def _closed(fate: Fate) -> list[str]:
    if fate.closed == fate.closed_then:
        return []
    if not fate.closed_then:
        return ["May be applied when its time comes; now it may not"]
    at = "at its time" if fate.request.apply_at else "now"
    return [f"May not be applied {at}: {'; '.join(fate.closed_then)}"]

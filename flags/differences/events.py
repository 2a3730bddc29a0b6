"""Events in words: who did what, `dana signed for the bypass of request #4`, and what came of it."""

from collections.abc import Callable, Mapping
from typing import Any

from flags.differences.subjects import sentences
from flags.differences.wording import State, counted, instant_in_words, listed, with_article

# What follows the name of who did it; {} is what it was done to, as `flag checkout`.
DONE = {
    "api_token.created": "made {}",
    "api_token.expires_soon": "told that {} ends soon",
    "api_token.revoked": "revoked {}",
    "environment.created": "created {}",
    "environment.deleted": "deleted {}",
    "environment.edited": "edited {}",
    "events.archived": "archived events of {}",
    "flag.archived": "archived {}",
    "flag.configured": "changed what {} serves",
    "flag.created": "created {}",
    "flag.deleted": "deleted {}",
    "flag.edited": "edited {}",
    "flag.restored": "took {} out of the archive",
    "flag.switched": "switched {}",
    "invitation.accepted": "let {} in, who accepted their invitation",
    "invitation.created": "sent {}",
    "invitation.revoked": "took back {}",
    "lease.ended": "ended {}",
    "lease.extended": "moved the end of {}",
    "lease.granted": "granted {}",
    "lease.held": "held {} for somebody to decide",
    "lease.kept": "kept for good what {} changed",
    "member.removed": "removed {}",
    "member.set": "gave a role to {}",
    "policy.set": "set {}",
    "project.created": "created {}",
    "project.edited": "edited {}",
    "ramp.advanced": "took {} to its next step",
    "ramp.approved": "approved the next step of {}",
    "ramp.held": "held {} for somebody to decide",
    "ramp.paused": "paused {}",
    "ramp.resumed": "let {} go on",
    "ramp.rolled_back": "rolled back {}",
    "ramp.skipped": "took {} to its next step before its time",
    "ramp.started": "started {}",
    "ramp.stopped": "stopped {} where it was",
    "ramp_template.removed": "removed {}",
    "ramp_template.set": "set {}",
    "request.applied": "applied {}",
    "request.bypass_reviewed": "signed for the bypass of {}",
    "request.closed": "closed {}",
    "request.commented": "commented on {}",
    "request.drafted": "collected changes in the draft of {}",
    "request.edited": "edited {}",
    "request.opened": "opened {}",
    "request.rebased": "settled a conflict in {}",
    "request.reviewed": "gave a verdict on {}",
    "request.settled": "looked again at where {} stands",
    "request.submitted": "asked for review of {}",
    "request.verdict_undone": "took back their verdict on {}",
    "request.withdrawn": "withdrew {}",
    "sdk_key.created": "made {}",
    "sdk_key.revoked": "revoked {}",
    "segment.created": "created {}",
    "segment.defined": "changed the condition of {}",
    "segment.deleted": "deleted {}",
    "segment.edited": "edited {}",
    "segment_ids.changed": "changed the ids of {}",
    "service.created": "created {}",
    "service.removed": "removed {}",
    "service_token.created": "made {}",
    "service_token.revoked": "revoked {}",
    "team.removed": "dissolved {}",
    "team.set": "said who is in {}",
    "user.created": "made {}",
    "user.edited": "edited {}",
    "user.erased": "erased the person of {}",
    "user.factor_added": "added a second factor to {}",
    "user.factor_removed": "removed a second factor from {}",
    "user.factors_reset": "took every second factor from {}",
    "user.identity_connected": "connected an identity provider to {}",
    "user.identity_disconnected": "disconnected an identity provider from {}",
    "user.mails_chosen": "chose the mails of {}",
    "user.password_changed": "changed the password of {}",
    "user.password_reset_asked": "asked for a new password of {}",
    "user.sessions_revoked": "signed out browsers of {}",
    "user.sign_in_failed": "failed to sign in as {}",
    "user.signed_in": "signed in as {}",
    "user.signed_out": "signed out as {}",
}
# What a kind is of, where its own noun is not what a person calls it.
NOUNS = {
    "api_token": "API token",
    "events": "stream",
    "ramp_template": "template of ramps",
    "sdk_key": "SDK key",
    "segment_ids": "segment",
    "service_token": "API token of a service",
    "user": "account",
}
# Whom a kind is about, where its subject is but what it was done with.
ABOUT = {"invitation.accepted": "somebody"}
VERDICTS = {
    "approved": "approved {}",
    "changes_requested": "asked for changes to {}",
    "rejected": "rejected {}",
}
CLOSED = {"expired": "let {} expire", "failed": "could not apply {}"}
# What a kind that ends like this says of something that has nothing to tell.
BY_VERB = {
    "created": ["Created"],
    "deleted": ["Removed"],
    "removed": ["Removed"],
    "revoked": ["Revoked"],
}
# What acts by itself, under the name that it has in the log.
BY_ITSELF = {"schedule": "The clock", "retention": "The clock", "drift": "Flagsite"}
CHOICES = {
    "merge": "both edits were kept",
    "theirs": "what both had changed was left to the others",
    "mine": "the request's edits were made over the others'",
    "drop": "it was left out of the request",
}
WAYS = {
    "password": "a password",
    "totp": "an authenticator app",
    "webauthn": "a passkey",
    "recovery_codes": "recovery codes",
}


def actor_in_words(identity: Mapping[str, Any] | None) -> str:
    """The name of who acted; `The clock` for what came due."""
    if identity is None:
        return "erased"
    name = str(identity["name"])
    return BY_ITSELF.get(name, name) if identity.get("kind") == "system" else name


def done(kind: str, subject: str, after: State) -> str:
    """What was done, with {} for what it was done to.

    Told more exactly where the facts say which of several things it was, and of what a change
    reached beside what it is of.
    """
    facts, noun = after or {}, subject.partition(":")[0]
    match kind:
        case "request.reviewed":
            return VERDICTS.get(facts.get("verdict", ""), DONE[kind])
        case "request.closed":
            return CLOSED.get(facts.get("state", ""), DONE[kind])
        case "request.applied" if facts.get("bypass"):
            return "applied {} without approval"
        case "flag.switched" if "enabled" in facts:
            return f"switched {{}} {'on' if facts['enabled'] else 'off'}"
        case "environment.created" if noun != "environment":
            return "began with {}"
        case _ if kind.startswith("ramp.") and noun == "flag":
            return "changed what {} serves"
        case _:
            # A kind of a release to come is said plainly.
            return DONE.get(kind, "changed {}")


def kind_in_words(kind: str) -> str:
    """A kind by itself, as `Signed for the bypass of a request`."""
    words = DONE[kind].format(ABOUT.get(kind) or with_article(noun_of(kind)))
    return words[:1].upper() + words[1:]


def noun_of(kind: str) -> str:
    noun = kind.partition(".")[0]
    return NOUNS.get(noun, noun)


def told(kind: str, before: State, after: State) -> list[str]:
    """What came of it, one sentence each; nothing where what was done says it all."""
    if kind in TOLD:
        return TOLD[kind](before or {}, after or {})
    said = sentences(before, after)
    return [] if said == BY_VERB.get(kind.rpartition(".")[2]) else said


Facts = Mapping[str, Any]


def _nothing(before: Facts, after: Facts) -> list[str]:
    return []


def _signed_in(before: Facts, after: Facts) -> list[str]:
    return [f"With {_ways(after.get('by'))}"]


def _factor(before: Facts, after: Facts) -> list[str]:
    return [_ways((after or before).get("factor")).capitalize()]


def _factors(before: Facts, after: Facts) -> list[str]:
    return (
        [f"They were {_ways(before['factors'])}"] if before.get("factors") else ["There was none"]
    )


def _password_changed(before: Facts, after: Facts) -> list[str]:
    return _signed_out(after.get("sessions_ended", 0))


def _sessions_revoked(before: Facts, after: Facts) -> list[str]:
    return _signed_out(before.get("sessions", 0))


def _signed_out(browsers: int) -> list[str]:
    return [f"{counted(browsers, 'browser')} signed out"] if browsers else []


def _provider(before: Facts, after: Facts) -> list[str]:
    return [f"The provider is {(after or before).get('provider')}"]


def _erased(before: Facts, after: Facts) -> list[str]:
    return ["Name and address are gone; what was done stays in the log, by nobody's name"]


def _mails(before: Facts, after: Facts) -> list[str]:
    return [
        "Notices come by mail too" if after.get("notices_by_mail") else "Notices stay in the inbox"
    ]


def _ends_soon(before: Facts, after: Facts) -> list[str]:
    return [f"{counted(after.get('days_left'), 'day')} left"]


def _invited(before: Facts, after: Facts) -> list[str]:
    facts = after or before
    until = f", until {instant_in_words(facts['expires_at'])}" if facts.get("expires_at") else ""
    return [f"To become {facts.get('role')}{until}"]


def _accepted(before: Facts, after: Facts) -> list[str]:
    return [f"As {(after or before).get('role')}"]


def _request(before: Facts, after: Facts) -> list[str]:
    """Without what the kind says already, counts edits, or says that there was nothing."""
    if not before:
        return _opened(before, after)
    left_out = {"revision", "verdict", "subject", "choice"}
    left_out |= {name for name in ("bypass", "policies") if not after.get(name)}
    then, now = (
        {name: value for name, value in facts.items() if name not in left_out}
        for facts in (before, after)
    )
    said = sentences(then, now)
    if after.get("choice") in CHOICES:
        named = str(after.get("subject", "")).replace(":", " ")
        said.insert(0, f"{named}: {CHOICES[after['choice']]}")
    return said


def _opened(before: Facts, after: Facts) -> list[str]:
    state = str(after.get("state", "")).replace("_", " ")
    said = [f"“{after.get('title')}” is {state}"]
    if after.get("apply_at"):
        said.append(f"Is set for {instant_in_words(after['apply_at'])}")
    return said


def _ways(by: Any) -> str:
    ways = [by] if isinstance(by, str) else list(by or [])
    return listed([WAYS.get(way, way) for way in ways]) or "nothing"


TOLD: dict[str, Callable[[Facts, Facts], list[str]]] = {
    "api_token.expires_soon": _ends_soon,
    "invitation.accepted": _accepted,
    "invitation.created": _invited,
    "invitation.revoked": _invited,
    "request.applied": _request,
    "request.bypass_reviewed": _nothing,
    "request.closed": _request,
    "request.drafted": _request,
    "request.edited": _request,
    "request.opened": _request,
    "request.rebased": _request,
    "request.reviewed": _request,
    "request.settled": _request,
    "request.submitted": _request,
    "request.verdict_undone": _request,
    "request.withdrawn": _request,
    "user.created": _nothing,
    "user.erased": _erased,
    "user.factor_added": _factor,
    "user.factor_removed": _factor,
    "user.factors_reset": _factors,
    "user.identity_connected": _provider,
    "user.identity_disconnected": _provider,
    "user.mails_chosen": _mails,
    "user.password_changed": _password_changed,
    "user.password_reset_asked": _nothing,
    "user.sessions_revoked": _sessions_revoked,
    "user.sign_in_failed": _signed_in,
    "user.signed_in": _signed_in,
    "user.signed_out": _nothing,
}

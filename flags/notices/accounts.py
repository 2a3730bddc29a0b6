"""What became of a person's way in: told to them whoever did it, or an account changes hands unseen."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings

from audit.models import Event, Person
from flags.models import User
from flags.models.projects import SITE_STREAM
from flags.sessions import network_of

FACTORS = {"totp": "an authenticator app", "webauthn": "a passkey"}
# Kinds of events that say all there is to say.
PLAIN = {
    "user.factors_reset": "factors_reset",
    "user.password_changed": "password_changed",
}


def told_of_accounts(event: Event) -> Iterator[tuple[str, User, str, str]]:
    """Kind of notice, person, words, and who did it where it was somebody else: for each account
    that an event of the site's stream lets somebody into by another way than before.
    """
    for effect in event.effects:
        kind, what = _told(effect, event)
        person = User.objects.filter(pk=_account(effect)).first() if kind else None
        if person is not None:
            by = _somebody_else(event, person)
            place = "" if by else (event.actor.identity or {}).get("place", "")
            words = ", ".join(part for part in (what, place and f"from {place}") if part)
            yield kind, person, words[:1].upper() + words[1:], by


def _told(effect: dict[str, Any], event: Event) -> tuple[str, str]:
    """The kind of notice, empty for none, and of what it is."""
    before, after = effect["before"] or {}, effect["after"] or {}
    match effect["kind"]:
        case kind if kind in PLAIN:
            return PLAIN[kind], ""
        case "user.edited" if after.get("password") == "set":
            return "password_changed", ""
        case "user.factor_added" if after["factor"] == "recovery_codes":
            return "codes_made", ""
        case "user.factor_added":
            return "factor_added", FACTORS[after["factor"]]
        case "user.factor_removed":
            return "factor_removed", FACTORS[before["factor"]]
        case "user.identity_connected":
            return "identity_connected", _title(after["provider"])
        case "user.identity_disconnected":
            return "identity_disconnected", _title(before["provider"])
        case "api_token.created" if "service" not in after:
            return "token_made", after["name"]
        case "user.signed_in" if _is_from_a_new_place(effect, event):
            return "new_place", ""
    return "", ""


def _account(effect: dict[str, Any]) -> str:
    noun, _, key = effect["subject"].partition(":")
    return str(effect["after"]["user"]) if noun == "api_token" else key


def _somebody_else(event: Event, person: User) -> str:
    """Who did it, where it was not the person."""
    identity = event.actor.identity or {}
    if identity.get("kind") == "person" and identity.get("id") == str(person.pk):
        return ""
    return "the operator" if identity.get("kind") == "system" else str(identity.get("name", ""))


def _title(provider: str) -> str:
    found = settings.OIDC_PROVIDERS.get(provider)
    return str(found.title) if found is not None else ""


def _is_from_a_new_place(effect: dict[str, Any], event: Event) -> bool:
    """Whether nobody signed in to the account from this network and browser before, where somebody
    did from another. What was archived is forgotten: then it is told once more.
    """
    place = (event.actor.identity or {}).get("place")
    came_in = [{"kind": effect["kind"], "subject": effect["subject"]}]
    earlier = Event.objects.filter(
        stream=SITE_STREAM, version__lt=event.version, effects__contains=came_in
    )
    people = Person.objects.filter(events__in=earlier).values_list("identity__place", flat=True)
    known = {_network_and_browser(there or "") for there in people.distinct()}
    return bool(place and known) and _network_and_browser(place) not in known


def _network_and_browser(place: str) -> tuple[str, str]:
    """A place as one of those that are told apart: a computer changes its IPv6 address every day."""
    address, _, browser = place.partition(", ")
    return network_of(address), browser

"""What a request is called where nobody named it: `checkout: switched on in production`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flags.differences.releases import span_in_words
from flags.differences.wording import listed

LONGEST = 200
MOST_SUBJECTS = 3
# They have but a number. A ramp or a lease alters something that has a key; and a member's name is
# a person's, which no title carries into the log.
WITHOUT_KEY = ("ramp", "lease", "member")


def titled(seen: Sequence[Mapping[str, Any]], changes: Sequence[Mapping[str, Any]]) -> str:
    """By what a request would do to what its author saw."""
    subjects = [row["subject"].partition(":") for row in seen]
    keys = sorted({key for noun, _, key in subjects if noun not in WITHOUT_KEY})
    named = ", ".join(keys[:MOST_SUBJECTS]) + ("…" if len(keys) > MOST_SUBJECTS else "")
    title = ", ".join(_deeds(changes))
    if named:
        title = f"{named}: {title}"
    return title if len(title) <= LONGEST else f"{title[: LONGEST - 1]}…"


def _deeds(changes: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is done, each once, with the environments where it is."""
    where: dict[str, list[str]] = {}
    for row in changes:
        places = where.setdefault(_done(row), [])
        places += [place for place in _places(row) if place not in places]
    together: dict[tuple[str, ...], list[str]] = {}
    for deed, places in where.items():
        together.setdefault(tuple(places), []).append(deed)
    return [
        " and ".join(deeds) + (f" in {listed(places)}" if places else "")
        for places, deeds in together.items()
    ]


def _done(row: Mapping[str, Any]) -> str:
    match row:
        case {"kind": "flag.switched", "on": on}:
            return _switched(on)
        case {"kind": "flag.configured", "enabled": bool() as on, **more}:
            others = more.keys() - {"schema", "project", "environment", "flag", "expected_version"}
            return _switched(on) + (" and configured" if others else "")
        case {"kind": "lease.granted", "changes": [*inner], **end}:
            deeds = " and ".join(dict.fromkeys(_done(one) for one in inner))
            return f"{deeds} {_until(end)}"
        case {"kind": "ramp.started", "variation": variation}:
            return f"ramp of {variation} started"
        case {"kind": kind}:
            noun, _, verb = kind.replace("_", " ").partition(".")
            return verb if noun in ("flag", "segment") else f"{noun} {verb}"
    raise ValueError(f"expected a change, got {row}")


def _switched(on: bool) -> str:
    return "switched on" if on else "switched off"


def _until(end: Mapping[str, Any]) -> str:
    if seconds := end.get("seconds"):
        return f"for {span_in_words(seconds)}"
    return f"until {datetime.fromisoformat(end['ends_at']):%-d %B %Y, %H:%M %Z}".strip()


def _places(row: Mapping[str, Any]) -> list[str]:
    """The environments in which it is done; one that is itself the subject is named before."""
    if row["kind"] == "lease.granted":
        return [place for inner in row["changes"] for place in _places(inner)]
    is_of_a_place = row["kind"].startswith(("environment.", "policy."))
    return [] if is_of_a_place or "environment" not in row else [row["environment"]]

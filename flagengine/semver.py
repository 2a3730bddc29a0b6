"""Semantic Versioning 2.0 precedence, of versions with numbers of any length."""

import re
from functools import lru_cache

# A numeric part as text that sorts by value, since int() refuses more than 4,300 digits.
Number = str
Version = tuple[Number, Number, Number, bool, tuple[tuple[bool, str], ...]]

_NUMBER = r"(0|[1-9][0-9]*)"
_VERSION = re.compile(
    rf"v?{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER})?)?"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)


def version_of(text: str) -> Version | None:
    """A key that compares as the version's precedence; None when the text is no version."""
    # Only short texts are remembered, so that the memory a caller can claim is bounded.
    return _remembered(text) if len(text) <= 64 else parsed(text)


def parsed(text: str) -> Version | None:
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    major, minor, patch, prerelease = match.groups()
    identifiers = []
    for identifier in prerelease.split(".") if prerelease is not None else ():
        is_numeric = identifier.isdigit()
        if is_numeric and len(identifier) > 1 and identifier[0] == "0":
            return None
        identifiers.append((not is_numeric, _sortable(identifier) if is_numeric else identifier))
    # A release comes after its pre-releases.
    is_release = prerelease is None
    return (
        _sortable(major),
        _sortable(minor or "0"),
        _sortable(patch or "0"),
        is_release,
        tuple(identifiers),
    )


def _sortable(digits: str) -> Number:
    return f"{len(digits):012d}{digits}"


_remembered = lru_cache(maxsize=4096)(parsed)

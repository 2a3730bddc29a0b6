#!/usr/bin/env python3
"""Checks an export of Flagsite's events on any machine, with Python's standard library alone.

    verify_export.py events.jsonl
    verify_export.py --heads heads.jsonl --key 8f3a… archive/*.jsonl.gz events.jsonl

Says what is wrong, one line a fault, and exits with 1; with 0 when everything fits. Signatures need
the package `cryptography`. docs/audit.md explains what is checked.
"""

import argparse
import gzip
import hashlib
import json
import sys

SAID_TWICE = ("stream", "version", "at", "reason", "request", "submission", "effects", "previous")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="JSON Lines, .gz too, oldest first"
    )
    parser.add_argument("--heads", metavar="FILE", help="the signed statements, as JSON Lines")
    parser.add_argument("--key", action="append", default=[], help="a public key that is trusted")
    parser.add_argument(
        "--partial", action="store_true", help="the export was filtered: gaps are no fault"
    )
    given = parser.parse_args(arguments)
    faults, claims, archived = [], {}, {}
    try:
        if given.heads:
            claims, archived = read_statements(given.heads, set(given.key), faults)
        events, ends = read_events(given.files, claims, archived, faults, partial=given.partial)
    except OSError as problem:
        sys.exit(f"cannot read {problem.filename or 'an export'}: {problem.strerror or problem}")
    if not given.partial:
        faults += missing_at_the_end(claims, ends)
    for fault in faults:
        print(fault)
    signed = sum(len(versions) for stream, versions in claims.items() if stream in ends)
    print(
        f"{counted(events, 'event')} in {counted(len(ends), 'stream')}"
        + (f", {counted(signed, 'signed head')}" if given.heads else "")
        + (f": {counted(len(faults), 'fault')}" if faults else ": everything fits"),
        file=sys.stderr,
    )
    return 1 if faults else 0


def read_events(files, claims, archived, faults, *, partial):
    """How many events there are, and (version, hash) at which each stream ends."""
    ends, count = {}, 0
    for place, row in lines_of(files):
        count += 1
        canonical = row["canonical"]
        event = json.loads(canonical)
        stream, version = event["stream"], event["version"]
        at = f"{stream}@{version} ({place})"
        if sha256(canonical) != row["hash"]:
            faults.append(f"{at} does not have the hash of its canonical bytes")
        for name in SAID_TWICE:
            if name in row and plain(row[name]) != plain(event[name]):
                faults.append(f"{at} says another {name} than its canonical bytes")
        last, previous = ends.get(stream, (0, ""))
        if last == 0 and archived.get(stream) == (version - 1, event["previous"]):
            last, previous = archived[stream]
        if version == last + 1 and event["previous"] != previous:
            faults.append(f"{at} does not follow the event before it")
        elif version <= last:
            faults.append(f"{at} comes again, or out of order")
        elif version > last + 1 and not partial:
            faults.append(f"{stream}@{last + 1} is missing: the next event is {version}")
        head, number = claims.get(stream, {}).get(version, (row["hash"], 0))
        if head != row["hash"]:
            faults.append(f"{at} was rewritten: statement {number} signed another")
        ends[stream] = (version, row["hash"])
    return count, ends


def read_statements(file, trusted, faults):
    """Stream → version → (hash, number of the statement), and where archives end by stream."""
    claims, archived, previous, expected = {}, {}, "", 1
    check = signature_checker(trusted)
    for _, row in lines_of([file]):
        stated = json.loads(row["canonical"])
        number = stated["number"]
        if sha256(row["canonical"]) != row["hash"] or not check(row):
            faults.append(f"statement {number} is not what was signed")
        if trusted and stated["key"] not in trusted:
            faults.append(f"statement {number} is signed by {stated['key']}, which is not trusted")
        if (number, stated["previous"]) != (expected, previous):
            faults.append(f"statement {number} does not follow the one before it")
        archived = {stream: tuple(end) for stream, end in stated["archived"].items()}
        for heads in (stated["archived"], stated["heads"]):
            for stream, (version, head) in heads.items():
                claims.setdefault(stream, {}).setdefault(version, (head, number))
        previous, expected = row["hash"], number + 1
    return claims, archived


def missing_at_the_end(claims, ends):
    """What was signed of a stream that is exported, past where the export ends."""
    for stream, (last, _) in ends.items():
        for version, (_, number) in sorted(claims.get(stream, {}).items()):
            if version > last:
                yield f"{stream}@{version} is missing: statement {number} signed it"


def signature_checker(trusted):
    """A function that says whether a statement's signature is good."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        if trusted:
            sys.exit("signatures can only be checked with the package cryptography installed")
        print("signatures are not checked: the package cryptography is missing", file=sys.stderr)
        return lambda row: True

    def is_good(row):
        try:
            key = Ed25519PublicKey.from_public_bytes(
                bytes.fromhex(json.loads(row["canonical"])["key"])
            )
            key.verify(bytes.fromhex(row["signature"]), row["canonical"].encode())
        except (ValueError, InvalidSignature):
            return False
        return True

    return is_good


def lines_of(files):
    """(place, object) of each line."""
    for name in files:
        with (gzip.open if name.endswith(".gz") else open)(name, "rt", encoding="utf-8") as file:
            for number, text in enumerate(file, start=1):
                yield f"{name}:{number}", json.loads(text)


def counted(number, noun):
    return f"{number} {noun}{'' if number == 1 else 's'}"


def plain(value):
    """With each value beside its type: 1 and true differ, 1 and 1.0 do not."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return isinstance(value, bool), value


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())

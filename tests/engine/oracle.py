"""A second reading of docs/evaluation.md: slow, plain, and sharing no line with the engine.

It interprets a ruleset document at each call. It expects definitions that may be saved, and asks
the engine nothing but RE2, which the contract names.
"""

import ipaddress
import math
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import re2

ATTRIBUTE_MISSING = None


def evaluate(document, flag_key, context, *, now):
    """What the contract answers, as a dict; `now` in Unix seconds."""
    context = {} if context is None else context
    if not isinstance(context, dict) or depth(context) > 64:
        return error(document, flag_key, "INVALID_CONTEXT")
    if flag_key not in document["flags"]:
        return error(document, flag_key, "FLAG_NOT_FOUND")
    return Evaluation(document, context, now).flag(flag_key)


def error(document, flag_key, code):
    flag = document["flags"].get(flag_key, {})
    return answer(document, flag, None, "ERROR", error_code=code)


def answer(document, flag, variation, reason, *, rule=None, error_code=None, prerequisite=None):
    value = None
    for one in flag.get("variations", []):
        if one["key"] == variation:
            value = one["value"]
            if flag["type"] == "float":
                value = float(value)
            if flag["type"] == "integer":
                value = int(value)
    return {
        "value": value,
        "variation": variation,
        "reason": reason,
        "rule": rule,
        "flag_version": flag.get("version"),
        "environment_version": document["version"],
        "error_code": error_code,
        "prerequisite": prerequisite,
    }


class MissingTargetingKey(Exception):
    pass


class Evaluation:
    def __init__(self, document, context, now):
        self.document = document
        self.context = context
        self.now = now
        self.answers = {}
        self.membership = {}

    def flag(self, key):
        if key not in self.answers:
            self.answers[key] = self._flag(key)
        return self.answers[key]

    def _flag(self, key):
        flags = self.document["flags"]
        flag = flags[key]

        def say(variation, reason, **more):
            return answer(self.document, flag, variation, reason, **more)

        def required(name):
            return [p["flag"] for p in flags[name].get("prerequisites", []) if p["flag"] in flags]

        if reaches_cycle(key, required) or self.uses_segment_cycle(flag):
            return say(None, "ERROR", error_code="GENERAL")
        off = flag.get("off_variation")
        if not flag["enabled"]:
            return say(off, "DISABLED")
        for prerequisite in flag.get("prerequisites", []):
            name = prerequisite["flag"]
            met = name in flags and flags[name]["enabled"]
            if met:
                served = self.flag(name)
                met = not served["error_code"] and served["variation"] in prerequisite["variations"]
            if not met:
                return say(off, "PREREQUISITE_FAILED", prerequisite=name)
        for target in flag.get("targets", []):
            value = self.attribute(target.get("by", "targetingKey"))
            if isinstance(value, str) and value in target["keys"]:
                return say(target["variation"], "TARGETING_MATCH")
        try:
            for rule in flag.get("rules", []):
                if self.holds(rule["when"]):
                    variation, reason = self.served(rule["serve"], "TARGETING_MATCH")
                    if variation is not None:
                        return say(variation, reason, rule=rule.get("id"))
            plain = not any(flag.get(part) for part in ("rules", "targets", "prerequisites"))
            fixed_reason = "STATIC" if plain else "DEFAULT"
            variation, reason = self.served(flag["fallthrough"], fixed_reason)
        except MissingTargetingKey:
            return say(None, "ERROR", error_code="TARGETING_KEY_MISSING")
        if variation is None:
            return say(off, "DEFAULT")
        return say(variation, reason)

    def served(self, serve, fixed_reason):
        if "variation" in serve:
            return serve["variation"], fixed_reason
        split = serve["split"]
        by = split.get("by", "targetingKey")
        value = self.attribute(by)
        text = split_text(value)
        if text is None:
            if by == "targetingKey":
                raise MissingTargetingKey
            return None, None
        place = bucket(split["salt"], text)
        total = 0
        for variation, share in split["shares"]:
            total += share
            if place < total:
                return variation, "SPLIT"
        return None, None

    def attribute(self, name):
        if name == "targetingKey":
            value = self.context.get(name)
            return value if isinstance(value, str) and value != "" else ATTRIBUTE_MISSING
        if name in self.context:
            return self.context[name]
        value = self.context
        for part in name.split("."):
            if not isinstance(value, dict) or part not in value:
                return ATTRIBUTE_MISSING
            value = value[part]
        return value

    def holds(self, when):
        if "all" in when:
            return all(self.holds(inner) for inner in when["all"])
        if "any" in when:
            return any(self.holds(inner) for inner in when["any"])
        if "not" in when:
            return not self.holds(when["not"])
        if "segment" in when:
            return self.in_segment(when["segment"])
        value = self.now if when["attribute"] == "now" else self.attribute(when["attribute"])
        if when["op"] == "exists":
            return value is not None
        elements = value if isinstance(value, list) else [value]
        ignore_case = when.get("ignore_case", False)
        return any(
            passes(when["op"], element, operand, ignore_case)
            for element in elements
            for operand in when["values"]
        )

    def in_segment(self, key):
        if key not in self.membership:
            self.membership[key] = self._in_segment(key)
        return self.membership[key]

    def _in_segment(self, key):
        segment = self.document["segments"].get(key)
        if segment is None:
            return False
        if self.is_listed(segment.get("excluded", [])):
            return False
        if self.is_listed(segment.get("included", [])):
            return True
        return "when" in segment and self.holds(segment["when"])

    def is_listed(self, groups):
        for group in groups:
            value = self.attribute(group.get("by", "targetingKey"))
            if isinstance(value, str) and value in group["keys"]:
                return True
        return False

    def uses_segment_cycle(self, flag):
        segments = self.document["segments"]

        def used(name):
            when = segments[name].get("when")
            return [] if when is None else [key for key in segments_in(when) if key in segments]

        return any(
            reaches_cycle(key, used)
            for rule in flag.get("rules", [])
            for key in segments_in(rule["when"])
            if key in segments
        )


def segments_in(when):
    if "segment" in when:
        return [when["segment"]]
    inner = when.get("all", []) + when.get("any", []) + ([when["not"]] if "not" in when else [])
    return [key for one in inner for key in segments_in(one)]


def reaches_cycle(start, following):
    """Whether following the arrows from `start` ever comes round."""
    reachable, waiting = set(), [start]
    while waiting:
        name = waiting.pop()
        if name not in reachable:
            reachable.add(name)
            waiting.extend(following(name))
    # What is reachable has no cycle if leaves can be taken off until nothing is left.
    while True:
        leaves = {name for name in reachable if not set(following(name)) & reachable}
        if not leaves:
            return bool(reachable)
        reachable -= leaves


def depth(value):
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        item, level = waiting.pop()
        if isinstance(item, dict | list):
            deepest = max(deepest, level)
            if level <= 64:
                inner = item.values() if isinstance(item, dict) else item
                waiting.extend((one, level + 1) for one in inner)
    return deepest


# Operators


def passes(op, value, operand, ignore_case):
    if op == "in":
        return equal(value, operand, ignore_case)
    if op in ("contains", "starts_with", "ends_with"):
        if not isinstance(value, str):
            return False
        text, part = (value.lower(), operand.lower()) if ignore_case else (value, operand)
        if op == "contains":
            return text.find(part) >= 0
        return (
            text[: len(part)] == part if op == "starts_with" else text[::-1].find(part[::-1]) == 0
        )
    if op == "matches":
        return isinstance(value, str) and re2.search(operand, without_surrogates(value)) is not None
    if op in ("lt", "lte", "gt", "gte"):
        return ordered(op, double(value), double(operand))
    if op.startswith("semver_"):
        left, right = version(value), version(operand)
        if left is None or right is None:
            return False
        order = compare_versions(left, right)
        return order == 0 if op == "semver_eq" else ordered(op.removeprefix("semver_"), order, 0)
    if op in ("before", "after"):
        left, right = milliseconds(value), milliseconds(operand)
        return ordered("lt" if op == "before" else "gt", left, right)
    if op == "in_cidr":
        return in_network(value, operand)
    raise AssertionError(op)


def ordered(op, left, right):
    if left is None or right is None:
        return False
    return {"lt": left < right, "lte": left <= right, "gt": left > right, "gte": left >= right}[op]


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(value, operand, ignore_case):
    if isinstance(value, str) and isinstance(operand, str):
        return value.lower() == operand.lower() if ignore_case else value == operand
    if isinstance(value, bool) and isinstance(operand, bool):
        return value == operand
    if is_number(value) and is_number(operand):
        return double(value) == double(operand)
    return False


def double(value):
    if isinstance(value, str):
        grammar = r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?"
        return float(value) if re.fullmatch(grammar, value, re.ASCII) else None
    if not is_number(value):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def version(value):
    """(major, minor, patch, pre-release identifiers) as unlimited numbers, or None."""
    if not isinstance(value, str):
        return None
    number, identifiers = r"(?:0|[1-9]\d*)", r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
    match = re.fullmatch(
        rf"v?({number}(?:\.{number}){{0,2}})(?:-({identifiers}))?(?:\+{identifiers})?",
        value,
        re.ASCII,
    )
    if match is None:
        return None
    core = [Fraction(part) for part in match[1].split(".")]
    prerelease = match[2].split(".") if match[2] is not None else []
    if any(re.fullmatch(r"0\d+", part) for part in prerelease):
        return None
    return core + [Fraction(0)] * (3 - len(core)), prerelease


def compare_versions(left, right):
    if left[0] != right[0]:
        return -1 if left[0] < right[0] else 1
    if not left[1] or not right[1]:
        return bool(right[1]) - bool(left[1])
    for one, other in zip(left[1], right[1], strict=False):
        if one == other:
            continue
        if one.isdigit() and other.isdigit():
            return -1 if Fraction(one) < Fraction(other) else 1
        if one.isdigit() != other.isdigit():
            return -1 if one.isdigit() else 1
        return -1 if one < other else 1
    return (len(left[1]) > len(right[1])) - (len(left[1]) < len(right[1]))


def milliseconds(value):
    if isinstance(value, str):
        match = re.fullmatch(
            r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?",
            value,
            re.ASCII,
        )
        if match is None:
            return None
        day, time, fraction, offset = match.groups()
        try:
            instant = datetime.strptime(f"{day} {time}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            return None
        since = instant - datetime(1970, 1, 1, tzinfo=UTC)
        if offset and offset not in "Zz":
            hours, minutes = int(offset[1:3]), int(offset[4:])
            if hours > 23 or minutes > 59:
                return None
            shift = timedelta(hours=hours, minutes=minutes)
            since += -shift if offset[0] == "+" else shift
        return since // timedelta(seconds=1) * 1000 + int((fraction or "0").ljust(3, "0")[:3])
    if not is_number(value) or not abs(value) <= 8.64e12:
        return None
    microseconds = math.floor(float(value) * 1e6 + 0.5)
    return math.floor(microseconds / 1000)


def in_network(value, operand):
    if not isinstance(value, str) or "%" in value:
        return False
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    network = ipaddress.ip_network(operand, strict=False)
    if network.version == 6 and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        inner = network.network_address.ipv4_mapped
        network = ipaddress.ip_network(f"{inner}/{network.prefixlen - 96}")
    return address in network


# Buckets


def split_text(value):
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if is_number(value) and abs(value) <= 2**53 - 1 and value == math.floor(value):
        return f"{math.floor(value)}"
    return None


def without_surrogates(text):
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def bucket(salt, text):
    return murmur3_32(without_surrogates(salt + ":" + text).encode("utf-8")) * 100000 // 2**32


def murmur3_32(data, seed=0):
    """MurmurHash3_x86_32 of Austin Appleby, from its published description."""

    def rotated(number, by):
        return (number << by | number >> (32 - by)) & 0xFFFFFFFF

    def mixed(block):
        return rotated(block * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF

    state = seed
    whole = len(data) - len(data) % 4
    for start in range(0, whole, 4):
        state ^= mixed(int.from_bytes(data[start : start + 4], "little"))
        state = (rotated(state, 13) * 5 + 0xE6546B64) & 0xFFFFFFFF
    if data[whole:]:
        state ^= mixed(int.from_bytes(data[whole:], "little"))
    state ^= len(data)
    state = (state ^ state >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    state = (state ^ state >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return state ^ state >> 16

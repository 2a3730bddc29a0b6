"""What a policy asks for, given what a request would do, and whether the verdicts give it.

Everything is judged from effects, as the gate is: what a change is called, and through which door
it came, makes no difference. Nothing here writes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from audit.canonical import canonical_bytes, sha256
from audit.facts import Effect
from flags.access import people_with
from flags.differences.wording import counted, instant_in_words, with_article
from flags.models import ApiToken, Environment, Flag, Policy, Role, Team, User, Verdict
from flags.queries.usage import flags_requiring, flags_using_segment, segments_using_segment

# An environment that requires approval and has no policy of its own asks for this.
DEFAULT = Policy()


@dataclass(frozen=True)
class Demand:
    """What one environment's policy asks of a request, and which of its conditions asked."""

    environment: str
    policy: Policy
    because: list[str]


@dataclass(frozen=True)
class Missing:
    """One thing that a request still needs, in words, and who could give it."""

    environment: str
    what: str
    who: list[str]


def guards(environments: Mapping[str, Environment]) -> dict[str, Policy]:
    """The policy of each environment that requires approval, as it stands before a change."""
    guarded = {key: row for key, row in environments.items() if row.requires_approval}
    policies = {
        policy.environment_id: policy
        for policy in Policy.objects.filter(environment__in=guarded.values())
    }
    return {key: policies.get(row.pk, DEFAULT) for key, row in guarded.items()}


def policy_facts(policy: Policy) -> dict[str, Any]:
    """A policy as events keep it."""
    return {
        name: getattr(policy, name)
        for name in (
            "approvals", "from_whom", "minimum_role", "exclude_contributors", "tokens_may_review",
            "conditions", "windows", "freezes", "time_zone", "expires_after_days",
        )
    }  # fmt: skip


def demands(
    guarded: Mapping[str, Policy],
    environments: Mapping[str, Environment],
    effects: Sequence[Effect],
) -> list[Demand]:
    """For each guarded environment that the effects reach: what its policy asks, and why.

    What weakens the guard itself asks too: another policy, no need for approval, no environment.
    """
    asked = []
    for key, policy in guarded.items():
        because = list(_loosened(key, effects))
        altering = _from_first_to_last([row for row in effects if row.environment == key])
        altering += _planned(key, effects)
        because += _lengthened(key, effects)
        because += _untagged(policy, effects)
        if altering:
            because += _reasons(policy, environments[key], altering)
        if because:
            asked.append(Demand(key, policy, because))
    return asked


def _from_first_to_last(effects: Sequence[Effect]) -> list[Effect]:
    """The effects with those on one flag as one: in small steps a condition would be gone past."""
    flags: dict[str, Effect] = {}
    others = []
    for effect in effects:
        if effect.subject.startswith("flag:"):
            first = flags.get(effect.subject, effect)
            flags[effect.subject] = replace(effect, before=first.before)
        else:
            others.append(effect)
    return [*flags.values(), *others]


def _planned(key: str, effects: Sequence[Effect]) -> Iterator[Effect]:
    """What ramps would come to that begin, go on after they were held, or go on before their time.

    A plan is asked about as a whole: in steps small enough for every condition it would otherwise
    go past them all.
    """
    for effect in effects:
        if not effect.subject.startswith("ramp:") or effect.after is None:
            continue
        plan, before = effect.after["plan"], effect.before
        goes_on = effect.after["state"] in ("running", "awaiting_approval", "finished")
        begins = before is None or (before["state"] == "held" and goes_on)
        if plan["environment"] == key and (begins or effect.after["step"] > before["step"]):
            yield _whole_ramp(plan)


def _whole_ramp(plan: Mapping[str, Any]) -> Effect:
    most = plan["steps"][-1]["share"]
    # A flag that was off served its off variation, whatever stood at the place.
    was = plan["was"]["serve"] if plan["was"]["enabled"] else {"variation": plan["base"]}
    there, then = (
        _entry_serving(plan["place"], serve)
        for serve in (
            was,
            {"split": {"shares": [[plan["variation"], most], [plan["base"], 100_000 - most]]}},
        )
    )
    return Effect(
        "ramp.planned", f"flag:{plan['flag']}", there, then, environment=plan["environment"]
    )


def _entry_serving(place: str, serve: Mapping[str, Any]) -> dict[str, Any]:
    """As much of a flag's entry as conditions look at."""
    if place == "fallthrough":
        return {"enabled": True, "fallthrough": serve, "rules": []}
    return {
        "enabled": True,
        "fallthrough": {"variation": ""},
        "rules": [{"id": place, "serve": serve}],
    }


def _lengthened(key: str, effects: Sequence[Effect]) -> Iterator[str]:
    for effect in effects:
        if not effect.subject.startswith("lease:") or effect.before is None:
            continue
        if key not in effect.before["agreed"]:
            continue
        if effect.after["state"] == "kept":
            yield "what was approved for a time would stay for good"
        elif effect.after["ends_at"] != effect.before["ends_at"]:
            yield "what was approved for a time would end at another instant"


def _loosened(key: str, effects: Sequence[Effect]) -> Iterator[str]:
    for effect in effects:
        if effect.subject == f"policy:{key}":
            yield "its policy would change"
        if effect.subject == f"environment:{key}" and effect.environment is None:
            if effect.after is None:
                yield "it would be deleted"
            elif not effect.after["requires_approval"]:
                yield "it would no longer require approval"


def behaviour_of(effects: Sequence[Effect], *terms: Any) -> str:
    """A hash of what would be evaluated, guarded or planned, versions aside, and the terms.

    A verdict is bound to it: whatever moves it, an edit, a rebase or another schedule, makes the
    verdict stale.
    """
    what = [
        [
            effect.environment,
            effect.subject,
            _unversioned(effect.before),
            _unversioned(effect.after),
        ]
        for effect in effects
        if effect.environment is not None or _is_of_a_guard(effect)
    ]
    what += [_plan_of(effect) for effect in effects if _is_of_a_release(effect)]
    what += [
        [None, effect.subject, effect.kind, None, sorted(lost)]
        for effect in effects
        if (lost := _tags_lost(effect))
    ]
    return sha256(canonical_bytes([sorted(what, key=canonical_bytes), *terms]))


def _is_of_a_release(effect: Effect) -> bool:
    return effect.subject.startswith(("ramp:", "lease:"))


def _plan_of(effect: Effect) -> list[Any]:
    """A ramp or lease by its plan, without its instants; a new one without its number too.

    It gets both when it begins, so they are others at every rehearsal.
    """
    noun = effect.subject.partition(":")[0]
    return [
        None,
        noun if effect.before is None else effect.subject,
        effect.kind,
        effect.before and effect.before["plan"],
        effect.after["plan"],
    ]


def _is_of_a_guard(effect: Effect) -> bool:
    return effect.subject.startswith(("policy:", "environment:"))


def missing(
    demand: Demand,
    verdicts: Sequence[Verdict],
    *,
    behaviour: str,
    author: User | None,
    contributors: Sequence[User],
    environment: Environment,
) -> list[Missing]:
    """What the verdicts in force on this behaviour do not give yet; nothing when it is approved."""
    policy = demand.policy
    barred = _barred(policy, author=author, contributors=contributors)
    eligible = _counting(policy, environment) - barred
    approvers = _of_different_people(
        [
            verdict
            for verdict in verdicts
            if verdict.undone_at is None
            and verdict.behaviour == behaviour
            and verdict.verdict == "approved"
            and verdict.reviewer in eligible
            and (policy.tokens_may_review or not verdict.by_token)
        ],
        barred,
    )
    lacking = []
    if (at_all := policy.approvals - len(approvers)) > 0:
        lacking.append(
            Missing(
                demand.environment,
                f"{counted(at_all, 'more approval')} by {with_article(policy.minimum_role)} or above",
                sorted(user.get_username() for user in eligible - approvers),
            )
        )
    for row in policy.from_whom:
        named = _named(row, environment)
        wanted = row.get("approvals", 1) - len(named & approvers)
        if wanted > 0:
            lacking.append(
                Missing(
                    demand.environment,
                    _of_the_named(row, wanted, at_all),
                    sorted(user.get_username() for user in (named & eligible) - approvers),
                )
            )
    return lacking


def _of_the_named(row: Mapping[str, Any], wanted: int, at_all: int) -> str:
    """What somebody named has to give; said as a part of those that are missing at all."""
    if at_all < wanted:
        whom = f"of team {row['team']}" if "team" in row else f"by {row['person']}"
        return f"{counted(wanted, 'more approval')} {whom}"
    whom = f"somebody of team {row['team']}" if "team" in row else row["person"]
    return f"{wanted} of them by {whom}" if at_all > 1 else f"that one by {whom}"


def eligible_reviewers(
    policy: Policy, environment: Environment, *, author: User | None, contributors: Sequence[User]
) -> set[User]:
    """Whose approval counts: who has the role there, and site administrators; never the author."""
    return _counting(policy, environment) - _barred(
        policy, author=author, contributors=contributors
    )


def speaker(reviewer: User, by_token: str | None) -> int:
    """The id of the account whose word it is: by a token, that of who made the token.

    Whoever saw a token's secret can speak by it, as themselves and as a service.
    """
    if by_token:
        token = ApiToken.objects.filter(public_id=by_token).first()
        if token is not None and token.made_by_id is not None:
            return int(token.made_by_id)
    return int(reviewer.pk)


def voices(accounts: Sequence[User]) -> set[User]:
    """The accounts, and of services who speaks by their tokens."""
    services = [account for account in accounts if account.is_service]
    behind = User.objects.filter(tokens_made__user__in=services) if services else []
    return {*accounts, *behind}


def _counting(policy: Policy, environment: Environment) -> set[User]:
    return set(people_with(Role(policy.minimum_role), environment))


def _barred(policy: Policy, *, author: User | None, contributors: Sequence[User]) -> set[User]:
    """The author, contributors where the policy has it so, and who speaks by their tokens."""
    own = [author] if author is not None else []
    if policy.exclude_contributors:
        own += contributors
    return voices(own)


def _of_different_people(verdicts: Sequence[Verdict], barred: set[User]) -> set[User]:
    """Their reviewers, nobody counted twice: once as themselves and once by a service's token."""
    heard = {account.pk for account in barred}
    counted = set()
    for verdict in sorted(verdicts, key=lambda verdict: bool(verdict.by_token)):
        if (voice := speaker(verdict.reviewer, verdict.by_token)) not in heard:
            heard.add(voice)
            counted.add(verdict.reviewer)
    return counted


def closed_until_words(policy: Policy, now: datetime) -> str | None:
    """Why nothing may be applied at this instant: a freeze, or outside the hours; None when open."""
    for freeze in policy.freezes:
        if datetime.fromisoformat(freeze["from"]) <= now < datetime.fromisoformat(freeze["to"]):
            why = f": {freeze['why']}" if freeze.get("why") else ""
            return f"frozen until {instant_in_words(freeze['to'])}{why}"
    if not policy.windows:
        return None
    local = now.astimezone(ZoneInfo(policy.time_zone))
    for window in policy.windows:
        opens, closes = time.fromisoformat(window["from"]), time.fromisoformat(window["to"])
        if local.weekday() in window["days"] and opens <= local.time() < closes:
            return None
    return f"outside the hours in which changes may be applied ({policy.time_zone})"


def _reasons(policy: Policy, environment: Environment, effects: Sequence[Effect]) -> Iterator[str]:
    if not policy.conditions:
        yield "every change asks for approval"
        return
    for condition in policy.conditions:
        match condition["kind"]:
            case "fields":
                if fields := sorted(_members_changed(effects) & set(condition["fields"])):
                    yield f"{', '.join(fields)} would change"
            case "rollout_grows":
                yield from _growth(effects, condition["points"])
            case "tagged":
                yield from _tagged(environment, effects, set(condition["tags"]))
            case "segment":
                for effect in effects:
                    if effect.subject.startswith("segment:"):
                        yield f"{effect.subject.replace(':', ' ')} would change"


def _members_changed(effects: Sequence[Effect]) -> set[str]:
    changed: set[str] = set()
    for effect in effects:
        before, after = effect.before or {}, effect.after or {}
        changed |= {
            name
            for name in before.keys() | after.keys()
            # Compared as they would be written: Python takes 1 and true for equal.
            if name != "version"
            and canonical_bytes(before.get(name)) != canonical_bytes(after.get(name))
        }
    # A long list of ids travels as its digest, whatever was added and removed.
    return changed | ({"add", "remove"} if "digest" in changed else set())


def _growth(effects: Sequence[Effect], points: float) -> Iterator[str]:
    for effect in effects:
        kind, _, key = effect.subject.partition(":")
        if kind == "segment":
            yield f"segment {key} would change, and with it how many are served what"
            continue
        if kind != "flag":
            continue
        before, after = _served(effect.before), _served(effect.after)
        grown = max(
            (
                share - before.get(place, {}).get(variation, 0.0)
                for place, shares in after.items()
                for variation, share in shares.items()
            ),
            default=0.0,
        )
        if grown > points:
            yield f"{key} would grow by {grown:g} points, more than {points:g}"
        elif _reached(effect.before) != _reached(effect.after):
            yield f"{key} would reach others, by more than a share"
        elif effect.before and effect.after and _is_dealt_anew(effect.before, effect.after):
            yield f"{key} would serve others something else, by no share"


def _reached(entry: Any) -> bytes | None:
    """Whom an entry reaches by anything but shares; nobody while it is off or not there.

    Targets, conditions and prerequisites have no size that could be compared with points.
    """
    if not entry or not entry["enabled"]:
        return None
    return canonical_bytes(
        [
            entry.get("prerequisites", []),
            entry.get("targets", []),
            [[rule["id"], rule.get("when")] for rule in entry["rules"]],
        ]
    )


def _is_dealt_anew(before: Any, after: Any) -> bool:
    """Whether subjects get something else though no share grows.

    By another value of a variation, or by a split that places them by another salt, another
    attribute or in another order.
    """
    values, then = ({row["key"]: row["value"] for row in entry.get("variations", [])}
                    for entry in (before, after))  # fmt: skip
    if any(
        canonical_bytes(values[key]) != canonical_bytes(then[key])
        for key in values.keys() & then.keys()
    ):
        return True
    splits, now = _splits(before), _splits(after)
    return any(_places_otherwise(splits[at], now[at]) for at in splits.keys() & now.keys())


def _splits(entry: Any) -> dict[str, Any]:
    """Place → the split that is served there."""
    places = {"fallthrough": entry["fallthrough"]} | {
        rule["id"]: rule["serve"] for rule in entry["rules"]
    }
    return {place: serve["split"] for place, serve in places.items() if "split" in serve}


def _places_otherwise(split: Any, other: Any) -> bool:
    there = {key for key, _ in split["shares"]} & {key for key, _ in other["shares"]}
    order, then = ([key for key, _ in row["shares"] if key in there] for row in (split, other))
    placed, then_placed = (
        (row.get("salt"), row.get("by", "targetingKey")) for row in (split, other)
    )
    return order != then or placed != then_placed


def _served(entry: Any) -> dict[str, dict[str, float]]:
    """Place (`fallthrough`, a rule's id) → variation → percent served there."""
    if not entry:
        return {}
    if not entry["enabled"]:
        return {"fallthrough": {entry["off_variation"] or "": 100.0}}
    places = {"fallthrough": entry["fallthrough"]} | {
        rule["id"]: rule["serve"] for rule in entry["rules"]
    }
    return {
        place: {serve["variation"]: 100.0}
        if "variation" in serve
        else {variation: share / 1000 for variation, share in serve["split"]["shares"]}
        for place, serve in places.items()
    }


def _tagged(environment: Environment, effects: Sequence[Effect], tags: set[str]) -> Iterator[str]:
    """Flags with one of the tags that the effects reach, also through prerequisites and segments."""
    reached = _flags_reached(environment, effects)
    rows = Flag.objects.filter(
        project_id=environment.project_id, key__in=reached, tags__overlap=sorted(tags)
    )
    for flag in rows:
        yield f"{flag.key} is tagged {', '.join(sorted(tags & set(flag.tags)))}"


def _untagged(policy: Policy, effects: Sequence[Effect]) -> Iterator[str]:
    """Flags that would lose a tag by which the policy asks for approval, and with it the policy."""
    asked = {tag for row in policy.conditions if row["kind"] == "tagged" for tag in row["tags"]}
    for effect in effects:
        if lost := sorted(asked & _tags_lost(effect)):
            key = effect.subject.partition(":")[2]
            yield f"{key} would no longer be tagged {', '.join(lost)}"


def _tags_lost(effect: Effect) -> set[str]:
    """Those that a flag has no more, all of them when it is removed."""
    is_of_a_flag = effect.subject.startswith("flag:") and effect.environment is None
    if not is_of_a_flag or not effect.before:
        return set()
    return set(effect.before["tags"]) - set((effect.after or {}).get("tags", []))


def _flags_reached(environment: Environment, effects: Sequence[Effect]) -> set[str]:
    reached: set[str] = set()
    waiting = [tuple(effect.subject.split(":", 1)) for effect in effects]
    seen = set(waiting)
    while waiting:
        kind, key = waiting.pop()
        following: list[tuple[str, ...]] = []
        if kind == "flag":
            reached.add(key)
            following = [("flag", other) for other in flags_requiring(environment, key)]
        elif kind == "segment":
            following = [("flag", other) for other in flags_using_segment(environment, key)]
            following += [("segment", other) for other in segments_using_segment(environment, key)]
        waiting += [place for place in following if place not in seen]
        seen |= set(following)
    return reached


def _named(row: Mapping[str, Any], environment: Environment) -> set[User]:
    if "team" in row:
        team = Team.objects.filter(project_id=environment.project_id, key=row["team"]).first()
        return set(team.members.all()) if team else set()
    return set(User.objects.filter(username=row["person"]))


def _unversioned(entry: Any) -> Any:
    return {**entry, "version": None} if isinstance(entry, dict) else entry

"""Policies and teams: what an environment asks for, and who can give it."""

from collections.abc import Sequence
from datetime import datetime, time
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flagengine import Problem
from flags import approval
from flags.access import Action
from flags.changes.base import UNSET, Change, Effect, Scope, UnsetType, change
from flags.changes.configurations import CONFIGURED
from flags.errors import Invalid, NotFound
from flags.models import Policy, Team, User
from flags.models.keys import KEY_MEANS, is_key

FIELDS = (*CONFIGURED, "variations", "client_visible", "when", "add", "remove")


@change("policy.set")
class SetPolicy(Change, frozen=True, kw_only=True):
    """Say what an environment that requires approval asks for; what is not given stays.

    Where the environment requires approval already, this is itself something to approve, by the
    policy as it stands.
    """

    needs = Action.ADMINISTER

    environment: str
    approvals: int | UnsetType = UNSET
    from_whom: list[dict[str, Any]] | UnsetType = UNSET
    minimum_role: Literal["viewer", "editor", "reviewer", "admin"] | UnsetType = UNSET
    exclude_contributors: bool | UnsetType = UNSET
    tokens_may_review: bool | UnsetType = UNSET
    conditions: list[dict[str, Any]] | UnsetType = UNSET
    windows: list[dict[str, Any]] | UnsetType = UNSET
    freezes: list[dict[str, Any]] | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    expires_after_days: int | UnsetType = UNSET

    def touches(self) -> Sequence[str]:
        return (self.environment,)

    def perform(self, scope: Scope) -> list[Effect]:
        environment = scope.environment(self.environment)
        policy = Policy.objects.filter(environment=environment).first()
        before = approval.policy_facts(policy) if policy else None
        if policy is None:
            policy = Policy(environment=environment)
        for name in approval.policy_facts(policy):
            if (value := getattr(self, name)) is not UNSET:
                setattr(policy, name, value)
        if problems := list(_problems(scope, policy)):
            raise Invalid(problems)
        after = approval.policy_facts(policy)
        if before == after:
            return []
        if before is None:
            scope.create(policy)
        else:
            scope.save(policy, *after)
        return [Effect(self.kind, f"policy:{self.environment}", before, after)]

    def kept(self, effects: Sequence[Effect]) -> Change:
        return self.only_altered(effects)

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            SetPolicy(
                project=self.project,
                environment=self.environment,
                **(effect.before or approval.policy_facts(Policy())),
            )
            for effect in effects
        ]


@change("team.set")
class SetTeam(Change, frozen=True, kw_only=True):
    """Name a team of a project and who is in it."""

    needs = Action.ADMINISTER

    key: str
    name: str = ""
    members: list[str]

    def perform(self, scope: Scope) -> list[Effect]:
        if not is_key(self.key):
            raise Invalid.at("key", f"expected {KEY_MEANS}, got {self.key!r}")
        members = [scope.user(username) for username in sorted(set(self.members))]
        team = Team.objects.filter(project=scope.project, key=self.key).first()
        before = team_facts(team) if team else None
        if team is None:
            team = Team(project=scope.the_project(), key=self.key, name=self.name or self.key)
            scope.create(team)
        team.name = self.name or team.name
        scope.save(team, "name")
        team.members.set(members)
        after = team_facts(team)
        return [] if before == after else [Effect(self.kind, f"team:{self.key}", before, after)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            RemoveTeam(project=self.project, key=self.key)
            if effect.before is None
            else SetTeam(
                project=self.project,
                key=self.key,
                name=effect.before["name"],
                members=_usernames(effect.before["members"]),
            )
            for effect in effects
        ]


@change("team.removed")
class RemoveTeam(Change, frozen=True, kw_only=True):
    """Dissolve a team that no policy names."""

    needs = Action.ADMINISTER

    key: str

    def perform(self, scope: Scope) -> list[Effect]:
        team = Team.objects.filter(project=scope.project, key=self.key).first()
        if team is None:
            raise NotFound(f"there is no team {self.key} in {self.project}")
        naming = Policy.objects.filter(
            environment__project=scope.project, from_whom__contains=[{"team": self.key}]
        )
        if policy := naming.select_related("environment").first():
            raise Invalid.at(
                "key", f"the policy of {policy.environment.key} asks for approvals of {self.key}"
            )
        before = team_facts(team)
        scope.delete(team)
        return [Effect(self.kind, f"team:{self.key}", before, None)]

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            SetTeam(
                project=self.project,
                key=self.key,
                name=effect.before["name"],
                members=_usernames(effect.before["members"]),
            )
            for effect in effects
        ]


def team_facts(team: Team) -> dict[str, Any]:
    """Members by their accounts' ids: names stay out of the events."""
    return {
        "name": team.name,
        "members": sorted(str(pk) for pk in team.members.values_list("pk", flat=True)),
    }


def _usernames(ids: Sequence[str]) -> list[str]:
    return list(User.objects.filter(pk__in=ids).values_list("username", flat=True))


def _problems(scope: Scope, policy: Policy) -> list[Problem]:
    return [
        *_problems_in_numbers(policy),
        *_problems_in_people(scope, policy),
        *_problems_in_conditions(policy),
        *_problems_in_times(policy),
    ]


def _problems_in_numbers(policy: Policy) -> list[Problem]:
    problems = []
    if not 1 <= policy.approvals <= 10:
        problems.append(Problem("approvals", f"expected 1 to 10, got {policy.approvals}"))
    if not 1 <= policy.expires_after_days <= 365:
        problems.append(
            Problem("expires_after_days", f"expected 1 to 365, got {policy.expires_after_days}")
        )
    return problems


def _problems_in_people(scope: Scope, policy: Policy) -> list[Problem]:
    problems = []
    for index, row in enumerate(policy.from_whom):
        where = f"from_whom[{index}]"
        number = row.get("approvals", 1)
        if type(number) is not int or not 1 <= number <= 10:
            problems.append(Problem(f"{where}.approvals", f"expected 1 to 10, got {number!r}"))
        if row.keys() - {"approvals"} == {"team"}:
            if not Team.objects.filter(project=scope.project, key=row["team"]).exists():
                problems.append(Problem(f"{where}.team", f"there is no team {row['team']!r}"))
        elif row.keys() - {"approvals"} == {"person"}:
            if not User.objects.filter(username=row["person"]).exists():
                problems.append(
                    Problem(f"{where}.person", f"there is no account {row['person']!r}")
                )
        else:
            problems.append(Problem(where, f"expected a team or a person, got {sorted(row)}"))
    return problems


def _problems_in_conditions(policy: Policy) -> list[Problem]:
    problems = []
    for index, row in enumerate(policy.conditions):
        where = f"conditions[{index}]"
        match row:
            case {"kind": "segment", **rest} if not rest:
                pass
            case {"kind": "rollout_grows", "points": int() | float() as points, **rest} if not rest:
                if isinstance(points, bool) or not 0 <= points <= 100:
                    problems.append(
                        Problem(f"{where}.points", f"expected 0 to 100, got {points!r}")
                    )
            case {"kind": "tagged", "tags": [*tags], **rest} if not rest:
                if not tags or not all(isinstance(tag, str) for tag in tags):
                    problems.append(Problem(f"{where}.tags", "expected tags as text"))
            case {"kind": "fields", "fields": [*fields], **rest} if not rest:
                problems += [
                    Problem(f"{where}.fields", f"expected any of {', '.join(FIELDS)}, got {name!r}")
                    for name in fields
                    if name not in FIELDS
                ]
            case _:
                problems.append(
                    Problem(where, "expected a condition: fields, rollout_grows, tagged or segment")
                )
    return problems


def _problems_in_times(policy: Policy) -> list[Problem]:
    problems = []
    try:
        ZoneInfo(policy.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: `Europe` is a folder
        problems.append(Problem("time_zone", f"there is no time zone {policy.time_zone!r}"))
    for index, row in enumerate(policy.windows):
        try:
            opens, closes = time.fromisoformat(row["from"]), time.fromisoformat(row["to"])
            if opens.tzinfo or closes.tzinfo:
                raise ValueError
            if opens >= closes or not set(row["days"]) <= set(range(7)) or not row["days"]:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            problems.append(
                Problem(
                    f"windows[{index}]",
                    'expected {"days": [0 … 6, Monday first], "from": "09:00", "to": "17:00"}',
                )
            )
    for index, row in enumerate(policy.freezes):
        try:
            begins, ends = (datetime.fromisoformat(row[name]) for name in ("from", "to"))
            if begins >= ends or begins.tzinfo is None or ends.tzinfo is None:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            problems.append(
                Problem(f"freezes[{index}]", "expected two instants with offsets, from and to")
            )
    return problems

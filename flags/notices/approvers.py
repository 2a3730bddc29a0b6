"""Who came to be among those whose approval counts: told loudly, since no approval is asked for it.

Judged by what the event says and by the policies as they were then: whoever was an approver for a
moment only is told of too, and nobody who was there before approval was asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit.models import Event
from flags.access import people_with
from flags.approval import DEFAULT
from flags.models import Environment, Policy, Project, Role, User

Facts = dict[str, Any] | None


@dataclass(frozen=True)
class Newcomer:
    """An account whose approval counts from now on in an environment that asks for approval."""

    person: User
    environment: Environment
    policy: Policy
    why: str

    @property
    def reviewers(self) -> set[User]:
        """Who approves there, and who may pass approval by."""
        least = min(Role(self.policy.minimum_role), Role.REVIEWER, key=lambda role: role.rank)
        return set(people_with(least, self.environment))


def newcomers(event: Event, project: Project) -> Iterator[Newcomer]:
    """Those whom an event gave a role or a team by which their approval counts."""
    nouns = {"member", "service", "team"}
    given = [
        effect
        for effect in event.effects
        if effect["subject"].partition(":")[0] in nouns and effect["after"]
    ]
    guarded = _guarded_before(event.at, project) if given else []
    for environment, policy in guarded:
        for effect in given:
            ids, why = _came(policy, environment.key, effect)
            for person in User.objects.filter(pk__in=ids, is_superuser=False).order_by("pk"):
                if not person.is_service or policy.tokens_may_review:
                    yield Newcomer(person, environment, policy, why)


def _guarded_before(at: datetime, project: Project) -> Iterator[tuple[Environment, Policy]]:
    """The environments that required approval until then, each with its policy of then."""
    for environment in project.environments.all():
        then = environment.history.filter(history_date__lt=at).first()
        if then is not None and then.requires_approval:
            policies = Policy.history.filter(environment_id=environment.pk, history_date__lt=at)
            yield environment, policies.first() or DEFAULT


def _came(policy: Policy, environment: str, effect: dict[str, Any]) -> tuple[list[str], str]:
    """The ids of the accounts whose approval counts by this effect, and why."""
    noun, _, named = effect["subject"].partition(":")
    if noun == "team":
        return _joined(policy, named, effect), f"as one of team {named}"
    return _risen(policy, environment, named, effect), f"as {_role(environment, effect['after'])}"


def _joined(policy: Policy, team: str, effect: dict[str, Any]) -> list[str]:
    """Who is in a team now that the policy asks for approvals of, whatever their role there."""
    if not any(row.get("team") == team for row in policy.from_whom):
        return []
    before = effect["before"]["members"] if effect["before"] else []
    return sorted(set(effect["after"]["members"]) - set(before))


def _risen(policy: Policy, environment: str, named: str, effect: dict[str, Any]) -> list[str]:
    """The account, where its role came to suffice."""
    least = Role(policy.minimum_role).rank
    then, now = (_role(environment, facts) for facts in (effect["before"], effect["after"]))
    if now is None or now.rank < least or (then is not None and then.rank >= least):
        return []
    return [effect["after"].get("account", named)]


def _role(environment: str, facts: Facts) -> Role | None:
    if facts is None:
        return None
    return Role(facts.get("environments", {}).get(environment, facts["role"]))

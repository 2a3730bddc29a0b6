"""What a flag does in one environment: switched, configured."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from flags.changes.base import UNSET, Change, Effect, Scope, UnsetType, change
from flags.changes.rulesets import entries_of, same, settle
from flags.errors import Conflict, NotFound, StaleChange
from flags.models import Flag, FlagConfiguration

CONFIGURED = ("enabled", "off_variation", "prerequisites", "targets", "rules", "fallthrough")


@change("flag.switched")
class SwitchFlag(Change, frozen=True, kw_only=True):
    """Turn a flag on or off in one environment."""

    environment: str
    flag: str
    on: bool
    was: bool | None = None  # what the author saw; None skips the check

    def touches(self) -> Sequence[str]:
        return (self.environment,)

    def perform(self, scope: Scope) -> list[Effect]:
        flag, configuration = configuration_in(scope, self.environment, self.flag)
        if self.was is not None and configuration.enabled != self.was:
            raise StaleChange(
                f"{flag.key} is already {'on' if configuration.enabled else 'off'} in {self.environment}"
            )
        before = entries_of(flag, [configuration])
        configuration.enabled = self.on
        return settle(scope, self.kind, flag, [configuration], before)

    def kept(self, effects: Sequence[Effect]) -> Change:
        return structs.replace(self, was=None)

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            SwitchFlag(
                project=self.project,
                environment=self.environment,
                flag=self.flag,
                on=effect.before["enabled"],
                was=self.on,
            )
            for effect in effects
        ]


@change("flag.configured")
class ConfigureFlag(Change, frozen=True, kw_only=True):
    """Say what a flag serves to whom in one environment; what is not given stays.

    The shapes are those of the ruleset (docs/evaluation.md). A rule without an id gets one; a split
    without a salt keeps the salt it had in this place, or gets one of its own.
    """

    environment: str
    flag: str
    enabled: bool | UnsetType = UNSET
    off_variation: str | UnsetType | None = UNSET
    prerequisites: list[dict[str, Any]] | UnsetType = UNSET
    targets: list[dict[str, Any]] | UnsetType = UNSET
    rules: list[dict[str, Any]] | UnsetType = UNSET
    fallthrough: dict[str, Any] | UnsetType = UNSET
    expected_version: int | None = (
        None  # the flag's version in this environment, as the author saw it
    )

    def touches(self) -> Sequence[str]:
        return (self.environment,)

    def perform(self, scope: Scope) -> list[Effect]:
        flag, configuration = configuration_in(scope, self.environment, self.flag)
        if self.expected_version is not None and configuration.version != self.expected_version:
            raise StaleChange(
                f"{flag.key} is at version {configuration.version} in {self.environment}, "
                f"expected {self.expected_version}: somebody changed it meanwhile"
            )
        before = entries_of(flag, [configuration])
        for name, value in self._completed(configuration).items():
            setattr(configuration, name, value)
        return settle(scope, self.kind, flag, [configuration], before)

    def _completed(self, configuration: FlagConfiguration) -> dict[str, Any]:
        given = {
            name: getattr(self, name) for name in CONFIGURED if getattr(self, name) is not UNSET
        }
        if "rules" in given:
            given["rules"] = _completed_rules(given["rules"], configuration.rules)
        if "fallthrough" in given:
            given["fallthrough"] = _with_salt(given["fallthrough"], configuration.fallthrough)
        return given

    def kept(self, effects: Sequence[Effect]) -> Change:
        """Ids and salts are made once, here; otherwise every rehearsal would bucket anew."""
        altered = {
            name: effect.after[name]
            for effect in effects
            for name in CONFIGURED
            if not same(effect.after[name], effect.before[name])
        }
        return ConfigureFlag(
            project=self.project, environment=self.environment, flag=self.flag, **altered
        )

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            ConfigureFlag(
                project=self.project,
                environment=self.environment,
                flag=self.flag,
                expected_version=effect.after["version"],
                **{name: effect.before[name] for name in CONFIGURED},
            )
            for effect in effects
        ]


def configured_as(
    entry: Mapping[str, Any],
    *,
    project: str,
    environment: str,
    flag: str,
    expected_version: int | None = None,
) -> ConfigureFlag:
    """The change that makes a flag's configuration what this ruleset entry says: restore, copy."""
    return ConfigureFlag(
        project=project,
        environment=environment,
        flag=flag,
        expected_version=expected_version,
        **{name: entry[name] for name in CONFIGURED},
    )


def configuration_in(scope: Scope, environment: str, key: str) -> tuple[Flag, FlagConfiguration]:
    """The flag and what it does there; raises NotFound, and Conflict for an archived flag."""
    flag = scope.flag(key)
    if flag.is_archived:
        raise Conflict(f"flag {key} is archived; restore it before changing what it serves")
    configuration = (
        flag.configurations.filter(environment=scope.environment(environment))
        .select_related("environment")
        .first()
    )
    if configuration is None:
        raise NotFound(f"flag {key} has no configuration in {environment}")
    return flag, configuration


def _completed_rules(rules: Sequence[Any], were: Sequence[Any]) -> list[Any]:
    """Rules with ids and salts; what is no rule at all is left for the engine to refuse."""
    known = {rule["id"]: rule for rule in were}
    completed = []
    for rule in rules:
        if not isinstance(rule, dict):
            completed.append(rule)
            continue
        rule = {"id": secrets.token_hex(4), **rule}
        old = known.get(rule["id"]) if isinstance(rule["id"], str) else None
        if "serve" in rule:
            rule["serve"] = _with_salt(rule["serve"], old["serve"] if old else {})
        completed.append(rule)
    return completed


def _with_salt(serve: Any, was: Any) -> Any:
    """The salt belongs to the split and is made once: without it every subject would be re-bucketed."""
    if not isinstance(serve, dict) or not isinstance(serve.get("split"), dict):
        return serve
    if "salt" in serve["split"]:
        return serve
    kept = was.get("split", {}).get("salt") if isinstance(was, dict) else None
    return {**serve, "split": {**serve["split"], "salt": kept or secrets.token_hex(8)}}

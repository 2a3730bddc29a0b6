"""The engine, the limit and the other SDKs behind one small interface.

Each is fed the same flags through its own offline source, with no network. Event sending is off in
all of them, which only makes the others faster: what is compared is evaluation.
"""

import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import growthbook
import ldclient
import mmh3
import statsig_python_core as statsig
from ldclient.integrations import Files

from bench.engine.workloads import (
    COUNTRIES,
    MIXED,
    RULES,
    SEGMENT,
    SEGMENT_IDS,
    SHARES,
    is_split,
)
from flagengine import Ruleset


class Contender:
    """What is measured: `one` gives the value of a flag, `everything` the values of W5."""

    name: str

    def context(self, context: dict[str, Any]) -> Any:
        """The context in the contender's own form, built before the clock runs."""
        return context

    def one(self, flag: str) -> Callable[[Any], Any]:
        raise NotImplementedError

    def everything(self) -> Callable[[Any], dict[str, Any]]:
        evaluators = [(key, self.one(key)) for key in MIXED]
        return lambda context: {key: evaluate(context) for key, evaluate in evaluators}

    def close(self) -> None:
        """Stop what the contender started."""


class Engine(Contender):
    """flagengine's own call, with its whole result."""

    name = "flagengine"

    def __init__(self, document: dict[str, Any]) -> None:
        self.ruleset = Ruleset.compile(document, clock=time.time)
        self.mixed = Ruleset.compile(
            {**document, "flags": {key: document["flags"][key] for key in MIXED}}, clock=time.time
        )

    def one(self, flag: str) -> Callable[[Any], Any]:
        evaluate = self.ruleset.evaluate
        return lambda context: evaluate(flag, context).value

    def everything(self) -> Callable[[Any], dict[str, Any]]:
        evaluate_all = self.mixed.evaluate_all
        return lambda context: {key: each.value for key, each in evaluate_all(context).items()}


class Evaluator(Contender):
    """Any object with `evaluate(flag, context, default)` that gives the value."""

    def __init__(self, name: str, client: Any) -> None:
        self.name = name
        self.client = client

    def one(self, flag: str) -> Callable[[Any], Any]:
        evaluate, default = self.client.evaluate, "" if is_split(flag) else False
        return lambda context: evaluate(flag, context, default)


class Limit(Contender):
    """Conditions written by hand, versions parsed once: the least that Python can do."""

    name = "written by hand"

    def __init__(self) -> None:
        countries, members = frozenset(COUNTRIES), frozenset(SEGMENT_IDS)
        versions: dict[str, tuple[int, ...]] = {}

        def version(text: str) -> tuple[int, ...]:
            parsed = versions.get(text)
            if parsed is None:
                parsed = versions[text] = tuple(map(int, text.split(".")))
            return parsed

        def w2(c: dict[str, Any]) -> bool:
            country, plan = c["country"], c["plan"]
            if country in countries and plan == "enterprise":
                return True
            if plan == "pro" and version(c["version"]) >= (9, 0, 0):
                return True
            if country == "DE" and c["email"].startswith("admin@"):
                return True
            if plan == "pro" and c["age"] > 65:
                return True
            return country in countries and version(c["version"]) >= (2, 1, 0)

        def w4(c: dict[str, Any]) -> bool:
            if c["targetingKey"] in members:
                return True
            return c["plan"] == "pro" and c["age"] >= 18 and c["country"] in ("DE", "FR")

        self.by_kind: dict[int, Callable[[dict[str, Any]], Any]] = {
            1: lambda c: True,
            2: w2,
            4: w4,
        }

    def one(self, flag: str) -> Callable[[Any], Any]:
        kind = int(flag[1:]) if flag.startswith("w") else int(flag[6:]) % 4 + 1
        if kind != 3:
            return self.by_kind[kind]
        prefix, murmur = flag + ":", mmh3.hash
        first, second = (-(-total * 2**32 // 100_000) for total in (33_333, 66_666))

        def split(c: dict[str, Any]) -> str:
            place = murmur(prefix + c["targetingKey"], 0, False)
            return "a" if place < first else "b" if place < second else "c"

        return split


class Statsig(Contender):
    name = "statsig-python-core"
    operators = {
        "in": "any_case_sensitive",
        "semver_gte": "version_gte",
        "starts_with": "str_starts_with_any",
        "gt": "gt",
        "gte": "gte",
    }

    def __init__(self, document: dict[str, Any]) -> None:
        self.conditions: dict[str, Any] = {}
        everybody = self._condition(type="public")
        member = self._condition(type="unit_id", operator="any", targetValue=SEGMENT_IDS)
        in_segment = self._condition(type="pass_gate", targetValue="segment:members")
        gates: dict[str, Any] = {
            "segment:members": self._spec(
                [self._rule([member]), self._rule([self._leaf(each) for each in SEGMENT])]
            )
        }
        configs: dict[str, Any] = {}
        for key, flag in document["flags"].items():
            if is_split(key):
                rules, total = [], 0
                for name, share in SHARES:
                    total += share
                    bucket = self._condition(
                        type="user_bucket",
                        operator="lt",
                        targetValue=total / 100,
                        additionalValues={"salt": key},
                    )
                    rules.append(self._rule([bucket], {"value": name}))
                configs[key] = self._spec(rules, "dynamic_config", {"value": "a"})
            elif key == "w2" or (flag["rules"] and len(flag["rules"]) == 5):
                rules = [self._rule([self._leaf(each) for each in pair]) for pair in RULES]
                gates[key] = self._spec(rules)
            else:
                gates[key] = self._spec([self._rule([in_segment if flag["rules"] else everybody])])
        specs = {
            "feature_gates": gates,
            "dynamic_configs": configs,
            "layer_configs": {},
            "condition_map": self.conditions,
            "has_updates": True,
            "time": 1,
            "experiment_to_layer": {},
            "sdk_configs": {},
            "sdk_flags": {},
            "app_id": "bench",
            "diagnostics": {},
            "id_lists": {},
            "layers": {},
            "company_id": "bench",
        }
        store = _StatsigStore()
        store.specs = json.dumps(specs)
        self.client = statsig.Statsig(
            "secret-bench",
            statsig.StatsigOptions(
                data_store=store,
                disable_network=True,
                disable_all_logging=True,
                disable_country_lookup=True,
                output_log_level="none",
            ),
        )
        self.client.initialize().wait()
        self.gate_options = statsig.FeatureGateEvaluationOptions(disable_exposure_logging=True)
        self.config_options = statsig.DynamicConfigEvaluationOptions(disable_exposure_logging=True)

    def _condition(self, **members: Any) -> str:
        condition = {
            "type": "public",
            "targetValue": None,
            "operator": None,
            "field": None,
            "additionalValues": {},
            "isDeviceBased": False,
            "idType": "userID",
            **members,
        }
        name = hashlib.sha256(json.dumps(condition).encode()).hexdigest()[:10]
        self.conditions[name] = condition
        return name

    def _leaf(self, leaf: dict[str, Any]) -> str:
        op, values = leaf["op"], leaf["values"]
        return self._condition(
            type="user_field",
            field=leaf["attribute"],
            operator=self.operators[op],
            targetValue=values if op in ("in", "starts_with") else values[0],
        )

    def _rule(self, conditions: list[str], value: Any = True) -> dict[str, Any]:
        return {
            "name": "rule",
            "id": "rule",
            "salt": "rule",
            "groupName": "rule",
            "passPercentage": 100,
            "conditions": conditions,
            "returnValue": value,
            "idType": "userID",
        }

    def _spec(
        self, rules: list[dict[str, Any]], kind: str = "feature_gate", default: Any = False
    ) -> dict[str, Any]:
        return {
            "type": kind,
            "entity": kind,
            "salt": "spec",
            "enabled": True,
            "defaultValue": default,
            "rules": rules,
            "idType": "userID",
            "version": 1,
        }

    def context(self, context: dict[str, Any]) -> Any:
        custom = {name: value for name, value in context.items() if name != "targetingKey"}
        return statsig.StatsigUser(user_id=context["targetingKey"], custom=custom)

    def one(self, flag: str) -> Callable[[Any], Any]:
        if is_split(flag):
            config, config_options = self.client.get_dynamic_config, self.config_options
            return lambda user: config(user, flag, config_options).get_string("value", "")
        gate, gate_options = self.client.check_gate, self.gate_options
        return lambda user: gate(user, flag, gate_options)

    def close(self) -> None:
        self.client.shutdown().wait()


class _StatsigStore(statsig.DataStore):
    specs = ""

    def get(self, key: str) -> Any:
        return statsig.DataStoreResponse(result=self.specs, time=1)


class LaunchDarkly(Contender):
    name = "launchdarkly-server-sdk"
    operators = {
        "in": ("in", False),
        "starts_with": ("startsWith", False),
        "gt": ("greaterThan", False),
        "gte": ("lessThan", True),
        "semver_gte": ("semVerLessThan", True),
    }

    def __init__(self, document: dict[str, Any]) -> None:
        flags = {key: self._flag(flag) for key, flag in document["flags"].items()}
        segment = {
            "key": "members",
            "version": 1,
            "included": SEGMENT_IDS,
            "excluded": [],
            "salt": "s",
            "deleted": False,
            "rules": [{"id": "r", "clauses": [self._clause(each) for each in SEGMENT]}],
        }
        self.all = self._client({"flags": flags, "segments": {"members": segment}})
        mixed = {key: flags[key] for key in MIXED}
        self.mixed = self._client({"flags": mixed, "segments": {"members": segment}})

    def _client(self, data: dict[str, Any]) -> ldclient.LDClient:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "flags.json"
            path.write_text(json.dumps(data))
            source = Files.new_data_source(paths=[str(path)])
            config = ldclient.Config(
                "sdk-bench",
                update_processor_class=source,
                send_events=False,
                diagnostic_opt_out=True,
            )
            client = ldclient.LDClient(config, start_wait=5)
        assert client.is_initialized()
        return client

    def _clause(self, leaf: dict[str, Any]) -> dict[str, Any]:
        op, negate = self.operators[leaf["op"]]
        return {
            "attribute": leaf["attribute"],
            "op": op,
            "values": leaf["values"],
            "negate": negate,
        }

    def _flag(self, flag: dict[str, Any]) -> dict[str, Any]:
        variations = [variation["value"] for variation in flag["variations"]]
        rules = []
        for rule in flag["rules"]:
            if "segment" in rule["when"]:
                clauses = [
                    {"attribute": "", "op": "segmentMatch", "values": ["members"], "negate": False}
                ]
            else:
                clauses = [self._clause(each) for each in rule["when"]["all"]]
            rules.append({"id": rule["id"], "clauses": clauses, "variation": 0})
        if is_split(flag["key"]):
            weights = [{"variation": n, "weight": share} for n, (_, share) in enumerate(SHARES)]
            fallthrough: dict[str, Any] = {"rollout": {"variations": weights}}
        else:
            fallthrough = {"variation": 0 if flag["fallthrough"]["variation"] == "on" else 1}
        return {
            "key": flag["key"],
            "version": 1,
            "on": True,
            "salt": flag["key"],
            "variations": variations,
            "offVariation": 0,
            "fallthrough": fallthrough,
            "rules": rules,
            "targets": [],
            "prerequisites": [],
        }

    def context(self, context: dict[str, Any]) -> Any:
        builder = ldclient.Context.builder(context["targetingKey"])
        for name, value in context.items():
            if name != "targetingKey":
                builder.set(name, value)
        return builder.build()

    def one(self, flag: str) -> Callable[[Any], Any]:
        variation, default = self.all.variation, "" if is_split(flag) else False
        return lambda context: variation(flag, context, default)

    def everything(self) -> Callable[[Any], dict[str, Any]]:
        state = self.mixed.all_flags_state
        return lambda context: state(context).to_values_map()

    def close(self) -> None:
        self.all.close()
        self.mixed.close()


class GrowthBook(Contender):
    name = "growthbook"
    operators = {"in": "$in", "gt": "$gt", "gte": "$gte", "semver_gte": "$vgte"}

    def __init__(self, document: dict[str, Any]) -> None:
        features = {key: self._feature(flag) for key, flag in document["flags"].items()}
        self.book = growthbook.GrowthBook(
            features=features, saved_groups={"members": SEGMENT_IDS}, attributes={}
        )

    def _condition(self, leaf: dict[str, Any]) -> dict[str, Any]:
        op, values = leaf["op"], leaf["values"]
        if op == "starts_with":
            return {leaf["attribute"]: {"$regex": f"^{values[0]}"}}
        if op == "in" and len(values) == 1:
            return {leaf["attribute"]: values[0]}
        return {leaf["attribute"]: {self.operators[op]: values if op == "in" else values[0]}}

    def _all(self, leaves: Any) -> dict[str, Any]:
        condition: dict[str, Any] = {}
        for each in leaves:
            condition.update(self._condition(each))
        return condition

    def _feature(self, flag: dict[str, Any]) -> dict[str, Any]:
        if is_split(flag["key"]):
            rule: dict[str, Any] = {
                "key": flag["key"],
                "variations": [name for name, _ in SHARES],
                "weights": [share / 100_000 for _, share in SHARES],
                "hashAttribute": "id",
                "hashVersion": 2,
                "coverage": 1,
            }
            return {"defaultValue": "a", "rules": [rule]}
        if not flag["rules"]:
            return {"defaultValue": True}
        if len(flag["rules"]) == 5:
            conditions = [self._all(pair) for pair in RULES]
        else:
            conditions = [{"$or": [{"id": {"$inGroup": "members"}}, self._all(SEGMENT)]}]
        return {
            "defaultValue": False,
            "rules": [{"condition": condition, "force": True} for condition in conditions],
        }

    def context(self, context: dict[str, Any]) -> Any:
        rest = {name: value for name, value in context.items() if name != "targetingKey"}
        return {"id": context["targetingKey"], **rest}

    def one(self, flag: str) -> Callable[[Any], Any]:
        book = self.book
        evaluate, set_attributes = book.eval_feature, book.set_attributes

        def value(attributes: Any) -> Any:
            set_attributes(attributes)
            return evaluate(flag).value

        return value

    def close(self) -> None:
        self.book.destroy()

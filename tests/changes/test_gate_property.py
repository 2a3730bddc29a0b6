"""Whatever people do in whatever order, a guarded environment changes only as it may.

Random sequences of writes, requests, drafts, edits, verdicts, rebases, roles, policies, schedules,
ramps, leases and bypasses. After each step the rulesets and the guards are compared with those before, and what moved
is judged by a second, simpler reading of the events: none of the gate's own functions are asked.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from audit.facts import Actor
from audit.models import Event
from flags.changes import (
    ApplyRequest,
    ApproveRampStep,
    ArchiveFlag,
    Change,
    ConfigureFlag,
    CreateFlag,
    CreateSegment,
    DefineSegment,
    DeleteEnvironment,
    DraftChanges,
    EditEnvironment,
    EditFlag,
    EditRequest,
    EndLease,
    GrantLease,
    KeepLease,
    OpenRequest,
    PauseRamp,
    RebaseRequest,
    RestoreFlag,
    ResumeRamp,
    ReviewBypass,
    ReviewRequest,
    RollBackRamp,
    SetMember,
    SetPolicy,
    SkipRampStep,
    StartRamp,
    StopRamp,
    SubmitRequest,
    SwitchFlag,
    UndoVerdict,
    WithdrawRequest,
    due,
    submit,
)
from flags.changes.drift import look_again
from flags.changes.releases import clock
from flags.errors import FlagsiteError
from flags.models import Environment, Lease, Policy, Project, Ramp, Request, User
from flags.snapshots import ruleset_document
from tests.cast import OPERATOR

SHOP: dict[str, Any] = {"project": "shop"}
GUARDED: dict[str, Any] = {**SHOP, "environment": "production"}
PEOPLE = ("owner", "admin", "editor", "reviewer", "viewer")
ROLES = ("viewer", "editor", "reviewer", "admin")
RANK = {role: rank for rank, role in enumerate(ROLES)}

people = st.sampled_from(PEOPLE)
# Those who mostly get somewhere, so that sequences get far; the others try now and then.
askers = st.sampled_from(["editor", "editor", "editor", "admin", "viewer"])
reviewers = st.sampled_from(["reviewer", "reviewer", "admin", "owner", "editor"])
flags = st.sampled_from(["one", "two"])
variations = st.sampled_from(["on", "off"])


def a_rule(name: str, serve: str) -> dict[str, Any]:
    return {"id": name, "when": {"segment": "beta"}, "serve": {"variation": serve}}


def split(percent: int) -> dict[str, Any]:
    on = percent * 1000
    return {"split": {"salt": "s", "shares": [["on", on], ["off", 100_000 - on]]}}


writes: st.SearchStrategy[Change] = st.one_of(
    st.builds(lambda flag, on: SwitchFlag(**GUARDED, flag=flag, on=on), flags, st.booleans()),
    st.builds(
        lambda flag, names, serve: ConfigureFlag(
            **GUARDED, flag=flag, rules=[a_rule(name, serve) for name in names]
        ),
        flags, st.lists(st.sampled_from(["r1", "r2", "r3"]), unique=True), variations,
    ),
    st.builds(
        lambda flag, percent: ConfigureFlag(**GUARDED, flag=flag, fallthrough=split(percent)),
        flags, st.integers(0, 100),
    ),
    st.builds(
        lambda flag, serve: ConfigureFlag(
            **GUARDED, flag=flag,
            targets=[{"variation": serve, "by": "targetingKey", "keys": ["me"]}],
        ),
        flags, variations,
    ),
    st.builds(
        lambda plan: DefineSegment(
            **GUARDED, segment="beta", when={"attribute": "plan", "op": "in", "values": [plan]}
        ),
        st.sampled_from(["free", "pro"]),
    ),
    st.builds(
        lambda flag, on: EditFlag(
            **SHOP, flag=flag,
            variations=[{"key": "on", "value": on}, {"key": "off", "value": False}],
        ),
        flags, st.booleans(),
    ),
    st.builds(lambda flag, seen: EditFlag(**SHOP, flag=flag, client_visible=seen), flags, st.booleans()),
    st.builds(lambda flag: ArchiveFlag(**SHOP, flag=flag), flags),
    st.builds(lambda flag: RestoreFlag(**SHOP, flag=flag), flags),
    st.just(CreateFlag(**SHOP, key="three")),
    st.just(DeleteEnvironment(**GUARDED)),
    st.builds(lambda on: EditEnvironment(**GUARDED, requires_approval=on), st.booleans()),
    st.builds(
        lambda approvals, role, excluded, conditions: SetPolicy(
            **GUARDED, approvals=approvals, minimum_role=role, exclude_contributors=excluded,
            conditions=conditions,
        ),
        st.integers(1, 2), st.sampled_from(ROLES), st.booleans(),
        st.sampled_from([[], [{"kind": "fields", "fields": ["rules", "when"]}]]),
    ),
    st.builds(lambda on: SwitchFlag(**SHOP, environment="staging", flag="one", on=on), st.booleans()),
    st.builds(
        lambda flag, hold: StartRamp(
            **GUARDED, flag=flag, variation="on", base="off",
            steps=[{"share": 10_000, "hold": hold}, {"share": 60_000, "hold": hold}, {"share": 100_000}],
        ),
        flags, st.sampled_from([{"seconds": 7_200}, {"approval": True}]),
    ),
    st.builds(
        lambda flag, on, hours: GrantLease(
            **SHOP, seconds=hours * 3_600,
            changes=[SwitchFlag(**GUARDED, flag=flag, on=on).as_json()],
        ),
        flags, st.booleans(), st.integers(1, 5),
    ),
)  # fmt: skip

# What people do to a ramp or a lease that is under way.
OF_RAMPS = [PauseRamp, ResumeRamp, SkipRampStep, RollBackRamp, StopRamp, ApproveRampStep]
OF_LEASES = [EndLease, KeepLease]


@dataclass
class Guard:
    """What production asked for before the step, read from the rows."""

    approvals: int = 1
    minimum_role: str = "reviewer"
    exclude_contributors: bool = False
    conditions: list[Any] = field(default_factory=list)


Entries = dict[str, str]


def entries_of(environment: Environment) -> Entries:
    """Subject → its entry as text, without its version; the guard itself is one of them."""
    document = ruleset_document(environment)
    rows = {
        f"{noun}:{key}": json.dumps({**entry, "version": 0}, sort_keys=True)
        for noun in ("flag", "segment")
        for key, entry in document[f"{noun}s"].items()
    }
    policy = Policy.objects.filter(environment=environment).values().first() or {}
    return rows | {"guard": json.dumps([environment.requires_approval, policy], default=str)}


def moved(before: Entries, after: Entries) -> Entries:
    return {
        subject: f"{before.get(subject)} → {after.get(subject)}"
        for subject in before.keys() | after.keys()
        if before.get(subject) != after.get(subject)
    }


def plans_begun(new: list[tuple[Event, dict[str, Any]]]) -> dict[str, set[str]]:
    """The ramps and leases that begin in these effects, and the subjects that they are about."""
    begun = {}
    for _, effect in new:
        if effect["kind"] == "ramp.started" and effect["subject"].startswith("ramp:"):
            begun[effect["subject"]] = {f"flag:{effect['after']['plan']['flag']}"}
        if effect["kind"] == "lease.granted" and effect["subject"].startswith("lease:"):
            rows = effect["after"]["plan"]["changes"]
            begun[effect["subject"]] = {f"flag:{row['flag']}" for row in rows}
    return begun


class People(RuleBasedStateMachine):
    """Several actors at one project, one of whose environments asks for approval."""

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.now = timezone.now()
        # `ramp:1` → the subjects that its plan may move, for plans that were approved or bypassed.
        self.agreed: dict[str, set[str]] = {}
        # Request → reviewer → what the reviewer approved: the behaviour, and what it would move.
        self.approved: dict[int, dict[str, tuple[str, Entries]]] = {}
        self.read = set(Event.objects.values_list("pk", flat=True))

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    @initialize()
    def begin(self) -> None:
        self.production = Environment.objects.get(key="production")
        self.before, self.guard = entries_of(self.production), Guard()
        self.was_guarded = True

    # What people do

    def attempt(self, change: Change, who: str | Actor, reason: str = "because") -> None:
        actor = User.objects.get(username=who).as_actor() if isinstance(who, str) else who
        try:
            with transaction.atomic():
                submit(change, actor=actor, reason=reason, now=self.now)
        except FlagsiteError:
            return

    def a_request(self, draw: int) -> int | None:
        """One of the newest: what is done to the same request one after the other tells most."""
        numbers = list(Request.objects.order_by("-number").values_list("number", flat=True)[:2])
        return numbers[0 if draw < 7 else -1] if numbers else None

    @rule(change=writes, who=askers, drafted=st.booleans())
    def writes_or_drafts(self, change: Change, who: str, drafted: bool) -> None:
        row = change.as_json()
        self.attempt(DraftChanges(**GUARDED, changes=[row]) if drafted else change, who)

    @rule(
        changes=st.lists(writes, min_size=1, max_size=2), who=askers,
        armed=st.booleans(), hours=st.sampled_from([None, 2]),
    )  # fmt: skip
    def asks(self, changes: list[Change], who: str, armed: bool, hours: int | None) -> None:
        rows = [change.as_json() for change in changes]
        at = None if hours is None else self.now + timedelta(hours=hours)
        self.attempt(OpenRequest(**SHOP, changes=rows, armed=armed, apply_at=at), who)

    @rule(
        draw=st.integers(0, 9), who=askers, change=st.none() | writes, armed=st.booleans(),
        hours=st.sampled_from([None, 2]), how=st.sampled_from(["changes", "add"]),
    )  # fmt: skip
    def edits(
        self,
        draw: int,
        who: str,
        change: Change | None,
        armed: bool,
        hours: int | None,
        how: str,
    ) -> None:
        if (number := self.a_request(draw)) is not None:
            given: dict[str, Any] = {"armed": armed}
            if change is not None:
                given = {how: [change.as_json()]}
            elif hours is not None:
                given = {"apply_at": self.now + timedelta(hours=hours)}
            self.attempt(EditRequest(**SHOP, request=number, **given), who)

    @rule(
        draw=st.integers(0, 9), who=people, subject=st.sampled_from(["flag:one", "flag:two", "segment:beta"]),
        choice=st.sampled_from(["merge", "theirs", "mine", "drop"]),
    )  # fmt: skip
    def rebases(self, draw: int, who: str, subject: str, choice: Any) -> None:
        if (number := self.a_request(draw)) is not None:
            self.attempt(RebaseRequest(**SHOP, request=number, subject=subject, choice=choice), who)

    @rule(
        change=writes, other=writes, who=askers, reviewer=reviewers,
        between=st.sampled_from(["nothing", "nothing", "edit", "add", "armed", "undo", "demotion"]),
    )  # fmt: skip
    def goes_nearly_all_the_way(
        self, change: Change, other: Change, who: str, reviewer: str, between: str
    ) -> None:
        """Asked for, approved, applied, and something in between that may matter."""
        self.attempt(OpenRequest(**SHOP, changes=[change.as_json()]), who)
        if (number := self.a_request(0)) is None:
            return
        self.judge(0, reviewer, by_token=False, verdict="approved")
        request: dict[str, Any] = {**SHOP, "request": number}
        match between:
            case "edit":
                self.attempt(EditRequest(**request, changes=[other.as_json()]), who)
            case "add":
                self.attempt(EditRequest(**request, add=[other.as_json()]), who)
            case "armed":
                self.attempt(EditRequest(**request, armed=True), who)
            case "undo":
                self.attempt(UndoVerdict(**request), reviewer)
                self.approved.get(number, {}).pop(reviewer, None)
            case "demotion" if reviewer != "owner":
                self.attempt(SetMember(**SHOP, username=reviewer, role="viewer"), OPERATOR)
        self.attempt(ApplyRequest(**request), who)

    @rule(draw=st.integers(0, 9), who=reviewers, by_token=st.sampled_from([False, False, False, True]), verdict=st.sampled_from(
        ["approved", "approved", "approved", "changes_requested", "rejected"]))  # fmt: skip
    def judges(self, draw: int, who: str, by_token: bool, verdict: Any) -> None:
        self.judge(draw, who, by_token=by_token, verdict=verdict)

    def judge(self, draw: int, who: str, *, by_token: bool, verdict: Any) -> None:
        if (number := self.a_request(draw)) is None:
            return
        would = self.what_it_would_move(number)
        actor = User.objects.get(username=who).as_actor()
        if by_token:
            scopes = frozenset({"read", "write", "propose", "apply", "review", "admin"})
            actor = replace(actor, token="fst_1", scopes=scopes)
        self.attempt(ReviewRequest(**SHOP, request=number, verdict=verdict), actor)
        self.take_note(number, would, counts=not by_token)

    @rule(draw=st.integers(0, 9), who=people, what=st.sampled_from([UndoVerdict, WithdrawRequest, SubmitRequest, ReviewBypass]))  # fmt: skip
    def does(self, draw: int, who: str, what: Callable[..., Change]) -> None:
        if (number := self.a_request(draw)) is not None:
            self.attempt(what(**SHOP, request=number), who)

    @rule(draw=st.integers(0, 9), who=askers, bypass=st.sampled_from(["", "", "", "urgent"]))
    def applies(self, draw: int, who: str, bypass: str) -> None:
        if (number := self.a_request(draw)) is not None:
            self.attempt(ApplyRequest(**SHOP, request=number, bypass_reason=bypass), who)

    @rule(new=st.sampled_from(
        [("reviewer", "reviewer"), ("editor", "editor"), ("admin", "admin"), ("viewer", "viewer"),
         ("reviewer", "viewer"), ("viewer", "reviewer"), ("editor", "admin")]
    ))  # fmt: skip
    def changes_role(self, new: tuple[str, Any]) -> None:
        """Mostly back to what they are called, so that somebody can go on."""
        who, role = new
        self.attempt(SetMember(**SHOP, username=who, role=role), OPERATOR)

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        since, self.now = self.now, self.now + timedelta(hours=hours)
        due.sweep(now=self.now, since=since)

    @rule(who=people, what=st.sampled_from([*OF_RAMPS, *OF_LEASES]))
    def steers_a_release(self, who: str, what: Callable[..., Change]) -> None:
        table: Any
        table, name = (Ramp, "ramp") if what in OF_RAMPS else (Lease, "lease")
        newest = table.objects.order_by("-number").first()
        if newest is not None:
            self.attempt(what(**SHOP, **{name: newest.number}), who)

    @rule(hours=st.integers(1, 4))
    def releases_go_on(self, hours: int) -> None:
        """Apart from what requests would do at the same time, so that each is judged by itself."""
        self.now += timedelta(hours=hours)
        clock.sweep(now=self.now)

    @rule()
    def the_worker_looks_again(self) -> None:
        for event in Event.objects.order_by("-at")[:10]:
            look_again(event)

    # What is held against it

    def what_it_would_move(self, number: int) -> Entries | None:
        """Found out by applying it in earnest, past approval, and taking that back."""
        with transaction.atomic():
            try:
                submit(
                    ApplyRequest(**SHOP, request=number, bypass_reason="to see"),
                    actor=OPERATOR, now=self.now,
                )  # fmt: skip
                found = Environment.objects.filter(key="production").first()
                return moved(self.before, entries_of(found)) if found else None
            except FlagsiteError:
                return None
            finally:
                transaction.set_rollback(True)

    def new_effects(self) -> list[tuple[Event, dict[str, Any]]]:
        """What was recorded since the last look."""
        events = Event.objects.exclude(pk__in=self.read).select_related("actor")
        return [(event, effect) for event in events for effect in event.effects]

    def take_note(self, number: int, would: Entries | None, *, counts: bool) -> None:
        """Of the verdict that was given just now, if it was."""
        for event, effect in self.new_effects():
            if effect["kind"] == "request.reviewed" and effect["subject"] == f"request:{number}":
                given = self.approved.setdefault(number, {})
                reviewer = str(event.actor.identity["name"])
                given.pop(reviewer, None)
                if effect["after"]["verdict"] == "approved" and would is not None and counts:
                    given[reviewer] = (effect["after"]["behaviour"], would)

    @invariant()
    def what_changed_was_allowed(self) -> None:
        if not hasattr(self, "before"):
            return
        new = self.new_effects()
        self.read |= {event.pk for event, _ in new}
        found = Environment.objects.filter(key="production").first()
        after = entries_of(found) if found else {}
        changes = moved(self.before, after)
        if changes and self.was_guarded and self.asks_for(changes):
            applied = [row for row in new if row[1]["kind"] == "request.applied"]
            by_plan = {subject for _, row in new for subject in self.agreed.get(row["subject"], ())}
            if applied or not changes.keys() <= by_plan:
                assert applied, f"changed without a request: {changes}"
                assert any(
                    self.is_good(event, effect, changes, len(applied)) for event, effect in applied
                ), changes
                self.agreed |= plans_begun(new)
        for event, effect in new:
            if effect["kind"] == "request.verdict_undone":
                number = int(effect["subject"].partition(":")[2])
                self.approved.get(number, {}).pop(event.actor.identity["name"], None)
        self.remember(found, after)

    def asks_for(self, changes: Entries) -> bool:
        """Whether the policy as it was asks about any of this."""
        if not self.guard.conditions or "guard" in changes:
            return True
        fields = self.guard.conditions[0]["fields"]
        for subject in changes:
            old, new = (
                json.loads(rows.get(subject) or "{}") for rows in (self.before, self.now_is)
            )
            if any(old.get(name) != new.get(name) for name in fields):
                return True
        return False

    @property
    def now_is(self) -> Entries:
        found = Environment.objects.filter(key="production").first()
        return entries_of(found) if found else {}

    def is_good(self, event: Event, effect: dict[str, Any], changes: Entries, many: int) -> bool:
        """A bypass by who may, or enough approvals of exactly this by people who count."""
        number, after = int(effect["subject"].partition(":")[2]), effect["after"]
        identity = event.actor.identity or {}
        if after["bypass"]:
            return identity["kind"] == "system" or self.role_of(identity["name"]) >= RANK["admin"]
        request = Request.objects.get(number=number)
        barred = {request.author.username if request.author else ""}
        if self.guard.exclude_contributors:
            barred |= {person.username for person in request.contributors.all()}
        good = {
            name
            for name, (behaviour, would) in self.approved.get(number, {}).items()
            if name not in barred
            and behaviour == after["behaviour"]
            # Several requests in one sweep: each moves its own part.
            and (would == changes if many == 1 else would.items() <= changes.items() or many > 1)
            and self.role_of(name) >= RANK[self.guard.minimum_role]
        }
        return len(good) >= self.guard.approvals

    def role_of(self, name: str) -> int:
        return self.ranks.get(name, -1)

    def remember(self, found: Environment | None, after: Entries) -> None:
        self.before, self.was_guarded = after, found is not None and found.requires_approval
        policy = Policy.objects.filter(environment=found).first() if found else None
        self.guard = (
            Guard(
                policy.approvals,
                policy.minimum_role,
                policy.exclude_contributors,
                policy.conditions,
            )
            if policy
            else Guard()
        )

    @property
    def ranks(self) -> dict[str, int]:
        rows = Project.objects.get(key="shop").memberships.values_list("user__username", "role")
        return {name: RANK[role] for name, role in rows} | {"owner": RANK["admin"]}

    @invariant()
    def states_are_explained_by_events(self) -> None:
        told: dict[str, str] = {}
        stream = Project.objects.get(key="shop").stream_key
        for event in Event.objects.filter(stream=stream).order_by("version"):
            for effect in event.effects:
                if effect["subject"].startswith("request:") and "state" in (effect["after"] or {}):
                    told[effect["subject"]] = effect["after"]["state"]
        rows = {f"request:{row.number}": str(row.state) for row in Request.objects.all()}
        assert rows == told


@pytest.mark.django_db
def test_a_guarded_environment_changes_only_by_approval_or_bypass(project, a_flag):
    submit(CreateSegment(**SHOP, key="beta"), actor=OPERATOR)
    a_flag("one")
    a_flag("two")
    submit(EditEnvironment(**GUARDED, requires_approval=True), actor=OPERATOR)

    run_state_machine_as_test(
        People,
        settings=settings(
            max_examples=8,
            stateful_step_count=20,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )

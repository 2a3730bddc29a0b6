"""Leases: changes that are made for a time, and the way back from them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import structs

from flags.access import Action
from flags.changes.base import Change, Effect, Scope, change, from_json
from flags.changes.configurations import (
    CONFIGURED,
    ConfigureFlag,
    SwitchFlag,
    configuration_in,
)
from flags.changes.releases.base import (
    LONGEST,
    OnLease,
    author_of,
    lease_facts,
    next_number,
    on_lease,
    request_of,
    to_come,
)
from flags.changes.rulesets import same
from flags.changes.segments import ChangeSegmentIds, DefineSegment, definition_in, listed_among
from flags.errors import Conflicting, Invalid
from flags.models import Lease, LeaseState
from flags.snapshots import flag_entry, segment_entry

# All of them need what GrantLease itself needs, in the environments that it touches.
Leasable = SwitchFlag | ConfigureFlag | DefineSegment | ChangeSegmentIds


@change("lease.granted")
class GrantLease(Change, frozen=True, kw_only=True):
    """Make changes until an instant, or for a span from when they are made; then take them back.

    Only what alters what is evaluated in an environment can be lent: a switch, what a flag serves,
    the condition of a segment and its ids. A verdict on the request that holds it is bound to its
    end too.
    """

    changes: list[dict[str, Any]]
    ends_at: datetime | None = None
    seconds: int | None = None

    def touches(self) -> Sequence[str]:
        return tuple(sorted({inner.environment for inner in _leasable(self.changes)}))

    def perform(self, scope: Scope) -> list[Effect]:
        ends_at, inner = self._end(scope), _leasable(self.changes)
        if any(row.project != self.project for row in inner):
            raise Invalid.at("changes", f"expected changes to {self.project} alone")
        performed = [(row, row.perform(scope)) for row in inner]
        effects = [effect for _, done in performed for effect in done]
        if not effects:
            raise Invalid.at("changes", "everything is as these changes would make it already")
        environments = sorted({str(effect.environment) for effect in effects})
        lease = Lease(
            project=scope.the_project(),
            number=next_number(scope, Lease),
            changes=[row.kept(done).as_json() for row, done in performed if done],
            back=list(_ways_back(performed)),
            environments=environments,
            agreed=sorted(scope.approved & set(environments)),
            lasts_seconds=self.seconds,
            ends_at=ends_at,
            granted_by=author_of(scope),
            request=request_of(scope),
            granted_at=scope.now,
        )
        scope.create(lease)
        return [*effects, on_lease(self.kind, None, lease)]

    def kept(self, effects: Sequence[Effect]) -> Change:
        return structs.replace(
            self,
            changes=[
                row
                for effect in effects
                if effect.environment is None
                for row in effect.after["plan"]["changes"]
            ],
        )

    def undo(self, effects: Sequence[Effect]) -> list[Change] | None:
        return [
            EndLease(project=self.project, lease=effect.after["number"])
            for effect in effects
            if effect.environment is None
        ]

    def _end(self, scope: Scope) -> datetime:
        if (self.ends_at is None) == (self.seconds is None):
            raise Invalid.at("ends_at", "expected either an instant or a number of seconds")
        if self.ends_at is not None:
            return to_come(self.ends_at, scope)
        most = int(LONGEST.total_seconds())
        if self.seconds is None or not 1 <= self.seconds <= most:
            raise Invalid.at("seconds", f"expected 1 to {most}, got {self.seconds}")
        return scope.now + timedelta(seconds=self.seconds)


@change("lease.ended")
class EndLease(OnLease, frozen=True, kw_only=True):
    """Take back what a lease changed, and nothing else: what others changed meanwhile stays.

    At its end the way back is as it was agreed when the lease was granted; before its end it is a
    change like any other. Raises Conflicting when somebody changed the very thing meanwhile: of a
    list of ids, one that the lease put on it or took off it.
    """

    def perform(self, scope: Scope) -> list[Effect]:
        lease = self.found(scope, LeaseState.RUNNING, LeaseState.HELD)
        before = lease_facts(lease)
        if moved := [words for row in lease.back for words in _moved(scope, row)]:
            raise Conflicting("; ".join(moved))
        if scope.now >= lease.ends_at:
            scope.approved |= set(lease.agreed)
        effects = [
            effect
            for row in reversed(lease.back)
            for effect in from_json(row["change"]).perform(scope)
        ]
        _close(scope, lease, LeaseState.ENDED)
        return [*effects, on_lease(self.kind, before, lease)]


@change("lease.extended")
class ExtendLease(OnLease, frozen=True, kw_only=True):
    """Let a lease end at another instant; where it was approved with its end, that asks again."""

    ends_at: datetime

    def perform(self, scope: Scope) -> list[Effect]:
        lease = self.found(scope, LeaseState.RUNNING, LeaseState.HELD)
        before = lease_facts(lease)
        lease.ends_at, lease.lasts_seconds = to_come(self.ends_at, scope), None
        lease.state, lease.why = LeaseState.RUNNING, ""
        if lease_facts(lease) == before:
            return []
        scope.save(lease, "ends_at", "lasts_seconds", "state", "why")
        return [on_lease(self.kind, before, lease)]


@change("lease.kept")
class KeepLease(OnLease, frozen=True, kw_only=True):
    """Let what a lease changed stay for good; where it was approved with its end, that asks again."""

    def perform(self, scope: Scope) -> list[Effect]:
        lease = self.found(scope, LeaseState.RUNNING, LeaseState.HELD)
        before = lease_facts(lease)
        _close(scope, lease, LeaseState.KEPT)
        return [on_lease(self.kind, before, lease)]


@change("lease.held")
class HoldLease(OnLease, frozen=True, kw_only=True):
    """Leave things as they are past a lease's end, since its way back no longer fits."""

    needs = Action.ADMINISTER
    can_wait = False

    why: str

    def perform(self, scope: Scope) -> list[Effect]:
        lease = self.found(scope, LeaseState.RUNNING)
        before = lease_facts(lease)
        lease.state, lease.why = LeaseState.HELD, self.why
        scope.save(lease, "state", "why")
        return [on_lease(self.kind, before, lease)]


def _leasable(rows: Sequence[dict[str, Any]]) -> list[Leasable]:
    if not rows:
        raise Invalid.at("changes", "expected at least one change, got none")
    found = []
    for index, row in enumerate(rows):
        inner = from_json(row)
        if not isinstance(inner, Leasable):
            raise Invalid.at(
                f"changes[{index}].kind",
                f"{inner.kind} cannot be made for a time; a switch, what a flag serves, and the "
                "condition and ids of a segment can",
            )
        found.append(inner)
    return found


def _ways_back(performed: Sequence[tuple[Leasable, Sequence[Effect]]]) -> Iterator[dict[str, Any]]:
    """What `Lease.back` holds: an entry a subject, and one for each list of ids."""
    spans: dict[tuple[str | None, str], tuple[Effect, Effect]] = {}
    yield from _ways_back_of_ids(performed)
    for inner, done in performed:
        for effect in done:
            if isinstance(inner, ChangeSegmentIds):
                continue
            place = (effect.environment, effect.subject)
            first, _ = spans.get(place, (effect, effect))
            spans[place] = (first, effect)
    for first, last in spans.values():
        kind, _, key = first.subject.partition(":")
        members = CONFIGURED if kind == "flag" else ("when",)
        was: dict[str, Any] = {name: first.before.get(name) for name in members}
        left: dict[str, Any] = {name: last.after.get(name) for name in members}
        altered = [name for name in members if not same(was[name], left[name])]
        if altered:
            was, left = ({name: side[name] for name in altered} for side in (was, left))
            named: dict[str, Any] = {
                "project": performed[0][0].project,
                "environment": first.environment,
            }
            back = (
                ConfigureFlag(**named, flag=key, **was)
                if kind == "flag"
                else DefineSegment(**named, segment=key, **was)
            )
            yield _way_back(first, was, left, back)


def _ways_back_of_ids(
    performed: Sequence[tuple[Leasable, Sequence[Effect]]],
) -> Iterator[dict[str, Any]]:
    """Of each list what all changes together put on it and took off it."""
    lists: dict[tuple[str, str, str, str], tuple[Effect, set[str], set[str]]] = {}
    for inner, done in performed:
        if not isinstance(inner, ChangeSegmentIds):
            continue
        for effect in done:
            (back,) = inner.undo([effect]) or []
            assert isinstance(back, ChangeSegmentIds), "ids are taken back as they were changed"
            place = (back.environment, back.segment, back.id_list, back.by)
            _, added, removed = lists.setdefault(place, (effect, set(), set()))
            put, taken = set(back.remove), set(back.add)
            back_again, off_again = put & removed, taken & added
            removed -= back_again
            added |= put - back_again
            added -= off_again
            removed |= taken - off_again
    for (environment, segment, id_list, by), (effect, added, removed) in lists.items():
        change = ChangeSegmentIds(
            project=performed[0][0].project,
            environment=environment,
            segment=segment,
            id_list="included" if id_list == "included" else "excluded",
            by=by,
            add=tuple(sorted(removed)),
            remove=tuple(sorted(added)),
        )
        yield _way_back(effect, {}, {}, change)


def _way_back(
    effect: Effect, was: dict[str, Any], left: dict[str, Any], change: Change
) -> dict[str, Any]:
    return {
        "environment": effect.environment,
        "subject": effect.subject,
        "was": was,
        "left": left,
        "change": change.as_json(),
    }


def _moved(scope: Scope, row: Mapping[str, Any]) -> Iterator[str]:
    """What is neither as the lease left it nor as it was before."""
    kind, _, key = row["subject"].partition(":")
    back = from_json(row["change"])
    if isinstance(back, ChangeSegmentIds):
        yield from _moved_ids(scope, back)
        return
    if kind == "flag":
        now = flag_entry(*configuration_in(scope, row["environment"], key))
    else:
        now = segment_entry(*definition_in(scope, row["environment"], key))
    for name in row["left"]:
        there = now.get(name)
        if not same(there, row["left"][name]) and not same(there, row["was"][name]):
            yield (
                f"{name} of {kind} {key} in {row['environment']} was changed by somebody else "
                "meanwhile"
            )


def _moved_ids(scope: Scope, back: ChangeSegmentIds) -> Iterator[str]:
    """Ids that are not as the lease left them; where none is, somebody took all of it back."""
    _, definition = definition_in(scope, back.environment, back.segment)
    listed = definition.listed_ids.filter(list=back.id_list, by=back.by)
    gone = sorted(set(back.remove) - listed_among(listed, back.remove))
    there = sorted(listed_among(listed, back.add))
    if len(gone) + len(there) == len(back.remove) + len(back.add):
        return
    where = f"the {back.id_list} ids of segment {back.segment} in {back.environment}"
    if gone:
        yield f"{_some(gone)} was taken off {where} by somebody else meanwhile"
    if there:
        yield f"{_some(there)} was put on {where} again by somebody else meanwhile"


def _some(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:3])
    return shown if len(ids) <= 3 else f"{shown} and {len(ids) - 3} more"


def _close(scope: Scope, lease: Lease, state: LeaseState) -> None:
    lease.state, lease.closed_at, lease.why = state, scope.now, ""
    scope.save(lease, "state", "closed_at", "why")

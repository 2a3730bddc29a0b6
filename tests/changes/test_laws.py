"""The laws of docs/architecture.md, each over every registered change."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db.models import Max, Model

from audit.models import Archive, Event, Stream
from flagengine import Ruleset
from flags.changes import Change, EditEnvironment, RemoveMember, from_json, submit
from flags.changes.base import KINDS
from flags.errors import ApprovalNeeded, Denied, FlagsiteError
from flags.models import Environment, Project, SegmentIdBatch, User
from flags.snapshots import deltas_since, ruleset_document
from tests.cast import OPERATOR
from tests.changes.world import EXAMPLES, PERSONAL, actor_of, built, every_example, users, world

__all__ = ["built", "users", "world"]
pytestmark = pytest.mark.django_db

RELEASED = Path(__file__).parent / "released"

# What cannot be taken back, and says so by an undo of None.
IRREVERSIBLE = {
    "api_token.expires_soon",
    "api_token.revoked",
    "environment.deleted",
    "events.archived",
    "flag.deleted",
    "lease.ended",
    "lease.extended",
    "lease.held",
    "lease.kept",
    "project.created",
    "ramp.advanced",
    "ramp.approved",
    "ramp.held",
    "ramp.rolled_back",
    "ramp.skipped",
    "ramp.stopped",
    "invitation.accepted",
    "invitation.revoked",
    "request.applied",
    "request.bypass_reviewed",
    "request.closed",
    "request.commented",
    "request.drafted",
    "request.edited",
    "request.rebased",
    "request.reviewed",
    "request.settled",
    "request.submitted",
    "request.verdict_undone",
    "request.withdrawn",
    "sdk_key.revoked",
    "segment.deleted",
    "service_token.revoked",
    "user.factor_added",
    "user.factor_removed",
    "user.factors_reset",
    "user.identity_connected",
    "user.identity_disconnected",
    "user.password_changed",
    "user.password_reset_asked",
    "user.sessions_revoked",
    "user.sign_in_failed",
    "user.signed_in",
    "user.signed_out",
    "user.erased",
}
# These tell what happened at the door; what rows there are to it are allauth's (docs/adr/0007).
OF_SIGNING_IN = {
    "user.factor_added",
    "user.factor_removed",
    "user.factors_reset",
    "user.identity_connected",
    "user.identity_disconnected",
    "user.password_reset_asked",
    "user.sessions_revoked",
    "user.sign_in_failed",
    "user.signed_in",
    "user.signed_out",
}
# These change nobody's rows: copies, counters, and what is no part of any ruleset.
UNTRACKED = {"Instance", "Delivery", "Notice", "SegmentIdBatch"}


def rulesets(project: Project) -> dict[str, dict[str, Any]]:
    return {row.key: ruleset_document(row) for row in project.environments.all()}


def without_versions(documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        key: {
            "flags": {name: entry | {"version": 0} for name, entry in document["flags"].items()},
            "segments": document["segments"],
        }
        for key, document in documents.items()
    }


def test_every_registered_change_has_an_example():
    assert {example.kind for example in EXAMPLES} == set(KINDS)


@every_example
def test_replay(change: Change, world: Project):
    before = rulesets(world)

    submit(change, actor=actor_of(change))

    for environment in world.environments.all():
        if environment.key not in before:
            continue
        old = before[environment.key]
        ruleset = Ruleset.compile(old, clock=lambda: 0.0)
        for delta in deltas_since(environment, old["version"], old["digest"]) or []:
            ruleset = ruleset.advance(with_ids_fetched(json.loads(delta)))
        assert plain(ruleset.document) == plain(ruleset_document(environment))


def with_ids_fetched(delta: dict[str, Any]) -> dict[str, Any]:
    """As every reader does before it applies a delta that names a batch of ids by its address."""
    for entry in delta["changes"]:
        if "digest" in entry:
            entry.update(SegmentIdBatch.objects.get(digest=entry["digest"]).ids)
            del entry["digest"], entry["url"]
    return delta


def plain(document: dict[str, Any]) -> str:
    """As text, in which 1, 1.0 and true differ; the order of an id list means nothing."""
    for segment in document["segments"].values():
        for name in ("included", "excluded"):
            rows = [{**row, "keys": sorted(row["keys"])} for row in segment.get(name, [])]
            rows = sorted((row for row in rows if row["keys"]), key=lambda row: row["by"])
            segment.pop(name, None)
            if rows:
                segment[name] = rows
    return json.dumps(document, sort_keys=True)


@every_example
def test_gate(change: Change, world: Project, owner):
    guard = [
        EditEnvironment(project="shop", environment=key, requires_approval=True)
        for key in ("development", "staging", "production")
    ]
    submit(*guard, actor=OPERATOR)
    before = rulesets(world)

    try:
        submit(change, actor=actor_of(change) if change.kind in PERSONAL else owner)
    except ApprovalNeeded:
        refused = True
    else:
        refused = False

    after = rulesets(world)
    assert {key: after.get(key) for key in before} == before
    assert refused or after.keys() >= before.keys()


@every_example
def test_outsiders(change: Change, world: Project, outsider):
    before = rulesets(world), Event.objects.count()

    with pytest.raises(Denied):
        submit(change, actor=outsider)

    assert (rulesets(world), Event.objects.count()) == before


def test_a_token_that_only_reads_changes_nothing(world: Project, owner, viewer):
    before = tracked_rows(), Event.objects.count()

    for change in EXAMPLES:
        for person in (owner, viewer):
            reading = replace(person, scopes=frozenset({"read"}), token="fst_reads")
            with pytest.raises(Denied, match="changes nothing"):
                submit(change, actor=reading)

    assert (tracked_rows(), Event.objects.count()) == before


@every_example
def test_permission_lost_between_page_and_commit(change: Change, world: Project, admin):
    submit(RemoveMember(project="shop", username="admin"), actor=OPERATOR)

    with pytest.raises(Denied):
        submit(change, actor=admin)


@every_example
def test_round_trip(change: Change):
    assert from_json(json.loads(json.dumps(change.as_json()))) == change


@pytest.mark.parametrize("path", sorted(RELEASED.glob("*.json")), ids=lambda path: path.stem)
def test_every_change_ever_released_still_loads(path: Path):
    stored = json.loads(path.read_text())

    assert {row["kind"] for row in stored} <= set(KINDS)
    for row in stored:
        assert isinstance(from_json(row), Change)


def test_every_kind_has_been_frozen():
    frozen = {
        row["kind"] for path in RELEASED.glob("*.json") for row in json.loads(path.read_text())
    }

    assert frozen == set(KINDS)


@every_example
def test_undo(change: Change, world: Project):
    before = without_versions(rulesets(world))

    outcome = submit(change, actor=actor_of(change))
    ways_back = change.undo(outcome.effects)

    if ways_back is None:
        assert change.kind in IRREVERSIBLE
        return
    assert change.kind not in IRREVERSIBLE
    if ways_back:
        submit(*ways_back, actor=OPERATOR)
    assert plain_all(without_versions(rulesets(world))) == plain_all(before)


def plain_all(documents: dict[str, Any]) -> dict[str, str]:
    return {key: plain(document) for key, document in documents.items()}


@every_example
def test_no_silent_write(change: Change, world: Project):
    before = tracked_rows()
    events = set(Event.objects.values_list("pk", flat=True))

    submit(change, actor=actor_of(change))

    after = tracked_rows()
    changed = {row for row in before.keys() | after.keys() if before.get(row) != after.get(row)}
    explained = {
        effect["subject"]
        for event in Event.objects.exclude(pk__in=events)
        for effect in event.effects
    }
    assert changed or change.kind in OF_SIGNING_IN, "the example changes nothing"
    for row in changed:
        assert (after.get(row) or before[row])["subjects"] & explained


def tracked_rows() -> dict[tuple[str, Any], dict[str, Any]]:
    """(table, primary key) → the row's values and the subjects an event may name it by."""
    return {
        (model.__name__, row.pk): {
            "subjects": subjects_of(row),
            **{field.attname: getattr(row, field.attname) for field in model._meta.concrete_fields},
        }
        for model in [*apps.get_app_config("flags").get_models(), Archive]
        if model.__name__ not in UNTRACKED and not model.__name__.startswith("Historical")
        # With what a row refers to, by which its subjects are named.
        for row in model.objects.select_related()
    }


def subjects_of(row: Model) -> set[str]:
    """A row of one environment comes and goes with it, so the environment's event explains it too."""
    match type(row).__name__:
        case "FlagConfiguration":
            return {f"flag:{row.flag.key}", f"environment:{row.environment.key}"}
        case "SegmentDefinition":
            return {f"segment:{row.segment.key}", f"environment:{row.environment.key}"}
        case "SegmentId":
            definition = row.definition
            return {
                f"segment:{definition.segment.key}",
                f"environment:{definition.environment.key}",
            }
        case "SdkKey":
            return {f"sdk_key:{row.public_id}", f"environment:{row.environment.key}"}
        case "ApiToken":
            return {f"api_token:{row.public_id}"}
        case "Membership":
            return {f"member:{row.user_id}", *service_named(row.user)}
        case "EnvironmentRole":
            return {
                f"member:{row.membership.user_id}",
                f"environment:{row.environment.key}",
                *service_named(row.membership.user),
            }
        case "Request":
            return {f"request:{row.number}"}
        case "Verdict" | "Comment":
            return {f"request:{row.request.number}"}
        case "Ramp":
            return {
                f"ramp:{row.number}",
                f"flag:{row.flag.key}",
                f"environment:{row.environment.key}",
            }
        case "StepApproval":
            return {f"ramp:{row.ramp.number}", f"environment:{row.ramp.environment.key}"}
        case "Lease":
            return {f"lease:{row.number}"}
        case "RampTemplate":
            return {f"ramp_template:{row.key}"}
        case "Policy":
            return {f"policy:{row.environment.key}"}
        case "Invitation":
            return {f"invitation:{row.pk}"}
        case "Archive":
            return {f"stream:{row.stream_id}"}
        case "User":
            return {f"user:{row.pk}", *service_named(row)}
        case name:
            return {f"{name.lower()}:{row.key}"}


def service_named(account: User) -> set[str]:
    """A service's account and membership come and go with the service."""
    return {f"service:{account.username.partition('@')[0]}"} if account.is_service else set()


@every_example
def test_versions_have_no_gaps_and_each_event_its_outbox(change: Change, world: Project):
    outcome = submit(change, actor=actor_of(change))

    for stream in Stream.objects.all():
        versions = list(stream.events.order_by("version").values_list("version", flat=True))
        archived = stream.archives.aggregate(last=Max("last"))["last"] or 0
        assert versions == list(range(archived + 1, stream.version + 1))
    for event in outcome.events:
        told = set(event.outbox.values_list("subscriber", flat=True))
        assert told == set(settings.EVENT_SUBSCRIBERS)


@every_example
def test_a_dry_run_leaves_no_trace(change: Change, world: Project):
    before = tracked_rows(), Event.objects.count()

    submit(change, actor=actor_of(change), dry_run=True)

    assert (tracked_rows(), Event.objects.count()) == before


def test_all_or_nothing(world: Project, editor):
    before = tracked_rows(), Event.objects.count()
    good = EXAMPLES[5]

    with pytest.raises(FlagsiteError):
        submit(good, good, actor=editor)

    assert (tracked_rows(), Event.objects.count()) == before
    assert Environment.objects.filter(project=world).count() == 3

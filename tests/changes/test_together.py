"""Several changes in one submit: the delta leads to what the rows say, whatever their order."""

from typing import Any

import pytest

from audit.models import Event
from flagengine import Ruleset
from flags.changes import (
    ChangeSegmentIds,
    CreateEnvironment,
    CreateFlag,
    CreateProject,
    CreateSegment,
    DefineSegment,
    DeleteSegment,
    EditFlag,
    SwitchFlag,
    submit,
)
from flags.errors import Invalid
from flags.live.rulesets import Delta, advanced, read_whole
from flags.models import Environment, Flag
from flags.snapshots import deltas_since, ruleset_document
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

SHOP: dict[str, Any] = {"project": "shop"}
BETA: dict[str, Any] = {**SHOP, "environment": "production", "segment": "beta"}


@pytest.fixture
def production(project):
    return Environment.objects.get(project=project, key="production")


@pytest.mark.parametrize(
    "changes",
    [
        (
            CreateSegment(**SHOP, key="beta"),
            ChangeSegmentIds(**BETA, add=("user-1",)),
            DefineSegment(**BETA, when={"attribute": "plan", "op": "exists"}),
        ),
        (
            CreateSegment(**SHOP, key="beta"),
            DefineSegment(**BETA, when={"attribute": "plan", "op": "exists"}),
            ChangeSegmentIds(**BETA, add=("user-1",)),
        ),
        (
            DeleteSegment(**SHOP, segment="old"),
            CreateSegment(**SHOP, key="old"),
        ),
        (
            CreateFlag(**SHOP, key="old"),
            SwitchFlag(**SHOP, environment="production", flag="old", on=True),
        ),
    ],
    ids=["define last", "ids last", "made anew", "flag of the same key"],
)
def test_what_was_submitted_together_replays(production, a_flag, changes):
    submit(CreateSegment(**SHOP, key="old"), actor=OPERATOR)
    submit(
        ChangeSegmentIds(**{**BETA, "segment": "old"}, add=("user-0",)),
        actor=OPERATOR,
    )
    before = read_whole(str(production.pk))

    submit(*changes, actor=OPERATOR)

    stored = deltas_since(production, before.version, before.ruleset.digest)
    after = advanced(before, [Delta.of(delta) for delta in stored])
    now = Ruleset.compile(ruleset_document(production), clock=lambda: 0.0)
    assert after.ruleset.document["flags"] == now.document["flags"]
    assert filled(after.ruleset.document["segments"]) == filled(now.document["segments"])


def filled(segments):
    """Without the lists that are empty, which mean the same as none."""
    return {
        key: {name: value for name, value in segment.items() if value != []}
        for key, segment in segments.items()
    }


def test_a_delta_says_a_flag_once(production, a_flag):
    submit(
        CreateFlag(**SHOP, key="new"),
        SwitchFlag(**SHOP, environment="production", flag="new", on=True),
        actor=OPERATOR,
    )

    event = Event.objects.filter(stream_id=production.stream_key).order_by("version").last()
    assert bytes(event.delta).count(b'"kind":"flag"') == 1


def test_true_becoming_1_inside_json_is_saved(production, a_flag, editor):
    a_flag("limits", type="json", variations=[{"key": "a", "value": {"strict": True}}])

    submit(
        EditFlag(**SHOP, flag="limits", variations=[{"key": "a", "value": {"strict": 1}}]),
        actor=editor,
    )

    (variation,) = ruleset_document(production)["flags"]["limits"]["variations"]
    assert variation["value"]["strict"] is not True


@pytest.mark.parametrize(
    "variations",
    [
        [{"key": "a", "value": 1}],
        [{"key": "a", "value": "x"}, {"key": "a", "value": "y"}],
        [{"key": "a", "value": "\ud800"}],
        [{"key": ["a"], "value": "x"}],
    ],
    ids=["wrong type", "key twice", "lone surrogate", "key that is no text"],
)
def test_variations_are_judged_before_there_is_an_environment(db, variations):
    submit(CreateProject(project="bare"), actor=OPERATOR)

    with pytest.raises(Invalid, match="variations"):
        submit(
            CreateFlag(
                project="bare",
                key="f",
                type="string",
                variations=variations,
                json_schema={"pattern": "x"},
            ),
            actor=OPERATOR,
        )

    submit(CreateEnvironment(project="bare", key="production"), actor=OPERATOR)
    assert not Flag.objects.exists()


@pytest.mark.parametrize("by", ["", "a\0b", "\ud800", "x" * 201])
def test_ids_are_listed_by_an_attribute_that_can_be(production, by):
    submit(CreateSegment(**SHOP, key="beta"), actor=OPERATOR)

    with pytest.raises(Invalid, match=r"^by: "):
        submit(ChangeSegmentIds(**BETA, by=by, add=("user-1",)), actor=OPERATOR)

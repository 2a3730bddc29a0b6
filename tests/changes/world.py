"""A project with something of everything, and an example of every registered change made in it."""

from typing import Any

import pytest

from flags.changes import (
    ArchiveFlag,
    Change,
    ChangeSegmentIds,
    ConfigureFlag,
    CreateApiToken,
    CreateEnvironment,
    CreateFlag,
    CreateProject,
    CreateSdkKey,
    CreateSegment,
    CreateUser,
    DefineSegment,
    DeleteEnvironment,
    DeleteFlag,
    DeleteSegment,
    EditEnvironment,
    EditFlag,
    EditProject,
    EditSegment,
    EditUser,
    RemoveMember,
    RestoreFlag,
    RevokeApiToken,
    RevokeSdkKey,
    SetMember,
    SwitchFlag,
    submit,
)
from flags.models import Project
from tests.cast import OPERATOR

SHOP: dict[str, Any] = {"project": "shop"}
STAGING: dict[str, Any] = {**SHOP, "environment": "staging"}
SPLIT = {
    "split": {"by": "targetingKey", "salt": "s", "shares": [["blue", 25_000], ["green", 75_000]]}
}
COLOURS = [{"key": "blue", "value": "#00f"}, {"key": "green", "value": "#0f0", "name": "Green"}]
RULES = [
    {
        "id": "r1",
        "name": "Beta testers in the EU",
        "when": {
            "all": [
                {"segment": "beta"},
                {"attribute": "country", "op": "in", "values": ["DE", "FR"]},
            ]
        },
        "serve": {"variation": "blue"},
    }
]

WORLD: list[Change] = [
    CreateSegment(**SHOP, key="beta"),
    CreateSegment(**SHOP, key="unused"),
    DefineSegment(
        **STAGING, segment="beta", when={"attribute": "plan", "op": "in", "values": ["pro"]}
    ),
    ChangeSegmentIds(**STAGING, segment="beta", add=("user-1", "user-2")),
    ChangeSegmentIds(**STAGING, segment="unused", add=("user-1",)),
    CreateFlag(**SHOP, key="checkout", client_visible=True),
    CreateFlag(**SHOP, key="colour", type="string", variations=COLOURS),
    CreateFlag(**SHOP, key="old"),
    ArchiveFlag(**SHOP, flag="old"),
    ConfigureFlag(
        **STAGING,
        flag="colour",
        enabled=True,
        rules=RULES,
        fallthrough=SPLIT,
        targets=[{"variation": "green", "by": "targetingKey", "keys": ["user-9"]}],
        prerequisites=[{"flag": "checkout", "variations": ["on"]}],
    ),
    CreateSdkKey(**STAGING, key_kind="server", public_id="fss_1", hash="a" * 64),
]

EXAMPLES: list[Change] = [
    CreateProject(project="other", name="Other"),
    EditProject(**SHOP, name="The shop", description="Sells"),
    CreateEnvironment(**SHOP, key="preview"),
    EditEnvironment(**STAGING, name="Stage", position=7),
    DeleteEnvironment(**STAGING),
    CreateFlag(
        **SHOP, key="limit", type="integer", variations=[{"key": "ten", "value": 10}], tags=["cart"]
    ),
    EditFlag(**SHOP, flag="colour", name="Colour", tags=["look"], owner="editor"),
    EditFlag(
        **SHOP,
        flag="colour",
        client_visible=True,
        variations=[{"key": "blue", "value": "#11f"}, COLOURS[1], {"key": "red", "value": "#f00"}],
    ),
    ArchiveFlag(**SHOP, flag="colour"),
    RestoreFlag(**SHOP, flag="old"),
    DeleteFlag(**SHOP, flag="old"),
    SwitchFlag(**STAGING, flag="checkout", on=True),
    SwitchFlag(**STAGING, flag="colour", on=False, was=True),
    ConfigureFlag(**STAGING, flag="colour", rules=[], fallthrough={"variation": "green"}),
    ConfigureFlag(**STAGING, flag="colour", off_variation=None, targets=[], prerequisites=[]),
    CreateSegment(**SHOP, key="staff", name="Staff"),
    EditSegment(**SHOP, segment="beta", description="Early"),
    DefineSegment(**STAGING, segment="beta", when=None),
    DefineSegment(**STAGING, segment="beta", when={"not": {"segment": "unused"}}),
    ChangeSegmentIds(**STAGING, segment="beta", add=("user-3", "user-1"), remove=("user-2",)),
    ChangeSegmentIds(
        **STAGING,
        segment="beta",
        id_list="excluded",
        by="company",
        add=tuple(f"company-{number:06}" for number in range(6_000)),
    ),
    DeleteSegment(**SHOP, segment="unused"),
    CreateSdkKey(**STAGING, key_kind="client", public_id="fsc_2", hash="b" * 64, name="Web"),
    RevokeSdkKey(**SHOP, public_id="fss_1"),
    CreateApiToken(username="editor", public_id="fst_2", hash="c" * 64, scopes=["read"]),
    RevokeApiToken(public_id="fst_1"),
    SetMember(**SHOP, username="viewer", role="editor"),
    SetMember(**SHOP, username="outsider", role="viewer"),
    RemoveMember(**SHOP, username="viewer"),
    CreateUser(username="newcomer"),
    EditUser(username="viewer", is_active=False),
]


def name_of(change: Change) -> str:
    return f"{change.kind}-{EXAMPLES.index(change)}"


every_example = pytest.mark.parametrize("change", EXAMPLES, ids=name_of)


@pytest.fixture
def world(project: Project) -> Project:
    submit(*WORLD, actor=OPERATOR)
    submit(
        CreateApiToken(username="editor", public_id="fst_1", hash="d" * 64, scopes=["write"]),
        actor=OPERATOR,
    )
    return project

"""A project with something of everything, and an example of every registered change made in it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.db import transaction
from django.utils import timezone

from audit.facts import Actor
from audit.models import OutboxEntry
from flags.changes import (
    AddFactor,
    AdvanceRamp,
    ApplyRequest,
    ApproveRampStep,
    ArchiveEvents,
    ArchiveFlag,
    AskPasswordReset,
    Change,
    ChangePassword,
    ChangeSegmentIds,
    ChooseMails,
    CloseRequest,
    CommentOnRequest,
    ConfigureFlag,
    ConnectIdentity,
    CreateApiToken,
    CreateEnvironment,
    CreateFlag,
    CreateInvitation,
    CreateProject,
    CreateSdkKey,
    CreateSegment,
    CreateService,
    CreateServiceToken,
    CreateUser,
    DefineSegment,
    DeleteEnvironment,
    DeleteFlag,
    DeleteSegment,
    DisconnectIdentity,
    DraftChanges,
    EditEnvironment,
    EditFlag,
    EditProject,
    EditRequest,
    EditSegment,
    EditUser,
    EndLease,
    EraseUser,
    ExtendLease,
    FailSignIn,
    GrantLease,
    HoldLease,
    HoldRamp,
    KeepLease,
    OpenRequest,
    PauseRamp,
    RebaseRequest,
    RemoveFactor,
    RemoveMember,
    RemoveRampTemplate,
    RemoveService,
    RemoveTeam,
    ResetFactors,
    RestoreFlag,
    ResumeRamp,
    ReviewBypass,
    ReviewRequest,
    RevokeApiToken,
    RevokeInvitation,
    RevokeSdkKey,
    RevokeServiceToken,
    RevokeSessions,
    RollBackRamp,
    SetMember,
    SetPolicy,
    SetRampTemplate,
    SetTeam,
    SettleRequest,
    SignIn,
    SignOut,
    SkipRampStep,
    StartRamp,
    StopRamp,
    SubmitRequest,
    SwitchFlag,
    UndoVerdict,
    UseInvitation,
    WarnOfExpiry,
    WithdrawRequest,
    submit,
)
from flags.models import Invitation, Project, User
from tests.cast import OPERATOR, make_accounts, make_shop

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
    SetMember(
        **SHOP,
        username="editor",
        role="editor",
        environments={"staging": "reviewer", "production": "viewer"},
    ),
    CreateService(**SHOP, name="deployer", role="editor", environments={"production": "viewer"}),
    CreateServiceToken(
        **SHOP, service="deployer", public_id="fst_8", hash="8" * 64, scopes=["read", "propose"]
    ),
]

SWITCH = SwitchFlag(**STAGING, flag="checkout", on=True).as_json()
DESCRIBE = EditFlag(**SHOP, flag="colour", description="Of the button").as_json()
RENAME = EditFlag(**SHOP, flag="colour", name="Button colour").as_json()

# Request 1 is in review with a verdict, 2 is a draft, 3 was applied past its approvals.
REQUESTS: list[tuple[str | None, Change]] = [
    (None, SetTeam(**SHOP, key="sre", members=["editor"])),
    (None, OpenRequest(**SHOP, changes=[SWITCH])),
    ("reviewer", ReviewRequest(**SHOP, request=1, verdict="changes_requested")),
    ("reviewer", UndoVerdict(**SHOP, request=1)),
    ("reviewer", ReviewRequest(**SHOP, request=1, verdict="approved")),
    (None, OpenRequest(**SHOP, changes=[SWITCH], submit=False)),
    (None, OpenRequest(**SHOP, changes=[DESCRIBE])),
    (None, ApplyRequest(**SHOP, request=3, bypass_reason="It was urgent")),
    # What request 4 would do is being done by somebody else, in another way.
    (None, OpenRequest(**SHOP, changes=[RENAME])),
    (None, EditFlag(**SHOP, flag="colour", name="Colour of the button")),
    # Request 5 has no verdict at all.
    (None, OpenRequest(**SHOP, changes=[SWITCH])),
]

# What the viewer is signed in with and at: rows of allauth's, which no change makes.
SESSION = 4_711
INVITATION = "4b5e9d2c-7a61-4f0e-9c83-1d2f6a7b8c90"
PRODUCTION: dict[str, Any] = {**SHOP, "environment": "production"}
DAY = {"hold": {"seconds": 24 * 60 * 60}}
APPROVAL = {"hold": {"approval": True}}
LEND = SwitchFlag(**PRODUCTION, flag="offer", on=True).as_json()

# Begun two days ago: ramp 1 has a step that is due, 2 waits for approval, 3 is paused, 4 is held;
# lease 1 is past its end.
RELEASES: list[Change] = [
    *(CreateFlag(**SHOP, key=key) for key in ("banner", "search", "cart", "menu", "offer")),
    SetRampTemplate(**SHOP, key="careful", steps=[{"share": 1_000, **APPROVAL}, {"share": 50_000}]),
    StartRamp(
        **PRODUCTION,
        flag="banner",
        variation="on",
        steps=[{"share": 1_000, **DAY}, {"share": 25_000, **APPROVAL}, {"share": 100_000}],
    ),
    StartRamp(**PRODUCTION, flag="search", variation="on", template="careful"),
    StartRamp(**PRODUCTION, flag="cart", variation="on"),
    StartRamp(**PRODUCTION, flag="menu", variation="on"),
    GrantLease(**SHOP, changes=[LEND], seconds=3_600),
]
ON_RAMPS: list[Change] = [
    PauseRamp(**SHOP, ramp=3),
    HoldRamp(**SHOP, ramp=4, why="Somebody changed it"),
]

LATER = timezone.now().replace(microsecond=0) + timedelta(days=30)

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
    WarnOfExpiry(public_id="fst_1", days=14),
    CreateService(**SHOP, name="importer", role="viewer"),
    RemoveService(**SHOP, name="deployer"),
    CreateServiceToken(
        **SHOP,
        service="deployer",
        public_id="fst_9",
        hash="9" * 64,
        scopes=["apply", "review"],
        name="Pipeline",
    ),
    RevokeServiceToken(**SHOP, public_id="fst_8"),
    SetMember(**SHOP, username="deployer@shop", role="viewer", environments={}),
    SetMember(**SHOP, username="viewer", role="editor"),
    SetMember(**SHOP, username="outsider", role="viewer"),
    SetMember(
        **SHOP,
        username="editor",
        role="reviewer",
        environments={"staging": "viewer", "development": "admin"},
    ),
    RemoveMember(**SHOP, username="viewer"),
    RemoveMember(**SHOP, username="editor"),
    CreateUser(username="newcomer"),
    ChooseMails(username="editor", each=False),
    EditUser(username="viewer", is_active=False),
    SetTeam(**SHOP, key="sre", name="Reliability", members=["admin", "editor"]),
    SetTeam(**SHOP, key="payments", members=[]),
    RemoveTeam(**SHOP, key="sre"),
    SetPolicy(**STAGING, approvals=2, conditions=[{"kind": "rollout_grows", "points": 20}]),
    OpenRequest(**SHOP, changes=[SWITCH, DESCRIBE], title="Checkout for everybody"),
    DraftChanges(**STAGING, changes=[SWITCH]),
    EditRequest(**SHOP, request=1, title="Another title", changes=[SWITCH, DESCRIBE], armed=True),
    SubmitRequest(**SHOP, request=2),
    ReviewRequest(**SHOP, request=1, verdict="approved"),
    UndoVerdict(**SHOP, request=1),
    RebaseRequest(**SHOP, request=4, subject="flag:colour", choice="mine"),
    CommentOnRequest(**SHOP, request=1, body="Why now?", line="flag:checkout@staging enabled"),
    WithdrawRequest(**SHOP, request=1),
    CloseRequest(**SHOP, request=1, state="expired", why="Nobody answered for 30 days"),
    ApplyRequest(**SHOP, request=5),
    SettleRequest(**SHOP, request=4),
    ReviewBypass(**SHOP, request=3),
    SignIn(username="viewer", by=["password", "totp"]),
    FailSignIn(username=None, by="password"),
    SignOut(username="viewer"),
    ChangePassword(username="viewer", password_hash="argon2$…"),
    AddFactor(username="viewer", factor="totp"),
    RemoveFactor(username="viewer", factor="webauthn"),
    ResetFactors(username="viewer"),
    RevokeSessions(username="viewer", sessions=[SESSION]),
    SetRampTemplate(
        **SHOP, key="bold", name="Bold", steps=[{"share": 50_000, **DAY}, {"share": 100_000}]
    ),
    RemoveRampTemplate(**SHOP, key="careful"),
    StartRamp(**STAGING, flag="checkout", variation="on"),
    StartRamp(
        **STAGING,
        flag="colour",
        place="r1",
        variation="green",
        steps=[{"share": 10_000, **APPROVAL}, {"share": 20_000}],
    ),
    AdvanceRamp(**SHOP, ramp=1),
    ApproveRampStep(**SHOP, ramp=2),
    PauseRamp(**SHOP, ramp=1),
    ResumeRamp(**SHOP, ramp=3),
    ResumeRamp(**SHOP, ramp=4),
    SkipRampStep(**SHOP, ramp=1, step=0),
    RollBackRamp(**SHOP, ramp=2),
    StopRamp(**SHOP, ramp=4),
    HoldRamp(**SHOP, ramp=1, why="Somebody changed it"),
    GrantLease(**SHOP, changes=[SWITCH], seconds=3_600),
    EndLease(**SHOP, lease=1),
    ExtendLease(**SHOP, lease=1, ends_at=LATER),
    KeepLease(**SHOP, lease=1),
    HoldLease(**SHOP, lease=1, why="Somebody changed it"),
    AskPasswordReset(username="viewer"),
    CreateInvitation(**SHOP, email="newcomer@example.org", role="editor", mailed=True),
    RevokeInvitation(**SHOP, invitation=INVITATION),
    UseInvitation(**SHOP, invitation=INVITATION),
    ConnectIdentity(username="viewer", provider="3f2a", uid="other"),
    DisconnectIdentity(username="viewer", identity=SESSION),
    EraseUser(username="viewer"),
    ArchiveEvents(stream="site", last=1, file="site-1-1.jsonl.gz", file_sha256="0" * 64),
]
PERSONAL = {
    "request.drafted": "editor",
    "request.reviewed": "reviewer",
    "request.verdict_undone": "reviewer",
    "request.commented": "viewer",
    "request.bypass_reviewed": "reviewer",
    "ramp.approved": "reviewer",
}


def actor_of(change: Change) -> Actor:
    """Who makes the example: the operator, or a person where only a person can."""
    name = PERSONAL.get(change.kind)
    return User.objects.get(username=name).as_actor() if name else OPERATOR


def name_of(change: Change) -> str:
    return f"{change.kind}-{EXAMPLES.index(change)}"


every_example = pytest.mark.parametrize("change", EXAMPLES, ids=name_of)


@pytest.fixture(scope="module")
def built(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The world, built once for a module: each test changes it inside a savepoint of its own."""
    with django_db_blocker.unblock(), transaction.atomic():
        make_accounts()
        make_shop()
        submit(*WORLD, actor=OPERATOR)
        submit(
            CreateApiToken(
                username="editor", public_id="fst_1", hash="d" * 64, scopes=["propose", "apply"]
            ),
            actor=OPERATOR,
        )
        begun = timezone.now() - timedelta(days=2)
        submit(*RELEASES[:6], actor=OPERATOR, now=begun)
        for change in (*RELEASES[6:], *ON_RAMPS):
            submit(change, actor=OPERATOR, now=begun)
        for who, change in REQUESTS:
            submit(change, actor=User.objects.get(username=who).as_actor() if who else OPERATOR)
        viewer = User.objects.get(username="viewer")
        UserSession.objects.create(pk=SESSION, user=viewer, session_key="k", ip="192.0.2.1")
        now = timezone.now()
        Invitation.objects.create(
            pk=INVITATION, project=Project.objects.get(key="shop"), email="x@example.org",
            role="viewer", is_mailed=True, created_at=now, expires_at=now + timedelta(days=7),
        )  # fmt: skip
        SocialAccount.objects.create(pk=SESSION, user=viewer, provider="3f2a", uid="viewer")
        Authenticator.objects.create(user=viewer, type=Authenticator.Type.TOTP, data={})
        # Everything so far was delivered.
        OutboxEntry.objects.all().delete()
        yield
        transaction.set_rollback(True)


@pytest.fixture
def users(built: None, db: None) -> dict[str, User]:
    return {user.username: user for user in User.objects.all()}


@pytest.fixture
def world(built: None, db: None) -> Project:
    return Project.objects.get(key="shop")

"""Two people change one flag: what commutes goes on by itself, what does not has four ways out."""

from typing import Any

import pytest

from flags.changes import (
    ApplyRequest,
    ArchiveFlag,
    ConfigureFlag,
    CreateSegment,
    DefineSegment,
    DeleteFlag,
    DraftChanges,
    EditEnvironment,
    EditFlag,
    GrantLease,
    OpenRequest,
    RebaseRequest,
    ReviewRequest,
    SetMember,
    SettleRequest,
    StartRamp,
    SubmitRequest,
    SwitchFlag,
    submit,
)
from flags.errors import Conflicting, Denied, Invalid, NotFound, StaleChange, WrongState
from flags.models import Environment, FlagConfiguration, Request
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db

SHOP: dict[str, Any] = {"project": "shop"}
STAGING: dict[str, Any] = {**SHOP, "environment": "staging"}
PRODUCTION: dict[str, Any] = {**SHOP, "environment": "production"}


def a_rule(name: str, serve: str = "on", country: str = "DE") -> dict[str, Any]:
    when = {"attribute": "country", "op": "in", "values": [country]}
    return {"id": name, "name": name, "when": when, "serve": {"variation": serve}}


FIRST, SECOND = a_rule("first"), a_rule("second")
MINE, THEIRS = a_rule("mine"), a_rule("theirs")


@pytest.fixture
def guarded(project, a_flag):
    a_flag("checkout", rules=[FIRST, SECOND])
    a_flag("search")
    submit(CreateSegment(**SHOP, key="beta"), actor=OPERATOR)
    guard = EditEnvironment(**PRODUCTION, requires_approval=True)
    submit(guard, actor=OPERATOR)


def rules(*rows: dict[str, Any], flag: str = "checkout") -> ConfigureFlag:
    return ConfigureFlag(**PRODUCTION, flag=flag, rules=list(rows))


def asked(actor, *changes) -> Request:
    opened = OpenRequest(**SHOP, changes=[change.as_json() for change in changes])
    return Request.objects.get(number=submit(opened, actor=actor).request)


def done_by_others(*changes) -> None:
    """Somebody else's request goes all the way."""
    opened = OpenRequest(**SHOP, changes=[change.as_json() for change in changes])
    number = submit(opened, actor=OPERATOR).request
    submit(ApplyRequest(**SHOP, request=number, bypass_reason="theirs"), actor=OPERATOR)
    for row in Request.objects.exclude(number=number).filter(state__in=["in_review", "approved"]):
        submit(SettleRequest(**SHOP, request=row.number), actor=OPERATOR)


def chosen(choice: str, actor, subject: str = "flag:checkout", request: int = 1) -> Request:
    change = RebaseRequest(**SHOP, request=request, subject=subject, choice=choice)
    submit(change, actor=actor)
    return Request.objects.get(number=request)


def served_rules(request: Request) -> list[str]:
    """The rules of checkout once the request is applied."""
    submit(
        ApplyRequest(**SHOP, request=request.number, bypass_reason="to look at it"),
        actor=OPERATOR,
    )
    found = FlagConfiguration.objects.get(flag__key="checkout", environment__key="production")
    return [f"{rule['id']}:{rule['serve']['variation']}" for rule in found.rules]


def in_conflict(editor, mine: ConfigureFlag, theirs: ConfigureFlag) -> Request:
    request = asked(editor, mine)
    done_by_others(theirs)
    request.refresh_from_db()
    assert request.state == "conflicted"
    return request


def test_what_commutes_is_no_conflict_and_asks_again(guarded, editor, reviewer):
    request = asked(editor, rules(FIRST))
    submit(ReviewRequest(**SHOP, request=1, verdict="approved"), actor=reviewer)

    done_by_others(ConfigureFlag(**PRODUCTION, flag="checkout", enabled=True))

    request.refresh_from_db()
    assert request.state == "in_review"
    assert served_rules(request) == ["first:on"]


def test_what_moved_elsewhere_keeps_the_verdict(guarded, editor, reviewer):
    request = asked(editor, rules(FIRST))
    submit(ReviewRequest(**SHOP, request=1, verdict="approved"), actor=reviewer)

    done_by_others(SwitchFlag(**PRODUCTION, flag="search", on=True))

    request.refresh_from_db()
    assert request.state == "approved"


@pytest.mark.parametrize(
    ("choice", "rules_left"),
    [
        ("merge", ["first:on", "second:on", "theirs:on", "mine:on"]),
        ("theirs", ["first:on", "second:on", "theirs:on", "mine:on"]),
        ("mine", ["first:on", "second:on", "mine:on"]),
    ],
)
def test_rules_that_both_added_are_brought_together_or_mine_stay(
    guarded, editor, choice, rules_left
):
    in_conflict(editor, rules(FIRST, SECOND, MINE), rules(FIRST, SECOND, THEIRS))

    request = chosen(choice, editor)

    assert request.state == "in_review"
    assert served_rules(request) == rules_left


def test_a_merge_keeps_edits_of_two_rules_and_an_order(guarded, editor):
    in_conflict(
        editor,
        rules(SECOND, FIRST),
        rules(FIRST | {"serve": {"variation": "off"}}, SECOND),
    )

    assert served_rules(chosen("merge", editor)) == ["second:on", "first:off"]


def test_a_merge_of_the_same_piece_is_refused_and_names_it(guarded, editor):
    in_conflict(
        editor,
        rules(FIRST, a_rule("second", country="FR"), MINE),
        rules(FIRST, a_rule("second", country="AT")),
    )

    with pytest.raises(Conflicting, match="rules second: when of flag checkout"):
        chosen("merge", editor)

    request = chosen("theirs", editor)
    found = {rule["id"]: rule for rule in request.changes[0]["rules"]}
    assert found.keys() == {"first", "second", "mine"}
    assert found["second"]["when"]["values"] == ["AT"]


def test_a_rule_that_one_removed_and_one_edited_is_theirs_to_decide(guarded, editor):
    in_conflict(editor, rules(FIRST, a_rule("second", "off"), MINE), rules(FIRST))

    with pytest.raises(Conflicting, match="rules second"):
        chosen("merge", editor)

    assert served_rules(chosen("theirs", editor)) == ["first:on", "mine:on"]


def test_theirs_where_nothing_of_mine_is_left_says_so(guarded, editor):
    in_conflict(
        editor,
        ConfigureFlag(**PRODUCTION, flag="checkout", fallthrough={"variation": "off"}),
        ConfigureFlag(
            **PRODUCTION,
            flag="checkout",
            fallthrough={"split": {"salt": "s", "shares": [["on", 50_000], ["off", 50_000]]}},
        ),
    )

    with pytest.raises(Invalid, match="withdraw it instead"):
        chosen("theirs", editor)


def test_a_flag_is_dropped_and_the_rest_stays(guarded, editor):
    asked(editor, rules(MINE), SwitchFlag(**PRODUCTION, flag="search", on=True))
    done_by_others(rules(THEIRS))

    request = chosen("drop", editor)

    assert request.state == "in_review"
    assert [row["kind"] for row in request.changes] == ["flag.switched"]
    with pytest.raises(Invalid, match="withdraw"):
        chosen("drop", editor, "flag:search")


def test_a_flag_that_is_gone_can_be_dropped(guarded, editor):
    asked(editor, rules(MINE), SwitchFlag(**PRODUCTION, flag="search", on=True))
    opened = OpenRequest(**SHOP, changes=[ArchiveFlag(**SHOP, flag="checkout").as_json()])
    number = submit(opened, actor=OPERATOR).request
    submit(ApplyRequest(**SHOP, request=number, bypass_reason="theirs"), actor=OPERATOR)
    submit(DeleteFlag(**SHOP, flag="checkout"), actor=OPERATOR)

    request = chosen("drop", editor)

    assert (request.state, request.environments) == ("in_review", ["production"])


def test_one_conflict_settled_leaves_the_other(guarded, editor):
    asked(editor, rules(MINE), rules(MINE, flag="search"))
    done_by_others(rules(THEIRS), rules(THEIRS, flag="search"))

    request = chosen("mine", editor)
    assert (request.state, "search" in request.outcome) == ("conflicted", True)

    assert chosen("merge", editor, "flag:search").state == "in_review"


def test_asking_again_settles_no_conflict(guarded, editor):
    in_conflict(editor, rules(MINE), rules(THEIRS))

    submit(SubmitRequest(**SHOP, request=1), actor=editor)

    assert Request.objects.get(number=1).state == "conflicted"


def test_a_segments_condition_is_taken_whole(guarded, editor):
    when = {"attribute": "plan", "op": "in", "values": ["pro"]}
    asked(
        editor,
        DefineSegment(**PRODUCTION, segment="beta", when=when),
        SwitchFlag(**PRODUCTION, flag="search", on=True),
    )
    done_by_others(
        DefineSegment(**PRODUCTION, segment="beta", when={"attribute": "a", "op": "exists"})
    )

    with pytest.raises(Conflicting, match="when of segment beta"):
        chosen("merge", editor, "segment:beta")

    request = chosen("theirs", editor, "segment:beta")
    assert (request.state, [row["subject"] for row in request.seen]) == (
        "in_review", ["flag:search"],
    )  # fmt: skip


def test_a_second_change_of_the_same_flag_is_in_conflict_too(guarded, editor):
    asked(
        editor,
        SwitchFlag(**PRODUCTION, flag="checkout", on=True),
        ConfigureFlag(**PRODUCTION, flag="checkout", fallthrough={"variation": "off"}),
    )
    request = Request.objects.get(number=1)

    done_by_others(rules(THEIRS))
    request.refresh_from_db()
    assert request.state == "in_review"

    split = {"split": {"salt": "s", "shares": [["on", 50_000], ["off", 50_000]]}}
    done_by_others(ConfigureFlag(**PRODUCTION, flag="checkout", fallthrough=split))
    request.refresh_from_db()
    assert request.state == "conflicted"


def test_what_a_form_gave_back_unaltered_overwrites_nobody(guarded, editor):
    edit = EditFlag(**SHOP, flag="search", name="search", description="New", client_visible=True)
    asked(editor, edit)

    submit(EditFlag(**SHOP, flag="search", name="Find"), actor=OPERATOR)

    changes = Request.objects.get(number=1).changes
    assert "name" not in changes[0]


def test_who_settles_it_has_contributed_and_needs_the_right(guarded, editor, admin, viewer):
    in_conflict(editor, rules(MINE), rules(THEIRS))

    with pytest.raises(Denied):
        chosen("mine", viewer)
    request = chosen("mine", admin)

    assert [person.username for person in request.contributors.all()] == ["admin"]


def test_what_is_in_no_conflict_is_settled_by_nobody(guarded, editor):
    asked(editor, rules(MINE))

    with pytest.raises(WrongState, match="nothing of flag:checkout is in conflict"):
        chosen("mine", editor)
    with pytest.raises(NotFound):
        chosen("drop", editor, "flag:search")


def test_a_choice_made_over_somebody_elses_edit_is_stale(guarded, editor):
    in_conflict(editor, rules(MINE), rules(THEIRS))
    chosen("mine", editor)

    change = RebaseRequest(
        **SHOP, request=1, subject="flag:checkout", choice="drop", expected_revision=1
    )
    with pytest.raises(StaleChange):
        submit(change, actor=editor)


def drafted(editor, *changes, environment: str = "production") -> Request:
    rows = [change.as_json() for change in changes]
    submit(DraftChanges(**SHOP, environment=environment, changes=rows), actor=editor)
    return Request.objects.get(state="draft")


def test_a_draft_collects_two_edits_of_one_flag_that_were_made_in_sight_of_neither(guarded, editor):
    version = FlagConfiguration.objects.get(
        flag__key="checkout", environment__key="production"
    ).version
    seen: dict[str, Any] = {**PRODUCTION, "flag": "checkout", "expected_version": version}

    drafted(editor, ConfigureFlag(**seen, rules=[FIRST, SECOND, MINE]))
    draft = drafted(editor, ConfigureFlag(**seen, rules=[FIRST, a_rule("second", "off")]))

    assert served_rules(draft) == ["first:on", "second:off", "mine:on"]


def test_a_draft_that_was_overtaken_is_not_forgiven_by_a_later_change(guarded, editor):
    drafted(editor, rules(MINE))
    done_by_others(rules(THEIRS))

    draft = drafted(editor, SwitchFlag(**PRODUCTION, flag="checkout", on=True))
    submit(SubmitRequest(**SHOP, request=draft.number), actor=editor)

    draft.refresh_from_db()
    assert draft.state == "conflicted"


def test_a_draft_may_hold_what_touches_other_environments(guarded, editor):
    drafted(editor, SwitchFlag(**PRODUCTION, flag="checkout", on=True))
    everywhere = EditFlag(
        **SHOP,
        flag="search",
        variations=[{"key": "on", "value": True, "name": "Yes"}, {"key": "off", "value": False}],
    )

    draft = drafted(editor, everywhere)
    draft = drafted(editor, SwitchFlag(**PRODUCTION, flag="search", on=True))

    assert len(draft.changes) == 3


# What holds others, and what is made as a whole

OURS = ConfigureFlag(**PRODUCTION, flag="checkout", rules=[FIRST, SECOND, MINE])
SEARCH = ConfigureFlag(**PRODUCTION, flag="search", fallthrough={"variation": "off"})
RAMP = StartRamp(**PRODUCTION, flag="checkout", variation="on", base="off")


def lent(*changes) -> GrantLease:
    return GrantLease(**SHOP, changes=[row.as_json() for row in changes], seconds=3_600)


def theirs(change) -> None:
    """Made by somebody else while production asks for nothing."""
    Environment.objects.filter(key="production").update(requires_approval=False)
    submit(change, actor=OPERATOR)
    Environment.objects.filter(key="production").update(requires_approval=True)


def settle(choice, actor, subject="flag:checkout"):
    submit(RebaseRequest(**SHOP, request=1, subject=subject, choice=choice), actor=actor)
    return Request.objects.get(number=1)


def kinds_in(request):
    return [
        [part["kind"], part.get("flag"), len(part.get("rules") or [])]
        for row in request.changes
        for part in row.get("changes", [row])
    ]


@pytest.mark.parametrize(
    ("rows", "choice", "is_there"),
    [
        ([FIRST, SECOND, THEIRS], "merge", ["first", "second", "theirs", "mine"]),
        ([FIRST, SECOND, THEIRS], "mine", ["first", "second", "mine"]),
        ([FIRST, SECOND, {**MINE, "name": "other"}], "theirs", None),
        ([FIRST, SECOND, THEIRS], "drop", None),
    ],
)
def test_what_a_lease_holds_is_settled_as_it_would_be_without(
    guarded, editor, reviewer, rows, choice, is_there
):
    asked(editor, lent(OURS, SEARCH))
    theirs(rules(*rows))

    request = settle(choice, editor)

    assert request.state == "in_review"
    submit(ReviewRequest(**SHOP, request=1, verdict="approved"), actor=reviewer)
    submit(ApplyRequest(**SHOP, request=1), actor=editor)
    checkout, search = FlagConfiguration.objects.filter(environment__key="production").order_by(
        "flag__key"
    )
    assert [row["id"] for row in checkout.rules] == (is_there or [row["id"] for row in rows])
    assert search.fallthrough == {"variation": "off"}
    assert ("checkout" in [flag for _, flag, _ in kinds_in(request)]) == (is_there is not None)


def test_a_lease_of_nothing_more_is_left_out_and_the_rest_stays(guarded, editor):
    asked(editor, lent(OURS), SEARCH)
    theirs(rules(FIRST, SECOND, {**MINE, "name": "other"}))

    assert kinds_in(settle("theirs", editor)) == [["flag.configured", "search", 0]]


def test_a_lease_of_nothing_else_is_not_dropped_but_withdrawn(guarded, editor):
    asked(editor, lent(OURS))

    with pytest.raises(Invalid, match="withdraw it"):
        settle("drop", editor)


@pytest.mark.parametrize("choice", ["theirs", "merge"])
@pytest.mark.parametrize("change", [RAMP, ArchiveFlag(**SHOP, flag="checkout")], ids=["ramp", "archived"])  # fmt: skip
def test_of_what_is_made_as_a_whole_nothing_is_left_to_them(guarded, editor, change, choice):
    asked(editor, change, SEARCH)
    by = {"split": {"by": "plan", "salt": "s", "shares": [["on", 500], ["off", 99_500]]}}
    theirs(ConfigureFlag(**PRODUCTION, flag="checkout", fallthrough=by))
    before = Request.objects.get(number=1).changes

    with pytest.raises(Conflicting, match="choose yours, or leave it out"):
        settle(choice, editor)

    assert Request.objects.get(number=1).changes == before
    assert settle("mine", editor).state == "in_review"
    assert kinds_in(settle("drop", editor)) == [["flag.configured", "search", 0]]


def test_a_member_is_left_out_by_the_name_that_events_have(guarded, admin):
    promotion = SetMember(**SHOP, username="viewer", role="editor")
    request = asked(admin, promotion, SEARCH)
    (subject,) = [row["subject"] for row in request.seen if row["subject"].startswith("member")]

    assert kinds_in(settle("drop", admin, subject)) == [["flag.configured", "search", 0]]

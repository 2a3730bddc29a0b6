"""flagd's flag files: what they say is what is served."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from audit.models import Event
from flagengine import Ruleset
from flags.changes import ArchiveFlag, submit
from flags.models import Environment, Flag, FlagConfiguration
from flags.snapshots import ruleset_document
from flags.transfer.flagd import read_document
from tests.cast import OPERATOR

pytestmark = pytest.mark.django_db
SAMPLE = Path("examples/opentelemetry-demo/demo.flagd.json")


@pytest.fixture
def load(project, tmp_path):
    """Loads a document (or a file) into production and gives what the command said."""

    def run(document):
        file = document
        if not isinstance(document, Path):
            file = tmp_path / "flags.json"
            text = document if isinstance(document, str) else json.dumps(document)
            file.write_text(text, encoding="utf-8")
        err = StringIO()
        call_command(
            "load_flagd", str(file), "--project", "shop", "--environment", "production", stderr=err
        )
        return err.getvalue()

    return run


@pytest.fixture
def evaluate(project):
    """Evaluates a flag of production: `evaluate("key", country="DE")`."""

    def run(key, **attributes):
        document = ruleset_document(Environment.objects.get(project=project, key="production"))
        ruleset = Ruleset.compile(document, clock=lambda: 1_000_000.5)
        return ruleset.evaluate(key, {"targetingKey": "user-1", **attributes})

    return run


def a_flagd_flag(targeting=None, **members):
    flag = {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": "off",
        "targeting": targeting,
        **members,
    }
    return {"flags": {"x": flag}}


def test_the_flags_of_a_real_system_answer_as_their_file_says(load, evaluate):
    said = load(SAMPLE)

    assert "15 created, 0 changed, 0 unchanged, 0 left out" in said
    for key, flag in json.loads(SAMPLE.read_text())["flags"].items():
        result = evaluate(key, product_id="OLJCESPC7Z")
        expected = flag["variants"][flag["defaultVariant"]]
        assert (result.value, result.variation) == (expected, flag["defaultVariant"])
        assert isinstance(result.value, bool) == isinstance(expected, bool)


def test_numbers_with_a_fraction_among_them_are_floats(load):
    load(SAMPLE)

    assert Flag.objects.get(key="cartFailure").type == "float"
    assert Flag.objects.get(key="emailMemoryLeak").type == "integer"


def test_all_flags_come_in_one_submit(load):
    before = Event.objects.count()

    load(SAMPLE)

    loaded = Event.objects.order_by("-at")[: Event.objects.count() - before]
    assert len({event.submission for event in loaded}) == 1
    assert len(loaded) == 4  # three environments, and the project


def test_a_second_run_changes_nothing(load):
    load(SAMPLE)
    load(a_flagd_flag({"if": [{"in": [{"var": "country"}, ["DE", "FR"]]}, "on"]}))
    before = Event.objects.count()

    said = load(SAMPLE)
    said_again = load(a_flagd_flag({"if": [{"in": [{"var": "country"}, ["DE", "FR"]]}, "on"]}))

    assert "0 created, 0 changed, 15 unchanged, 0 left out" in said
    assert "0 created, 0 changed, 1 unchanged, 0 left out" in said_again
    assert Event.objects.count() == before


def test_a_file_that_changed_is_followed(load, evaluate):
    load(a_flagd_flag(variants={"on": True, "off": False}))

    said = load(a_flagd_flag(variants={"yes": True, "no": False}, defaultVariant="yes"))

    assert "0 created, 1 changed" in said
    assert evaluate("x").variation == "yes"
    # "off" is what the other environments still serve.
    assert [v["key"] for v in Flag.objects.get(key="x").variations] == ["yes", "no", "off"]


def test_only_the_named_environment_is_switched_on(load):
    load(SAMPLE)

    enabled = FlagConfiguration.objects.filter(enabled=True)
    assert {row.environment.key for row in enabled.select_related("environment")} == {"production"}


def test_a_disabled_flag_leaves_the_app_to_its_default(load, evaluate):
    load(a_flagd_flag(state="DISABLED"))

    assert (evaluate("x").value, evaluate("x").reason) == (None, "DISABLED")


def test_a_null_default_leaves_the_app_to_its_default(load, evaluate):
    load(a_flagd_flag(defaultVariant=None))

    assert (evaluate("x").value, evaluate("x").variation) == (None, None)


COUNTRY = {"var": "country"}
VERSION = {"var": "version"}


@pytest.mark.parametrize(
    ("targeting", "on", "off"),
    [
        ({"if": [{"==": [COUNTRY, "DE"]}, "on"]}, [{"country": "DE"}], [{"country": "FR"}, {}]),
        ({"if": [{"==": ["DE", COUNTRY]}, "on"]}, [{"country": "DE"}], [{"country": "de"}]),
        ({"if": [{"===": [{"var": ["age"]}, 5]}, "on"]}, [{"age": 5}], [{"age": "5"}, {}]),
        ({"if": [{"===": [{"var": "beta"}, True]}, "on"]}, [{"beta": True}], [{"beta": 1}, {}]),
        (
            {"if": [{"!=": [COUNTRY, "DE"]}, "on", "off"]},
            [{"country": "FR"}, {}],
            [{"country": "DE"}],
        ),
        (
            {"if": [{"in": [COUNTRY, ["DE", "FR"]]}, "on"]},
            [{"country": "FR"}],
            [{"country": "D"}, {}],
        ),
        (
            {"if": [{"starts_with": [COUNTRY, "D"]}, "on"]},
            [{"country": "DE"}],
            [{"country": 1}, {}],
        ),
        ({"if": [{"ends_with": [COUNTRY, "E"]}, "on"]}, [{"country": "DE"}], [{"country": "ED"}]),
        ({"if": [{"!": [{"==": [COUNTRY, "DE"]}]}, "on"]}, [{}], [{"country": "DE"}]),
        (
            {"if": [{"and": [{"==": [COUNTRY, "DE"]}, {"in": [VERSION, ["a"]]}]}, "on"]},
            [{"country": "DE", "version": "a"}],
            [{"country": "DE"}, {"version": "a"}],
        ),
        (
            {"if": [{"or": [{"==": [COUNTRY, "DE"]}, {"==": [COUNTRY, "FR"]}]}, "on"]},
            [{"country": "DE"}, {"country": "FR"}],
            [{}],
        ),
        (
            {"if": [{"==": [COUNTRY, "DE"]}, "off", {"==": [COUNTRY, "FR"]}, "on", "off"]},
            [{"country": "FR"}],
            [{"country": "DE"}, {}],
        ),
        (
            {"if": [{"==": [COUNTRY, "DE"]}, {"if": [{"==": [VERSION, "a"]}, "on", "off"]}, "on"]},
            [{"country": "DE", "version": "a"}, {"version": "b"}],
            [{"country": "DE", "version": "b"}],
        ),
        (
            {"if": [{"sem_ver": [VERSION, "^", "1.2.3"]}, "on"]},
            [{"version": "1.9.0"}],
            [{"version": "2.0.0-rc.1"}],
        ),
        (
            {"if": [{"sem_ver": [VERSION, "~", "1.2.3"]}, "on"]},
            [{"version": "1.2.0"}],
            [{"version": "1.3.0"}],
        ),
        (
            {"if": [{"sem_ver": [VERSION, "!=", "1.2.3"]}, "on"]},
            [{"version": "1.2.4"}],
            [{"version": "none"}, {}],
        ),
        (
            {"if": [{"sem_ver": [VERSION, ">=", "1.2.3"]}, "on"]},
            [{"version": "1.2.3"}],
            [{"version": "1.2.2"}],
        ),
        ({"if": [{"==": [{"var": "$flagd.flagKey"}, "x"]}, "on"]}, [{}], []),
        ({"if": [{">=": [{"var": "$flagd.timestamp"}, 1_000_000]}, "on"]}, [{}], []),
        ({"if": [{">": [{"var": "$flagd.timestamp"}, 1_000_000]}, "on"]}, [], [{}]),
        ({"if": [{">": [1_000_001, {"var": "$flagd.timestamp"}]}, "on"]}, [{}], []),
        ({"if": [{"<=": [{"var": "$flagd.timestamp"}, 1_000_000]}, "on"]}, [{}], []),
        ({"if": [True, "on", "off"]}, [{}], []),
        ("on", [{}], []),
        ({}, [], [{}]),
        ({"if": [{"==": [COUNTRY, "DE"]}, None, "on"]}, [{}], [{"country": "DE"}]),
    ],
)
def test_targeting_that_means_the_same_becomes_rules(load, evaluate, targeting, on, off):
    said = load(a_flagd_flag(targeting))

    assert "1 created" in said
    assert [evaluate("x", **context).value for context in on] == [True] * len(on)
    assert [evaluate("x", **context).value for context in off] == [False] * len(off)


def test_a_boolean_outcome_names_a_variant_of_that_name(load, evaluate):
    targeting = {"===": [COUNTRY, "DE"]}
    load(
        a_flagd_flag(
            {"if": [targeting, True, False]},
            variants={"true": "yes", "false": "no"},
            defaultVariant="false",
        )
    )

    assert evaluate("x", country="DE").value == "yes"
    assert evaluate("x").value == "no"


def test_an_evaluator_that_is_referred_to_is_read_in_its_place(load, evaluate):
    document = a_flagd_flag({"if": [{"$ref": "german"}, "on"]})
    document["$evaluators"] = {"german": {"==": [COUNTRY, "DE"]}}

    load(document)

    assert evaluate("x", country="DE").value is True


@pytest.mark.parametrize(
    ("targeting", "why"),
    [
        ({"fractional": [["on", 50], ["off", 50]]}, "buckets"),
        ({"if": [{"==": [{"var": "age"}, 5]}, "on"]}, "converts types"),
        ({"if": [{"==": [{"var": "age"}, "5"]}, "on"]}, "converts types"),
        ({"if": [{"==": [{"var": "age"}, ""]}, "on"]}, "converts types"),
        ({"if": [{"==": [{"var": "beta"}, True]}, "on"]}, "converts types"),
        ({"if": [{"<": [{"var": "age"}, 5]}, "on"]}, "missing as 0"),
        ({"if": [{"in": ["@x.com", {"var": "email"}]}, "on"]}, "element of a list"),
        ({"if": [{"var": "beta"}, "on"]}, "true or false in a way of their own"),
        ({"if": [{"==": [{"var": "company.plan"}, "pro"]}, "on"]}, "is a path"),
        ({"if": [{"==": [{"var": ["plan", "free"]}, "pro"]}, "on"]}, "more than name"),
        ({"if": [{"==": [{"var": "now"}, "pro"]}, "on"]}, "the clock"),
        ({"if": [{"$ref": "nowhere"}, "on"]}, "does not have"),
        ({"if": [{"$ref": "itself"}, "on"]}, "in a circle"),
        ({"if": [{"some": [1, 2]}, "on"]}, "no counterpart"),
        ({"if": [{"==": [COUNTRY, "DE"]}, "purple"]}, "no variant 'purple'"),
        ({"if": [{"sem_ver": [VERSION, ">", "1.x"]}, "on"]}, "a version such as"),
        ({"==": [1, 1], "!=": [1, 1]}, "one operator"),
    ],
)
def test_targeting_that_would_mean_something_else_is_left_out_by_name(load, targeting, why):
    document = a_flagd_flag(targeting)
    document["flags"]["y"] = a_flagd_flag()["flags"]["x"]
    document["$evaluators"] = {"itself": {"!": {"$ref": "itself"}}}

    said = load(document)

    assert "left out: x: " in said
    assert why in said
    assert list(Flag.objects.values_list("key", flat=True)) == ["y"]


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"variants": {"a": 1, "b": "two"}, "defaultVariant": "a"}, "several types"),
        ({"variants": {}}, "at least one variant"),
        ({"defaultVariant": "purple"}, "no variant 'purple'"),
        ({"state": "on"}, "expected ENABLED or DISABLED"),
        ({"variants": {"a": 2**60}, "defaultVariant": "a"}, "2^53"),
        (
            {"defaultVariant": None, "targeting": {"if": [{"==": [COUNTRY, "DE"]}, "on"]}},
            "its own default",
        ),
    ],
)
def test_a_flag_that_cannot_be_one_is_left_out_by_name(load, members, why):
    said = load(a_flagd_flag(**members))

    assert why in said
    assert "0 created, 0 changed, 0 unchanged, 1 left out" in said


def test_what_stands_against_one_flag_does_not_stop_the_others(load, a_flag):
    a_flag("x", type="string", variations=[{"key": "a", "value": "a"}])
    document = a_flagd_flag()
    document["flags"]["y"] = document["flags"]["x"]

    said = load(document)

    assert "left out: x: a flag of this key is here and is string" in said
    assert "1 created" in said


def test_a_variation_that_is_a_prerequisite_is_not_dropped(load, a_flag):
    load(a_flagd_flag())
    a_flag("y", prerequisites=[{"flag": "x", "variations": ["on"]}])

    said = load(a_flagd_flag(variants={"no": False}, defaultVariant="no"))

    assert "left out: x: variation on of flag x is required by y in production" in said


def test_an_archived_flag_stays_archived(load):
    load(a_flagd_flag())
    submit(ArchiveFlag(project="shop", flag="x"), actor=OPERATOR)

    assert "left out: x: a flag of this key is archived here" in load(a_flagd_flag())


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{", "line 1, column 2"),
        ("[]", "expected an object, got a list"),
        ("{}", "flags: expected an object of flags, got nothing"),
        ('{"flags": {"x": {}, "x": {}}}', "x: is there twice"),
        ('{"flags": {"x": NaN}}', "NaN is not JSON"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(load, document, said):
    with pytest.raises(CommandError) as refusal:
        load(document)

    assert said in str(refusal.value)


def test_a_missing_file_is_named(load, tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        load(tmp_path / "nowhere.json")


def test_reading_needs_no_database():
    assert [flag.key for flag in read_document(SAMPLE.read_text()).flags][:2] == [
        "adFailure",
        "adHighCpu",
    ]

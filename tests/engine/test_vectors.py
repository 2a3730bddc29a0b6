"""The shared test vectors, which every implementation of the contract must pass."""

import json
from pathlib import Path

import pytest

from flagengine import DeltaMismatch, Ruleset, bucket_of
from tests.engine import oracle

FOLDER = Path(__file__).parent.parent / "vectors"
FILES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
CLOCK = 1_700_000_000.0


def rows(part):
    return [
        pytest.param(file, row, id=f"{name}: {row['name']}".encode("ascii", "replace").decode())
        for name, file in FILES.items()
        for row in file.get(part, [])
    ]


def clock():
    return CLOCK


def kind(value):
    return json.dumps(value, sort_keys=True)


def assert_expected(result, expected):
    answer = result._asdict()
    assert {member: answer[member] for member in expected} == expected
    # 1 == True and 3 == 3.0 in Python; not in the contract.
    assert kind(answer["value"]) == kind(expected["value"])


def test_every_file_is_of_the_known_schema():
    assert len(FILES) >= 15
    assert {file["schema"] for file in FILES.values()} == {1}


@pytest.mark.parametrize(("file", "case"), rows("cases"))
def test_case(file, case):
    ruleset = Ruleset.compile(file["rulesets"][case["ruleset"]], clock=clock)

    result = ruleset.evaluate(case["flag"], case["context"], now=case.get("now"))

    assert_expected(result, case["expect"])
    assert ruleset.explain(case["flag"], case["context"], now=case.get("now")).result == result


@pytest.mark.parametrize(
    ("file", "case"), [row for row in rows("cases") if "broken_definitions" not in row.id]
)
def test_the_plain_reading_agrees_with_case(file, case):
    document = file["rulesets"][case["ruleset"]]

    expected = oracle.evaluate(document, case["flag"], case["context"], now=case.get("now", CLOCK))

    assert {member: expected[member] for member in case["expect"]} == case["expect"]


@pytest.mark.parametrize(("file", "row"), rows("deltas"))
def test_delta(file, row):
    ruleset = Ruleset.compile(file["rulesets"][row["ruleset"]], clock=clock)
    before = json.dumps(ruleset.document)

    if row.get("refused"):
        with pytest.raises(DeltaMismatch):
            ruleset.advance(row["delta"])
    else:
        advanced = ruleset.advance(row["delta"])
        fresh = Ruleset.compile(advanced.document, clock=clock)
        for case in row.get("cases", []):
            for one in (advanced, fresh):
                assert_expected(one.evaluate(case["flag"], case["context"]), case["expect"])
        assert advanced.state == f"{row['delta']['version']}-{row['delta']['digest']}"

    assert json.dumps(ruleset.document) == before


@pytest.mark.parametrize("row", FILES["bucketing"]["buckets"])
def test_bucket(row):
    assert bucket_of(row["salt"], row["text"]) == row["bucket"]
    assert oracle.bucket(row["salt"], row["text"]) == row["bucket"]


@pytest.mark.parametrize("row", FILES["bucketing"]["murmur3"])
def test_the_plain_hash_gives_the_published_values(row):
    assert oracle.murmur3_32(row["text"].encode()) == row["hash"]

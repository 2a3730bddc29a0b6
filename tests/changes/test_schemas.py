"""A flag's JSON Schema: enforced when variations are saved, and harmless whatever it says."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from flags.changes import CreateFlag, submit
from flags.changes.schemas import problems_by_schema
from flags.errors import Invalid

EVIL = "^(a+)+$"
LONG = "a" * 60 + "!"


def problems(schema, value):
    said = problems_by_schema([{"key": "a", "value": value}], "json", schema)
    return [str(problem) for problem in said]


@pytest.fixture
def elsewhere():
    """A server that counts who asks it for a schema."""
    asked = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"true")

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/schema.json", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_nothing_is_fetched_for_a_schema(elsewhere):
    address, asked = elsewhere

    assert problems({"$ref": address}, {}) == [
        f"json_schema: $ref: expected a part of this schema, got '{address}'"
    ]
    assert asked == []


def test_a_schema_refers_to_its_own_parts():
    schema = {"$ref": "#/$defs/limit", "$defs": {"limit": {"type": "integer", "maximum": 3}}}

    assert problems(schema, 2) == []
    assert problems(schema, 4) == ["variations[0].value: 4 is greater than the maximum of 3"]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": EVIL}, LONG),
        ({"patternProperties": {EVIL: False}}, {LONG: 1}),
        ({"patternProperties": {EVIL: True}, "additionalProperties": False}, {LONG: 1}),
        ({"patternProperties": {EVIL: True}, "unevaluatedProperties": False}, {LONG: 1}),
        ({"propertyNames": {"pattern": EVIL}}, {LONG: 1}),
    ],
    ids=lambda part: "+".join(part) if isinstance(part, dict) and LONG not in part else "",
)
@pytest.mark.timeout(20)
def test_no_expression_takes_exponential_time(schema, value):
    problems(schema, value)


@pytest.mark.timeout(20)
def test_no_chain_of_references_takes_exponential_time():
    twice = {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]}
        for n in range(40)
    }
    schema = {"$ref": "#/$defs/d0", "$defs": {**twice, "d40": True}}

    assert problems(schema, {}) == ["json_schema: $ref: the references lead on and on"]
    assert problems({"$ref": "#"}, {}) == ["json_schema: $ref: the references lead on and on"]


@pytest.mark.parametrize(
    "schema", [{"pattern": "(?=a)"}, {"properties": {"a": {"patternProperties": {"(": {}}}}}]
)
def test_an_expression_that_re2_refuses_is_no_schema(schema):
    (said,) = problems(schema, {})

    assert said.startswith("json_schema: is not a JSON Schema: ")


def test_additional_properties_are_those_that_nothing_names():
    schema = {
        "properties": {"name": {}},
        "patternProperties": {"^x-": {"type": "integer"}},
        "additionalProperties": {"type": "string"},
    }

    assert problems(schema, {"name": 1, "x-a": 2, "more": "text"}) == []
    assert problems(schema, {"x-a": "two", "more": 3}) == [
        "variations[0].value.x-a: 'two' is not of type 'integer'",
        "variations[0].value.more: 3 is not of type 'string'",
    ]
    closed = {**schema, "additionalProperties": False}
    assert problems(closed, {"name": 1, "more": 3}) == [
        "variations[0].value: 'more' is not a member that the schema allows"
    ]


@pytest.mark.django_db
def test_a_value_against_its_schema_is_refused_at_the_door(project, editor):
    with pytest.raises(Invalid, match=r"variations\[0\].value"):
        submit(
            CreateFlag(
                project="shop",
                key="limits",
                type="json",
                variations=[{"key": "a", "value": {"most": "many"}}],
                json_schema={"properties": {"most": {"type": "integer"}}},
            ),
            actor=editor,
        )

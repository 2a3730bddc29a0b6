"""A ruleset is read and written flag by flag, and means what the json module would say."""

import json

import pytest
from flagclient import decoding
from hypothesis import given, settings
from hypothesis import strategies as st

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(scalars, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=8)
documents = st.dictionaries(
    st.sampled_from(["environment", "version", "flags", "segments", "other"]),
    values | st.dictionaries(st.text(), values, max_size=3),
)


@pytest.fixture(autouse=True, scope="module")
def nothing_is_small():
    before, decoding.SMALL = decoding.SMALL, 0
    yield
    decoding.SMALL = before


@settings(max_examples=200, deadline=None)
@given(documents, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_reading_gives_what_json_gives(document, indent, ensure_ascii):
    text = json.dumps(document, indent=indent, ensure_ascii=ensure_ascii)

    assert decoding.decode_ruleset(f" {text}\r\n") == document


@settings(max_examples=200, deadline=None)
@given(documents)
def test_what_is_written_is_one_line_and_reads_the_same(document):
    text = "".join(decoding.encode_ruleset(document))

    assert json.loads(text) == document
    assert "\n" not in text


@settings(max_examples=300, deadline=None)
@given(documents, st.data())
def test_damaged_text_is_refused_as_json_refuses_it(document, data):
    text = json.dumps(document)
    at = data.draw(st.integers(0, len(text)))
    until = data.draw(st.integers(at, len(text)))
    text = text[:at] + data.draw(st.sampled_from(["", ",", "}", "{", '"', ":", "x"])) + text[until:]
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(json.JSONDecodeError):
            decoding.decode_ruleset(text)
        return
    if isinstance(expected, dict):
        assert decoding.decode_ruleset(text) == expected

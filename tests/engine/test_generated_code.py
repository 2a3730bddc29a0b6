"""No text of a ruleset becomes code."""

import re

from hypothesis import HealthCheck, given, settings

from flagengine import Ruleset, compiling
from tests.engine.rulesets import NOW, a_flag, a_leaf, a_rule, a_ruleset, rulesets

# All that a generated source may consist of: words and signs of the templates, counted names, and
# no string or number but the indent and the index of a result's variation.
WORDS = {
    "def", "make", "run", "return", "if", "else", "elif", "and", "or", "not", "in", "is", "for",
    "try", "except", "type", "str", "int", "float", "bool", "None", "True", "False", "UnicodeEncodeError",
    "c", "e", "t", "h", "x", "get", "now", "encode", "lower", "startswith", "endswith", "holds",
    "serve", "rules",
}  # fmt: skip
TOKEN = re.compile(r"[^\W\d]\w*|\d+|\s+|:=|==|<=|>=|[()\[\],.:+<>=]", re.ASCII)


def assert_only_templates(source):
    place = 0
    while place < len(source):
        match = TOKEN.match(source, place)
        assert match, f"unexpected {source[place]!r} in {source!r}"
        token = match[0]
        is_known = token in WORDS or re.fullmatch(r"[krsfpv]\d+", token) or token == "1"
        assert is_known or not token[0].isalnum(), f"unexpected {token!r} in {source!r}"
        place = match.end()


def sources_of(monkeypatch, document):
    """The sources generated for every flag of a ruleset."""
    sources = []
    original = compiling.factory.__wrapped__

    def recording(source):
        sources.append(source)
        return original(source)

    monkeypatch.setattr(compiling, "factory", recording)
    Ruleset.compile(document, clock=lambda: NOW).warm()
    return sources


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(document=rulesets())
def test_a_source_is_made_of_templates_and_counted_names_alone(monkeypatch, document):
    with monkeypatch.context() as patch:
        for source in sources_of(patch, document):
            assert_only_templates(source)


def test_flags_that_differ_only_in_their_text_share_one_source(monkeypatch):
    def saying(key, text):
        return a_flag(
            key,
            type="string",
            variations=[{"key": text, "value": text}],
            off_variation=text,
            targets=[{"variation": text, "by": f"by {text}", "keys": [text]}],
            rules=[a_rule({"any": [a_leaf(text, "in", text), {"segment": text}]}, text, text)],
            prerequisites=[{"flag": text, "variations": [text]}],
            fallthrough={"split": {"by": text, "salt": text, "shares": [[text, 5]]}},
        )

    document = a_ruleset(
        saying("a", "plain"), saying("b", "');import os#"), saying("c", "{0}\n'''")
    )

    with monkeypatch.context() as patch:
        sources = sources_of(patch, document)

    assert len(sources) == 3
    assert len(set(sources)) == 1

"""Every kind of event is said in plain words, with who did it and to what."""

import re

import pytest
from django.db import transaction

from flags.changes import submit
from flags.changes.base import KINDS
from flags.differences import actor_in_words, done, kind_in_words, told
from flags.differences.events import DONE
from tests.changes.world import EXAMPLES, actor_of, built, users, world

__all__ = ["built", "users", "world"]

# A fact as it is stored: JSON, a truth value, a name with underscores.
RAW = re.compile(r"[\[\]{}\"]|\btrue\b|\bfalse\b|\w_\w|changed from nothing")


def test_every_kind_has_words_and_all_words_are_of_a_kind():
    assert set(DONE) == set(KINDS)
    assert [words for words in DONE.values() if words.count("{}") != 1] == []


@pytest.mark.parametrize(
    ("kind", "subject", "after", "words"),
    [
        ("request.bypass_reviewed", "request:4", {}, "signed for the bypass of {}"),
        ("request.applied", "request:4", {"bypass": "fire"}, "applied {} without approval"),
        ("request.reviewed", "request:4", {"verdict": "rejected"}, "rejected {}"),
        ("request.closed", "request:4", {"state": "expired"}, "let {} expire"),
        ("flag.switched", "flag:checkout", {"enabled": False}, "switched {} off"),
        ("ramp.advanced", "flag:checkout", {"enabled": True}, "changed what {} serves"),
        ("ramp.advanced", "ramp:1", {"plan": {}}, "took {} to its next step"),
        ("cloud.seeded", "cloud:1", {}, "changed {}"),
    ],
)
def test_what_was_done_is_told_as_exactly_as_the_facts_say(kind, subject, after, words):
    assert done(kind, subject, after) == words


def test_a_kind_by_itself_is_a_choice_to_read():
    assert kind_in_words("request.bypass_reviewed") == "Signed for the bypass of a request"
    assert kind_in_words("sdk_key.created") == "Made an SDK key"
    assert kind_in_words("invitation.accepted") == "Let somebody in, who accepted their invitation"


def test_what_came_due_was_done_by_the_clock():
    assert actor_in_words({"kind": "system", "id": "schedule", "name": "schedule"}) == "The clock"
    assert actor_in_words({"kind": "person", "id": "7", "name": "schedule"}) == "schedule"
    assert actor_in_words(None) == "erased"


@pytest.mark.django_db
def test_nothing_raw_stands_in_what_came_of_a_change(world):
    raw = []
    for example in EXAMPLES:
        with transaction.atomic():
            effects = submit(example, actor=actor_of(example)).effects
            raw += [
                (effect.kind, sentence)
                for effect in effects
                for sentence in told(effect.kind, effect.before, effect.after)
                if RAW.search(sentence)
            ]
            transaction.set_rollback(True)

    assert raw == []

"""What is different between two states of a subject: in words, and line by line as JSON.

A state is what an event's effect holds as `before` and `after`: a flag's or a segment's entry in a
ruleset, the facts of a flag, an environment, a key, a member; or None where there was nothing.
"""

from flags.differences.conditions import condition_in_words
from flags.differences.events import actor_in_words, done, kind_in_words, noun_of, told
from flags.differences.lines import Line, json_lines
from flags.differences.releases import lent_in_words, steps_in_words
from flags.differences.serving import serve_in_words
from flags.differences.subjects import sentences

__all__ = [
    "Line",
    "actor_in_words",
    "condition_in_words",
    "done",
    "json_lines",
    "kind_in_words",
    "lent_in_words",
    "noun_of",
    "sentences",
    "serve_in_words",
    "steps_in_words",
    "told",
]

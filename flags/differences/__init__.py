"""What is different between two states of a subject: in words, and line by line as JSON.

A state is what an event's effect holds as `before` and `after`: a flag's or a segment's entry in a
ruleset, the facts of a flag, an environment, a key, a member; or None where there was nothing.
"""

from flags.differences.conditions import condition_in_words
from flags.differences.id_lists import ids_changed
from flags.differences.lines import Line, json_lines
from flags.differences.members import appeared, differing, member_changed, vanished
from flags.differences.releases import sentences_of_release, speaks_of_release, steps_in_words
from flags.differences.serving import serve_in_words
from flags.differences.wording import State, same, written

__all__ = [
    "Line",
    "condition_in_words",
    "json_lines",
    "sentences",
    "serve_in_words",
    "steps_in_words",
]

UNSPOKEN = ("version", "behaviour")


def sentences(before: State, after: State) -> list[str]:
    """Every difference, one sentence each; empty only when the two are the same JSON.

    The version that counts the changes of an entry is mentioned only when nothing else differs, and
    the hash of what a request does is for programs.
    """
    if same(before, after):
        return []
    if speaks_of_release(before, after):
        return sentences_of_release(before, after) or ["Looked at again"]
    if before is None or after is None:
        return appeared(after) if after is not None else vanished(before or {})
    if not before and "list" in after:
        return list(ids_changed(after))
    said = [
        sentence
        for member in differing(before, after)
        if member not in UNSPOKEN
        for sentence in member_changed(member, before, after)
    ]
    if said or same(before.get("version"), after.get("version")):
        return said or ["It was looked at as it does something else by now"]
    return [f"Version {written(before.get('version'))} became {written(after.get('version'))}"]

"""Two states of one subject, held against each other."""

from flags.differences.id_lists import ids_changed
from flags.differences.members import appeared, differing, member_changed, vanished
from flags.differences.releases import sentences_of_release, speaks_of_release
from flags.differences.wording import State, same, written

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

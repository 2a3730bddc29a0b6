"""What one environment has, carried over to another: changes like any others, judged like them."""

from collections.abc import Mapping, Sequence

from flags.changes.base import Change
from flags.changes.configurations import configured_as
from flags.changes.segments import DefineSegment
from flags.errors import Invalid, NotFound
from flags.models import Environment
from flags.queries.compare import entries_now


def copied(
    source: Environment,
    target: Environment,
    subjects: Sequence[str],
    *,
    expected: Mapping[str, int] | None = None,
) -> list[Change]:
    """The changes that make these flags and segments (`flag:checkout`) in `target` as in `source`.

    `expected` holds the versions that their author saw in `target`, by subject. Variations and
    lists of ids stay: the former are the same everywhere, the latter belong to their environment.
    Raises NotFound for what is not in `source`, Invalid when nothing is named.
    """
    if not subjects:
        raise Invalid.at("subjects", "expected at least one flag or segment, got none")
    if source.pk == target.pk:
        raise Invalid.at("from", f"expected another environment than {target.key}")
    entries, project = entries_now(source), target.project.key
    changes: list[Change] = []
    for subject in dict.fromkeys(subjects):
        if subject not in entries:
            raise NotFound(f"there is no {subject.replace(':', ' ', 1)} in {source.key}")
        noun, _, key = subject.partition(":")
        seen = (expected or {}).get(subject)
        if noun == "flag":
            changes.append(
                configured_as(
                    entries[subject],
                    project=project,
                    environment=target.key,
                    flag=key,
                    expected_version=seen,
                )
            )
        else:
            changes.append(
                DefineSegment(
                    project=project,
                    environment=target.key,
                    segment=key,
                    when=entries[subject].get("when"),
                    expected_version=seen,
                )
            )
    # Segments first, so that a flag never meets a definition that it was not made for.
    return sorted(changes, key=lambda change: not isinstance(change, DefineSegment))

"""Bringing the flags of a flagd file into an environment: one submit, what is there reconciled."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from audit.facts import Actor
from flags.changes import Change, ConfigureFlag, CreateFlag, EditFlag, submit
from flags.changes.bypass import submit_past_approval
from flags.errors import ApprovalNeeded, Conflict, Invalid, NotFound
from flags.models import Environment, Flag, FlagConfiguration, Project
from flags.transfer.flagd import LeftOut, ReadFlag, Reading


@dataclass(frozen=True)
class Loaded:
    """What a load did."""

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def load(
    reading: Reading,
    *,
    project: str,
    environment: str,
    actor: Actor,
    reason: str = "",
    bypass: bool = False,
) -> Loaded:
    """Make the environment's flags what the file says; a flag that cannot be is left out.

    `bypass` does it past the approval that an environment asks for, on record with the reason.

    Raises NotFound when there is no such project or environment, and what `submit` raises about
    the whole (Denied, ApprovalNeeded, Busy).
    """
    save = submit_past_approval if bypass else submit
    there = _flags_in(project, environment)
    named_elsewhere = _variations_named_elsewhere(project, environment)
    left_out = list(reading.left_out)
    wanted: dict[str, list[Change]] = {}
    for read in reading.flags:
        flag = there.get(read.key)
        if flag is not None and (why := _cannot_become(flag, read)):
            left_out.append(LeftOut(read.key, why))
        else:
            wanted[read.key] = _changes(
                flag,
                read,
                project=project,
                environment=environment,
                named_elsewhere=named_elsewhere.get(read.key, set()),
            )
    if not wanted:
        return Loaded(left_out=left_out)
    try:
        outcome = save(*_in_order(wanted), actor=actor, reason=reason)
    except (Invalid, Conflict):
        # Something in this project stands against one of them: find which, and load the others.
        for key in list(wanted):
            if why := _refusal(wanted[key], actor=actor, reason=reason):
                left_out.append(LeftOut(key, why))
                del wanted[key]
        if not wanted:
            return Loaded(left_out=left_out)
        outcome = save(*_in_order(wanted), actor=actor, reason=reason)
    affected = {effect.subject.removeprefix("flag:") for effect in outcome.effects}
    return Loaded(
        created=[key for key in wanted if key not in there],
        changed=[key for key in wanted if key in there and key in affected],
        unchanged=[key for key in wanted if key not in affected],
        left_out=left_out,
    )


def _flags_in(project_key: str, environment_key: str) -> dict[str, Flag]:
    project = Project.objects.filter(key=project_key).first()
    if project is None:
        raise NotFound(f"there is no project {project_key}")
    if not Environment.objects.filter(project=project, key=environment_key).exists():
        raise NotFound(f"there is no environment {environment_key} in {project_key}")
    return {flag.key: flag for flag in project.flags.all()}


def _cannot_become(flag: Flag, read: ReadFlag) -> str | None:
    if flag.is_archived:
        return "a flag of this key is archived here"
    if flag.type != read.type:
        return f"a flag of this key is here and is {flag.type}; the file's is {read.type}"
    return None


def _changes(
    flag: Flag | None,
    read: ReadFlag,
    *,
    project: str,
    environment: str,
    named_elsewhere: set[str],
) -> list[Change]:
    described = {"description": read.description} if read.description else {}
    configured = ConfigureFlag(
        project=project,
        environment=environment,
        flag=read.key,
        enabled=read.enabled,
        off_variation=None,
        prerequisites=[],
        targets=[],
        rules=read.rules,
        fallthrough=read.fallthrough,
    )
    if flag is None:
        created = CreateFlag(
            project=project,
            key=read.key,
            type=read.type,
            variations=read.variations,
            on_variation=read.fallthrough["variation"],
            off_variation=None,
            **described,
        )
        return [created, configured]
    known = {variation["key"]: variation for variation in flag.variations}
    stated = [{**known.get(variation["key"], {}), **variation} for variation in read.variations]
    others = [row for key, row in known.items() if all(key != own["key"] for own in stated)]
    # Another environment may serve what the file no longer has; there it stays as it is.
    kept = [*stated, *(row for row in others if row["key"] in named_elsewhere)]
    edited = EditFlag(project=project, flag=read.key, variations=kept, **described)
    if len(kept) == len(stated) + len(others):
        return [edited, configured]
    # What is dropped goes last: until it is configured anew, the flag may still serve it.
    widened = EditFlag(project=project, flag=read.key, variations=[*stated, *others])
    return [widened, configured, edited]


def _variations_named_elsewhere(project: str, environment: str) -> dict[str, set[str]]:
    """Flag key → keys of the variations that its configuration in other environments names."""
    named: dict[str, set[str]] = defaultdict(set)
    configurations = FlagConfiguration.objects.filter(flag__project__key=project).exclude(
        environment__key=environment
    )
    for configuration in configurations.select_related("flag"):
        served = [configuration.fallthrough, *(rule["serve"] for rule in configuration.rules)]
        named[configuration.flag.key] |= {
            *(target["variation"] for target in configuration.targets),
            *(serve["variation"] for serve in served if "variation" in serve),
            *(
                share[0]
                for serve in served
                if "split" in serve
                for share in serve["split"]["shares"]
            ),
        }
        if configuration.off_variation is not None:
            named[configuration.flag.key].add(configuration.off_variation)
    return named


def _refusal(changes: Sequence[Change], *, actor: Actor, reason: str) -> str | None:
    """Why these changes alone are refused, if they are."""
    try:
        submit(*changes, actor=actor, reason=reason, dry_run=True)
    except (Invalid, Conflict) as error:
        return str(error)
    except ApprovalNeeded:
        # Nothing stands against it but the gate, which judges all of them together.
        return None
    return None


def _in_order(wanted: dict[str, list[Change]]) -> Sequence[Change]:
    return [change for changes in wanted.values() for change in changes]

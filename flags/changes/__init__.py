"""Every write: what can be changed, one file per noun, and `submit`, the only way in."""

from flags.changes.base import UNSET, Change, from_json
from flags.changes.configurations import ConfigureFlag, SwitchFlag, configured_as
from flags.changes.environments import CreateEnvironment, DeleteEnvironment, EditEnvironment
from flags.changes.flags import ArchiveFlag, CreateFlag, DeleteFlag, EditFlag, RestoreFlag
from flags.changes.keys import CreateApiToken, CreateSdkKey, RevokeApiToken, RevokeSdkKey
from flags.changes.members import RemoveMember, SetMember
from flags.changes.projects import CreateProject, EditProject
from flags.changes.segments import (
    ChangeSegmentIds,
    CreateSegment,
    DefineSegment,
    DeleteSegment,
    EditSegment,
)
from flags.changes.submit import Outcome, submit
from flags.changes.users import CreateUser, EditUser

__all__ = [
    "UNSET",
    "ArchiveFlag",
    "Change",
    "ChangeSegmentIds",
    "ConfigureFlag",
    "CreateApiToken",
    "CreateEnvironment",
    "CreateFlag",
    "CreateProject",
    "CreateSdkKey",
    "CreateSegment",
    "CreateUser",
    "DefineSegment",
    "DeleteEnvironment",
    "DeleteFlag",
    "DeleteSegment",
    "EditEnvironment",
    "EditFlag",
    "EditProject",
    "EditSegment",
    "EditUser",
    "Outcome",
    "RemoveMember",
    "RestoreFlag",
    "RevokeApiToken",
    "RevokeSdkKey",
    "SetMember",
    "SwitchFlag",
    "configured_as",
    "from_json",
    "submit",
]

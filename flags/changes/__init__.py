"""Every write: what can be changed, one file per noun, and `submit`, the only way in."""

from flags.changes.base import UNSET, Change, from_json
from flags.changes.configurations import ConfigureFlag, SwitchFlag, configured_as
from flags.changes.environments import CreateEnvironment, DeleteEnvironment, EditEnvironment
from flags.changes.flags import ArchiveFlag, CreateFlag, DeleteFlag, EditFlag, RestoreFlag
from flags.changes.keys import CreateApiToken, CreateSdkKey, RevokeApiToken, RevokeSdkKey
from flags.changes.members import RemoveMember, SetMember
from flags.changes.policies import RemoveTeam, SetPolicy, SetTeam
from flags.changes.projects import CreateProject, EditProject
from flags.changes.requests import (
    ApplyRequest,
    CloseRequest,
    CommentOnRequest,
    DraftChanges,
    EditRequest,
    OpenRequest,
    RebaseRequest,
    ReviewBypass,
    ReviewRequest,
    SettleRequest,
    SubmitRequest,
    UndoVerdict,
    WithdrawRequest,
)
from flags.changes.segments import (
    ChangeSegmentIds,
    CreateSegment,
    DefineSegment,
    DeleteSegment,
    EditSegment,
)
from flags.changes.sign_in import (
    AddFactor,
    ChangePassword,
    FailSignIn,
    RemoveFactor,
    ResetFactors,
    RevokeSessions,
    SignIn,
    SignOut,
)
from flags.changes.submit import Outcome, submit
from flags.changes.users import CreateUser, EditUser

__all__ = [
    "UNSET",
    "AddFactor",
    "ApplyRequest",
    "ArchiveFlag",
    "Change",
    "ChangePassword",
    "ChangeSegmentIds",
    "CloseRequest",
    "CommentOnRequest",
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
    "DraftChanges",
    "EditEnvironment",
    "EditFlag",
    "EditProject",
    "EditRequest",
    "EditSegment",
    "EditUser",
    "FailSignIn",
    "OpenRequest",
    "Outcome",
    "RebaseRequest",
    "RemoveFactor",
    "RemoveMember",
    "RemoveTeam",
    "ResetFactors",
    "RestoreFlag",
    "ReviewBypass",
    "ReviewRequest",
    "RevokeApiToken",
    "RevokeSdkKey",
    "RevokeSessions",
    "SetMember",
    "SetPolicy",
    "SetTeam",
    "SettleRequest",
    "SignIn",
    "SignOut",
    "SubmitRequest",
    "SwitchFlag",
    "UndoVerdict",
    "WithdrawRequest",
    "configured_as",
    "from_json",
    "submit",
]

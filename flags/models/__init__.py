"""Tables and their constraints, one file per noun."""

from flags.models.deliveries import Delivery, Instance
from flags.models.environments import Environment, EnvironmentRole
from flags.models.flags import Flag, FlagConfiguration
from flags.models.invitations import Invitation
from flags.models.notices import Notice
from flags.models.policies import Policy, Team
from flags.models.projects import Membership, Project, Role
from flags.models.releases import (
    UNDER_WAY,
    Lease,
    LeaseState,
    Ramp,
    RampState,
    RampTemplate,
    StepApproval,
)
from flags.models.requests import EXPIRING, OPEN, REVIEWED, Comment, Request, State, Verdict
from flags.models.secrets import ApiToken, SdkKey
from flags.models.segments import Segment, SegmentDefinition, SegmentId, SegmentIdBatch
from flags.models.users import User

__all__ = [
    "EXPIRING",
    "OPEN",
    "REVIEWED",
    "UNDER_WAY",
    "ApiToken",
    "Comment",
    "Delivery",
    "Environment",
    "EnvironmentRole",
    "Flag",
    "FlagConfiguration",
    "Instance",
    "Invitation",
    "Lease",
    "LeaseState",
    "Membership",
    "Notice",
    "Policy",
    "Project",
    "Ramp",
    "RampState",
    "RampTemplate",
    "Request",
    "Role",
    "SdkKey",
    "Segment",
    "SegmentDefinition",
    "SegmentId",
    "SegmentIdBatch",
    "State",
    "StepApproval",
    "Team",
    "User",
    "Verdict",
]

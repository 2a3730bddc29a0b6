"""Tables and their constraints, one file per noun."""

from flags.models.deliveries import Delivery, Instance
from flags.models.environments import Environment
from flags.models.flags import Flag, FlagConfiguration
from flags.models.projects import Membership, Project, Role
from flags.models.secrets import ApiToken, SdkKey
from flags.models.segments import Segment, SegmentDefinition, SegmentId, SegmentIdBatch
from flags.models.users import User

__all__ = [
    "ApiToken",
    "Delivery",
    "Environment",
    "Flag",
    "FlagConfiguration",
    "Instance",
    "Membership",
    "Project",
    "Role",
    "SdkKey",
    "Segment",
    "SegmentDefinition",
    "SegmentId",
    "SegmentIdBatch",
    "User",
]

"""Releases: ramps, which grow a share step by step, and leases, which end by themselves.

ramp:   running ⇄ paused · awaiting_approval · held → finished · rolled_back · stopped
lease:  running → ended · kept · held → ended · kept · running
"""

from flags.changes.releases.leases import (
    EndLease,
    ExtendLease,
    GrantLease,
    HoldLease,
    KeepLease,
)
from flags.changes.releases.ramps import (
    AdvanceRamp,
    ApproveRampStep,
    HoldRamp,
    PauseRamp,
    ResumeRamp,
    RollBackRamp,
    SkipRampStep,
    StartRamp,
    StopRamp,
    lacking_approvals,
)
from flags.changes.releases.templates import RemoveRampTemplate, SetRampTemplate

__all__ = [
    "AdvanceRamp",
    "ApproveRampStep",
    "EndLease",
    "ExtendLease",
    "GrantLease",
    "HoldLease",
    "HoldRamp",
    "KeepLease",
    "PauseRamp",
    "RemoveRampTemplate",
    "ResumeRamp",
    "RollBackRamp",
    "SetRampTemplate",
    "SkipRampStep",
    "StartRamp",
    "StopRamp",
    "lacking_approvals",
]

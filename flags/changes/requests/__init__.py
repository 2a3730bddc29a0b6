"""Requests: changes that wait for approval; opened, edited, reviewed, applied.

The state follows from what happened; `standing.settle_state` is the only place that derives it:

    draft → in_review → approved → scheduled → applied
              ↕ changes_requested · rejected · withdrawn · expired · conflicted · failed
"""

from flags.changes.requests.applying import ApplyRequest, CloseRequest, SettleRequest
from flags.changes.requests.base import OnRequest
from flags.changes.requests.merging import overlaps_in
from flags.changes.requests.opening import (
    DraftChanges,
    EditRequest,
    OpenRequest,
    RebaseRequest,
    SubmitRequest,
    WithdrawRequest,
)
from flags.changes.requests.reviewing import (
    CommentOnRequest,
    ReviewBypass,
    ReviewRequest,
    UndoVerdict,
)
from flags.changes.requests.standing import Standing

__all__ = [
    "ApplyRequest",
    "CloseRequest",
    "CommentOnRequest",
    "DraftChanges",
    "EditRequest",
    "OnRequest",
    "OpenRequest",
    "RebaseRequest",
    "ReviewBypass",
    "ReviewRequest",
    "SettleRequest",
    "Standing",
    "SubmitRequest",
    "UndoVerdict",
    "WithdrawRequest",
    "overlaps_in",
]

"""Flagsite's Python SDK: feature flags evaluated in your process, pushed as they change.

from flagclient import FlagClient

flags = FlagClient("https://flags.example.com", key)
if flags.boolean("new-checkout", False, {"targetingKey": user_id}):
    ...
"""

from flagclient.client import VERSION, FlagClient
from flagclient.counts import Count
from flagclient.details import Details
from flagclient.pace import Pace
from flagclient.state import State, Status

__version__ = VERSION

__all__ = ["Count", "Details", "FlagClient", "Pace", "State", "Status", "__version__"]

"""The SDK's public calls as a contender: default value, details and counting switched on."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flagclient import FlagClient
from flagclient.last_known import LastKnown

from bench.engine.contenders import Contender
from bench.engine.workloads import MIXED, is_split

KEY = "bench"
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens there


class Sdk(Contender):
    """A FlagClient that starts from its file, with the server away."""

    name = "flagclient"

    def __init__(self, document: dict[str, Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "flags.json"
            LastKnown(path, KEY).write(document)
            self.client = FlagClient(NOWHERE, KEY, cache_path=path)
            assert self.client.wait_until_ready(30)

    def one(self, flag: str) -> Callable[[Any], Any]:
        if is_split(flag):
            string = self.client.string_details
            return lambda context: string(flag, "", context).value
        boolean = self.client.boolean_details
        return lambda context: boolean(flag, False, context).value

    def everything(self) -> Callable[[Any], dict[str, Any]]:
        boolean, string = self.client.boolean_details, self.client.string_details
        calls = [(flag, string, "") if is_split(flag) else (flag, boolean, False) for flag in MIXED]
        return lambda context: {
            flag: call(flag, default, context).value for flag, call, default in calls
        }

    def close(self) -> None:
        self.client.close()

"""Hints: sent once the channel layer takes them, and never for ever."""

from typing import Any

import pytest
from channels.layers import channel_layers

from audit.models import OutboxEntry
from audit.outbox import deliver
from flags.changes import CreateSegment, submit
from flags.models import Project
from tests.served import OPERATOR, Proxy


@pytest.mark.parametrize("how", ["cut", "fall_silent"])
def test_a_hint_that_cannot_be_sent_stays_in_the_outbox(
    transactional_db: None, project: Project, settings: Any, how: str
) -> None:
    proxy, address = Proxy.of(settings.REDIS_URL)
    layer = settings.CHANNEL_LAYERS["default"]
    hosts = [{"address": address, "socket_connect_timeout": 2, "socket_timeout": 10}]
    settings.CHANNEL_LAYERS = {"default": {**layer, "CONFIG": {**layer["CONFIG"], "hosts": hosts}}}
    channel_layers.backends.clear()
    deliver("broadcast")
    try:
        getattr(proxy, how)()
        submit(CreateSegment(project="shop", key="beta"), actor=OPERATOR)
        waiting = OutboxEntry.objects.filter(subscriber="broadcast")
        streams = waiting.count()

        assert deliver("broadcast") == 0

        proxy.restore()
        waiting.update(not_before=None)
        assert deliver("broadcast") == streams
        assert not waiting.exists()
    finally:
        channel_layers.backends.clear()
        proxy.close()

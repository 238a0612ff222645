"""The heartbeat's last leg: a final tick becomes a delivery. Called by flush, in its transaction.

It goes the way of a page: a row of `delivery`, claimed, signed and posted by deliver. One that was not taken is replaced by the
next, for only the newest says anything; so they never pile up.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from citybrain.store import heartbeats
from citybrain.store.pool import Connection
from citybrain_schemas.webhooks import HEARTBEAT_WEBHOOK_TYPE, HeartbeatData, HeartbeatWebhook

_log = logging.getLogger(__name__)
APART = timedelta(seconds=15)  # while a backlog is worked off ticks pass quickly


async def pass_on(connection: Connection, now: datetime) -> int:
    """Make the deliveries that tell of the last final tick, unless they were made; how many."""
    tick = await heartbeats.due(connection, now, APART)
    if tick is None:
        return 0
    body = HeartbeatWebhook(timestamp=now, data=HeartbeatData(through=tick)).model_dump_json().encode()
    made = await heartbeats.put(connection, HEARTBEAT_WEBHOOK_TYPE, body, tick, now)
    _log.debug("heartbeat_made", extra={"through": tick, "deliveries": made})
    return made

"""What people ask of alerts: acknowledge, unacknowledge, comment, close; and acknowledgements that run out.

Called by alert.passes. Handling is apart from the condition, which goes on by itself.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from citybrain.alert.record import Book
from citybrain.store import alerts
from citybrain.store.alert_log import Entry
from citybrain.store.alerts import AlertRow, Command
from citybrain.store.pool import Connection
from citybrain_schemas.instants import format_time

MOST = 500
LOGGED = {"acknowledge": "acknowledged", "unacknowledge": "unacknowledged", "comment": "commented", "close": "closed"}


async def obey(connection: Connection, book: Book, now: datetime) -> int:
    """Do what was asked and end what has run out; how much there was."""
    asked = await alerts.commands(connection, MOST)
    expired = await alerts.expired(connection, now, MOST)
    if not asked and not expired:
        return 0
    rows = await alerts.by_id(connection, {one.alert_id for one in asked} | set(expired))
    for alert_id in expired:
        row = rows[alert_id]
        if row.handling == "acknowledged" and row.handled_until is not None and row.handled_until <= now:
            book.changed[alert_id] = _handled(row, now, "open", None, None)
            book.log(Entry(alert_id, now, "acknowledgement_expired"), "updated")
    for one in asked:
        row_now = book.changed.get(one.alert_id) or rows.get(one.alert_id)
        if row_now is not None:
            book.changed[one.alert_id] = _obeyed(row_now, one, now)
            detail = {} if one.until is None else {"until": format_time(one.until)}
            book.log(Entry(one.alert_id, now, LOGGED[one.kind], by=one.by, comment=one.comment, detail=detail))
    await alerts.done(connection, [one.number for one in asked], now)
    return len(asked) + len(expired)


def _obeyed(row: AlertRow, command: Command, now: datetime) -> AlertRow:
    match command.kind:
        case "acknowledge":
            return _handled(row, now, "acknowledged", command.by, command.until)
        case "unacknowledge":
            return _handled(row, now, "open", None, None)
        case "close":
            return _handled(row, now, "closed", command.by, None)
        case _:
            return replace(row, changed_at=now)


def _handled(row: AlertRow, now: datetime, handling: str, by: str | None, until: datetime | None) -> AlertRow:
    return replace(row, handling=handling, handled_by=by, handled_until=until, changed_at=now)

"""Saying in the log of a process that new cases and payments wait, and when they go on."""

from __future__ import annotations

import asyncio

import structlog

from activities.casebook.errors import WAITING
from activities.casebook.restored import Restored
from activities.database.database import Database
from activities.database.errors import DatabaseAway, StatementFailed

# Seconds between two looks.
LOOK_AGAIN = 60.0


async def tell_while_waiting(database: Database, log: structlog.stdlib.BoundLogger) -> None:
    """Warn where openings and payments wait, and tell when they go on, until it is cancelled."""
    waited = False
    while True:
        try:
            since = await Restored(database).since()
        except (DatabaseAway, StatementFailed):
            # It is away, or was not migrated yet; whoever needs it says so.
            pass
        else:
            if since is not None and not waited:
                log.warning("recovering", since=since.isoformat(timespec="seconds"), reason=WAITING)
            elif since is None and waited:
                log.info("recovered")
            waited = since is not None
        await asyncio.sleep(LOOK_AGAIN)

"""Checkpoints of what a test has recorded, under a key of its own."""

from __future__ import annotations

from activities.audit.keys import Keys, new_key, read_keys
from activities.audit.make import Checkpoints
from starter.api.services import Services
from tests.temporal import eventually


async def checkpoint(services: Services, case_id: str | None = None) -> Keys:
    """Make checkpoints until they have a case, with a key that is made where there is none; return the keys."""
    file = services.settings.key_file
    keys = read_keys(file) if file.exists() else new_key(file)

    async def covered() -> bool:
        # What was recorded a moment ago may not be settled yet.
        await Checkpoints(services.database, keys).make()
        async with services.database.connection() as connection:
            known = "SELECT true FROM checkpoint_head WHERE case_id = $1"
            return case_id is None or bool(await connection.fetchval(known, case_id))

    await eventually(covered, bool)
    return keys

"""Handing a case that is a duplicate over to the earlier one (activity ``merge_case``)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.casebook.errors import Recovering
from activities.casebook.owed import owed_by
from activities.casebook.read import Casebook
from activities.database.database import Database, statement
from activities.messages import CallOrder
from activities.refusals import failure
from activities.senders.gate import GATE
from activities.senders.statement import UNSIGNED
from cases.vocabulary.commands import TakeDuplicate
from cases.vocabulary.contract import PASSING
from cases.vocabulary.effects import MERGE_CASE, ActivityCall
from cases.vocabulary.events import SYSTEM, canonical
from cases.vocabulary.refusals import Refused

Json = dict[str, Any]
# Sends a case a command: answers with its view, or raises `Refused`.
Command = Callable[[str, str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
# Seconds to wait for the other case, and between looks whether it is recorded that it has taken this one.
PATIENCE = 20
LOOKS = (0.05, 0.1, 0.2, 0.4, 0.8)


class Merges:
    """The activity. Safe to share between tasks.

    Args:
        command: sends the other case its command.
    """

    _RECOVERING = statement(__package__, "recovery_since")

    def __init__(self, database: Database, command: Command) -> None:
        self._database, self._command, self._casebook = database, command, Casebook(database)

    @activity.defn(name=MERGE_CASE)
    async def merge_case(self, order: CallOrder) -> Json:
        """Have the other case take this one over. The same order again is answered the same.

        It agrees only when that is recorded, so that no loss of the engine makes this case end in one that does not
        know of it. Where commands are signed this process signs for the program, so it sends only what the record of
        this case asks for.

        Returns:
            Nothing where it was taken over, else ``refused`` with the code.

        Raises:
            ApplicationError: the other case cannot be asked now, or has not recorded it yet.
            ApplicationError: type ``Refused``, not retried, code ``unsigned``: nobody asked for it.
            Recovering: the casebook is being recovered.
            DatabaseAway: see `Database.connection`.
        """
        async with self._database.connection() as connection:
            if await connection.fetchval(self._RECOVERING) is not None:
                raise Recovering(f"{order.case_id}: the merge waits")
        if GATE.mode == "signed" and not await self._is_asked_for(order):
            raise failure(Refused(UNSIGNED, f"{order.case_id}: its record asks for no merge"))
        into = order.what["into"]
        try:
            async with asyncio.timeout(PATIENCE):
                await self._command(into, TakeDuplicate.NAME, _command(order))
        except TimeoutError:
            raise ApplicationError(f"{into} does not answer", type="CaseSilent") from None
        except Refused as refusal:
            if refusal.code in PASSING:
                raise ApplicationError(refusal.message, type=refusal.code) from None
            # It may have taken this one before, and have ended since.
            return {} if await self._has_taken(into, order.case_id) else {"refused": refusal.code}
        activity.heartbeat()
        for pause in (*LOOKS, None):
            if await self._has_taken(into, order.case_id):
                return {}
            if pause is not None:
                await asyncio.sleep(pause)
        raise ApplicationError(f"{into} has not recorded it yet", type="NotRecorded")

    async def _has_taken(self, into: str, case_id: str) -> bool:
        view = await self._casebook.case(into)
        return view is not None and case_id in view.get("duplicates", ())

    async def _is_asked_for(self, order: CallOrder) -> bool:
        owed = await owed_by(self._casebook, order.case_id)
        wanted = (MERGE_CASE, order.seq, order.what)
        return any(isinstance(one, ActivityCall) and (one.activity, one.seq, one.order) == wanted for one in owed)


def _command(order: CallOrder) -> Json:
    """Return the command, under a request id of this order."""
    fields = {name: value for name, value in order.what.items() if name != "into"}
    asked = canonical({**order.what, "case": order.case_id, "seq": order.seq, "at": order.at})
    return {
        "by": SYSTEM.as_json(),
        "case": order.case_id,
        **fields,
        # Ids may be as long as a request id, so their digest stands for them.
        "request_id": hashlib.sha256(asked.encode()).hexdigest(),
    }

"""Erasing as an operation: somebody asks for it, somebody else decides it, and a worker does what is left everywhere.

The casebook is erased at once, in one transaction for each case. The engine's histories, the attachments and the folder
of mails follow, by whichever worker looks next; they are looked at again until nothing is left. What the policy wants
erased after so many years is erased by the workers themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from activities.attachments.book import Attachments
from activities.attachments.stores import StoreAway
from activities.database.database import Database
from activities.database.errors import DatabaseAway, StatementFailed
from activities.erasure.book import Erasures, Left
from activities.erasure.erase import Eraser
from activities.notify.channels.maildir import remove
from activities.notify.recipients import stable_id
from activities.policies.store import Policies
from cases.policy.model import Policy
from cases.vocabulary.contract import PASSING
from cases.vocabulary.events import SYSTEM, Actor
from cases.vocabulary.lifecycle import ErasedFor
from cases.vocabulary.refusals import Refused
from cases.working_calendar import anniversary
from starter.access import check_may_erase
from starter.attachments import attachments_of
from starter.settings import Settings

if TYPE_CHECKING:  # half a second to import; needed only where the engine is asked
    from temporalio.client import Client

Json = dict[str, Any]
Done = TypeVar("Done")
# Seconds between two looks at what is left, and at what the policies want erased.
LOOK_AGAIN, PURGE_AGAIN = 30.0, 3600.0
# Characters of the file number that a legal hold is set for.
LONGEST_REFERENCE = 200
# The states of an RPC that say nothing of the case that was asked about: the next one would wait as long for nothing.
_NO_ANSWER = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNAUTHENTICATED", "PERMISSION_DENIED"})


class Erasure:
    """The operation. Safe to share between tasks; every method raises what `Database.connection` does."""

    def __init__(self, database: Database) -> None:
        self.book, self._eraser = Erasures(database), Eraser(database)

    async def ask(self, by: Actor, why: ErasedFor, now: datetime, *, case_id: str = "", customer: str = "") -> Json:
        """Ask that a case, or every case of a customer, is erased; somebody else decides.

        Returns:
            The erasure, and under ``kept`` why other cases of the customer stay, by id.

        Raises:
            Refused: ``role``; ``not_found``; or, where no case can be erased now, why the first one cannot
                (`Eraser.erase`).
        """
        check_may_erase(by.role)
        wanted = await self.book.of_customer(customer) if customer else [case_id]
        kept: dict[str, Refused] = {}
        erasable: dict[str, None] = {}
        for each in wanted:
            try:
                # As somebody else would: whether it may be erased is asked, not by whom.
                gone = await self._eraser.erase(each, why, SYSTEM, None, now, try_only=True)
                erasable.update(dict.fromkeys(gone))
                if not gone:
                    kept[each] = Refused("already_erased", f"{each} is erased already")
            except Refused as refusal:
                kept[each] = refusal
        if not erasable:
            raise next(iter(kept.values()), Refused("not_found", "no case names this customer, or it was erased"))
        number = await self.book.ask(why, by, list(erasable))
        return {**await self.book.one(number), "kept": {each: refusal.code for each, refusal in kept.items()}}

    async def decide(self, number: int, by: Actor, approve: bool, now: datetime) -> Json:
        """Approve an erasure, which is done in the casebook at once, or reject it.

        Raises:
            Refused: ``role``, ``not_found``, ``decided``, ``four_eyes``.
        """
        check_may_erase(by.role)
        await self.book.decide(number, by, approve, now)
        if approve:
            await self._in_casebook(number, now)
        return await self.book.one(number)

    async def again(
        self, case_id: str, why: ErasedFor, by: Actor, asked_by: Actor | None, now: datetime
    ) -> Json | None:
        """Erase a case that was erased before an older casebook was restored; None where it is erased already.

        Raises:
            Refused: ``role``, ``four_eyes``: nobody could have decided it so; or see `Eraser.erase`.
        """
        if by != SYSTEM or why != "retention" or asked_by is not None:
            if asked_by is None:
                raise Refused("four_eyes", f"{case_id}: it does not say who asked for it")
            check_may_erase(asked_by.role)
            check_may_erase(by.role)
        if not await self._eraser.erase(case_id, why, by, asked_by, now, try_only=True):
            return None
        number = await self.book.decided(why, by, asked_by, [case_id], now)
        await self._in_casebook(number, now)
        return await self.book.one(number)

    async def hold(self, case_id: str, reference: str, by: Actor) -> None:
        """Forbid that a case is erased. Raises Refused: ``role``, ``invalid``, ``not_found``, ``on_hold``."""
        check_may_erase(by.role)
        if not 0 < len(reference) <= LONGEST_REFERENCE or not reference.isprintable() or reference.isspace():
            raise Refused("invalid", f"reference: allowed are 1 to {LONGEST_REFERENCE} characters")
        await self.book.hold(case_id, reference, by)

    async def lift(self, case_id: str, by: Actor) -> None:
        """Lift the hold of a case. Raises Refused: ``role``, ``not_found``."""
        check_may_erase(by.role)
        await self.book.lift(case_id, by)

    # --- by the workers ---------------------------------------------------------------------------

    async def go_on(self, client: Client, mails: Path | None, attachments: Attachments, now: datetime) -> list[Left]:
        """Do what is left of approved erasures; returns what is left still.

        Args:
            client: the connection to the engine.
            mails: the folder of mails; None where mails go to a server.
            attachments: what keeps them.

        Raises:
            OSError, RPCError, StoreAway: what kept the first case up, when all others are done; or the engine does not
                answer.
        """
        from temporalio.service import RPCError

        await self._in_casebook(None, now)
        left: list[Left] = []
        failed: Exception | None = None
        async for one in self.book.left():
            try:
                if one.erased and await _forgotten_everywhere(client, mails, attachments, one.case_id):
                    await self.book.gone(one.case_id)
                    continue
            except (OSError, RPCError, StoreAway) as error:
                if isinstance(error, RPCError) and error.status.name in _NO_ANSWER:
                    raise
                failed = failed or error
            left.append(one)
        if failed is not None:
            raise failed
        return left

    async def purge(self, policies: Policies, now: datetime) -> list[str]:
        """Erase what the policies want erased by now (``erase_after_years``); returns the ids of the cases.

        A case goes by the policy of its name as that is now, but never before the years for which the policy that it
        is pinned to keeps it.
        """
        erased: list[str] = []
        for name, kind in await self.book.groups():
            policy = _current(policies, name)
            years = None if policy is None or kind not in policy.kinds else policy.rule(kind).erase_after_years
            if policy is None or years is None:
                continue
            # A year has so many days at least, and no zone is further ahead.
            before, today = now - timedelta(days=365 * years), (now + timedelta(days=1)).date()
            after = (datetime.min.replace(tzinfo=UTC), "")
            while page := await self.book.past(name, kind, before, today, after):
                due = [id for closed_at, id, may_go in page if may_go and _is_past(policy, closed_at, years, now)]
                erased += await self._purge(due, now)
                after = page[-1][:2]
        return erased

    async def _purge(self, case_ids: Sequence[str], now: datetime) -> list[str]:
        erasable: dict[str, None] = {}
        for case_id in case_ids:
            # Kept for longer by its own policy, or what it was copied to is.
            with suppress(Refused):
                gone = await self._eraser.erase(case_id, "retention", SYSTEM, None, now, try_only=True)
                erasable.update(dict.fromkeys(gone))
        if not erasable:
            return []
        # Noted before anything is done, so that no crash leaves one erased here and not elsewhere.
        number = await self.book.decided("retention", SYSTEM, None, list(erasable), now)
        return await self._in_casebook(number, now)

    async def _in_casebook(self, number: int | None, now: datetime) -> list[str]:
        """Erase from the casebook what is left there of an erasure, or of all; returns the ids of the cases."""
        erased: list[str] = []
        async for one in self.book.left(number):
            if one.erased:
                continue
            try:
                gone = await self._eraser.erase(one.case_id, one.why, one.by, one.asked_by, now)
            except Refused as refusal:
                if refusal.code not in PASSING:
                    await self.book.done(one.erasure, one.case_id, None, refusal.code)
                continue
            for case_id in dict.fromkeys((one.case_id, *gone)):
                await self.book.done(one.erasure, case_id, now, None)
            erased += gone
        return erased


def _current(policies: Policies, name: str) -> Policy | None:
    """Return a policy as it is now; None where there is none of this name any more."""
    try:
        return policies.load(name)
    except Refused:
        return None


def _is_past(policy: Policy, closed_at: datetime, years: int, now: datetime) -> bool:
    return anniversary(policy.local(closed_at).date(), years) < policy.local(now).date()


async def _forgotten_everywhere(client: Client, mails: Path | None, attachments: Attachments, case_id: str) -> bool:
    """Have the engine forget a case and remove its mails and attachments; whether nothing is left."""
    await attachments.drop(case_id)
    forgotten = await _forgotten(client, case_id)
    if mails is not None:
        await asyncio.to_thread(remove, mails, stable_id(case_id))
    return forgotten


async def _forgotten(client: Client, case_id: str) -> bool:
    """Have the engine delete its runs of a case; whether it knows none. One that goes on is left to its end.

    Raises:
        RPCError: the engine does not answer.
    """
    from temporalio.api.common.v1 import WorkflowExecution
    from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
    from temporalio.client import WorkflowExecutionStatus
    from temporalio.service import RPCError, RPCStatusCode

    runs: dict[str, bool] = {}
    async for run in client.list_workflows(f"WorkflowId = '{case_id}'"):
        runs[run.run_id] = run.status is WorkflowExecutionStatus.RUNNING
    try:
        # The engine lists with some delay what it has.
        last = await client.get_workflow_handle(case_id).describe()
        runs[last.run_id] = last.status is WorkflowExecutionStatus.RUNNING
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
    for run_id, running in runs.items():
        if running:
            continue
        execution = WorkflowExecution(workflow_id=case_id, run_id=run_id)
        request = DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
        try:
            await client.workflow_service.delete_workflow_execution(request)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
    return not runs


async def keep_erasing(
    database: Database, client: Client, settings: Settings, policies: Policies, log: structlog.stdlib.BoundLogger
) -> None:
    """Do what is left of erasures, and erase what the policies want erased, until it is cancelled."""
    erasure, purged = Erasure(database), float("-inf")
    attachments = attachments_of(settings, database)
    while True:
        if monotonic() - purged >= PURGE_AGAIN:
            gone = await _unless_it_waits(erasure.purge(policies, datetime.now(UTC)), log)
            if gone is not None:
                purged = monotonic()
            if gone:
                log.info("purged", cases=len(gone))
        # Whatever became of that: what people have decided does not wait for it.
        await _unless_it_waits(erasure.go_on(client, settings.mails, attachments, datetime.now(UTC)), log)
        await asyncio.sleep(LOOK_AGAIN)


async def _unless_it_waits(doing: Coroutine[Any, Any, Done], log: structlog.stdlib.BoundLogger) -> Done | None:
    """Return what was done; None where it has to be done again at the next look, which the log says."""
    from temporalio.service import RPCError

    try:
        return await doing
    except (DatabaseAway, StatementFailed, RPCError, OSError, StoreAway) as error:
        log.warning("erasure_waits", reason=type(error).__name__)
    return None

"""The activity ``notify``: everybody whom the notices of one step of a case concern hears of it.

Every recipient hears each notice at least once, under one id over all retries and channels. What has
become of each is kept in the heartbeat, so that a retry, here or on another worker, does only the rest.
How long it is tried, decides whoever asks (the activity's schedule-to-close time).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from temporalio import activity

from activities.database.errors import DatabaseAway, StatementFailed
from activities.messages import NOTIFY, NoticeBatch, NoticeOrder, NoticeResult
from activities.notify.attempt import Attempt
from activities.notify.compose import WITH_REASONS
from activities.notify.contacts import ContactBook, Contacts
from activities.notify.progress import Progress
from activities.notify.recipients import Delivery, deliveries
from activities.notify.results import report
from activities.notify.sender import Sender
from cases.directory import Directory
from cases.kinds.summary import SummarySent
from cases.mechanisms.approvals import ApprovalRequested
from cases.registry import kind_named
from cases.vocabulary.events import SYSTEM, texts_of
from cases.vocabulary.texts import put, references, resolved

# Seconds; several of them fit into the time after which an attempt counts as dead.
HEARTBEAT = 3
# Of so many notices at once the steps that led to each person go on record.
MOST_EXPLAINED = 50

Staff = Callable[[], Awaitable[Directory]]
Said = tuple[str, int, str]
# What goes out with all that people wrote freely in the case: it was audited three times before.
WITH_TEXTS = SummarySent.TYPE
# The casebook gives a case its number while its first notices are about to go out: so often they look for it, every so
# many seconds. Without it they go out all the same.
TRIES, EVERY = 30, 0.1


class Ledger(Protocol):
    """What notices look up in the casebook: see `activities.casebook.read.Casebook`."""

    async def texts(self, wanted: Collection[Said]) -> Mapping[Said, str | None]:
        """Find texts by case, seq and path."""
        ...

    async def case(self, case_id: str) -> dict[str, Any] | None:
        """Find the view of a case."""
        ...

    async def events(self, case_id: str) -> list[dict[str, Any]]:
        """Find the events of a case, with the texts in them."""
        ...


class Notifier:
    """Sends notices.

    Args:
        contacts: shared addresses of roles.
        sender: delivers them.
        staff: the directory of staff as it is now.
        ledger: has what views and events only refer to, and the numbers; without it that is left out.
    """

    def __init__(
        self, contacts: ContactBook, sender: Sender, staff: Staff | None = None, ledger: Ledger | None = None
    ) -> None:
        self._contacts = contacts
        self._sender = sender
        self._staff = staff
        self._ledger = ledger

    @activity.defn(name=NOTIFY)
    async def notify(self, batch: NoticeBatch) -> list[NoticeResult]:
        """Tell everybody whom the notices of one step of a case concern.

        Returns:
            One result per notice, in order; refusals for good are in the results.

        Raises:
            ApplicationError: type ``NoticeDelayed``, retryable: something could not be delivered
                now; everything else was. The last time that there is, the results say so instead.
            DatabaseAway: see `Database.connection`, where texts are looked up.
        """
        if any(order.event["type"] == WITH_TEXTS for order in batch.notices):
            batch = await self._with_texts(batch)
        batch = await self._with_reasons(await self._numbered(batch))
        attempt = Attempt(batch)
        wanted = await self._plan(attempt)
        async with self._alive(attempt.progress):
            await self._sender.deliver([one for one in wanted if not attempt.progress.is_final(one)], attempt)
        return report(wanted, attempt)

    async def _with_texts(self, batch: NoticeBatch) -> NoticeBatch:
        """Return a batch with texts in place of references, and of those that a run does not know any more."""
        referring = {
            order.id: {
                path: {"seq": order.event["seq"], "field": path}
                for path, text in texts_of(order.event).items()
                if text == ""
            }
            for order in batch.notices
        }
        notices = [
            replace(order, event={**order.event, "data": put(order.event["data"], referring[order.id])})
            for order in batch.notices
        ]
        wanted = {(batch.case_id, *one) for one in references([batch.view, [one.event for one in notices]])}
        texts = await self._ledger.texts(wanted) if self._ledger is not None and wanted else {}

        def told(value: Any) -> Any:
            return resolved(value, lambda seq, path: texts.get((batch.case_id, seq, path)))

        return replace(batch, view=told(batch.view), notices=[replace(one, event=told(one.event)) for one in notices])

    async def _numbered(self, batch: NoticeBatch) -> NoticeBatch:
        """Return a batch whose view has the number of the case, which the casebook may just be giving it."""
        kind = kind_named(str(batch.view.get("kind")))
        if self._ledger is None or batch.view.get("number") or kind is None or not kind.NUMBERED_AT_OPENING:
            return batch
        for _ in range(TRIES):
            try:
                view = await self._ledger.case(batch.case_id)
            except (DatabaseAway, StatementFailed):
                break
            if view is not None and view.get("number"):
                return replace(batch, view={**batch.view, "number": view["number"]})
            await asyncio.sleep(EVERY)
        return batch

    async def _with_reasons(self, batch: NoticeBatch) -> NoticeBatch:
        """Return a batch whose approvals say why, also where the run knows the text no more, or asks once more."""
        return replace(batch, notices=[await self._with_reason(batch.case_id, order) for order in batch.notices])

    async def _with_reason(self, case_id: str, order: NoticeOrder) -> NoticeOrder:
        event, ledger = order.event, self._ledger
        if ledger is None or event["type"] not in WITH_REASONS or event["data"].get("reason"):
            return order
        said, reason = (case_id, event["seq"], "reason"), None
        try:
            if "reason" in texts_of(event):
                reason = (await ledger.texts([said])).get(said)
            elif event["type"] == ApprovalRequested.TYPE and event["actor"]["id"] == SYSTEM.id:
                # It climbs: the reason is that of who asked first.
                subject = event["data"]["subject"]
                asked = [one for one in await ledger.events(case_id) if one["type"] == event["type"]]
                earlier = [one["data"] for one in asked if one["seq"] < event["seq"]]
                reasons = [one["reason"] for one in earlier if one["subject"] == subject and one.get("reason")]
                reason = reasons[-1] if reasons else None
        except (DatabaseAway, StatementFailed):
            # Whoever is asked hears of it now, and reads why in the case.
            return order
        return order if reason is None else replace(order, event={**event, "data": {**event["data"], "reason": reason}})

    async def _plan(self, attempt: Attempt) -> list[Delivery]:
        """Find out whom the notices concern now; write down who was meant the first time."""
        contacts = self._contacts.current()
        directory = attempt.directory = await self._staff() if self._staff else Directory()
        plan: list[Delivery] = []
        for order in attempt.batch.notices:
            plan += self._plan_one(order, attempt, contacts, directory)
        return plan

    def _plan_one(
        self, order: NoticeOrder, attempt: Attempt, contacts: Contacts, directory: Directory
    ) -> list[Delivery]:
        # A case's own clock runs ahead of ours in a test, and behind it when it is told late.
        at = max(attempt.clock.now(), datetime.fromisoformat(order.event["recorded_at"]))
        wanted, meant = deliveries(order, attempt.batch.view, contacts, directory, at)
        if len(attempt.batch.notices) > MOST_EXPLAINED:
            # A case that is filed years late has a thousand reminders at once.
            meant = [{name: value for name, value in one.items() if name != "because"} for one in meant]
        attempt.progress.meant.setdefault(order.id, meant)
        return wanted

    @asynccontextmanager
    async def _alive(self, progress: Progress) -> AsyncIterator[None]:
        """Send heartbeats for the block, and its progress at its end."""
        helpers = [asyncio.create_task(_heartbeat(progress)), asyncio.create_task(self._flush_at_shutdown())]
        try:
            yield
        finally:
            for helper in helpers:
                helper.cancel()
            # The server keeps no more than one in some seconds, and always the last one.
            progress.heartbeat()

    async def _flush_at_shutdown(self) -> None:
        await activity.wait_for_worker_shutdown()
        self._sender.flush()


async def _heartbeat(progress: Progress) -> None:
    """Tell the server every few seconds that this attempt lives, so that a dead worker is soon replaced."""
    while True:
        await asyncio.sleep(HEARTBEAT)
        progress.heartbeat()

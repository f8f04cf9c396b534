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
from typing import Any

from temporalio import activity

from activities.messages import NOTIFY, NoticeBatch, NoticeOrder, NoticeResult
from activities.notify.attempt import Attempt
from activities.notify.contacts import ContactBook, Contacts
from activities.notify.progress import Progress
from activities.notify.recipients import Delivery, deliveries
from activities.notify.results import report
from activities.notify.sender import Sender
from cases.directory import Directory
from cases.kinds.summary import SummarySent
from cases.vocabulary.events import texts_of
from cases.vocabulary.texts import put, references, resolved

# Seconds; several of them fit into the time after which an attempt counts as dead.
HEARTBEAT = 3
# Of so many notices at once the steps that led to each person go on record.
MOST_EXPLAINED = 50

Staff = Callable[[], Awaitable[Directory]]
# Finds texts by case, seq and path; see `activities.casebook.read.Casebook.texts`.
Texts = Callable[[Collection[tuple[str, int, str]]], Awaitable[Mapping[tuple[str, int, str], str | None]]]
# What goes out with what people wrote freely: it was audited three times before.
WITH_TEXTS = SummarySent.TYPE


class Notifier:
    """Sends notices.

    Args:
        contacts: shared addresses of roles.
        sender: delivers them.
        staff: the directory of staff as it is now.
        texts: finds what views and events only refer to; without it that is left out.
    """

    def __init__(
        self, contacts: ContactBook, sender: Sender, staff: Staff | None = None, texts: Texts | None = None
    ) -> None:
        self._contacts = contacts
        self._sender = sender
        self._staff = staff
        self._texts = texts

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
        texts = await self._texts(wanted) if self._texts is not None and wanted else {}

        def told(value: Any) -> Any:
            return resolved(value, lambda seq, path: texts.get((batch.case_id, seq, path)))

        return replace(batch, view=told(batch.view), notices=[replace(one, event=told(one.event)) for one in notices])

    async def _plan(self, attempt: Attempt) -> list[Delivery]:
        """Find out whom the notices concern now; write down who was meant the first time."""
        contacts = self._contacts.current()
        directory = await self._staff() if self._staff else Directory()
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

"""Delivering: the ways to a recipient in their order, each message singly or in a digest.

The ways are taken in order: the preferred channel, the next ones, then whoever is next in line. What is
refused for good is not tried again, and the next way has its turn at once. What fails for now is tried
again with growing pauses; each further way joins in when its share of the time that the rule leaves has
passed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime

from activities.messages import NoticeOrder
from activities.notify.attempt import Attempt
from activities.notify.channels import Channel, Delayed, Undeliverable
from activities.notify.compose import Composed, Composer, Target
from activities.notify.digest import Digests
from activities.notify.recipients import Delivery, Way

# Of the time until a deadline: the most that a notice is held for a digest.
HELD_FOR = 0.25
# Bytes of a message's capacity for what the channel itself adds.
ROOM = 100


class Sender:
    """Delivers notices over channels.

    Args:
        channels: by the names that addresses go under: ``email``, ``wecom``, ... An address whose
            channel is not among them is recorded as failed.
        composer: writes the messages.
        hold: seconds that a notice is held for a digest at most; 0 for no digests.
    """

    def __init__(self, channels: Mapping[str, Channel], composer: Composer, hold: float) -> None:
        self._channels = dict(channels)
        self._composer = composer
        self._digests = Digests[Target, Composed](self._split, self._send_digest, hold) if hold else None

    async def deliver(self, deliveries: Sequence[Delivery], attempt: Attempt) -> None:
        """Try each delivery; what came of it stands in the attempt."""
        async with AsyncExitStack() as stack:
            for name in dict.fromkeys(way.channel for delivery in deliveries for way in delivery.ways):
                if name in self._channels:
                    attempt.sessions[name] = await stack.enter_async_context(self._channels[name].session())
            # Beside each other: a mail server that hangs must not hold up the webhooks.
            async with asyncio.TaskGroup() as group:
                for delivery in deliveries:
                    group.create_task(self._deliver(delivery, attempt))

    def flush(self) -> None:
        """Hold nothing back any more."""
        if self._digests is not None:
            self._digests.flush()

    async def _deliver(self, delivery: Delivery, attempt: Attempt) -> None:
        """Take the ways whose turn has come, until one works."""
        share = attempt.patience(delivery.order) / len(delivery.ways)
        reasons: list[str] = []
        turns = 0
        for way in delivery.ways:
            starts_at = attempt.clock.since + turns * share
            if way.key not in attempt.progress.refused and attempt.clock.now() < starts_at:
                attempt.retry_at(starts_at)
                break
            reason, used_turn = await self._take(delivery, way, attempt, starts_at + share)
            if not reason:
                attempt.arrived(delivery, way)
                return
            reasons.append(reason)
            turns += used_turn
        attempt.missed(delivery, reasons)

    async def _take(self, delivery: Delivery, way: Way, attempt: Attempt, turn_ends: datetime) -> tuple[str, bool]:
        """Take one way.

        Returns:
            Why nobody was reached, or nothing; and whether the way uses its turn, so that the next one waits.
        """
        refused = attempt.progress.refused
        if way.key in refused:
            return refused[way.key], False
        closed_until = attempt.progress.closed_until(way)
        if closed_until is not None and attempt.clock.now() < closed_until:
            attempt.retry_at(closed_until)
            return attempt.failed.get(way.key, f"{way.name}: wants to be left alone"), closed_until < turn_ends
        # One at a time for each person: two roles may lead to the same one.
        async with attempt.lock(way.id):
            return await self._try(delivery, way, attempt), way.key not in refused

    async def _try(self, delivery: Delivery, way: Way, attempt: Attempt) -> str:
        """Send one message, unless this person has it already. Returns why it did not arrive, or nothing."""
        if way.id in attempt.progress.notified:
            return ""
        if way.key in attempt.failed:
            return attempt.failed[way.key]
        try:
            if way.channel not in self._channels:
                raise Undeliverable("not configured")
            composed = self._composer.compose(delivery, way, attempt.batch, attempt.directory)
            sent_together = await self._send(composed, delivery.order, way, attempt)
        except (Undeliverable, Delayed) as error:
            return attempt.not_sent(delivery, way, error)
        attempt.progress.add_remarks(delivery.order.id, composed.remarks)
        attempt.sent(delivery, way, "in a digest" if sent_together > 1 else "")
        return ""

    async def _send(self, composed: Composed, order: NoticeOrder, way: Way, attempt: Attempt) -> int:
        """Hand a message over, by itself or in a digest; return how many went out as one."""
        burst, due = attempt.batch.digest, attempt.due_at(order)
        if self._digests is not None and burst is not None and self._channels[way.channel].gathers:
            longest = float("inf") if due is None else (due - attempt.clock.now()).total_seconds() * HELD_FOR
            sent_together = await self._digests.hold((way.channel, way.address, way.language), composed, burst, longest)
            if sent_together:
                return sent_together
        async with attempt.lock(way.channel):
            await attempt.sessions[way.channel](composed.message)
        return 1

    def _split(self, target: Target, items: Sequence[Composed]) -> list[Sequence[Composed]]:
        """Split a digest into parts that fit into a message of the channel."""
        capacity = self._channels[target[0]].capacity
        if len(items) < 2 or capacity is None:
            return [items]
        if len(self._composer.digest(target, items).body.encode()) < capacity - ROOM:
            return [items]
        half = len(items) // 2
        return [*self._split(target, items[:half]), *self._split(target, items[half:])]

    async def _send_digest(self, target: Target, items: Sequence[Composed]) -> None:
        message = self._composer.combine(target, items)
        async with self._channels[target[0]].session() as deliver:
            await deliver(message)

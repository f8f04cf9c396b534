"""Sending the ledger's events to a subscriber: the activity ``pump_events``.

At least once, each with one id over every retry, and those of a case one after the other. What does
not get through holds up the events behind it, of this subscription and of no other, until it does or
the subscription is parked.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx
import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.events.feed import FeedEvent
from activities.events.outbound import GuardedTransport
from activities.events.subscriptions import Failure, Held, Mark, State, Subscriptions
from activities.messages import PUMP, PumpOrder, PumpResult
from activities.notify.channels import Delayed, Undeliverable
from activities.notify.channels.http import Line, compact
from activities.signatures import sign
from cases.vocabulary.refusals import Refused

# Seconds: between looks at a ledger with nothing new, for one whole request, between two signs of life,
# and for one run of the activity.
POLL, TIMEOUT, HEARTBEAT, SHIFT = 0.5, 10.0, 2.0, 600.0
# So many events are read at once, and sent so many cases beside each other; what is not begun after so
# many seconds is left for the next window, so that slow subscribers come to a mark too.
WINDOW, LANES, SPAN = 100, 8, 30.0
GONE = 410

log = structlog.get_logger(__name__)


class Pump:
    """Delivers for subscriptions, each in a run of its own.

    Args:
        subscriptions: who is sent what, and the ledger.
        timeout: seconds for one whole request.
        tls: the trust store; None is the system's.
    """

    def __init__(
        self, subscriptions: Subscriptions, *, timeout: float = TIMEOUT, tls: ssl.SSLContext | None = None
    ) -> None:
        self._subscriptions = subscriptions
        self._timeout = timeout
        # Loading the trust store takes tens of milliseconds: once, not once per subscription.
        self._tls = tls or ssl.create_default_context()

    @activity.defn(name=PUMP)
    async def pump(self, order: PumpOrder) -> PumpResult:
        """Deliver what there is and what comes, for ten minutes or until the worker is to stop.

        Raises:
            ApplicationError: type ``DeliveryFailed``: something was not taken; it says when to try again.
        """
        held = await self._subscriptions.begin(order.id)
        if held is None:
            return PumpResult(await self._state(order.id))
        ending = asyncio.create_task(activity.wait_for_worker_shutdown())
        alive = asyncio.create_task(_beat())
        transport = GuardedTransport(self._subscriptions.guard, self._tls)
        try:
            async with httpx.AsyncClient(transport=transport, timeout=self._timeout, trust_env=False) as client:
                return await self._deliver(held, client, ending)
        finally:
            alive.cancel()
            ending.cancel()

    async def _state(self, id: str) -> State:
        try:
            return (await self._subscriptions.get(id)).state
        except Refused:  # a database without it
            return "removed"

    async def _deliver(self, held: Held, client: httpx.AsyncClient, ending: asyncio.Task[None]) -> PumpResult:
        subscription, until = held.subscription, time.monotonic() + SHIFT
        # Who did not take the last one is asked with one before the rest is sent.
        window = WINDOW if subscription.failing_since is None else 1
        while not ending.done() and time.monotonic() < until:
            try:
                events = await self._subscriptions.feed.after(subscription.position, window)
            except Refused:
                # The ledger was restored to a state from before the last delivery; people must say where to go on.
                failure = Failure("the ledger has not come as far as the subscription: replay from a position", True)
                await self._settle(held, subscription.position, False, failure)
                return PumpResult("parked")
            if not events:
                await asyncio.wait([ending], timeout=POLL)
                continue
            sent, failed = await self._send(held, client, events, ending)
            reached = subscription.position
            for one in events:
                if subscription.wants(one) and one.position not in sent:
                    break
                reached = one.position
            mark = await self._settle(held, reached, bool(sent), next(iter(failed.values()), None))
            if mark is None:
                # Somebody else delivers by now, or people changed it: begin with what is true now.
                return PumpResult("active")
            if mark.state == "parked":
                return PumpResult("parked")
            subscription, window = replace(subscription, position=reached), WINDOW
        return PumpResult("active")

    async def _send(
        self, held: Held, client: httpx.AsyncClient, events: Sequence[FeedEvent], ending: asyncio.Task[None]
    ) -> tuple[set[str], dict[str, Failure]]:
        """Send what is wanted of a window: what was taken and what was not, by position, in order.

        Nothing more is begun once something was not taken, the worker is to stop, or it takes too long.
        """
        lanes: dict[str, list[FeedEvent]] = {}
        for one in events:
            if held.subscription.wants(one):
                lanes.setdefault(one.case_id, []).append(one)
        sent: set[str] = set()
        failed: dict[str, Failure] = {}
        free = asyncio.Semaphore(LANES)
        late = time.monotonic() + SPAN

        async def follow(lane: Sequence[FeedEvent]) -> None:
            async with free:
                for one in lane:
                    if failed or ending.done() or time.monotonic() > late:
                        return
                    failure = await self._post(held, client, one)
                    if failure is not None:
                        failed[one.position] = failure
                        return
                    sent.add(one.position)

        async with asyncio.TaskGroup() as group:
            for lane in lanes.values():
                group.create_task(follow(lane))
        return sent, {one.position: failed[one.position] for one in events if one.position in failed}

    async def _post(self, held: Held, client: httpx.AsyncClient, one: FeedEvent) -> Failure | None:
        """Post one event; why it was not taken, or None."""
        message_id, body = identity(held.subscription.id, one), compact(payload(one))
        try:
            answer = await Line(client, self._timeout).post(
                held.subscription.url, body, sign(held.secret, message_id, body)
            )
        except (Delayed, Undeliverable) as error:
            return Failure(str(error))
        if 200 <= answer.status < 300:
            return None
        return Failure(f"HTTP {answer.status}", answer.status == GONE, answer.wait)

    async def _settle(self, held: Held, reached: str, delivered: bool, failure: Failure | None) -> Mark | None:
        """Write down what came of a window, and say what went wrong.

        Raises:
            ApplicationError: something was not taken and is to be tried again.
        """
        mark = await self._subscriptions.mark(held, reached, delivered, failure)
        if mark is None or failure is None:
            return mark
        meter, id = activity.metric_meter(), held.subscription.id
        meter.create_counter("caseladder_deliveries_failed", "Events that a subscriber did not take").add(1)
        if mark.state == "parked":
            meter.create_counter("caseladder_subscriptions_parked", "Subscriptions that were given up").add(1)
            log.error(
                "subscription_parked", subscription=id, reason=failure.reason, failing_since=str(mark.failing_since)
            )
            return mark
        log.warning("subscription_failing", subscription=id, reason=failure.reason, seconds=mark.wait.total_seconds())
        # Expected, and said already; the server waits, so that nobody's hands are tied meanwhile.
        raise ApplicationError(
            f"{id}: {failure.reason}",
            type="DeliveryFailed",
            next_retry_delay=mark.wait,
            category=ApplicationErrorCategory.BENIGN,
        )


def identity(subscription: str, one: FeedEvent) -> str:
    """The id of an event for a subscriber: the same over every retry and replay."""
    text = "\0".join((subscription, one.case_id, str(one.event["seq"])))
    return "evt_" + hashlib.sha256(text.encode()).hexdigest()[:32]


def payload(one: FeedEvent) -> Mapping[str, Any]:
    """What is sent of an event: the same bytes whenever it is sent, so nothing of how the case stands now."""
    return {
        "type": one.event["type"],
        "timestamp": one.event["at"],
        "data": {
            "case": one.case_id,
            "kind": one.kind,
            "number": one.number,
            "position": one.position,
            "event": one.event,
        },
    }


async def _beat() -> None:
    """Say every few seconds that this attempt lives, so that a dead worker is soon replaced."""
    while True:
        activity.heartbeat()
        await asyncio.sleep(HEARTBEAT)

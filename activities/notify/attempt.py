"""One attempt of the activity: its clock, what it knows beside the progress, and what it writes down."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic

import structlog
from temporalio import activity

from activities.messages import NoticeBatch, NoticeOrder
from activities.notify.channels import Delayed, Deliver, Undeliverable
from activities.notify.progress import Progress
from activities.notify.recipients import Delivery, Way
from cases.directory import Directory

# Seconds between two heartbeats that tell of progress.
SELDOM = 0.2
# The pause before the next attempt is a part of the time since the first, within so many seconds.
PAUSE_GROWS, SHORTEST, LONGEST = 0.5, 1.0, 900.0
# Within this all ways to somebody are in use, where no deadline says anything; else after this part of the time
# until the deadline, so that whoever hears last can still act.
PATIENCE, REACHED_AFTER = timedelta(minutes=10), 0.5

log = structlog.get_logger(__name__)


class ServerClock:
    """The time as the server sees it, which in a test is not that of this machine."""

    def __init__(self) -> None:
        info = activity.info()
        self.since, self._patience = info.scheduled_time, info.schedule_to_close_timeout
        self._started, self._begun = info.started_time.astimezone(UTC), monotonic()

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return self._started + timedelta(seconds=monotonic() - self._begun)

    def over(self, pause: timedelta) -> bool:
        """Return whether nobody waits any more after a pause."""
        return self._patience is not None and self.now() + pause >= self.since + self._patience

    def stamp(self) -> str:
        """Return the time as it goes on record."""
        return self.now().isoformat(timespec="milliseconds")


class Attempt:
    """What one attempt of the activity knows.

    ``sessions`` are the open sessions of channels by name, ``failed`` why a way did not work in this attempt,
    ``directory`` is the staff as it is now.
    """

    def __init__(self, batch: NoticeBatch) -> None:
        self.batch, self.progress, self.clock = batch, Progress.recall(), ServerClock()
        self.sessions: dict[str, Deliver] = {}
        self.directory = Directory()
        self.failed: dict[str, str] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._retry_at: datetime | None = None
        self._last_heartbeat = monotonic()

    def lock(self, name: str) -> asyncio.Lock:
        """Return the lock of a person or a channel."""
        return self._locks.setdefault(name, asyncio.Lock())

    def retry_at(self, moment: datetime) -> None:
        """Remember that there is something to do then."""
        self._retry_at = moment if self._retry_at is None else min(self._retry_at, moment)

    def pause(self) -> timedelta:
        """Return how long to wait before the next attempt."""
        now = self.clock.now()
        seconds = (now - self.clock.since).total_seconds() * PAUSE_GROWS
        if self._retry_at is not None:
            seconds = min(seconds, (self._retry_at - now).total_seconds())
        return timedelta(seconds=min(max(seconds, SHORTEST), LONGEST))

    def due_at(self, order: NoticeOrder) -> datetime | None:
        """Return until when a notice must have arrived, as far as a rule says so."""
        if order.event["type"] == "clock_breached":
            return None
        due = order.event.get("data", {}).get("due")
        if due is None:
            # The delivery itself is what these clocks wait for.
            running = (clock for clock in self.batch.view.get("clocks", ()) if clock["state"] == "running")
            due = next((clock["due"] for clock in running if clock["clock"] in order.meets), None)
        return None if due is None else datetime.fromisoformat(due)

    def patience(self, order: NoticeOrder) -> timedelta:
        """Return the time within which all ways to somebody are in use."""
        due = self.due_at(order)
        if due is None:
            return PATIENCE
        return min(max((due - self.clock.since) * REACHED_AFTER, timedelta()), PATIENCE)

    # --- what is written down -----------------------------------------------------------------------

    def sent(self, delivery: Delivery, way: Way, remark: str) -> None:
        """Write down that a message was handed over."""
        at = self.clock.stamp()
        self.progress.add_attempt(way, delivery.order.id, "sent", remark, at)
        if way.person is not None:
            self.progress.notified[way.id] = at

    def not_sent(self, delivery: Delivery, way: Way, error: Undeliverable | Delayed) -> str:
        """Write down that a message was not handed over; return why, as it goes on record."""
        self.failed[way.key] = reason = f"{way.name}: {error}"
        if isinstance(error, Undeliverable):
            outcome = "failed"
            self.progress.refused[way.key] = reason
        else:
            outcome = "delayed"
            if error.wait > 0:
                until = self.clock.now() + timedelta(seconds=error.wait)
                self.progress.closed[way.place] = until.isoformat()
                self.retry_at(until)
        times = self.progress.add_attempt(way, delivery.order.id, outcome, str(error), self.clock.stamp())
        # The record counts; a log line for each try of a day says nothing more.
        if times == 1:
            log.warning(
                f"notice_{outcome}",
                notice=delivery.order.name,
                roles=delivery.roles,
                recipient=way.recipient,
                reason=f"{way.channel}: {error}",
            )
        return reason

    def arrived(self, delivery: Delivery, way: Way) -> None:
        """Write down that a delivery has reached somebody."""
        self._close(delivery, way.channel, "", final=True)

    def missed(self, delivery: Delivery, reasons: Sequence[str]) -> None:
        """Write down why a delivery has reached nobody yet; it is final when every way is refused for good."""
        final = all(way.key in self.progress.refused for way in delivery.ways)
        self._close(delivery, "", "; ".join(dict.fromkeys(reasons)), final=final)

    def _close(self, delivery: Delivery, channel: str, reason: str, *, final: bool) -> None:
        outcome = {"at": self.clock.stamp(), "channel": channel, "reason": reason, "final": final}
        self.progress.outcomes[delivery.key] = outcome
        # Not each of a thousand notices by itself.
        if monotonic() - self._last_heartbeat > SELDOM:
            self._last_heartbeat = monotonic()
            self.progress.heartbeat()

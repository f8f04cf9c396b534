"""Who is sent the events of the ledger: an address, which events, how far they are, and a secret to sign with."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import asyncpg
from standardwebhooks import Webhook

from activities.database.pool import connection_of, open_pool, statement
from activities.events.feed import Feed, FeedEvent, read_position
from activities.events.outbound import Guard
from activities.signatures import read_secret
from cases.registry import KINDS
from cases.vocabulary.events import EVENTS
from cases.vocabulary.refusals import Refused

State = Literal["active", "parked", "removed"]
RETRY_FOR = timedelta(days=3)
LONGEST_RETRY = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription without its secret.

    Args:
        types, kinds: of the events that are sent; None is all.
        position: of the last event that is done with, delivered or not asked for.
        retry_for: how long an event is tried before the subscription is parked.
        failing_since, last_error: of the event that does not get through at present.
    """

    id: str
    url: str
    types: tuple[str, ...] | None
    kinds: tuple[str, ...] | None
    state: State
    retry_for: timedelta
    position: str
    created_at: datetime
    delivered_at: datetime | None
    failing_since: datetime | None
    last_error: str

    def wants(self, one: FeedEvent) -> bool:
        """Whether an event is sent."""
        return (self.kinds is None or one.kind in self.kinds) and (
            self.types is None or one.event["type"] in self.types
        )


@dataclass(frozen=True, slots=True)
class Held:
    """A subscription in the hands of one who delivers.

    Args:
        secret: what events are signed with.
        pump: the count at which it was taken over; a later one has it now.
    """

    subscription: Subscription
    secret: Webhook = field(repr=False)
    pump: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an event was not taken, in words that name no address.

    Args:
        gone: whether the subscriber wants no more events.
        wait: seconds for which it wants to be left alone.
    """

    reason: str
    gone: bool = False
    wait: float = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """How a subscription stands after a delivery, and when the next try is due if one is."""

    state: State
    failing_since: datetime | None
    wait: timedelta


class Subscriptions:
    """Reads and writes subscriptions. Safe to share between tasks.

    Every method raises `DatabaseAway` when the database cannot serve.

    Args:
        feed: the ledger that is subscribed to.
        guard: judges the addresses.
    """

    _ADD = statement(__package__, "subscription_add")
    _ALL = statement(__package__, "subscriptions")
    _BEGIN = statement(__package__, "subscription_begin")
    _MARK = statement(__package__, "subscription_mark")
    _CHANGE = statement(__package__, "subscription_change")

    def __init__(self, pool: asyncpg.Pool, feed: Feed, guard: Guard) -> None:
        self._pool = pool
        self.feed = feed
        self.guard = guard

    # --- for people -------------------------------------------------------------------------------

    async def add(
        self,
        url: str,
        *,
        types: Collection[str] | None = None,
        kinds: Collection[str] | None = None,
        retry_for: timedelta = RETRY_FOR,
        position: str | None = None,
    ) -> tuple[Subscription, str]:
        """Subscribe an address.

        Args:
            url: where events are posted.
            types, kinds: which events; None is all.
            retry_for: see `Subscription`; up to 30 days.
            position: the events after it are sent; None is those that are still to come.

        Returns:
            The subscription, and the secret that the receiver checks signatures with. It is not shown again.

        Raises:
            Refused: ``invalid`` or ``private_address``: which field, and what is allowed.
        """
        _check("types", types, list(EVENTS))
        _check("kinds", kinds, list(KINDS))
        if not timedelta() <= retry_for <= LONGEST_RETRY:
            raise Refused("invalid", f"retry_for = {retry_for}: allowed is up to {LONGEST_RETRY.days} days")
        await self.guard.check(url)
        if position is None:
            position = await self.feed.head()
        else:
            await self.feed.after(position, 1)  # refuses what this ledger never gave
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        async with connection_of(self._pool) as connection:
            row = await connection.fetchrow(
                self._ADD,
                f"sub-{secrets.token_hex(8)}",
                url,
                None if types is None else sorted(set(types)),
                None if kinds is None else sorted(set(kinds)),
                secret,
                retry_for,
                *read_position(position),
            )
        return _subscription(row), secret

    async def all(self) -> list[Subscription]:
        """Every subscription, removed ones too, in the order in which they were made."""
        async with connection_of(self._pool) as connection:
            return [_subscription(row) for row in await connection.fetch(self._ALL, None)]

    async def get(self, id: str) -> Subscription:
        """One subscription.

        Raises:
            Refused: ``not_found``.
        """
        async with connection_of(self._pool) as connection:
            row = await connection.fetchrow(self._ALL, id)
        if row is None:
            raise Refused("not_found", f"there is no subscription {id[:40]!r}")
        return _subscription(row)

    async def replay(self, id: str, position: str) -> Subscription:
        """Send everything after a position, once more where it was sent before. One that was parked goes on.

        Raises:
            Refused: ``invalid``: the ledger gave no such position; ``not_found`` or ``removed``.
        """
        await self.feed.after(position, 1)
        return await self._change(id, "active", position)

    async def resume(self, id: str) -> Subscription:
        """Go on with one that was parked, or try one that fails again now; its time to fail begins anew.

        Raises:
            Refused: ``not_found`` or ``removed``.
        """
        return await self._change(id, "active")

    async def remove(self, id: str) -> Subscription:
        """Send nothing any more, and forget the secret.

        Raises:
            Refused: ``not_found`` or ``removed``.
        """
        return await self._change(id, "removed")

    async def _change(self, id: str, state: State, position: str | None = None) -> Subscription:
        place: Sequence[int | None] = (None, None) if position is None else read_position(position)
        async with connection_of(self._pool) as connection:
            row = await connection.fetchrow(self._CHANGE, id, state, *place)
        if row is None:
            await self.get(id)  # says so where there never was one
            raise Refused("removed", f"the subscription {id} was removed; add a new one")
        return _subscription(row)

    # --- for who delivers -------------------------------------------------------------------------

    async def begin(self, id: str) -> Held | None:
        """Take over an active subscription; None when it is not active."""
        async with connection_of(self._pool) as connection:
            row = await connection.fetchrow(self._BEGIN, id)
        return None if row is None else Held(_subscription(row), read_secret(row["secret"]), row["pump"])

    async def mark(self, held: Held, position: str, delivered: bool, failure: Failure | None) -> Mark | None:
        """Write down how far it is and what failed; parks what has failed for as long as it may.

        Returns:
            None when the subscription is not in these hands any more: what was sent meanwhile may be sent again.
        """
        no = failure or Failure("")
        async with connection_of(self._pool) as connection:
            row = await connection.fetchrow(
                self._MARK,
                held.subscription.id,
                held.pump,
                *read_position(position),
                delivered,
                failure and failure.reason,
                no.gone,
                timedelta(seconds=no.wait),
            )
        return None if row is None else Mark(row["state"], row["failing_since"], row["wait"])


@asynccontextmanager
async def connect(dsn: str, guard: Guard, *, size: int = 5) -> AsyncIterator[Subscriptions]:
    """The subscriptions and the feed on a pool of their own, which connects when it is first used.

    Args:
        guard: judges where events may go.
        size: the most connections it will hold.

    Raises:
        BadDatabaseAddress: the address cannot be used.
    """
    async with open_pool(dsn, size=size) as pool:
        yield Subscriptions(pool, Feed(pool), guard)


def _check(name: str, given: Collection[str] | None, allowed: Sequence[str]) -> None:
    if given is None:
        return
    if not given:
        raise Refused("invalid", f"{name}: name at least one, or leave it out for all")
    for one in given:
        if one not in allowed:
            raise Refused("invalid", f"{name} = {one[:40]!r}: allowed are {', '.join(allowed)}")


def _subscription(row: asyncpg.Record) -> Subscription:
    return Subscription(
        row["id"],
        row["url"],
        None if row["types"] is None else tuple(row["types"]),
        None if row["kinds"] is None else tuple(row["kinds"]),
        row["state"],
        row["retry_for"],
        f"{row['tx']}-{row['position']}",
        row["created_at"],
        row["delivered_at"],
        row["failing_since"],
        row["last_error"],
    )

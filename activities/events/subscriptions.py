"""Subscriptions to the events of the ledger: address, choice of events, position, and the secret that signs."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import asyncpg
from standardwebhooks import Webhook

from activities.database.database import Database, statement
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
        types, kinds: of the events that it wants; None is all.
        position: of the last event that is done with, delivered or not asked for.
        retry_for: how long an event is tried before the subscription is parked.
        failing_since, last_error: of the event that does not get through at present.
        texts: whether events come with what people wrote freely.
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
    texts: bool

    def wants(self, one: FeedEvent) -> bool:
        """Return whether an event is sent."""
        return (self.kinds is None or one.kind in self.kinds) and (
            self.types is None or one.event["type"] in self.types
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to deliver for a subscription, until somebody else takes it.

    Args:
        secret: what events are signed with.
        number: counts the leases of the subscription; only the last is good.
    """

    subscription: Subscription
    secret: Webhook = field(repr=False)
    number: int


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason why an event was not taken, in words that name no address.

    Args:
        gone: whether the subscriber wants no more events.
        wait: seconds for which it wants to be left alone.
    """

    reason: str
    gone: bool = False
    wait: float = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a subscription after a delivery, and when the next try is due if one is."""

    state: State
    failing_since: datetime | None
    wait: timedelta


class Subscriptions:
    """Reads and writes subscriptions. Safe to share between tasks; raises what `Database.connection` does.

    Args:
        guard: judges the addresses.
    """

    _ADD = statement(__package__, "subscription_add")
    _ALL = statement(__package__, "subscriptions")
    _LEASE = statement(__package__, "subscription_lease")
    _ADVANCE = statement(__package__, "subscription_advance")
    _CHANGE = statement(__package__, "subscription_change")

    def __init__(self, database: Database, guard: Guard) -> None:
        self._database = database
        self.feed = Feed(database)
        self.guard = guard

    # --- for operators -------------------------------------------------------------------------------

    async def add(
        self,
        url: str,
        *,
        types: Collection[str] | None = None,
        kinds: Collection[str] | None = None,
        retry_for: timedelta = RETRY_FOR,
        position: str | None = None,
        texts: bool = False,
        forms: Collection[str] = (),
    ) -> tuple[Subscription, str]:
        """Subscribe an address.

        Args:
            url: where events are posted.
            types, kinds: which events; None is all.
            retry_for: see `Subscription`; up to 30 days.
            position: the events after it are sent; None is those that are still to come.
            texts: whether with what people wrote freely.
            forms: the forms that ``kinds`` may name beside the kinds that this build knows.

        Returns:
            The subscription, and the secret that the receiver checks signatures with. It is not shown again.

        Raises:
            Refused: ``invalid`` or ``private_address``: which field, and what is allowed.
        """
        _check("types", types, list(EVENTS))
        _check("kinds", kinds, [*KINDS, *forms])
        if not timedelta() <= retry_for <= LONGEST_RETRY:
            raise Refused("invalid", f"retry_for = {retry_for}: allowed is up to {LONGEST_RETRY.days} days")
        await self.guard.check(url)
        if position is None:
            position = await self.feed.head()
        else:
            await self.feed.after(position, 1)  # refuses what this ledger never gave
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                self._ADD,
                f"sub-{secrets.token_hex(8)}",
                url,
                None if types is None else sorted(set(types)),
                None if kinds is None else sorted(set(kinds)),
                secret,
                retry_for,
                *read_position(position),
                texts,
            )
        return _subscription(row), secret

    async def all(self) -> list[Subscription]:
        """Return every subscription, removed ones too, in the order in which they were made."""
        async with self._database.connection() as connection:
            return [_subscription(row) for row in await connection.fetch(self._ALL, None)]

    async def get(self, id: str) -> Subscription:
        """Return one subscription.

        Raises:
            Refused: ``not_found``.
        """
        async with self._database.connection() as connection:
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
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._CHANGE, id, state, *place)
        if row is None:
            await self.get(id)  # says so where there never was one
            raise Refused("removed", f"the subscription {id} was removed; add a new one")
        return _subscription(row)

    # --- for the delivery --------------------------------------------------------------------------

    async def lease(self, id: str) -> Lease | None:
        """Take over an active subscription; None when it is not active."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._LEASE, id)
        return None if row is None else Lease(_subscription(row), read_secret(row["secret"]), row["pump"])

    async def advance(self, lease: Lease, position: str, delivered: bool, failure: Failure | None) -> Progress | None:
        """Write down how far a delivery is and what failed; park a subscription that failed for as long as it may.

        Returns:
            None when the lease is no longer good: what was sent meanwhile may be sent again.
        """
        stopped = failure or Failure("")
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                self._ADVANCE,
                lease.subscription.id,
                lease.number,
                *read_position(position),
                delivered,
                failure and failure.reason,
                stopped.gone,
                timedelta(seconds=stopped.wait),
            )
        return None if row is None else Progress(row["state"], row["failing_since"], row["wait"])


def _check(name: str, values: Collection[str] | None, allowed: Sequence[str]) -> None:
    if values is None:
        return
    if not values:
        raise Refused("invalid", f"{name}: name at least one, or leave it out for all")
    for value in values:
        if value not in allowed:
            raise Refused("invalid", f"{name} = {value[:40]!r}: allowed are {', '.join(allowed)}")


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
        row["texts"],
    )

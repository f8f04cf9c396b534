"""What handovers and shift swaps have done outside: the roster read and changed, the cases given over."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.casebook.book import Casebook
from activities.database.pool import connection_of, open_pool, statement
from activities.messages import SHIFT_END, CallOrder, ShiftEnd, ShiftOrder
from activities.people.directory import DirectoryBook
from activities.policies.store import Policies, Years
from activities.refusals import failure
from cases.directory import Directory, Shift
from cases.kinds.handover import HAND_OVER, goes_on, relief_of, tell_at
from cases.kinds.swap import CHANGE_ROSTER, PastSwap, SwapFacts, check, months_of, moves
from cases.policy.model import Policy
from cases.vocabulary.events import canonical
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import MOST_LISTED

# Sends a command to a case and answers with its view, or raises `Refused`.
Command = Callable[[str, str, Mapping[str, Any]], Awaitable[Any]]
Json = dict[str, Any]

# So many cases are given over at a time; seconds for each to answer.
AT_A_TIME, PATIENCE = 16, 20
PAGE = 1000


class Swaps:
    """The swaps that are valid, and the one way to make one so. Safe to share between tasks.

    Raises `DatabaseAway` when the database cannot serve.
    """

    _LOCK = statement(__package__, "directory_lock")
    _PAST = statement(__package__, "swap_past")
    _MOVES = statement(__package__, "swap_moves")
    _MOVE = statement(__package__, "swap_move")
    _RECORD = statement(__package__, "swap_record")

    def __init__(self, pool: asyncpg.Pool, directory: DirectoryBook) -> None:
        self._pool, self._directory = pool, directory

    async def check(self, swap: SwapFacts, policy: Policy, now: datetime) -> None:
        """Look at a swap that is asked for, by the roster as it is now.

        Raises:
            Refused: see `cases.kinds.swap.check`.
        """
        async with connection_of(self._pool) as connection:
            past = await self._past(connection, swap)
        check(swap, policy, await self._directory.read(), past, now)

    async def make_valid(self, case_id: str, swap: SwapFacts, policy: Policy, at: datetime) -> list[Json]:
        """Change the roster, once, after the limits were looked at again while nobody else can change it.

        Args:
            case_id: of the swap; the same again changes nothing.
            at: when it was signed.

        Returns:
            What changed: shift, from, to.

        Raises:
            Refused: see `cases.kinds.swap.check`; nothing has changed.
        """
        async with connection_of(self._pool) as connection, connection.transaction():
            await connection.fetchval(self._LOCK)
            done: list[Json] | None = await connection.fetchval(self._MOVES, case_id)
            if done is not None:
                return done
            # Read on a connection of its own: who holds the lock sees what all others have committed.
            check(swap, policy, await self._directory.read(), await self._past(connection, swap), at)
            changed = moves(swap)
            for move in changed:
                if await connection.execute(self._MOVE, move["shift"], move["from"], move["to"]) != "UPDATE 1":
                    # Somebody changes the tables by hand, past the lock.
                    raise Refused("not_theirs", f"shift {move['shift']!r} is no longer {move['from']!r}'s", "S1-1.7")
            people = (swap.initiator.id, swap.counterparty.id)
            months = months_of(swap, policy.working)
            await connection.execute(self._RECORD, case_id, *people, months, changed, at)
            return changed

    async def _past(self, connection: asyncpg.Connection, swap: SwapFacts) -> list[PastSwap]:
        people = [swap.initiator.id, swap.counterparty.id]
        return [
            PastSwap(frozenset((row["initiator"], row["counterparty"])), frozenset(row["months"]))
            for row in await connection.fetch(self._PAST, people)
        ]


@asynccontextmanager
async def connect(dsn: str, directory: DirectoryBook, *, size: int = 2) -> AsyncIterator[Swaps]:
    """The swaps on a pool of their own, which connects when it is first used.

    Raises:
        BadDatabaseAddress: the address cannot be used.
    """
    async with open_pool(dsn, size=size) as pool:
        yield Swaps(pool, directory)


class Handovers:
    """The activities.

    Args:
        command: sends a command to a case.
        years: asks for the calendar years that were loaded, over those that a policy has.
    """

    def __init__(
        self,
        book: Casebook,
        directory: DirectoryBook,
        swaps: Swaps,
        policies: Policies,
        command: Command,
        years: Callable[[], Awaitable[Years]],
    ) -> None:
        self._book, self._directory, self._swaps, self._policies = book, directory, swaps, policies
        self._command, self._years = command, years

    # --- before the handover ------------------------------------------------------------------------

    @activity.defn(name=SHIFT_END)
    async def shift_end(self, order: ShiftOrder) -> ShiftEnd:
        """How a shift ends by the roster as it is now, with the facts of its handover where asked for.

        Raises:
            ApplicationError: type ``Refused``, not retried: nobody knows the policy, or it has no handovers.
            DatabaseAway: see `DirectoryBook`.
        """
        try:
            policy = self._policies.load(order.policy)
            policy.rule("handover")
        except Refused as refusal:
            raise failure(refusal) from None
        # Not the last good one: a roster that cannot be read must not look like one without the shift.
        directory = await self._directory.read()
        shift = next((one for one in directory.shifts if one.id == order.shift), None)
        person = None if shift is None else directory.person(shift.person)
        if shift is None or person is None:
            return ShiftEnd("gone")
        if person.role not in policy.ladder.rungs:
            return ShiftEnd("no_rung")
        if goes_on(directory, shift):
            return ShiftEnd("goes_on")
        # As people of the policy's zone read it.
        ends_at = policy.local(shift.ends_at)
        facts = await self._facts(directory, shift, ends_at) if order.gather else {}
        return ShiftEnd("coming", tell_at(ends_at, policy).isoformat(), facts)

    async def _facts(self, directory: Directory, shift: Shift, ends_at: datetime) -> Json:
        person, relief = directory.person(shift.person), relief_of(directory, shift)
        assert person is not None
        held = await self._held(person.id)
        facts: Json = {
            "shift": shift.id,
            "outgoing": {"id": person.id, "role": person.role},
            "shift_ends_at": ends_at.isoformat(),
            "unit": person.unit,
            "total": len(held),
            "cases": [_summary(view) for view in held[:MOST_LISTED]],
        }
        if relief is not None:
            facts["relief"] = {"id": relief.id, "role": relief.role}
        return facts

    async def _held(self, person: str) -> list[Json]:
        """The open cases of a person, as the casebook knows them; what is due first comes first."""
        found: list[Json] = []
        after: str | None = None
        while True:
            page = await self._book.list_cases(holder=person, status="open", limit=PAGE, after=after)
            found += page.cases
            if (after := page.after) is None:
                return found

    # --- giving the cases over ----------------------------------------------------------------------

    @activity.defn(name=HAND_OVER)
    async def hand_over(self, order: CallOrder) -> Json:
        """Assign each open case of the outgoing person to the relief, until there is none left.

        Each is taken only while the outgoing person holds it, under a request id of its own, so that
        doing all of it again is harmless. One that has closed, climbed or been taken up by somebody
        else meanwhile is left alone.

        Returns:
            ``cases`` by id, and ``left`` with the code of the refusal.

        Raises:
            ApplicationError: a case does not answer; the others have changed hands.
            DatabaseAway: see `Casebook`.
        """
        outgoing = order.what["from"]["id"]
        reason = f"{order.case_id} {order.what['round']}"
        outcome: dict[str, str | None] = {}
        silent: set[str] = set()
        turns = asyncio.Semaphore(AT_A_TIME)

        async def give(view: Json) -> None:
            async with turns:
                try:
                    async with asyncio.timeout(PATIENCE):
                        await self._command(view["id"], "assign", _assignment(order, view, reason))
                    outcome[view["id"]] = None
                except Refused as refusal:
                    outcome[view["id"]] = refusal.code
                except Exception as error:
                    # One case that hangs must not keep the others from changing hands.
                    activity.logger.warning("a case does not answer", extra={"reason": type(error).__name__})
                    silent.add(view["id"])
            activity.heartbeat(len(outcome))

        while waiting := [v for v in await self._held(outgoing) if v["id"] not in outcome and v["id"] not in silent]:
            await asyncio.gather(*map(give, waiting))
        if silent:
            raise ApplicationError(f"{len(silent)} cases do not answer", type="CasesSilent")
        # What an earlier attempt had assigned is no longer among those that are held; the ledger knows it.
        handed = {case for case, code in outcome.items() if code is None} | set(await self._book.assigned_for(reason))
        left = [{"case": case, "code": code} for case, code in sorted(outcome.items()) if code and case not in handed]
        return {"cases": sorted(handed), "left": left}

    # --- swapping -----------------------------------------------------------------------------------

    @activity.defn(name=CHANGE_ROSTER)
    async def change_roster(self, order: CallOrder) -> Json:
        """Make a signed swap valid.

        Returns:
            ``moves``; or ``refused`` with code and message, when the limits do not allow it any more.

        Raises:
            DatabaseAway: see `Swaps`.
        """
        swap = SwapFacts.model_validate(order.what)
        try:
            policy = await self._pinned(order.policy_hash)
            signed_at = datetime.fromisoformat(order.at)
            return {"moves": await self._swaps.make_valid(order.case_id, swap, policy, signed_at)}
        except Refused as refusal:
            return {"refused": refusal.as_json()}

    async def _pinned(self, policy_hash: str) -> Policy:
        """The policy that the case is pinned to, with all years that were published since."""
        document = await self._book.policy_document(policy_hash)
        if document is None:
            # Recorded with the case's first events, which may still be on their way.
            raise ApplicationError("the casebook does not know the policy yet", type="PolicyAway")
        content = json.loads(document)
        content["calendar"]["years"] = {**content["calendar"]["years"], **await self._years()}
        return Policy.from_document(canonical(content))


def _summary(view: Json) -> Json:
    """What the relief is told of a case."""
    live = [clock for clock in view["clocks"] if clock["state"] in ("running", "paused")]
    listed = {
        "id": view["id"],
        "number": view["number"],
        "rung": view["rung"],
        "next_due": view["next_due"],
        "promised": [clock["due"] for clock in live if clock["clock"].startswith("promise:")],
        "paused": [clock["clock"] for clock in live if clock["state"] == "paused"],
    }
    return {name: value for name, value in listed.items() if value not in (None, [])}


def _assignment(order: CallOrder, view: Json, reason: str) -> Json:
    """The relief takes the case to themselves, so that it counts as acknowledged."""
    relief = order.what["to"]
    return {
        "by": relief,
        "to": {"id": relief["id"], "role": view["rung"]},
        "held_by": order.what["from"]["id"],
        "reason": reason,
        # Ids may be as long as a request id, so their digest stands for them.
        "request_id": hashlib.sha256(f"{reason}\0{view['id']}".encode()).hexdigest(),
    }

"""Handovers of shifts: when a shift ends, and its cases handed over (activities ``shift_end``, ``hand_over``)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.casebook.filter import Filter
from activities.casebook.paging import MOST
from activities.casebook.read import Casebook
from activities.casebook.search import Search
from activities.messages import SHIFT_END, CallOrder, ShiftEnd, ShiftOrder
from activities.people.directory import DirectoryBook
from activities.policies.store import Policies
from activities.refusals import failure
from cases.directory import Directory, Shift
from cases.kinds.handover import HAND_OVER, Handover, goes_on, relief_of, tell_at
from cases.vocabulary.contract import PASSING
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import MOST_LISTED

# Sends a command to a case and answers with its view, or raises `Refused`.
Command = Callable[[str, str, Mapping[str, Any]], Awaitable[Any]]
Json = dict[str, Any]

# So many cases are handed over at a time; seconds for each to answer.
AT_A_TIME, PATIENCE = 16, 20


class Handovers:
    """The activities.

    Args:
        command: sends a command to a case.
    """

    def __init__(
        self, casebook: Casebook, search: Search, directory: DirectoryBook, policies: Policies, command: Command
    ) -> None:
        self._casebook, self._search, self._directory = casebook, search, directory
        self._policies, self._command = policies, command

    # --- before the handover ------------------------------------------------------------------------

    @activity.defn(name=SHIFT_END)
    async def shift_end(self, order: ShiftOrder) -> ShiftEnd:
        """Return how a shift ends by the roster as it is now, with the facts of its handover where asked for.

        Raises:
            ApplicationError: type ``Refused``, not retried: nobody knows the policy, or it has no handovers.
            DatabaseAway: see `Database.connection`.
        """
        try:
            policy = self._policies.load(order.policy)
            policy.rule(Handover.KIND)
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
            "cases": [_listed(view) for view in held[:MOST_LISTED]],
        }
        if relief is not None:
            facts["relief"] = {"id": relief.id, "role": relief.role}
        return facts

    async def _held(self, person: str) -> list[Json]:
        """Return the open cases of a person, as the casebook knows them; what is due first comes first."""
        views: list[Json] = []
        after: str | None = None
        while True:
            page = await self._search.page(
                Filter(holder=person, status="open"), units=None, kinds=None, limit=MOST, after=after
            )
            views += page.cases
            if (after := page.after) is None:
                return views

    # --- handing the cases over ---------------------------------------------------------------------

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
            DatabaseAway: see `Database.connection`.
        """
        outgoing = order.what["from"]["id"]
        reason = f"{order.case_id} {order.what['round']}"
        outcome: dict[str, str | None] = {}
        silent: set[str] = set()
        turns = asyncio.Semaphore(AT_A_TIME)

        async def hand_over(view: Json) -> None:
            async with turns:
                try:
                    async with asyncio.timeout(PATIENCE):
                        await self._command(view["id"], "assign", _assignment(order, view, reason))
                    outcome[view["id"]] = None
                except Refused as refusal:
                    if refusal.code in PASSING:
                        silent.add(view["id"])
                    else:
                        outcome[view["id"]] = refusal.code
                except Exception as error:
                    # One case that hangs must not keep the others from changing hands.
                    activity.logger.warning("a case does not answer", extra={"reason": type(error).__name__})
                    silent.add(view["id"])
            activity.heartbeat(len(outcome))

        while waiting := [v for v in await self._held(outgoing) if v["id"] not in outcome and v["id"] not in silent]:
            await asyncio.gather(*map(hand_over, waiting))
        if silent:
            raise ApplicationError(f"{len(silent)} cases do not answer", type="CasesSilent")
        # What an earlier attempt had assigned is no longer among those that are held; the ledger knows it.
        handed = {case for case, code in outcome.items() if code is None}
        handed |= set(await self._casebook.assigned_for(reason))
        left = [{"case": case, "code": code} for case, code in sorted(outcome.items()) if code and case not in handed]
        return {"cases": sorted(handed), "left": left}


def _listed(view: Json) -> Json:
    """Return what a handover lists of a case."""
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
    """Return the command by which the relief takes a case, so that it counts as acknowledged."""
    relief = order.what["to"]
    return {
        "by": relief,
        "to": {"id": relief["id"], "role": view["rung"]},
        "held_by": order.what["from"]["id"],
        "reason": reason,
        # Ids may be as long as a request id, so their digest stands for them.
        "request_id": hashlib.sha256(f"{reason}\0{view['id']}".encode()).hexdigest(),
    }

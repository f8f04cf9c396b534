"""The waybill: one parcel is paid for once, so other claims on it stop an offer until somebody says why not.

The casebook is asked at filing and at each assessment. What it finds blocks until a supervisor or above has looked; the
payment asks once more, under a lock (`activities.payouts.book`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from cases.mechanisms.part import Part
from cases.vocabulary.commands import Command
from cases.vocabulary.effects import ActivityCall
from cases.vocabulary.events import Actor, Event, EventData
from cases.vocabulary.parcels import Found, FoundInquiry, OtherClaim
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import FreeText, Text

if TYPE_CHECKING:
    from cases.case import Case

# The activity that looks.
LOOK_UP_WAYBILL = "look_up_waybill"
CLAUSE = "S0-A.1"


class WaybillLookedUp(EventData):
    """The casebook said what else it has about the parcel; ``of`` is the event that asked, or that was to be paid."""

    TYPE: ClassVar[str] = "waybill_looked_up"
    of: int
    waybill: str
    claims: list[OtherClaim]
    inquiries: list[FoundInquiry]


class WaybillCleared(EventData):
    """Somebody looked at other claims on the parcel and said why this is another matter."""

    TYPE: ClassVar[str] = "waybill_cleared"
    BY_COMMAND: ClassVar[bool] = True
    claims: list[str]
    reason: FreeText


class ClearWaybill(Command):
    """Say why this claim is another matter than the other ones on the same waybill (S0-A.1 [READING])."""

    NAME = "clear_waybill"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"reason": "That one was for another piece of the same shipment."}
    reason: Text


class Waybill(Part):
    """What else is known about the parcel of a case. Without duties in the policy nothing is asked."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        # What was found at last, and which of the claims were looked at.
        self.claims: list[OtherClaim] = []
        self.inquiries: list[FoundInquiry] = []
        self.cleared: list[str] = []
        self._of = 0

    @property
    def waybill(self) -> str | None:
        """The waybill that the facts name."""
        found: str | None = (self.case.facts.get("shipment") or {}).get("waybill")
        return found

    @property
    def looking(self) -> bool:
        """Whether the casebook was asked and has not answered."""
        return any(isinstance(one, ActivityCall) and one.activity == LOOK_UP_WAYBILL for one in self.case.outbox)

    def look_up(self, event: Event) -> None:
        """Ask the casebook: for handlers of events, since what is owed follows from them."""
        if self.waybill is not None:
            self.case.ask(ActivityCall(seq=event.seq, activity=LOOK_UP_WAYBILL, order={"waybill": self.waybill}))

    def found(self, of: int, found: Found, at: datetime) -> None:
        """Take in what the casebook knows; told again, it says nothing new."""
        data = WaybillLookedUp(of=of, waybill=self.waybill or "", claims=found.claims, inquiries=found.inquiries)
        self.case.emit(data, self.case.arrive(at), clauses=(CLAUSE,))

    def uncleared(self) -> list[OtherClaim]:
        """List the other claims that nobody has looked at."""
        return [one for one in self.claims if one.case not in self.cleared]

    def refusal(self, command: str) -> Refused | None:
        """Say which other claims stand against what would pay for the parcel."""
        others = self.uncleared()
        if not others:
            return None
        named = ", ".join(f"{one.case} ({one.state})" for one in others)
        message = f"{command}: the parcel is claimed already: {named}; clear_waybill says why this is another matter"
        return Refused("waybill_claimed", message, CLAUSE)

    # --- commands ---------------------------------------------------------------------------------

    def _may_clear_waybill(self, by: Actor, at: datetime) -> None:
        authority, lowest = self.case.policy.authority_of, self.case.policy.compensation.discretion_from
        if authority.rank(by.role) < authority.rank(lowest):
            message = f"by.role = {by.role!r} may not clear_waybill: {lowest} or above may"
            raise Refused("authority", message, CLAUSE)
        if not self.uncleared():
            raise Refused(
                "nothing_to_clear", "clear_waybill: no other claim on the parcel waits to be looked at", CLAUSE
            )

    def _do_clear_waybill(self, command: ClearWaybill, at: datetime, by: Actor) -> None:
        data = WaybillCleared(claims=[one.case for one in self.uncleared()], reason=command.reason)
        self.case.emit(data, at, by=by, clauses=(CLAUSE,))

    # --- how events change the state --------------------------------------------------------------

    def _on_waybill_looked_up(self, data: WaybillLookedUp, event: Event) -> None:
        self.case.came_out(ActivityCall, data.of)
        # What was asked first may be answered last.
        if data.of >= self._of:
            self._of, self.claims, self.inquiries = data.of, data.claims, data.inquiries

    def _on_waybill_cleared(self, data: WaybillCleared, event: Event) -> None:
        self.cleared += [one for one in data.claims if one not in self.cleared]

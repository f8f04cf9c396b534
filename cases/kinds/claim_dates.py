"""The dates of a claim that decide money: filed long after its receipt, or typed by the staff without proof.

A claim whose receipt lies further back than the policy's bound is marked, and somebody else than who filed it has to
approve that before anything is offered. Where one of the staff filed it, an inquiry that keeps it alive (S0-A.2.X c) is
one that the casebook has, or is proven; so are the times of a delay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from cases.kinds.claim_models import Provable
from cases.mechanisms.approvals import ApprovalRequested
from cases.mechanisms.part import Choices, Part, Turn
from cases.vocabulary import lifecycle as life
from cases.vocabulary.commands import Command
from cases.vocabulary.events import Actor, Event, EventData
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import Token
from cases.working_calendar import anniversary

if TYPE_CHECKING:
    from cases.kinds.claim import Claim

# Who files and is none of the staff.
NO_STAFF = frozenset({"customer", "platform", "system"})
# What somebody else approves where a claim was filed long after its receipt.
BACKDATING = "backdating"
CLAUSE = "S1-5.9.10"


class ProveDate(Command):
    """Name what proves a date that decides money: a document, a recording, an entry of another system."""

    NAME = "prove_date"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"date": "inquiry_recorded_on", "evidence": "hotline-2026-02-01-118"}
    date: Provable
    evidence: Token


class DateProven(EventData):
    """Somebody named what proves a date that decides money."""

    TYPE: ClassVar[str] = "date_proven"
    BY_COMMAND: ClassVar[bool] = True
    date: str
    evidence: str


class Dates(Part):
    """What of a claim's dates is still to be proven or approved."""

    case: Claim

    def __init__(self, case: Claim) -> None:
        super().__init__(case)
        self.filed_by: Actor | None = None
        self.backdated = False
        self._ask_at: datetime | None = None
        self.proven: set[str] = set()

    def unproven(self) -> list[str]:
        """Name the dates that decide money and that nobody has proven, in the order of the policy."""
        duties = self.case.duties
        if duties is None:
            return []
        deciding = set(self._deciding())
        return [name for name in duties.prove if name in deciding and name not in self.proven]

    def _deciding(self) -> Iterable[str]:
        facts, by = self.case.known_facts(), self.filed_by
        shipment, inquired = facts.shipment, facts.inquiry_recorded_on
        # A backend system knows when something happened; one of the staff only says so.
        if shipment is None or by is None or by.role in NO_STAFF:
            return
        last = anniversary(shipment.posted_on, self.case.policy.compensation.claim_years)
        preserves = self.case.policy.compensation.inquiry_preserves_claim
        if inquired is not None and preserves and self._filed_on() > last and not self._inquired_by(last):
            yield "inquiry_recorded_on"
        if facts.factor in ("delay", "loss"):
            yield from (name for name in ("promised_at", "delivered_at") if getattr(shipment, name) is not None)

    def _filed_on(self) -> date:
        assert self.case.opened_at is not None
        return self.case.policy.local(self.case.opened_at).date()

    def _inquired_by(self, last: date) -> bool:
        """Whether the casebook has an inquiry about the parcel from within the year."""
        local = self.case.policy.local
        return any(local(one.recorded_at).date() <= last for one in self.case.waybill.inquiries)

    def turns(self) -> Iterable[Turn]:
        """Yield when somebody is asked to look at a claim that was filed long after its receipt: as it is filed."""
        if self._ask_at is not None:
            yield self._ask_at, self._ask

    def _ask(self, at: datetime) -> None:
        asker = self.filed_by or self.case.events[0].actor
        self.case.approvals.ask(BACKDATING, None, self.case.policy.compensation.discretion_from, at, by=asker)

    def objection(self, by: Actor) -> Refused | None:
        """Say why this actor may not approve that it was filed long after its receipt, or None."""
        authority, least = self.case.policy.authority_of, self.case.policy.compensation.discretion_from
        if by.is_same(self.filed_by):
            return Refused("duties", f"approve: by.id = {by.id!r} filed it; somebody else approves it", CLAUSE)
        if authority.rank(by.role) < authority.rank(least):
            return Refused(
                "authority", f"by.role = {by.role!r} may not approve {BACKDATING}: {least} or above may", CLAUSE
            )
        return None

    def refusal(self, command: str) -> Refused | None:
        """Say which date stands against what would pay by it."""
        if self.backdated and not self.case.approvals.is_approved(BACKDATING):
            message = (
                f"{command}: it was filed long after its receipt; somebody else approves that ({BACKDATING}) first"
            )
            return Refused("backdated", message, CLAUSE)
        unproven = self.unproven()
        if unproven:
            message = f"{command}: nothing proves {', '.join(unproven)}; prove_date names the evidence"
            return Refused("date_unproven", message, CLAUSE)
        return None

    # --- commands ---------------------------------------------------------------------------------

    def _may_prove_date(self, by: Actor, at: datetime) -> None:
        if not self.unproven():
            raise Refused("nothing_to_prove", "prove_date: no date of this claim is to be proven", CLAUSE)

    def _choices_prove_date(self, by: Actor, at: datetime) -> Choices:
        return {"date": self.unproven()}

    def _check_prove_date(self, command: ProveDate, at: datetime, by: Actor) -> None:
        unproven = self.unproven()
        if unproven and command.date not in unproven:
            raise Refused(
                "nothing_to_prove", f"date = {command.date!r}: to be proven are {', '.join(unproven)}", CLAUSE
            )

    def _do_prove_date(self, command: ProveDate, at: datetime, by: Actor) -> None:
        self.case.emit(DateProven(date=command.date, evidence=command.evidence), at, by=by, clauses=(CLAUSE,))

    # --- how events change the state --------------------------------------------------------------

    def _on_case_opened(self, data: life.CaseOpened, event: Event) -> None:
        self.filed_by = None if event.actor.role == "system" else event.actor
        duties = self.case.duties
        received = data.reported_at or event.at
        self.backdated = duties is not None and event.recorded_at - received > duties.backdated_after
        self._ask_at = event.recorded_at if self.backdated else None

    def _on_approval_requested(self, data: ApprovalRequested, event: Event) -> None:
        if data.subject == BACKDATING:
            self._ask_at = None

    def _on_date_proven(self, data: DateProven, event: Event) -> None:
        self.proven.add(data.date)

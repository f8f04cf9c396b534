"""An inquiry (查询): answered within 20 minutes, for a year from posting (S0-2.2)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from pydantic import Field

from cases.case import Case, by_name
from cases.policy.tables import KindTable
from cases.vocabulary.commands import EVERY_KIND
from cases.vocabulary.facts import SHIPMENT_EXAMPLE, Facts, Intake, Shipment
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import Text
from cases.vocabulary.views import CaseView
from cases.working_calendar import anniversary


class InquiryFacts(Facts):
    """An inquiry (查询), S0-2.2: the waybill and the posting day decide whether it is answerable."""

    shipment: Shipment
    question: Text | None = None


class InquiryIntake(Intake):
    """Input of the workflow ``Inquiry``."""

    facts: InquiryFacts


class InquiryTable(KindTable):
    """The numbers of inquiries."""

    CLOCKS = ("rung", "inquiry", "promise", "approval")

    # For so many years from the posting day an inquiry is answered (S0-2.2.2).
    validity_years: Annotated[int, Field(gt=0, le=100)] | None = None

    def years(self) -> Iterator[tuple[str, int, str]]:
        """Yield for how long an inquiry is answerable."""
        if self.validity_years is not None:
            yield "answerable", self.validity_years, "S0-2.2.2"


class InquiryView(CaseView):
    """An inquiry as it stands."""


class Inquiry(Case):
    """An inquiry has no rung clock: the agent holds it, and a breach brings in the supervisor."""

    KIND = "inquiry"
    WORKFLOW = "Inquiry"
    INTAKE = InquiryIntake
    EXAMPLE = {"key": "web-2026-9", "facts": {"shipment": SHIPMENT_EXAMPLE, "question": "Where is it?"}}
    TABLE = InquiryTable
    IN_EVERY_POLICY = True
    COMMANDS = by_name(*EVERY_KIND)
    VIEW = InquiryView
    CLIMBS = True
    FILED = True
    SEEN_BY = frozenset()
    ABOUT = ""
    MONEY = {}
    OPENED_BY = ("S0-2.2.1",)

    rule: InquiryTable

    def _admit(self, intake: Intake, received: datetime) -> None:
        assert isinstance(intake.facts, InquiryFacts)
        posted, years = intake.facts.shipment.posted_on, self.rule.validity_years
        if posted > received.date():
            raise Refused("invalid", f"facts.shipment.posted_on = {posted} lies after the receipt {received.date()}")
        if years is not None and received.date() > anniversary(posted, years):
            last = anniversary(posted, years)
            message = f"facts.shipment.posted_on = {posted}: it was answerable until {last}"
            raise Refused("out_of_validity", message, "S0-2.2.2")

    def _start_clocks(self, at: datetime) -> None:
        self.clocks.start("inquiry", at)

    def _restart_clocks(self, at: datetime) -> None:
        self.clocks.start("inquiry", at)

    def met_by_reply(self, stage: str) -> tuple[str, ...]:
        """Name the clock that the answer ends."""
        return ("inquiry",) if stage == "answer" else ()

    def settled_by_reply(self, stage: str) -> bool:
        """Whether it is the answer, which is what an inquiry is about."""
        return stage == "answer"

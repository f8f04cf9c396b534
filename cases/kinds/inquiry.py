"""An inquiry (查询): answered within 20 minutes, for a year from posting (S0-2.2)."""

from __future__ import annotations

from datetime import datetime

from cases.case import Case, known_commands
from cases.vocabulary import commands
from cases.vocabulary.events import Actor
from cases.vocabulary.facts import InquiryFacts, InquiryIntake, Intake
from cases.vocabulary.refusals import Refused
from cases.working_calendar import anniversary


class Inquiry(Case):
    """An inquiry has no rung clock: the agent holds it, and a breach brings in the supervisor."""

    KIND = "inquiry"
    WORKFLOW = "Inquiry"
    INTAKE = InquiryIntake
    COMMANDS = known_commands()
    OPENED_BY = ("S0-2.2.1",)

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
        self._start_clock("inquiry", at)

    def _restart_clocks(self, at: datetime) -> None:
        self._start_clock("inquiry", at)

    def _met_by_reply(self, stage: str) -> tuple[str, ...]:
        return ("inquiry",) if stage == "answer" else ()

    def _do_reply(self, command: commands.Reply, at: datetime, by: Actor) -> None:
        super()._do_reply(command, at, by)
        if command.stage == "answer" and self.status == "open":
            # The answer is what an inquiry is about: with it the matter is settled.
            self._resolve(at, by, None)

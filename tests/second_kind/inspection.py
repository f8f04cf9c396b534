"""An inspection (test kind): numbered when it is accepted; it files cases, issues copies and records absences."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from cases import registry
from cases.case import Case, by_name
from cases.mechanisms.notices import CopiesIssued, IssuedCopy
from cases.mechanisms.numbering import Numbering
from cases.mechanisms.part import Part
from cases.policy.tables import KindTable
from cases.vocabulary.commands import EVERY_KIND, Command
from cases.vocabulary.effects import RECORD_ABSENCE, ActivityCall
from cases.vocabulary.events import Actor, Event, EventData
from cases.vocabulary.facts import Facts, Intake
from cases.vocabulary.lifecycle import Closed
from cases.vocabulary.parcels import EarlierClaims
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import Instant, Role, Token
from cases.vocabulary.views import CaseView


class InspectionFacts(Facts):
    """What is inspected."""

    machine: Token


class InspectionIntake(Intake):
    """Input of the workflow ``Inspection``."""

    facts: InspectionFacts


class InspectionTable(KindTable):
    """The numbers of inspections."""

    CLOCKS = ("promise", "approval")


class AcceptInspection(Command):
    """The inspection is accepted, and gets its number."""

    NAME = "accept_inspection"


class FileBeside(Command):
    """Another case is filed by this one."""

    NAME = "file_beside"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"other": "complaint:X-1"}
    other: Token


class SendAway(Command):
    """Somebody is away."""

    NAME = "send_away"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "people": ["agent-1"], "begins": "2026-03-04T08:00:00+08:00", "ends": "2026-03-05T08:00:00+08:00",
    }  # fmt: skip
    people: list[Token]
    begins: Instant
    ends: Instant


class IssueCopies(Command):
    """Copies go out, and the inspection is closed."""

    NAME = "issue_copies"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"to": ["supervisor"]}
    to: list[Role]
    close: bool = True


class InspectionAccepted(EventData):
    """The inspection was accepted."""

    TYPE: ClassVar[str] = "inspection_accepted"


class SentAway(EventData):
    """People are away."""

    TYPE: ClassVar[str] = "sent_away"
    people: list[str]
    begins: str
    ends: str


class AwayRecorded(EventData):
    """The directory knows it of all but these."""

    TYPE: ClassVar[str] = "away_recorded"
    unknown: list[str]


class InspectionView(CaseView):
    """An inspection as it stands."""

    filed: list[str]


class Inspection(Case):
    """A machine is inspected."""

    KIND = "inspection"
    WORKFLOW = "Inspection"
    INTAKE = InspectionIntake
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"key": "m-1", "facts": {"machine": "M-1"}}
    TABLE = InspectionTable
    COMMANDS: ClassVar[dict[str, type[Command]]] = by_name(
        *EVERY_KIND, AcceptInspection, FileBeside, SendAway, IssueCopies
    )
    VIEW = InspectionView
    PARTS: ClassVar[Mapping[str, type[Part]]] = {**Case.PARTS, "numbering": Numbering}
    NUMBERED_AT_OPENING = False
    CLIMBS = True
    FILED = True
    SEEN_BY = frozenset()
    ABOUT = "machine"
    MONEY: ClassVar[Mapping[str, str]] = {}

    numbering: Numbering

    def _do_accept_inspection(self, command: AcceptInspection, at: datetime, by: Actor) -> None:
        if any(event.type == InspectionAccepted.TYPE for event in self.events):
            raise Refused("already_accepted", "accept_inspection: it is accepted", "S1-5.9.3")
        self.emit(InspectionAccepted(), at, by=by, clauses=("S1-5.9.3",))

    def _do_file_beside(self, command: FileBeside, at: datetime, by: Actor) -> None:
        self.file_case(command.other, at, by, ("INVENTED",))

    def _do_send_away(self, command: SendAway, at: datetime, by: Actor) -> None:
        away = SentAway(people=command.people, begins=command.begins.isoformat(), ends=command.ends.isoformat())
        self.emit(away, at, by=by)

    def _do_issue_copies(self, command: IssueCopies, at: datetime, by: Actor) -> None:
        copies = [IssuedCopy(no=no, to=to) for no, to in enumerate(command.to, 1)]
        self.emit(CopiesIssued(copies=copies), at, by=by, clauses=("S1-5.9.7",))
        if command.close:
            self.emit(Closed(outcome="resolved"), at, by=by)

    def filed_facts(self, case_id: str, event: Event) -> dict[str, Any]:
        if case_id.startswith("complaint:"):
            return {"category": "refused" if case_id.endswith("-bad") else "other"}
        if case_id.startswith("inspection:"):
            return {"machine": self.facts["machine"]}
        filed_by = {"id": event.actor.id, "role": event.actor.role}
        return {"filed_by": filed_by, "fields": {"unit": "qa_manager", "defect": self.facts["machine"]}}

    def activity_done(self, call: ActivityCall, result: Mapping[str, Any], at: datetime) -> None:
        if call.activity != RECORD_ABSENCE:
            return super().activity_done(call, result, at)
        self.emit(AwayRecorded(unknown=result["unknown"]), self.arrive(at))

    def rehearsed(self, call: ActivityCall, earlier_claims: EarlierClaims, serial: int) -> Mapping[str, Any]:
        if call.activity != RECORD_ABSENCE:
            return super().rehearsed(call, earlier_claims, serial)
        return {"unknown": []}

    def _on_inspection_accepted(self, data: InspectionAccepted, event: Event) -> None:
        self.numbering.ask(event)

    def _on_sent_away(self, data: SentAway, event: Event) -> None:
        order = {"people": data.people, "from": data.begins, "to": data.ends}
        self.ask(ActivityCall(seq=event.seq, activity=RECORD_ABSENCE, order=order))

    def _on_away_recorded(self, data: AwayRecorded, event: Event) -> None:
        self.came_out(ActivityCall, name=RECORD_ABSENCE)

    def _view(self) -> dict[str, Any]:
        return {**super()._view(), "filed": self.filed}


registry.declare(Inspection)

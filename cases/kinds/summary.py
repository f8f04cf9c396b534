"""The month-end corrective summary (月度整改总结): signed step by step, then sent to the customer (S3-4.3.1.10)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from cases.case import OTHERS, Case, by_name
from cases.mechanisms.route import Route, SendBack, Step
from cases.policy.tables import Reminders, RouteTable
from cases.vocabulary import commands
from cases.vocabulary import lifecycle as life
from cases.vocabulary.commands import Sign
from cases.vocabulary.events import Actor, EventData, known_or_reference, reference
from cases.vocabulary.facts import Facts, Intake
from cases.vocabulary.refusals import Refused
from cases.vocabulary.texts import Said, SaidAgain
from cases.vocabulary.values import MOST_LISTED, BriefText, Like, Model, Month, Role, Token
from cases.vocabulary.views import CaseView, ViewModel, Waiting

CLAUSE = "S3-4.3.1.10"


class SummarizedException(Model):
    """One exception report in a month's summary, by its number; what is not known yet is left out."""

    number: Token
    late: bool
    category: Token | None = None
    unit: Token | None = None
    cause: BriefText | None = None
    measure: BriefText | None = None


class SummaryFacts(Facts):
    """The exceptions of a month (S3-4.3.1.10), and how many there are of each category.

    ``total`` and ``counts`` are of all of them, also where ``exceptions`` lists only the first.
    """

    month: Month
    total: Annotated[int, Field(ge=0)]
    counts: dict[Token, Annotated[int, Field(gt=0)]] = Field(default_factory=dict)
    # Every step of a case carries its facts along, so that a list has an end.
    exceptions: Annotated[tuple[SummarizedException, ...], Field(max_length=MOST_LISTED)] = ()

    @model_validator(mode="after")
    def _counts_add_up(self) -> Self:
        if sum(self.counts.values()) != self.total:
            raise ValueError(f"counts add up to {sum(self.counts.values())}, total = {self.total}")
        if len(self.exceptions) > self.total:
            raise ValueError(f"exceptions lists {len(self.exceptions)}, total = {self.total}")
        return self


class SummaryIntake(Intake):
    """Input of the workflow ``MonthlySummary``."""

    facts: SummaryFacts


class SaidBy(Model):
    """What somebody gave as cause and prevention; a reference to it where the text is not known here."""

    role: Role
    text: SaidAgain | None = None


class SummarySent(EventData):
    """The summary of a month went to the customer: ``said`` is cause and prevention by role."""

    TYPE: ClassVar[str] = "summary_sent"
    month: str
    said: list[Annotated[dict[str, Any], Like(SaidBy)]]


class Signature(ViewModel):
    """Who signed a step, and what they wrote."""

    step: int
    role: str
    id: str
    text: Said


class SummaryTable(RouteTable):
    """The numbers of month-end summaries."""

    CLOCKS = ("signature",)
    GIVEN = frozenset()


class SummaryView(CaseView):
    """A summary, with whose turn it is and who has signed."""

    step: int
    turn: list[str]
    signed: list[Signature]


class SignatureRoute(Route):
    """The managers give cause and prevention, the project manager audits, the director, the deputy manager."""

    CLAUSE = CLAUSE

    def plan(self) -> Sequence[Step]:
        """Return the steps by their numbers."""
        return [Step(number, roles, f"signature:{number}") for number, roles in enumerate(self._table.signatures, 1)]

    def reminders(self) -> Reminders:
        """Return how who is late is reminded."""
        return self._table.reminders

    @property
    def _table(self) -> SummaryTable:
        table = self.case.rule
        assert isinstance(table, SummaryTable)
        return table

    def check_signature(self, step: Step, command: Sign, by: Actor) -> None:
        """Refuse a first signature without cause and prevention."""
        if command.text is None and step.name == 1:
            message = "sign: text is missing: who signs first gives cause and prevention"
            raise Refused("text_missing", message, CLAUSE)

    def is_asked_again(self, step: Step, sent_back: bool) -> bool:
        """Whether it was sent back to this very step: of the later ones, nobody says it."""
        return sent_back

    def instead_of_sending_back(self) -> str:
        """Say what to do in the first step."""
        return "sign, with what is wrong as text"


class Summary(Case):
    """One month. Each step has a clock of its own; who is late is reminded, and the ladder hears of it.

    It goes to the customer with the last signature. Reopened, it begins again with the first step.
    """

    KIND = "summary"
    WORKFLOW = "MonthlySummary"
    INTAKE = SummaryIntake
    EXAMPLE = {"key": "2026-03", "facts": {"month": "2026-03", "total": 1, "counts": {"damage": 1}}}
    TABLE = SummaryTable
    # The rest is about a customer's matter, or would end it without its signatures.
    COMMANDS = by_name(
        commands.Acknowledge, commands.Assign, commands.Escalate, commands.Note, commands.Attach,
        commands.LoadCalendar, commands.Resend, commands.Reopen, Sign, SendBack,
    )  # fmt: skip
    VIEW = SummaryView
    PARTS = {**Case.PARTS, "route": SignatureRoute}
    CLIMBS = False
    FILED = False
    SEEN_BY = frozenset({"department_manager", OTHERS})
    ABOUT = "month"
    MONEY = {}
    OPENED_BY = (CLAUSE,)

    route: SignatureRoute

    def _admit(self, intake: Intake, received: datetime) -> None:
        assert isinstance(intake.facts, SummaryFacts)
        if intake.key != intake.facts.month:
            raise Refused("invalid", f"key = {intake.key!r}: the key is the month, {intake.facts.month}", CLAUSE)
        check_ended(intake.facts.month, received)

    def _start_clocks(self, at: datetime) -> None:
        self.route.begin(at)

    def _restart_clocks(self, at: datetime) -> None:
        self.route.begin(at)

    def after_signed(self, at: datetime, by: Actor) -> None:
        """Send the summary to the customer; with that the matter is settled."""
        said = [
            {"role": role, "text": known_or_reference(event, "text")} for role, event in self.route.signed[1].items()
        ]
        self.emit(SummarySent(month=self.facts["month"], said=said), at, clauses=(CLAUSE,))
        self.emit(life.Resolved(summary=None), at, by=by, clauses=(CLAUSE,))

    def waits_for(self) -> list[Waiting]:
        """List whose signatures are waited for."""
        return self.route.waits_for()

    def _view(self) -> dict[str, Any]:
        signed = [
            Signature(step=step, role=role, id=event.actor.id, text=reference(event, "text"))
            for step, signatures in self.route.signed.items()
            for role, event in signatures.items()
        ]
        return {**super()._view(), "step": self.route.step or 0, "turn": list(self.route.turn), "signed": signed}


def check_ended(month: str, local: datetime) -> None:
    """Refuse a month that has not ended.

    Args:
        month: like ``2026-03``.
        local: now, in the policy's zone.

    Raises:
        Refused: code ``month_not_ended``.
    """
    if month >= f"{local:%Y-%m}":
        message = f"month = {month} has not ended: it is {local:%Y-%m-%d %H:%M} ({local:%z}); file it afterwards"
        raise Refused("month_not_ended", message, CLAUSE)


def month_before(local: datetime) -> str:
    """Return the month before an instant of the policy's zone, like ``2026-03``."""
    year, month = (local.year, local.month - 1) if local.month > 1 else (local.year - 1, 12)
    return f"{year:04}-{month:02}"

"""What a quality complaint is filed with, what is asked of it, and its numbers (S1-5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cases.amounts import amount_of
from cases.kinds.goods_return_models import UnitPrice
from cases.policy.tables import CopyRole, Days, KindTable, Reminders
from cases.vocabulary.commands import Command
from cases.vocabulary.facts import Facts, Intake, Staff
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import (
    MOST_LISTED,
    BriefText,
    Exact,
    Model,
    NotNegative,
    Positive,
    PositiveYuan,
    Role,
    Text,
    Token,
    Yuan,
)

if TYPE_CHECKING:
    from cases.policy.model import Policy

# Who acts in a step where the table of a policy does not say it: the departments of S1-5.7 and S1-5.9.3.
BUSINESS, REVIEWER, OFFICE, QA = "business", "business_manager", "gm_office", "qa_manager"
MANUFACTURING, MANAGER_OFFICE, RND = "manufacturing", "manager_office", "rnd"
ROUTE_ROLES = (BUSINESS, REVIEWER, OFFICE, QA, MANUFACTURING, MANAGER_OFFICE, RND)
# The clock of the whole, and what slips about it name as step.
CLOSING = "closing"
# What a complaint says where the customer is still working up the goods (S1-5.9.1).
NOT_YET_KNOWN = "客户加工中未确定"
# What the customer may want, and what is decided; for some an amount is named, for some a quantity.
Demand = Literal["return", "exchange", "rework", "allowance", "compensation", "improvement", "other"]
Disposal = Literal["allowance", "compensation", "return", "rework", "exchange", "none"]
OF_MONEY, OF_GOODS = ("allowance", "compensation"), ("return", "rework", "exchange")
Percent = Annotated[Exact, Field(gt=0, le=100, decimal_places=2)]
Roles = Annotated[tuple[Role, ...], Field(max_length=MOST_LISTED)]
# The quantity of an opinion, among the facts.
DECIDED_QUANTITY = "quantity of the opinion"
# A line of the loss is no larger than an amount that is written as such.
MOST_LOST = Decimal("999999999999.99")


# --- facts ----------------------------------------------------------------------------------------


class Verified(Model):
    """What business verifies (S1-5.9.1): quantities in the unit of the order, ``sample`` says that one is enclosed."""

    order_number: Token | None = None
    part_number: Token | None = None
    shipped_on: date | None = None
    quantity: Positive | None = None
    defective_quantity: NotNegative | None = None
    return_quantity: NotNegative | None = None
    customer_processing: bool | None = None
    sample: bool | None = None


class QualityFacts(Facts, Verified):
    """A complaint about the quality of a product (客诉), S1-5; without a ``loss`` it asks for improvement only."""

    origin: Literal["domestic", "foreign"]
    loss: bool
    demand: Demand
    filed_by: Staff | None = None


class QualityIntake(Intake):
    """Input of the workflow ``QualityComplaint``."""

    facts: QualityFacts


# --- commands -------------------------------------------------------------------------------------


class Verify(Command, Verified):
    """Business says what it has verified (S1-5.9.1)."""

    NAME = "verify"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"quantity": "800", "defective_quantity": "40", "return_quantity": "40"}
    FOUND: ClassVar[tuple[str, ...]] = (*Verified.model_fields, "demand")
    demand: Demand | None = None


class Accept(Command):
    """The GM office accepts the complaint: it is given its number, and the time for closing begins (S1-5.9.3)."""

    NAME = "accept"


class Involve(Command):
    """The GM office involves a third party, with the units concerned (S1-5.9.12)."""

    NAME = "involve"
    SERVES: ClassVar[frozenset[str]] = frozenset({"step"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"party": "resin maker", "units": ["rnd"], "reason": "a bad batch of resin"}
    party: Text
    units: Annotated[tuple[Role, ...], Field(min_length=1, max_length=MOST_LISTED)]
    reason: Text


class Report(Command):
    """QA reports the cause and who is responsible, within its days of the investigation (S1-5.9.2)."""

    NAME = "report"
    SERVES: ClassVar[frozenset[str]] = frozenset({"qa_report", "step"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "cause": "the mould was worn", "responsible": ["manufacturing"], "established": True,
    }  # fmt: skip
    cause: Text
    responsible: Roles = ()
    established: bool
    needs_rnd: bool = False


class Negotiate(Command):
    """Business explains to the customer, hears them, and writes the result (S1-5.9.4).

    ``promised`` in yuan: whatever it is, nothing is promised before the decision (S1-5.9.10).
    """

    NAME = "negotiate"
    SERVES: ClassVar[frozenset[str]] = frozenset({"step"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"result": "The customer would keep the goods for an allowance."}
    result: Text
    promised: Yuan | None = None


class Share(Model):
    """The share of a department in the responsibility, in percent."""

    department: Role
    percent: Percent


class LossLine(Model):
    """A line of the loss: an amount in yuan, or a quantity at a price in yuan."""

    item: BriefText
    amount: Yuan | None = None
    quantity: NotNegative | None = None
    unit_price: NotNegative | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        priced = self.quantity is not None and self.unit_price is not None
        if priced == (self.amount is not None) or (not priced and (self.quantity, self.unit_price) != (None, None)):
            raise ValueError("give either amount, or quantity and unit_price")
        if self.total() > MOST_LOST:
            raise ValueError(f"a line is at most {MOST_LOST} yuan")
        return self

    def total(self) -> Decimal:
        """Return the yuan of the line, half-up to the fen."""
        if self.amount is not None:
            return self.amount
        assert self.quantity is not None and self.unit_price is not None  # noqa: PT018 - the validator has looked
        return amount_of(self.quantity, self.unit_price)


class Judge(Command):
    """The GM office judges the cause, whose fault it is, and the loss (S1-5.9.6)."""

    NAME = "judge"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "class": "quality", "own_fault": True, "tracked": True,
        "responsible": [{"department": "manufacturing", "percent": "100"}],
        "loss": [{"item": "rework", "quantity": "7", "unit_price": "12.345"}],
    }  # fmt: skip
    class_: Annotated[Literal["non_quality", "quality"], Field(alias="class")]
    own_fault: bool
    human_negligence: bool = False
    tracked: bool | None = None
    responsible: Annotated[tuple[Share, ...], Field(max_length=MOST_LISTED)] = ()
    loss: Annotated[tuple[LossLine, ...], Field(max_length=MOST_LISTED)] = ()


class Opinion(Command):
    """The GM office composes its opinion and asks whoever has the authority for the decision (S1-5.9.5)."""

    NAME = "opinion"
    SERVES: ClassVar[frozenset[str]] = frozenset({"opinion"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "text": "The complaint holds.", "established": True, "disposal": "allowance", "amount": "900.00",
    }  # fmt: skip
    text: Text
    established: bool
    disposal: Disposal
    amount: PositiveYuan | None = None
    quantity: Positive | None = None


class Explain(Command):
    """Business tells the customer what was decided, by letter or by phone (S1-5.9.10)."""

    NAME = "explain"
    SERVES: ClassVar[frozenset[str]] = frozenset({"closing"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"channel": "letter"}
    channel: Literal["letter", "phone"]
    text: Text | None = None


class Execute(Command):
    """Business carries out what was decided: the certificate or the return slip is filed (S1-5.13.1).

    ``unit_price`` in yuan goes onto a return slip; without one that of the judged loss does, if it names one.
    """

    NAME = "execute"
    SERVES: ClassVar[frozenset[str]] = frozenset({"closing"})
    reference: Token | None = None
    unit_price: UnitPrice | None = None


class CustomerAnswer(Command):
    """What the customer says to the decision (S1-5.9.8, S1-5.9.13)."""

    NAME = "customer_answer"
    SERVES: ClassVar[frozenset[str]] = frozenset({"closing"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"accepted": True}
    accepted: bool
    text: Text | None = None


class SendCopy(Command):
    """Send one more copy of the closed form inside the company; never to the customer (S1-5.9.7, S1-5.9.10)."""

    NAME = "send_copy"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"to": "hr"}
    to: Role


class AnswerSlip(Command):
    """Who was late in a step says why (洽办单), S1-5.7."""

    NAME = "answer_slip"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"step": "manufacturing", "cause": "the machine stood still"}
    step: Token
    cause: Text


# --- the policy -----------------------------------------------------------------------------------


class ClosingDays(Model):
    """Within how many calendar days of its acceptance a complaint is closed, by where it comes from (S1-5.10)."""

    domestic: Days
    foreign: Days
    clause: str


class QualityTable(KindTable):
    """The numbers of quality complaints."""

    CLOCKS = ("closing", "qa_report", "opinion", "step", "approval")
    GIVEN = frozenset({"closing"})

    closing_days: ClosingDays
    # Who gets a copy of the closed form, in this order; and how who is late is reminded.
    copies: tuple[CopyRole, ...]
    reminders: Reminders

    def roles(self) -> Iterator[tuple[str, str]]:
        """Yield who acts in the steps and who gets a copy."""
        yield from super().roles()
        yield from (("route", role) for role in ROUTE_ROLES)
        yield from ((f"copies.{number}", role) for number, role in enumerate(self.copies))

    def check(self, kind: str, policy: Policy) -> None:
        """Check that who acts in a step may, by when, and also send it back. Raises ValueError."""
        super().check(kind, policy)
        for clock in ("step", "opinion"):
            # Whoever is asked is told until when.
            if clock not in self.clocks:
                raise ValueError(f"{kind}.clocks.{clock} is missing")
        sign = policy.permitted("sign", kind)
        acting = {
            "sign": {MANUFACTURING, MANAGER_OFFICE, RND, OFFICE, REVIEWER},
            "send_back": sign,
            "answer_slip": sign,
        }
        for command, roles in acting.items():
            for role in sorted(roles - policy.permitted(command, kind)):
                raise ValueError(f"{kind}.permissions.{command}: {role} is missing, who may act in a step")


def check_quantities(facts: Mapping[str, Any]) -> None:
    """Refuse more defective or returned goods than were delivered (S1-5.9.1).

    Raises:
        Refused: code ``too_many``.
    """
    if facts.get("quantity") is None:
        return
    most = Decimal(facts["quantity"])
    for name in ("defective_quantity", "return_quantity", DECIDED_QUANTITY):
        value = facts.get(name)
        if value is not None and Decimal(value) > most:
            raise Refused("too_many", f"{name} = {value}: quantity is {most}", "S1-5.9.1")

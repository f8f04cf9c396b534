"""Of a goods return: its facts, commands, events, table and view (S1-5.13)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from cases.amounts import plain
from cases.mechanisms.notices import IssuedCopy
from cases.policy.tables import CopyRole, KindTable, Reminders
from cases.vocabulary.commands import Command
from cases.vocabulary.events import EventData
from cases.vocabulary.facts import Facts, Intake
from cases.vocabulary.texts import Said
from cases.vocabulary.values import (
    CaseId,
    Exact,
    Like,
    Model,
    Money,
    Positive,
    PositiveYuan,
    Sha256,
    Text,
    Token,
    Yuan,
)
from cases.vocabulary.views import CaseView, ViewModel

if TYPE_CHECKING:
    from cases.policy.model import Policy

# Yuan for one piece; finer than the fen, since it is multiplied before it is rounded.
UnitPrice = Annotated[Exact, Field(gt=0, decimal_places=4)]
OverReceipt = Annotated[Exact, Field(ge=0, le=100)]
# As events and views write a quantity.
Quantity = Annotated[Decimal, BeforeValidator(Decimal), PlainSerializer(plain, return_type=str)]
# By what a return is proven: the original invoice, a copy of it with quantities and amounts, or a certificate.
Way = Literal["original_invoice", "copy", "certificate"]


class ReturnFacts(Facts):
    """A return slip (成品退货单), S1-5.13.1.2: why, on what ground, how many, and what is done with the goods.

    ``basis`` is the case that the return rests on, ``unit_price`` in yuan, ``over_receipt_percent`` the ratio that
    the customer's order notes, ``salesperson`` an id of the staff.
    """

    basis: CaseId
    part_number: Token
    approved_quantity: Positive
    unit_price: UnitPrice
    over_receipt_percent: OverReceipt | None = None
    reason: Text
    disposal: Literal["return", "rework", "exchange"]
    salesperson: Token | None = None


class ReturnIntake(Intake):
    """Input of the workflow ``GoodsReturn``."""

    facts: ReturnFacts


class Receive(Command):
    """The warehouse says how much is really there, and whether it agrees with the slip (S1-5.13.2.2)."""

    NAME = "receive"
    SERVES: ClassVar[frozenset[str]] = frozenset({"step"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"quantity": "480", "agrees": True}
    quantity: Positive
    agrees: bool


class IssueVoucher(Command):
    """Accounting makes out the voucher (传票) for what was received (S1-5.13.2.1)."""

    NAME = "issue_voucher"
    SERVES: ClassVar[frozenset[str]] = frozenset({"step"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"reference": "V-2026-0312"}
    reference: Token | None = None


class Document(Model):
    """A paper that is stored elsewhere."""

    name: Text
    sha256: Sha256
    where: Text


class Counted(Model):
    """What a copy of an invoice says of the goods; the amount in yuan."""

    quantity: Positive
    unit_price: UnitPrice
    amount: Yuan


class Prove(Command):
    """Business proves the return by one of three papers, stamped by the buyer (S1-5.13.2.4)."""

    NAME = "prove"
    SERVES: ClassVar[frozenset[str]] = frozenset({"step"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "way": "certificate", "stamped": True,
        "document": {"name": "certificate.pdf", "sha256": "0" * 64, "where": "s3://returns/certificate.pdf"},
    }  # fmt: skip
    way: Way
    stamped: bool
    document: Document
    returned: Counted | None = None
    received: Counted | None = None

    @model_validator(mode="after")
    def _copy_counts(self) -> Self:
        if self.way == "copy" and (self.returned is None or self.received is None):
            missing = "returned" if self.returned is None else "received"
            raise ValueError(f"{missing} is missing: a copy says quantity, unit_price and amount of both")
        return self


class ExcludeReceivable(Command):
    """Accounting takes a receivable out of the recovery rate of a salesperson (S1-5.13.2.3).

    Without ``salesperson`` it is that of the facts.
    """

    NAME = "exclude_receivable"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"amount": "1599.84", "salesperson": "sales-3"}
    amount: PositiveYuan
    salesperson: Token | None = None


class ReceiptHeld(EventData):
    """What came does not agree with the slip: the warehouse asks before it signs."""

    TYPE: ClassVar[str] = "receipt_held"
    approved: Quantity
    actual: Quantity


class Received(EventData):
    """The warehouse signed for what is really there."""

    TYPE: ClassVar[str] = "received"
    quantity: Quantity


class Compared(EventData):
    """Accounting compares the actual with the approved quantity, and with the most that the ratio lets in."""

    TYPE: ClassVar[str] = "compared"
    approved: Quantity
    actual: Quantity
    limit: Quantity
    within: bool


class VoucherHeld(EventData):
    """More than the ratio lets in was received: no voucher until somebody with authority has decided."""

    TYPE: ClassVar[str] = "voucher_held"
    approved: Quantity
    actual: Quantity
    limit: Quantity


class VoucherIssued(EventData):
    """The voucher was made out for what was received, in yuan; ``reference`` is its number in the books."""

    TYPE: ClassVar[str] = "voucher_issued"
    BY_COMMAND: ClassVar[bool] = True
    quantity: Quantity
    amount: Money
    reference: str | None = None


class Proved(EventData):
    """The return is proven by a stamped paper."""

    TYPE: ClassVar[str] = "proved"
    BY_COMMAND: ClassVar[bool] = True
    way: Way
    document: Annotated[dict[str, Any], Like(Document)]
    returned: dict[str, Any] | None = None
    received: dict[str, Any] | None = None


class ReceivableExcluded(EventData):
    """A receivable, in yuan, does not count in the recovery rate of a salesperson."""

    TYPE: ClassVar[str] = "receivable_excluded"
    BY_COMMAND: ClassVar[bool] = True
    amount: Money
    salesperson: str
    part_number: str


class ReturnCopies(Model):
    """To whom copies of the slip go once it is signed, from the first, and once the goods are in, from the second."""

    slip: tuple[CopyRole, ...]
    receipt: tuple[CopyRole, ...]
    clause: str

    def issued(self, *, received: bool) -> list[IssuedCopy]:
        """Return the copies by number: the first is no more than a signed slip, and stays where it is."""
        roles, first = (self.receipt, 2) if received else (self.slip, 1)
        return [IssuedCopy(no=no, to=role) for no, role in enumerate(roles, first)]


class ReturnTable(KindTable):
    """The numbers of goods returns."""

    CLOCKS = ("step", "approval")
    GIVEN = frozenset()

    # So many percent more than was approved is taken, where the customer's order notes no ratio.
    over_receipt_percent: OverReceipt
    reminders: Reminders
    copies: ReturnCopies

    def roles(self) -> Iterator[tuple[str, str]]:
        """Yield who has a copy."""
        yield from super().roles()
        yield from (("copies.slip", role) for role in self.copies.slip)
        yield from (("copies.receipt", role) for role in self.copies.receipt)

    def check(self, kind: str, policy: Policy) -> None:
        """Check that whoever signs the slip is told until when. Raises ValueError."""
        super().check(kind, policy)
        if "step" not in self.clocks:
            raise ValueError(f"{kind}.clocks.step is missing")


class SlipSignature(ViewModel):
    """Who signed the slip, and what they wrote."""

    step: str
    role: str
    id: str
    text: Said


class VoucherView(ViewModel):
    """A voucher; the amount in yuan."""

    quantity: Quantity
    amount: Money
    reference: str | None


class ReceivableView(ViewModel):
    """A receivable, in yuan, that does not count in a recovery rate."""

    amount: Money
    salesperson: str


class ReturnView(CaseView):
    """A goods return: whose turn it is, and what was approved, received, booked and proven.

    ``step`` is ``slip``, ``receipt`` or ``booking``; ``limit`` the most that the ratio lets in.
    """

    step: str
    turn: list[str]
    signed: list[SlipSignature]
    approved_quantity: Quantity
    received_quantity: Quantity | None
    limit: Quantity
    within: bool | None
    voucher: VoucherView | None
    proof: str | None
    receivable: ReceivableView | None
    copies: list[IssuedCopy]

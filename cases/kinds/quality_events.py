"""What happens to a quality complaint, and how it stands: its events and its view (S1-5)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from cases.kinds.goods_return_models import Quantity
from cases.kinds.quality_models import Disposal, LossLine, Share
from cases.mechanisms.notices import IssuedCopy
from cases.vocabulary.events import Event, EventData, with_references
from cases.vocabulary.texts import Said
from cases.vocabulary.values import FreeText, Like, Moment, Money
from cases.vocabulary.views import CaseView, ViewModel

Slip = Literal["reminder", "query"]
_FEN, _HUNDRED = Decimal("0.01"), Decimal(100)


# --- events ---------------------------------------------------------------------------------------


class FactsVerified(EventData):
    """Business verified these facts; ``complete`` when nothing is missing for the acceptance any more."""

    TYPE: ClassVar[str] = "verified"
    found: dict[str, Any]
    complete: bool


class Accepted(EventData):
    """The GM office accepted the complaint, which is to be closed by an instant."""

    TYPE: ClassVar[str] = "accepted"
    closing_due: Moment


class QaReported(EventData):
    """QA reported to the general manager."""

    TYPE: ClassVar[str] = "qa_reported"
    cause: FreeText
    responsible: list[str]
    established: bool
    needs_rnd: bool


class ThirdPartyInvolved(EventData):
    """A third party may be responsible; these units are heard."""

    TYPE: ClassVar[str] = "third_party_involved"
    party: FreeText
    units: list[str]
    reason: FreeText


class Negotiated(EventData):
    """Business talked to the customer, and wrote the result."""

    TYPE: ClassVar[str] = "negotiated"
    result: FreeText


class Judged(EventData):
    """The cause, the fault and the loss were judged; ``loss_total`` and each line in yuan."""

    TYPE: ClassVar[str] = "judged"
    class_: str = Field(alias="class")
    own_fault: bool
    human_negligence: bool
    tracked: bool
    responsible: list[Share]
    loss: list[Annotated[dict[str, Any], Like(LossLine)]]
    loss_total: Money


class Composed(EventData):
    """The composite opinion; ``decides`` is the amount in yuan by which the authority is found."""

    TYPE: ClassVar[str] = "composed"
    text: FreeText
    established: bool
    disposal: Disposal
    amount: Money | None
    quantity: Quantity | None
    decides: Money


class Decided(EventData):
    """Somebody with the authority decided: with that the form is closed (核签结案)."""

    TYPE: ClassVar[str] = "decided"
    established: bool
    disposal: Disposal
    amount: Money | None
    quantity: Quantity | None
    role: str


class CustomerExplained(EventData):
    """The customer was told what was decided."""

    TYPE: ClassVar[str] = "customer_explained"
    channel: Literal["letter", "phone"]
    text: FreeText | None = None


class Executed(EventData):
    """What was decided is carried out."""

    TYPE: ClassVar[str] = "executed"
    disposal: Disposal
    reference: str | None = None
    unit_price: Quantity | None = None


class CustomerAnswered(EventData):
    """The customer accepted the decision or did not."""

    TYPE: ClassVar[str] = "customer_answered"
    accepted: bool
    text: FreeText | None = None


class SlipIssued(EventData):
    """A slip went to a role that is late in a step: a reminder (催办单), the ``count``-th; or a query why (洽办单)."""

    TYPE: ClassVar[str] = "slip_issued"
    slip: Slip
    step: str
    role: str
    count: int


class SlipAnswered(EventData):
    """A role said why it was late in a step."""

    TYPE: ClassVar[str] = "slip_answered"
    step: str
    role: str
    cause: FreeText


# --- the view -------------------------------------------------------------------------------------


class StepSigned(ViewModel):
    """Who did a step, and what they wrote."""

    step: str
    role: str
    id: str
    text: Said


class SharedLoss(ViewModel):
    """What a department has to answer for: its share in percent, and of the loss in yuan."""

    department: str
    percent: str
    loss: Money


class LossShown(ViewModel):
    """A line of the loss, in yuan."""

    item: Said
    amount: Money
    quantity: Quantity | None = None
    unit_price: Quantity | None = None


class Judgement(ViewModel):
    """The judgement; ``loss_total`` in yuan, the losses of the departments add up to it."""

    class_: str = Field(alias="class")
    own_fault: bool
    human_negligence: bool
    tracked: bool
    responsible: list[SharedLoss]
    loss: list[LossShown]
    loss_total: Money


class OpinionShown(ViewModel):
    """The composite opinion; amounts in yuan."""

    text: Said
    established: bool
    disposal: str
    amount: Money | None
    quantity: Quantity | None
    decides: Money


class Decision(ViewModel):
    """What was decided; the amount in yuan."""

    established: bool
    disposal: str
    amount: Money | None
    quantity: Quantity | None
    role: str


class SlipShown(ViewModel):
    """A slip to a role that was late in a step: how often, and whether it is answered."""

    slip: str
    step: str
    role: str
    count: int
    answered: bool


class QualityView(CaseView):
    """A quality complaint, with whose turn it is, who has signed, and what was decided."""

    step: str
    turn: list[str]
    signed: list[StepSigned]
    units: list[str]
    judgement: Judgement | None
    opinion: OpinionShown | None
    decision: Decision | None
    slips: list[SlipShown]
    copies: list[IssuedCopy]
    explained: bool
    executed: bool
    accepted: bool | None
    filed: list[str]


def department_losses(total: Decimal, percents: Sequence[Decimal]) -> list[Decimal]:
    """Share a loss among departments, in yuan: each half-up to the fen, the last what remains (S1-5.9.6)."""
    losses: list[Decimal] = []
    for percent in percents[:-1]:
        share = (total * percent / _HUNDRED).quantize(_FEN, ROUND_HALF_UP)
        # Of a few fen rounding up must not give more than there is.
        losses.append(min(share, total - sum(losses)))
    return [*losses, total - sum(losses)] if percents else []


def judgement_shown(judged: Event) -> dict[str, Any]:
    """Return a judgement as views show it, with the loss of each department."""
    data, total = with_references(judged), Decimal(judged.data["loss_total"])
    shares = data["responsible"]
    losses = department_losses(total, [Decimal(share["percent"]) for share in shares])
    return {**data, "responsible": [{**share, "loss": loss} for share, loss in zip(shares, losses, strict=True)]}

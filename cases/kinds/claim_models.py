"""What is asked of a claim and what happens to it: its commands, its events, its numbers and its view (S0-A)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from cases.kinds.claim_facts import Cause, Loss, Packer
from cases.policy.tables import Duration, PaymentTable
from cases.vocabulary.commands import Command
from cases.vocabulary.events import EventData
from cases.vocabulary.parcels import OtherClaim
from cases.vocabulary.values import (
    FreeText,
    Instant,
    Label,
    Like,
    Model,
    Moment,
    Money,
    PayeeToken,
    Role,
    Text,
    Token,
    Yuan,
)
from cases.vocabulary.views import CaseView, ViewModel

if TYPE_CHECKING:
    from cases.policy.model import Policy

# Whom the money may go to (S0-A.1), and the token that stands for the claimant's own account.
Relation = Literal["sender", "beneficiary"]
CLAIMANT = "claimant"
# The dates that decide money, where they can be proven.
Provable = Literal["inquiry_recorded_on", "promised_at", "delivered_at"]


class AnswerClaim(Command):
    """Answer the claim form, stating the processing limit (S0-A.5.2)."""

    NAME = "answer_claim"
    SERVES: ClassVar[frozenset[str]] = frozenset({"claim_answer"})
    text: Text | None = None


class OverrideBy(Model):
    """Discretion beyond the formula (S0-2.3.3 "in principle", S0-2.3.4), in yuan."""

    amount: Yuan
    reason: Text


class Assess(Command):
    """What the investigation found, and the assessment by formula that follows (S0-A.3)."""

    NAME = "assess"
    SERVES: ClassVar[frozenset[str]] = frozenset({"proposal"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"cause": "company"}
    FINDINGS: ClassVar[set[str]] = {"cause", "packed_by", "loss", "inspection_offered"}
    cause: Cause | None = None
    packed_by: Packer | None = None
    loss: Loss | None = None
    inspection_offered: bool | None = None
    override: OverrideBy | None = None


class Offer(Command):
    """Offer an amount in yuan; without one, the assessed total (S0-A.5.3).

    More than the formula gives is discretion (S0-2.3.4): ``reason`` says why.
    """

    NAME = "offer"
    SERVES: ClassVar[frozenset[str]] = frozenset({"proposal"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"amount": "120.00"}
    amount: Yuan | None = None
    reason: Text | None = None


class NamePayee(Command):
    """Name whom the money goes to: the sender, or the beneficiary whom the sender names (S0-A.1).

    ``payee`` is a token of who is paid and how, as the door that took the account's details gave it.
    """

    NAME = "name_payee"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"relation": "beneficiary", "payee": "payee-3f6d0c9e"}
    relation: Relation
    payee: PayeeToken


class AcceptOffer(Command):
    """The claimant agrees to the open offer (S0-A.5.4).

    Somebody of the staff who records it says by which channel and when the claimant said so, and what proves it: the
    id of a recording or a message, or the hash of a document.
    """

    NAME = "accept_offer"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "channel": "phone", "said_at": "2026-03-12T10:58:00+08:00", "evidence": "call-20260312-0414",
    }  # fmt: skip
    channel: Label | None = None
    said_at: Instant | None = None
    evidence: Token | None = None


class DeclineOffer(Command):
    """The claimant turns the open offer down, perhaps with a counter-demand in yuan."""

    NAME = "decline_offer"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"counter": "200.00"}
    counter: Yuan | None = None


class Dispute(Command):
    """A way that the claimant takes; negotiation comes first (S0-A.5.5)."""

    NAME = "dispute"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"path": "negotiation"}
    path: Literal["negotiation", "complaint", "appeal", "arbitration", "lawsuit"]


class ClaimAnswered(EventData):
    """The claim form was answered with the limit by which a proposal is made."""

    TYPE: ClassVar[str] = "claim_answered"
    BY_COMMAND: ClassVar[bool] = True
    limit_due: Moment
    text: FreeText | None = None


class Assessed(EventData):
    """What the formula gives: lines in yuan, or why nothing is due; ``found`` went in beside the facts."""

    TYPE: ClassVar[str] = "assessed"
    BY_COMMAND: ClassVar[bool] = True
    eligible: bool
    factor: str
    lines: list[dict[str, Any]]
    total: Money
    refused_because: str | None
    refusal: dict[str, Any] | None
    clauses: list[str]
    notes: list[dict[str, Any]]
    inspection_offered: bool | None
    needs_person: bool
    overridden: Annotated[dict[str, Any], Like(OverrideBy)] | None
    found: dict[str, Any]


class Offered(EventData):
    """An amount in yuan was offered; with ``discretion`` more than the formula gives (S0-2.3.4)."""

    TYPE: ClassVar[str] = "offered"
    BY_COMMAND: ClassVar[bool] = True
    amount: Money
    discretion: bool | None = None
    reason: FreeText | None = None


class OfferDeclined(EventData):
    """The claimant turned an offer down, perhaps with a counter-demand in yuan."""

    TYPE: ClassVar[str] = "offer_declined"
    BY_COMMAND: ClassVar[bool] = True
    amount: Money
    counter: Money | None


class PayeeNamed(EventData):
    """Whom the money goes to; after an agreement it needs the acceptance anew."""

    TYPE: ClassVar[str] = "payee_named"
    BY_COMMAND: ClassVar[bool] = True
    relation: str
    payee: str


class Agreed(EventData):
    """The claimant agreed to an amount in yuan, for a payee; recorded by the staff with how and when they said so."""

    TYPE: ClassVar[str] = "agreed"
    BY_COMMAND: ClassVar[bool] = True
    amount: Money
    payee: str | None = None
    relation: str | None = None
    channel: str | None = None
    said_at: Moment | None = None
    evidence: str | None = None


class Disputed(EventData):
    """The claimant takes a way of dispute."""

    TYPE: ClassVar[str] = "disputed"
    BY_COMMAND: ClassVar[bool] = True
    path: str


class Duties(Model):
    """What keeps anybody from paying alone (S1-5.9.10, S1-5.11 [READING]).

    Args:
        separate_acceptance: who assessed, offered or named the payee records no acceptance.
        second_person: more than the formula gives is approved by somebody else than who offers or overrode it.
        also: who may be that second person for what the highest rung asks, beside another of that rung.
        evidence_from: an acceptance of more than so many yuan that the staff records names its evidence.
        backdated_after: a receipt that lies further back than this when it is filed is approved by somebody else,
            of the lowest rung that has discretion or above.
        prove: the dates that are proven where they decide money.
    """

    separate_acceptance: bool
    second_person: bool
    also: tuple[Role, ...]
    evidence_from: Yuan
    backdated_after: Duration
    prove: tuple[Provable, ...]
    clause: str


class ClaimTable(PaymentTable):
    """The numbers of claims."""

    CLOCKS = ("rung", "claim_answer", "proposal", "payout", "promise", "approval")
    GIVEN = frozenset({"promise", "proposal"})

    # Without them, as in policies that were pinned before there were any, authority alone decides.
    duties: Duties | None = None

    def roles(self) -> Iterator[tuple[str, str]]:
        """Yield who may be the second person."""
        yield from super().roles()
        if self.duties is not None:
            yield from (("duties.also", role) for role in self.duties.also)

    def check_clocks(self, kind: str) -> None:
        """Check that a policy file says who does what, too. Raises ValueError."""
        super().check_clocks(kind)
        if self.duties is None:
            raise ValueError(f"{kind}.duties is missing")

    def check(self, kind: str, policy: Policy) -> None:
        """Check that whoever may be the second person may approve at all. Raises ValueError."""
        super().check(kind, policy)
        for role in () if self.duties is None else self.duties.also:
            if role not in policy.permitted("approve", kind):
                raise ValueError(f"{kind}.permissions.approve: {role} is missing, a second person by {kind}.duties")


class PayeeView(ViewModel):
    """Whom the money goes to: the relation to the parcel, and a token of who is paid and how."""

    relation: str
    payee: str


class ClaimView(CaseView):
    """A claim, with its money in yuan, the limit that was stated, and the ways of dispute that were taken.

    ``earlier_claims`` are those on the same parcel that nobody has looked at; ``unproven`` names the dates that decide
    money and are to be proven; ``backdated``: it was filed long after its receipt.
    """

    limit_due: str | None
    assessment: Annotated[dict[str, Any], Like(Assessed)] | None
    offered: Money | None
    agreed: Money | None
    paid: str | None
    disputes: list[str]
    payee: PayeeView
    earlier_claims: list[OtherClaim]
    unproven: list[str]
    backdated: bool

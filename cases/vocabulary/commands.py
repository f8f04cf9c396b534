"""What people and systems may ask of a case (design contract "Commands").

Each command is one model; the model's fields are the wire format. Which kind of case takes which
command is said by the kind (`Case.COMMANDS`), who may send it by the policy (``[permissions]``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, ValidationError

from cases.vocabulary.events import Actor, canonical
from cases.vocabulary.facts import (
    Checklist,
    Claimant,
    Instant,
    Loss,
    Model,
    PositiveYuan,
    Role,
    Text,
    Token,
    Yuan,
)
from cases.vocabulary.refusals import Refused, invalid
from cases.working_calendar import PublishedYear

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class By(Model):
    """The person or system that sends a command."""

    id: Token
    role: Token

    def actor(self) -> Actor:
        """The actor as events carry it."""
        return Actor(self.id, self.role)


class Command(Model):
    """Base of all commands.

    ``request_id`` makes a repeat harmless; ``at`` is taken only by a rehearsed case.
    """

    NAME: ClassVar[str] = ""

    by: By
    request_id: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    at: Instant | None = None

    def digest(self) -> str:
        """SHA-256 of name and content, to tell a repeated request from a different one."""
        content = canonical(self.model_dump(mode="json", exclude={"request_id"}))
        return hashlib.sha256(f"{self.NAME}{content}".encode()).hexdigest()


class Acknowledge(Command):
    """The holder of a rung takes the case up.

    With ``notice``, the seq of the event that a notice told of: only while the arrival at the rung
    that it told of is still waited for, so that what came with the notice works once.
    """

    NAME = "acknowledge"
    notice: Annotated[int, Field(gt=0)] | None = None


class Assign(Command):
    """Give the case to a person on the present rung or a lower one.

    With ``held_by`` only while that person holds it, so that it is not taken from whoever took it up meanwhile.
    """

    NAME = "assign"
    to: By
    held_by: Token | None = None
    reason: Text | None = None


class Escalate(Command):
    """Climb by hand, to the next rung or the one named."""

    NAME = "escalate"
    reason: Text
    to: Token | None = None


class Note(Command):
    """Write a remark into the record."""

    NAME = "note"
    text: Text


class Attach(Command):
    """Reference a document that is stored elsewhere (call recording, photograph): S0-2.3.5.

    ``size`` in bytes.
    """

    NAME = "attach"
    name: Text
    sha256: Sha256
    where: Text
    size: Annotated[int, Field(ge=0, lt=1 << 53)] | None = None


class LogContact(Command):
    """An attempt to reach the customer; unreachable pauses, reached resumes (S4-3.3.3)."""

    NAME = "log_contact"
    reached: bool
    channel: Token | None = None
    reason: Text | None = None


class Promise(Command):
    """Promise the customer a reply by an instant (S1-4.1)."""

    NAME = "promise"
    reply_by: Instant


class Reply(Command):
    """Reply to the customer: an interim word or the answer (S0-2.3.5, S4-2.4)."""

    NAME = "reply"
    stage: Literal["interim", "answer"]
    text: Text | None = None


class Resend(Command):
    """Send a notice again, under the same ids: the one whose ``notified`` event has this seq."""

    NAME = "resend"
    notice: Annotated[int, Field(gt=0)]


class RequestApproval(Command):
    """Ask somebody with enough authority (T3, S1-5.9.10)."""

    NAME = "request_approval"
    subject: Token
    amount: Yuan | None = None
    reason: Text | None = None


class Approve(Command):
    """Approve what is asked; without a subject the only open approval."""

    NAME = "approve"
    subject: Token | None = None
    reason: Text | None = None


class Reject(Command):
    """Reject what is asked, with a reason; without a subject the only open approval."""

    NAME = "reject"
    subject: Token | None = None
    reason: Text


class Extend(Command):
    """Grant a special difficult case a later target (S4-2.4)."""

    NAME = "extend"
    clock: Token
    due: Instant
    reason: Text


class Resolve(Command):
    """The customer's matter is settled; acknowledges implicitly."""

    NAME = "resolve"
    summary: Text | None = None


class FollowUp(Command):
    """Ask the customer's opinion after the solution (S1-4.2)."""

    NAME = "follow_up"
    satisfied: bool
    text: Text | None = None


class Reopen(Command):
    """Take a resolved case up again within the policy's window."""

    NAME = "reopen"
    reason: Text


class Withdraw(Command):
    """The customer takes the matter back."""

    NAME = "withdraw"
    reason: Text | None = None


class Close(Command):
    """File the case for good."""

    NAME = "close"
    outcome: Token | None = None


class Investigate(Command):
    """What the investigation of a complaint found (S0-2.3.1, S0-2.3.2)."""

    NAME = "investigate"
    finding: Text | None = None
    delay_cause: Literal["objective", "human", "information", "out_of_zone"] | None = None
    justified: bool | None = None


class Propose(Command):
    """Prepare solutions, best first; they are offered one at a time (S1-4.2)."""

    NAME = "propose"
    options: Annotated[list[Text], Field(min_length=1)]


class AnswerOption(Command):
    """The customer's answer to the option on offer (S1-4.2)."""

    NAME = "answer_option"
    accepted: bool


class OpenClaim(Command):
    """Open a claim with the facts that a complaint has (S0-2.3.2, S0-A.5.1).

    ``claimant`` defaults to the sender; ``factor`` to what the complaint's category says.
    """

    NAME = "open_claim"
    claimant: Claimant | None = None
    factor: Literal["delay", "loss", "damage", "mismatch"] | None = None


class AnswerClaim(Command):
    """Answer the claim form, stating the processing limit (S0-A.5.2)."""

    NAME = "answer_claim"
    text: Text | None = None


class OverrideBy(Model):
    """Discretion beyond the formula (S0-2.3.3 "in principle", S0-2.3.4), in yuan."""

    amount: Yuan
    reason: Text


class Assess(Command):
    """What the investigation found, and the assessment by formula that follows (S0-A.3)."""

    NAME = "assess"
    FINDINGS: ClassVar[set[str]] = {"cause", "packed_by", "loss", "inspection_offered"}
    cause: Literal["company", "customer", "nature_of_goods", "force_majeure", "packing"] | None = None
    packed_by: Literal["customer", "courier"] | None = None
    loss: Loss | None = None
    inspection_offered: bool | None = None
    override: OverrideBy | None = None


class Offer(Command):
    """Offer an amount in yuan; without one, the assessed total (S0-A.5.3).

    More than the formula gives is discretion (S0-2.3.4): ``reason`` says why.
    """

    NAME = "offer"
    amount: Yuan | None = None
    reason: Text | None = None


class AcceptOffer(Command):
    """The claimant agrees to the open offer (S0-A.5.4)."""

    NAME = "accept_offer"


class DeclineOffer(Command):
    """The claimant turns the open offer down, perhaps with a counter-demand in yuan."""

    NAME = "decline_offer"
    counter: Yuan | None = None


class Dispute(Command):
    """A way that the claimant takes; negotiation comes first (S0-A.5.5)."""

    NAME = "dispute"
    path: Literal["negotiation", "complaint", "appeal", "arbitration", "lawsuit"]


class ConfirmPayment(Command):
    """Finance confirms by hand that the money went out, with the proof's reference."""

    NAME = "confirm_payment"
    reference: Token


class ConfirmPhoneNotice(Command):
    """Somebody called those who must hear by phone (S3-3.1.7); ``reached_at`` defaults to now."""

    NAME = "confirm_phone_notice"
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]
    reached_at: Instant | None = None


class CheckGoods(Command):
    """The checklist of goods in excess, complete at last (S2-5.1)."""

    NAME = "check_goods"
    checklist: Checklist


class HoldGoods(Command):
    """Hold goods back over an internal dispute: never allowed, and recorded (S2-4.10)."""

    NAME = "hold_goods"
    reason: Text


class Find(Command):
    """What the investigation found, and whether the report was genuine (S3-3.1.6, S3-3.4.1)."""

    NAME = "find"
    cause: Text
    responsibility: Text | None = None
    report: Literal["genuine", "concealed", "false"] | None = None


class Correct(Command):
    """A corrective action; ``carried_out`` false announces one that is still to be confirmed.

    ``why_not`` says why nothing can be corrected.
    """

    NAME = "correct"
    action: Text
    carried_out: bool = True
    why_not: Text | None = None


class InformCustomer(Command):
    """The customer was told how things stand (S3-4.3.1.2)."""

    NAME = "inform_customer"
    text: Text | None = None


class Settle(Command):
    """Settle on the spot, in yuan, within authority (S3-3.2.3)."""

    NAME = "settle"
    amount: PositiveYuan


class Sign(Command):
    """Sign: the month-end summary, where the first who sign give cause and prevention in ``text``
    (S3-4.3.1.10); a handover, both (S4-3.3.1); a shift swap, the department manager (S1-1.7).
    """

    NAME = "sign"
    text: Text | None = None


class SendBack(Command):
    """Refuse to sign: the summary goes back to the step before, with the reason (S3-4.3.1.10)."""

    NAME = "send_back"
    reason: Text


class NameRelief(Command):
    """Say who relieves, where the roster did not, or somebody else comes (S4-3.3.1)."""

    NAME = "name_relief"
    to: By


class Agree(Command):
    """The other party agrees to the shift swap (S1-1.7)."""

    NAME = "agree"


class Refuse(Command):
    """The shift swap is off: a party does not want it, or the manager does not sign it (S1-1.7)."""

    NAME = "refuse"
    reason: Text


class LoadCalendar(Command):
    """A year was published: what was reckoned provisionally is reckoned again."""

    NAME = "load_calendar"
    year: Annotated[int, Field(ge=2000, le=9998)]
    published: PublishedYear


EVERY_KIND: tuple[type[Command], ...] = (
    Acknowledge, Assign, Escalate, Note, Attach, LogContact, Promise, Reply, RequestApproval,
    Approve, Reject, Extend, Resolve, FollowUp, Reopen, Withdraw, Close, LoadCalendar, Resend,
)  # fmt: skip


def read_command(known: Mapping[str, type[Command]], name: str, raw: Any) -> Command:
    """Validate a command from the wire.

    Raises:
        Refused: code ``unknown_command`` or ``invalid``, naming what is wrong and what is allowed.
    """
    model = known.get(name)
    if model is None:
        raise Refused("unknown_command", f"command = {name!r}: this case takes {', '.join(sorted(known))}")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise invalid(error, name) from None

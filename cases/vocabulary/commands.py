"""What people and systems may ask of a case (design contract "Commands").

Each command is one model; the model's fields are the wire format. Here are those of every kind; what
only one has stands in its module. Which kind takes which command is said by the kind (`Case.COMMANDS`),
who may send it by the policy (``[permissions]``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, StringConstraints, ValidationError

from cases.vocabulary.by import Account, By
from cases.vocabulary.events import canonical
from cases.vocabulary.proof import Proof
from cases.vocabulary.refusals import Refused, invalid, shown
from cases.vocabulary.values import (
    CaseId,
    Instant,
    Label,
    Model,
    NamesCase,
    OtherCase,
    SameKind,
    Sha256,
    Text,
    Token,
    Yuan,
)
from cases.working_calendar import PublishedYear

# The model of each command by name.
COMMANDS: dict[str, type[Command]] = {}


class Command(Model):
    """Base of all commands.

    ``request_id`` makes a repeat harmless; ``at`` is taken only by a rehearsed case; ``proof`` says who sent it.
    """

    NAME: ClassVar[str] = ""
    # The fields of one command of this name, as documentation shows them.
    EXAMPLE: ClassVar[Mapping[str, Any]] = {}
    # Whether only the program itself sends it, in its own name: no door takes it.
    INTERNAL: ClassVar[bool] = False
    # The deadlines that are about this, by the clocks' base names: it ends them, or nothing does before it.
    SERVES: ClassVar[frozenset[str]] = frozenset()
    # Whether it ends a case or says no, and cannot be taken back: pages show it apart and ask for its reason.
    GRAVE: ClassVar[bool] = False

    by: By
    request_id: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    at: Instant | None = None
    proof: Annotated[Proof | None, Field(repr=False)] = None

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Register the model under its name.

        One that a kind makes of it, with fields of its own, has the same name and goes by the kind.

        Raises:
            TypeError: another model has the name, or it has none.
        """
        known = COMMANDS.get(cls.NAME)
        if known is not None and cls is not known and issubclass(cls, known):
            return
        if not cls.NAME or (known is not None and known.__qualname__ != cls.__qualname__):
            raise TypeError(f"command {cls.NAME!r} of {cls.__name__} is declared twice or not at all")
        COMMANDS[cls.NAME] = cls

    @classmethod
    def named(cls) -> dict[str, NamesCase]:
        """Return the fields that name another case."""
        marks = {name: field.metadata for name, field in cls.model_fields.items()}
        return {name: mark for name, found in marks.items() for mark in found if isinstance(mark, NamesCase)}

    def digest(self) -> str:
        """Return the SHA-256 of name and content, to tell a repeated request from a different one."""
        # Without defaults: see `Intake.digest`.
        # Nor with what may change until a repeat: what the directory knows of the sender, and the proof of a sending.
        left_out: dict[str, Any] = {"request_id": True, "proof": True, "by": {"person"}}
        content = canonical(self.model_dump(mode="json", by_alias=True, exclude=left_out, exclude_defaults=True))
        return hashlib.sha256(f"{self.NAME}{content}".encode()).hexdigest()


class Acknowledge(Command):
    """The holder of a rung takes the case up.

    With ``notice``, the seq of the event that a notice told of: only while the arrival at the rung
    that it told of is still waited for, so that what came with the notice works once.
    """

    NAME = "acknowledge"
    SERVES: ClassVar[frozenset[str]] = frozenset({"rung"})
    notice: Annotated[int, Field(gt=0)] | None = None


class Assign(Command):
    """Give the case to a person on the present rung or a lower one.

    With ``held_by`` only while that person holds it, so that it is not taken from whoever took it up meanwhile.
    """

    NAME = "assign"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"to": {"id": "agent-7", "role": "agent"}}
    to: Account
    held_by: Token | None = None
    reason: Text | None = None


class Escalate(Command):
    """Climb by hand, to the next rung or the one named."""

    NAME = "escalate"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"reason": "The customer wants to speak to the supervisor."}
    reason: Text
    to: Token | None = None


class Note(Command):
    """Write a remark into the record."""

    NAME = "note"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"text": "Called the depot; the parcel is there."}
    text: Text


class Attach(Command):
    """Reference a document that is stored elsewhere (call recording, photograph): S0-2.3.5.

    ``size`` in bytes.
    """

    NAME = "attach"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "name": "call.wav", "sha256": "0" * 64, "where": "s3://recordings/2026/03/11/call.wav", "size": 81920,
    }  # fmt: skip
    name: Text
    sha256: Sha256
    where: Text
    size: Annotated[int, Field(ge=0, lt=1 << 53)] | None = None


class LogContact(Command):
    """An attempt to reach the customer; unreachable pauses, reached resumes (S4-3.3.3).

    ``channel`` stays in the record in clear: the way, never a name or a number.
    """

    NAME = "log_contact"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"reached": False, "channel": "phone", "reason": "no answer"}
    reached: bool
    channel: Label | None = None
    reason: Text | None = None


class Promise(Command):
    """Promise the customer a reply by an instant (S1-4.1)."""

    NAME = "promise"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"reply_by": "2026-03-11T12:00:00+08:00"}
    reply_by: Instant


# How a reply goes to the customer: it is sent by the first ones, and was said by the others.
Via = Literal["mail", "message", "phone"]
VIAS: tuple[str, ...] = get_args(Via)
SENT = ("mail", "message")


class Reply(Command):
    """Reply to the customer: an interim word or the answer (S0-2.3.5, S4-2.4).

    By ``mail`` or ``message`` the text is sent, and counts once it has gone out; by ``phone``, or without ``via``, it
    was said already. With ``reply_by`` the customer is promised the next word by then (S1-4.1).
    """

    NAME = "reply"
    SERVES: ClassVar[frozenset[str]] = frozenset({"interim_reply", "answer", "promise", "inquiry"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"stage": "answer", "text": "It is delivered today."}
    stage: Literal["interim", "answer"]
    text: Text | None = None
    via: Via | None = None
    reply_by: Instant | None = None

    @property
    def is_sent(self) -> bool:
        """Whether it has still to be sent."""
        return self.via in SENT


class Resend(Command):
    """Send a notice again, under the same ids: the one whose ``notified`` event has this seq."""

    NAME = "resend"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"notice": 2}
    notice: Annotated[int, Field(gt=0)]


class RequestApproval(Command):
    """Ask somebody with enough authority (T3, S1-5.9.10).

    ``subject`` says in a few words what it is about, and stays in the record in clear: no names, no numbers.
    """

    NAME = "request_approval"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"subject": "compensation", "amount": "350.00", "reason": "damaged"}
    subject: Label
    amount: Yuan | None = None
    reason: Text | None = None


class Approve(Command):
    """Approve what is asked; without a subject the only open approval.

    With ``amount`` only while so many yuan are asked, so that nobody approves another amount than they saw.
    """

    NAME = "approve"
    SERVES: ClassVar[frozenset[str]] = frozenset({"approval"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"amount": "350.00", "reason": "as assessed"}
    subject: Label | None = None
    amount: Yuan | None = None
    reason: Text | None = None


class Reject(Command):
    """Reject what is asked, with a reason; without a subject the only open approval."""

    NAME = "reject"
    SERVES: ClassVar[frozenset[str]] = frozenset({"approval"})
    GRAVE: ClassVar[bool] = True
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"reason": "the photographs are missing"}
    subject: Label | None = None
    reason: Text


class Extend(Command):
    """Grant a special difficult case a later target (S4-2.4)."""

    NAME = "extend"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "clock": "resolution", "due": "2026-03-14T09:00:00+08:00", "reason": "a difficult case",
    }  # fmt: skip
    clock: Token
    due: Instant
    reason: Text


class Resolve(Command):
    """The customer's matter is settled; acknowledges implicitly."""

    NAME = "resolve"
    SERVES: ClassVar[frozenset[str]] = frozenset({"resolution", "legal_limit"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"summary": "delivered"}
    summary: Text | None = None


class FollowUp(Command):
    """Ask the customer's opinion after the solution (S1-4.2)."""

    NAME = "follow_up"
    SERVES: ClassVar[frozenset[str]] = frozenset({"follow_up"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"satisfied": True}
    satisfied: bool
    text: Text | None = None


class Reopen(Command):
    """Take a resolved case up again within the policy's window."""

    NAME = "reopen"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"reason": "it happened again"}
    reason: Text


class CustomerWord(Model):
    """What a customer said to somebody: who it was by their relation to the matter, never by name, when and how."""

    by: Literal["sender", "recipient", "beneficiary", "platform", "other"]
    at: Instant
    channel: Token


class Withdraw(Command):
    """The customer takes the matter back.

    The lowest rung gives a reason and the customer's word; whoever filed a form, and every other role, need not.
    """

    NAME = "withdraw"
    GRAVE: ClassVar[bool] = True
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "reason": "The parcel was found.",
        "said": {"by": "sender", "at": "2026-03-11T09:55:00+08:00", "channel": "phone"},
    }  # fmt: skip
    reason: Text | None = None
    said: CustomerWord | None = None


class Link(Command):
    """Tie the case to another one that is about the same matter or customer; both show it."""

    NAME = "link"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"case": "claim:form-2026-0007"}
    case: OtherCase


class Unlink(Command):
    """Take a link back."""

    NAME = "unlink"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"case": "claim:form-2026-0007"}
    case: OtherCase


class Merge(Command):
    """Merge this case, a duplicate, into the earlier one of the same kind.

    That agrees first, and takes the open promises over (S1-4.1); then this one closes.
    """

    NAME = "merge"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"into": "complaint:call-2026-0041"}
    into: SameKind


class TakeDuplicate(Command):
    """Take over a later case that is to be merged into this one: sent by the program for the other case.

    ``received_at`` is when the other one was received; ``promises`` are the instants of its open promises.
    """

    NAME = "take_duplicate"
    INTERNAL = True
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "case": "complaint:call-2026-0042", "received_at": "2026-03-11T10:00:00+08:00", "promises": [],
    }  # fmt: skip
    case: CaseId
    received_at: Instant
    promises: list[Instant] = Field(default_factory=list)


class CustomerWrote(Command):
    """Take in what the customer wrote back: sent by the program for a message that came in (S0-2.3.5).

    ``known`` says whether it came from where the customer is reached, as far as that can be told.
    """

    NAME = "customer_wrote"
    INTERNAL = True
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"text": "It is still not here.", "via": "mail", "known": True}
    text: Text
    via: Literal["mail", "message", "web"]
    known: bool | None = None


class ReplyBounced(Command):
    """Take in that a reply which had gone out came back: sent by the program, with the event that had it sent."""

    NAME = "reply_bounced"
    INTERNAL = True
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"of": 12}
    of: Annotated[int, Field(gt=0)]


class Close(Command):
    """File the case for good."""

    NAME = "close"
    GRAVE: ClassVar[bool] = True
    outcome: Token | None = None


class Sign(Command):
    """Sign a step of what goes from desk to desk, a handover or a shift swap.

    Of a summary the first who sign give cause and prevention in ``text`` (S3-4.3.1.10); a handover is signed by
    both (S4-3.3.1), a shift swap by the department manager (S1-1.7). A step of a form may ask for an opinion in
    ``text``, and for ``fields`` that it fills.
    """

    NAME = "sign"
    SERVES: ClassVar[frozenset[str]] = frozenset({"step", "signature", "handover", "swap", "whole", "early"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"text": "Cause and prevention are as listed."}
    text: Text | None = None
    fields: dict[str, Any] | None = None


class Refuse(Command):
    """Refuse for good: a shift swap is off (S1-1.7), a form is not granted (S1-5.12.2)."""

    NAME = "refuse"
    GRAVE: ClassVar[bool] = True
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"reason": "I am away that day."}
    reason: Text


class LoadCalendar(Command):
    """A year was published: what was reckoned provisionally is reckoned again."""

    NAME = "load_calendar"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "year": 2027, "published": {"source": "notice of 2026-11-01", "holidays": ["2027-01-01"]},
    }  # fmt: skip
    year: Annotated[int, Field(ge=2000, le=9998)]
    published: PublishedYear


EVERY_KIND: tuple[type[Command], ...] = (
    Acknowledge, Assign, Escalate, Note, Attach, LogContact, Promise, Reply, RequestApproval,
    Approve, Reject, Extend, Resolve, FollowUp, Reopen, Withdraw, Close, LoadCalendar, Resend,
    Link, Unlink, Merge, TakeDuplicate, CustomerWrote, ReplyBounced,
)  # fmt: skip


def read_command(known: Mapping[str, type[Command]], name: str, raw: Any) -> Command:
    """Validate a command from the wire.

    Raises:
        Refused: code ``unknown_command`` or ``invalid``, naming what is wrong and what is allowed.
    """
    model = known.get(name)
    if model is None:
        raise Refused("unknown_command", f"command = {shown(name)}: this case takes {', '.join(sorted(known))}")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise invalid(error, name, model) from None

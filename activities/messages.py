"""The payloads between workflows and activities: typed, and free of I/O imports."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal

# Pydantic's, because each workflow has a converter of its own, which would build the schema of a
# plain dataclass anew (milliseconds a case); it also refuses a payload of another shape.
from pydantic.dataclasses import dataclass

from activities.senders.statement import Said
from cases.vocabulary.effects import Payment

# Activity names are part of recorded histories: they stay as they are.
BEGIN = "begin"
CHECK_SENDER = "check_sender"
LOAD = "load_case"
OPEN_CASE = "open_case"
RECORD = "record"
NOTIFY = "notify"
PAY = "pay"
GATHER_MONTH = "gather_month"
SHIFT_END = "shift_end"
PUMP_EVENTS = "pump_events"


@dataclass(frozen=True)
class Mark:
    """What recognizes a content without telling it: the HMAC-SHA256 of its SHA-256 digest, all of it in hex."""

    salt: str
    digest: str


@dataclass(frozen=True)
class BeginOrder:
    """What a run asks before it opens its case.

    Args:
        case_id: the workflow id, ``{kind}:{key}``.
        policy: the name of the policy to pin.
        run: the id of the first run of the workflow, the same however often it continues as new.
        said: the intake with the proof of who files it; None where it has none.
        at: when it was filed, RFC 3339; empty in histories of before there were proofs.
        form: the intake of a form with its proof, as JSON: what it says of it is known by its policy only.
    """

    case_id: str
    policy: str
    run: str
    said: Said | None = None
    at: str = ""
    form: dict[str, Any] | None = None


@dataclass(frozen=True)
class Begun:
    """What a case begins with.

    Args:
        policy_document: canonical JSON of the policy; empty where the case is known and its policy is not any more.
        known: the recorded view, where another run recorded the case before.
        mark: of the intake that the known case was filed with; None where that was erased.
    """

    policy_document: str
    known: dict[str, Any] | None = None
    mark: Mark | None = None


@dataclass(frozen=True)
class Request:
    """A request id and the events that it led to.

    Args:
        seq: of the last event of its step.
        digest: the SHA-256 of its canonical content, in hex.
    """

    seq: int
    id: str
    digest: str


@dataclass(frozen=True)
class SenderOrder:
    """Whether a signal is of who it says.

    Args:
        said: the command with its proof; None where it has none.
        at: when it was looked at, RFC 3339.
    """

    said: Said | None
    at: str


@dataclass(frozen=True)
class Sent:
    """What a sender proved, and the events that it led to.

    Args:
        first, seq: of the first and the last of these events.
        body: canonical JSON (`activities.senders.statement.kept`).
        salts: under which its texts are committed to, in hex.
    """

    first: int
    seq: int
    body: str
    salts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Batch:
    """The events of one or more whole steps, recorded together in one transaction.

    Args:
        case_id: the workflow id, ``{kind}:{key}``.
        events: public event JSON (design contract "Events"), consecutive by ``seq``; free texts that the run
            does not know any more are left out.
        view: the case view after the last event: what lists and pages show.
        run: as in `BeginOrder`; only the run that holds the case records for it.
        personal: the personal facts; only beside the event with ``seq`` 1.
        policy_document: canonical JSON of the pinned policy; only when this batch pins one.
        requests: those that led to these events.
        intake: the SHA-256 of the intake's content, in hex; only beside the event with ``seq`` 1.
        number: the number that the case knows it was given, which a restored ledger takes over.
        numbered_later: whether an event says the number (S1-5.9.3); else the case gets one at its opening.
        sent: what senders proved of these events.
    """

    case_id: str
    kind: str
    events: list[dict[str, Any]]
    view: dict[str, Any]
    run: str
    personal: dict[str, Any] | None = None
    policy_document: str | None = None
    requests: list[Request] = field(default_factory=list)
    intake: str | None = None
    number: str | None = None
    sent: list[Sent] = field(default_factory=list)
    numbered_later: bool = False


@dataclass(frozen=True)
class Recorded:
    """The casebook's answer: the case number (``2026-03-0007``), if the case has one, and the head of the chain."""

    number: str | None
    head_seq: int


@dataclass(frozen=True)
class LoadOrder:
    """A part of a recorded case to be loaded: the events that follow ``after``. The first part claims the case.

    Args:
        run: as in `BeginOrder`; it holds the case from the first part on.
    """

    case_id: str
    run: str
    after: int = 0


@dataclass(frozen=True)
class Answered:
    """A request id that led to recorded events, and the mark of its content."""

    id: str
    mark: Mark


@dataclass(frozen=True)
class Loaded:
    """A part of a recorded case.

    Args:
        number: the case number; None where the case has none yet.
        head_seq: where the ledger of the case ends.
        events: public event JSON without the free texts: a JSON list, compressed (zlib), as base64.
        last_seq: where this part ends; at ``head_seq`` nothing follows.
        policy_document: canonical JSON of the policy that was pinned last; only in the first part.
        requests: those that were answered; only in the first part.
        intake: of the intake, unless it was erased; only in the first part.
    """

    number: str | None
    head_seq: int
    events: str
    last_seq: int
    policy_document: str | None = None
    requests: list[Answered] = field(default_factory=list)
    intake: Mark | None = None


@dataclass(frozen=True)
class OpenOrder:
    """Another case to be opened.

    Args:
        kind: of the other case.
        intake: its intake as plain JSON, without personal data.
        parent: the id of the case whose customer is the other's too.
    """

    kind: str
    intake: dict[str, Any]
    parent: str | None = None


@dataclass(frozen=True)
class Opened:
    """The other case: its id, and whether it is there because of this order."""

    id: str
    new: bool


@dataclass(frozen=True)
class CallOrder:
    """An order to an activity of one kind of case; the same order again has the same effect once.

    Args:
        what: plain JSON, as the activity takes it.
        seq: of the event that asked for it.
        at: when that was, RFC 3339.
        policy_hash: of the policy that the case is pinned to.
        run: as in `BeginOrder`; empty in histories of before it was told.
    """

    case_id: str
    what: dict[str, Any]
    seq: int
    at: str
    policy_hash: str
    run: str = ""


@dataclass(frozen=True)
class ShiftOrder:
    """The shift whose end is asked for.

    Args:
        policy: the name of the policy that its handover is pinned to.
        gather: whether the handover begins now, so that its facts are needed.
    """

    shift: str
    policy: str
    gather: bool = False


@dataclass(frozen=True)
class ShiftEnd:
    """The end of a shift by the roster as it is now.

    Args:
        state: ``coming``; or, when there is nothing to hand over, ``gone`` (not in the roster), ``goes_on``
            (the person works on) or ``no_rung`` (the person holds no cases).
        tell_at: when the handover begins, RFC 3339; empty unless it is coming.
        facts: of the handover (`cases.kinds.handover.HandoverFacts`) as plain JSON, where asked for.
    """

    state: Literal["coming", "gone", "goes_on", "no_rung"]
    tell_at: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SummaryOrder:
    """The month to be summed up.

    Args:
        at: the instant, RFC 3339, by which it must have ended in the policy's zone.
        policy: the policy's name.
        month: like ``2026-03``; None is the month before ``at``.
    """

    at: str
    policy: str
    month: str | None = None


@dataclass(frozen=True)
class SummaryContent:
    """The content of a month's summary as the casebook knows it, free of personal data.

    Args:
        filed: whether the casebook has the month's summary already; then there are no facts.
        facts: the facts of a summary (`cases.vocabulary.facts.SummaryFacts`) as plain JSON.
    """

    month: str
    filed: bool
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NoticeOrder:
    """One notice to be sent. ``id`` is stable over retries, so a receiver can drop a repeat.

    Args:
        meets: the clocks that wait for its delivery.
        acknowledge: whether whoever hears of it may take the case up by it.
        no: which copy it is, where the copies of the event go out one by one.
        people: the very persons whom it is for, of these roles.
    """

    id: str
    name: str
    roles: list[str]
    clause: str
    event: dict[str, Any]
    meets: list[str] = field(default_factory=list)
    acknowledge: bool = False
    no: int | None = None
    people: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Burst:
    """The rate at which notices to one recipient become a digest: more than so many within so many seconds."""

    more_than: int
    within: float


@dataclass(frozen=True)
class NoticeBatch:
    """The notices of one step of a case. ``view`` is the case view, free of personal data.

    Args:
        digest: what the case's policy says of bursts; None for no digests.
        zone: of the case's policy, in which instants are told; None leaves each in the offset that it carries.
    """

    case_id: str
    view: dict[str, Any]
    notices: list[NoticeOrder]
    digest: Burst | None = None
    zone: str | None = None


@dataclass(frozen=True)
class NoticeResult:
    """The outcome of one notice.

    ``outcome`` is ``sent`` (somebody of every role was reached), ``partly`` (of some roles),
    ``no_address`` (no role has an address) or ``failed``; ``reasons`` say why for what did not
    arrive, by role.

    Args:
        meant: for each role who was to hear it and why, ``{"role", "recipient", "why", "because"}``.
        attempts: every attempt, those of one kind as one entry: ``{"recipient", "channel", "outcome"
            (sent, delayed or failed), "reason"?, "first"}``, and ``last`` and ``count`` of more than
            one. A recipient is a staff id or a role, never an address.
        remarks: what else is to be known, such as a template that did not work.
    """

    id: str
    name: str
    roles: list[str]
    outcome: str
    channel: str = ""
    at: str = ""
    reasons: dict[str, str] = field(default_factory=dict)
    meant: list[dict[str, Any]] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PayoutOrder:
    """Money to be paid once. ``key`` is the same over every retry, crash and replay.

    Args:
        key: the idempotency key.
        amount: yuan, a decimal string with two places.
        run: as in `BeginOrder`; only the run that holds the case pays for it.
        seq: the event that asks for it; nothing is paid that the ledger does not ask for.
        payee: a token of who is paid and how; empty where the case names nobody.
        waybill: where other claims on it stand against the payment, unless they are among ``cleared``.
    """

    case_id: str
    key: str
    amount: str
    run: str
    seq: int
    payee: str = ""
    waybill: str | None = None
    cleared: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, case_id: str, run: str, payment: Payment) -> PayoutOrder:
        """Return the order of what a case owes."""
        return cls(
            case_id,
            f"{case_id}/payout" if payment.order == 1 else f"{case_id}/payout/{payment.order}",
            f"{payment.amount:.2f}",
            run=run,
            seq=payment.seq,
            payee=payment.payee or "",
            waybill=payment.waybill,
            cleared=list(payment.cleared),
        )


@dataclass(frozen=True)
class PayoutResult:
    """The outcome of a payout.

    Args:
        state: ``paid`` with the gateway's reference, ``failed`` with a reason, ``waiting`` for finance to
            confirm it by hand, or ``blocked`` by other claims on the parcel; then nothing was ordered.
        at: when it was paid, RFC 3339, or empty.
        found: what blocks it (`cases.vocabulary.parcels.Found`) as plain JSON.
    """

    state: Literal["paid", "failed", "waiting", "blocked"]
    reference: str = ""
    reason: str = ""
    at: str = ""
    found: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DeliveryOrder:
    """The subscription whose events are to be delivered."""

    id: str


@dataclass(frozen=True)
class DeliveryResult:
    """The state of the subscription after a run of the delivery: ``active`` asks for another run."""

    state: Literal["active", "parked", "removed"]

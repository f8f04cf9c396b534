"""What a case's workflow starts from, and what it takes along when it continues as new."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_core import from_json

from activities.messages import Mark, Sent
from cases.case import Case
from cases.mechanisms.numbering import MOST_SERIAL
from cases.policy.tables import LONGEST
from cases.registry import KINDS, kind_named
from cases.vocabulary.events import Event
from cases.vocabulary.facts import Intake, read_intake
from cases.vocabulary.parcels import EarlierClaims
from cases.vocabulary.refusals import Refused, invalid, shown
from cases.vocabulary.values import Model

MICROSECOND = timedelta(microseconds=1)
# Where a run's input holds what the run before it carried over, or says that the ledger has it.
CARRIED, FROM_LEDGER = "carried", "from_ledger"
# Where it says that the case is rehearsed.
REHEARSAL = "rehearsal"
# So many events at most go into the next run, and so many characters of them packed; it reads more from the ledger.
MOST_EVENTS_CARRIED, MOST_CARRIED = 5_000, 500_000


class Rehearsal(Model):
    """A case that runs on its own dates: it is not recorded, and its notices come out at once.

    Args:
        offset_us: microseconds added to the workflow's clock to get the case's own.
        policy_document: the policy as canonical JSON, since it need not lie on any disk.
        notices: what becomes of notices.
        payout: what becomes of payouts; with ``manual`` they wait for ``confirm_payment``.
        reply: what becomes of replies that are sent.
        earlier_claims: what the casebook knows of the parcel of a claim.
        serial: the one that the counter of case numbers gives out.
        merge: whether another case takes this one over.
        continue_after: continue as new once the history has this many events.
    """

    offset_us: Annotated[int, Field(ge=-LONGEST // MICROSECOND, le=LONGEST // MICROSECOND)]
    policy_document: str
    notices: Literal["ok", "fail"] = "ok"
    payout: Literal["ok", "fail", "manual"] = "ok"
    reply: Literal["ok", "fail"] = "ok"
    earlier_claims: EarlierClaims = ()
    serial: Annotated[int, Field(ge=1, le=MOST_SERIAL)] = 1
    merge: Literal["ok", "fail"] = "ok"
    # A run of fewer events would not get anything done before it ends.
    continue_after: Annotated[int, Field(ge=10)] | None = None

    @field_validator("policy_document")
    @classmethod
    def _an_object(cls, document: str) -> str:
        # What the object must hold is checked with every other policy.
        if not isinstance(from_json(document), dict):
            raise ValueError("a policy is one JSON object")
        return document

    @property
    def offset(self) -> timedelta:
        """The offset as a duration."""
        return timedelta(microseconds=self.offset_us)


class Seen(Model):
    """A request id that was decided: what tells its content, and the refusal if it was refused.

    ``salt`` is empty where this run has decided it: then ``digest`` is the content's own. ``seq`` is of the last
    event that it led to.
    """

    digest: str
    salt: str = ""
    refusal: dict[str, str] | None = None
    seq: int | None = None

    def matches(self, digest: str) -> bool:
        """Whether this content was decided."""
        return matches(Mark(self.salt, self.digest), digest)


class Carried(Model):
    """What goes into the next run. The case itself is its events, packed small; what is owed follows from them.

    ``sent`` is what senders proved of them, packed too; empty where they proved nothing.
    """

    version: Literal[2] = 2
    policy_document: str
    events: str
    recorded: int
    number: str | None
    mark: Mark | None = None
    sent: str = ""
    seen: dict[str, Seen] = Field(default_factory=dict)


class FromLedger(Model):
    """The order to go on from the ledger.

    Args:
        head_seq: where the ledger must end at least; None where nobody knows.
    """

    head_seq: Annotated[int, Field(ge=0)] | None = None


class _Key(Model):
    key: str


@dataclass(frozen=True)
class Start:
    """What a run starts from: an intake, or what an earlier run carried over, or the ledger."""

    key: str
    intake: Intake | None = None
    rehearsal: Rehearsal | None = None
    carried: Carried | None = None
    from_ledger: FromLedger | None = None


def read_start(case: type[Case], workflow_id: str, raw: Any, *, continued: bool) -> Start:
    """Return what a run starts from, from a workflow's input.

    Args:
        continued: whether an earlier run wrote the input; nobody else may bring a state along.

    Raises:
        Refused: code ``invalid``, naming what is wrong.
    """
    if not isinstance(raw, dict):
        raise Refused("invalid", "intake: the input must be one JSON object with key and facts")
    content = dict(raw)
    rehearsal = content.pop(REHEARSAL, None)
    carried = content.pop(CARRIED, None) if continued else None
    from_ledger = content.pop(FROM_LEDGER, None)
    if rehearsal is not None and from_ledger is not None:
        # It would take the case over from the run that records it, and record nothing.
        raise Refused("invalid", f"{REHEARSAL}: a case that goes on from the ledger is not rehearsed")
    intake = None
    if "facts" in content or (carried is None and from_ledger is None):
        intake = read_intake(case.INTAKE, content)
    start = Start(
        intake.key if intake else _model(_Key, content, "start").key,
        intake,
        None if rehearsal is None else _model(Rehearsal, rehearsal, REHEARSAL),
        None if carried is None else _model(Carried, carried, CARRIED),
        None if from_ledger is None else _model(FromLedger, from_ledger, FROM_LEDGER),
    )
    wanted = f"{case.KIND or _form_in(workflow_id)}:{start.key}"
    if workflow_id != wanted:
        raise Refused("invalid", f"the workflow id of this case must be {wanted}")
    return start


def _form_in(workflow_id: str) -> str:
    """Return the name of the form that a workflow id is of; its policy says later whether there is one."""
    name = workflow_id.partition(":")[0]
    if name in KINDS or kind_named(name) is None:
        raise Refused("invalid", f"the workflow id must name a form: {shown(name)} is none")
    return name


M = TypeVar("M", bound=BaseModel)


def _model(model: type[M], raw: Any, what: str) -> M:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise invalid(error, what) from None


def matches(mark: Mark, digest: str) -> bool:
    """Whether a mark is of the content that has this digest; without a salt it is the digest itself."""
    own = digest if not mark.salt else hmac.new(bytes.fromhex(mark.salt), digest.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(own, mark.digest)


def pack(events: Iterable[Event]) -> str:
    """Events as one compressed text: a payload is limited in size, and texts repeat themselves."""
    return _pack_json([event.as_json() for event in events])


def _pack_json(rows: list[dict[str, Any]]) -> str:
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 6)).decode("ascii")


def pack_sent(sent: list[Sent]) -> str:
    """Return what senders proved as one compressed text, an empty one for nothing."""
    return _pack_json([asdict(one) for one in sent]) if sent else ""


def unpack_sent(packed: str) -> list[Sent]:
    """Return what `pack_sent` packed."""
    return [Sent(**row) for row in unpack_json(packed)] if packed else []


def unpack(packed: str) -> list[Event]:
    """Return the events that `pack` packed.

    Raises:
        ValueError: this build does not know the type of one.
    """
    return [Event.from_json(row) for row in unpack_json(packed)]


def unpack_json(packed: str) -> list[dict[str, Any]]:
    """Return the JSON of what was packed, whatever build it is of."""
    rows: list[dict[str, Any]] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return rows

"""What a case's workflow starts from, and what it takes along when it continues as new."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_core import from_json

from cases.case import Case
from cases.policy.model import Policy
from cases.policy.tables import LONGEST
from cases.vocabulary.effects import Effect
from cases.vocabulary.events import Event
from cases.vocabulary.facts import Intake, read_intake
from cases.vocabulary.refusals import Refused, invalid
from cases.vocabulary.values import Model

MICROSECOND = timedelta(microseconds=1)
# Where a run's input holds what the run before it carried over.
CARRIED = "carried"


class Rehearsal(Model):
    """A case that runs on its own dates: it is not recorded, and its notices come out at once.

    Args:
        offset_us: microseconds added to the workflow's clock to get the case's own.
        policy_document: the policy as canonical JSON, since it need not lie on any disk.
        notices: what becomes of notices.
        payout: what becomes of payouts; with ``manual`` they wait for ``confirm_payment``.
        continue_after: continue as new once the history has this many events.
    """

    offset_us: Annotated[int, Field(ge=-LONGEST // MICROSECOND, le=LONGEST // MICROSECOND)]
    policy_document: str
    notices: Literal["ok", "fail"] = "ok"
    payout: Literal["ok", "fail", "manual"] = "ok"
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
    """A request id that was decided: the digest of its content, and the refusal if it was refused."""

    digest: str
    refusal: dict[str, str] | None = None


class Carried(Model):
    """What goes into the next run. The case itself is its events, packed small."""

    version: Literal[1] = 1
    policy_document: str
    events: str
    recorded: int
    number: str | None
    seen: dict[str, Seen] = Field(default_factory=dict)
    # What was under way, or waits to be done.
    pending: tuple[Effect, ...] = ()


def read_start(
    case: type[Case], workflow_id: str, raw: Any, *, continued: bool
) -> tuple[Intake, Rehearsal | None, Any]:
    """Return the intake, the rehearsal if it is one, and what an earlier run carried over, from a workflow's input.

    Args:
        continued: whether an earlier run wrote the input; nobody else may bring a state along.

    Raises:
        Refused: code ``invalid``, naming what is wrong.
    """
    if not isinstance(raw, dict):
        raise Refused("invalid", "intake: the input must be one JSON object with key and facts")
    content = dict(raw)
    rehearsal = content.pop("rehearsal", None)
    carried = content.pop(CARRIED, None) if continued else None
    intake = read_intake(case.INTAKE, content)
    wanted = f"{case.KIND}:{intake.key}"
    if workflow_id != wanted:
        raise Refused("invalid", f"the workflow id of this case must be {wanted}")
    if rehearsal is None:
        return intake, None, carried
    try:
        return intake, Rehearsal.model_validate(rehearsal), carried
    except ValidationError as error:
        raise invalid(error, "rehearsal") from None


def restore(case: type[Case], raw: Any) -> tuple[Case, Carried]:
    """Return the case that an earlier run carried over.

    Raises:
        Refused: the state was not written by this program.
    """
    try:
        carried = Carried.model_validate(raw)
    except ValidationError as error:
        raise invalid(error, "carried") from None
    restored = case.replay(Policy.from_document(carried.policy_document), unpack(carried.events))
    restored.outbox = list(carried.pending)
    return restored, carried


def pack(events: Iterable[Event]) -> str:
    """Events as one compressed text: a payload is limited in size, and texts repeat themselves."""
    text = json.dumps([event.as_json() for event in events], ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 6)).decode("ascii")


def unpack(packed: str) -> list[Event]:
    """Return the events that `pack` packed."""
    rows: list[Mapping[str, Any]] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return [Event.from_json(row) for row in rows]


def carry(case: Case, recorded: int, number: str | None, seen: dict[str, Seen], under_way: Iterable[Effect]) -> Carried:
    """Return what the next run needs to go on."""
    return Carried(
        policy_document=case.policy.document,
        events=pack(case.events),
        recorded=recorded,
        number=number,
        seen=seen,
        pending=tuple(under_way),
    )

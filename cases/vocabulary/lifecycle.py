"""The events of every case's life: opened, noted, replied, resolved, closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args

from cases.vocabulary.events import FACTS, EventData
from cases.vocabulary.texts import marked
from cases.vocabulary.values import FreeText, Model, Moment


class CaseOpened(EventData):
    """A case was opened; ``facts`` without personal data. ``reported_at`` is the receipt, where it came later.

    Texts among the facts: the label of a checklist, cause and measure of the exceptions of a summary; those of a form
    are named in ``written``, since only its policy knows them.
    """

    TYPE: ClassVar[str] = "case_opened"
    kind: str
    key: str
    policy: str
    policy_hash: str
    holder_role: str
    facts: dict[str, Any]
    parent: str | None = None
    reported_at: Moment | None = None
    written: list[str] | None = None

    @classmethod
    def texts(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the facts, by the model of the kind's facts."""
        model, facts = FACTS.get(str(data.get("kind"))), data.get("facts")
        found = super().texts(data)
        if model is not None and isinstance(facts, Mapping):
            found.update(marked(model, facts, "facts."))
        return found


class Closed(EventData):
    """The case is filed for good."""

    TYPE: ClassVar[str] = "closed"
    outcome: str


# Why personal data of a case are erased: its time to be kept has passed, the customer or an authority wants it, or they
# should never have been taken down.
ErasedFor = Literal["retention", "customer", "authority", "mistake"]
ERASED_FOR: tuple[ErasedFor, ...] = get_args(ErasedFor)


class Erased(EventData):
    """What the case held of persons is gone: personal facts, texts, accounts; the actor decided it.

    ``asked_by`` is who asked for it; nobody where ``why`` is retention, which the policy asks for.
    """

    TYPE: ClassVar[str] = "erased"
    why: ErasedFor
    asked_by: str | None = None


class SaidByCustomer(Model):
    """Who told us something, by their relation to the matter, when, and by which channel."""

    by: str
    at: Moment
    channel: str


class Withdrawn(EventData):
    """The customer took the matter back; ``said`` is the customer's word, by relation and without a name."""

    TYPE: ClassVar[str] = "withdrawn"
    BY_COMMAND: ClassVar[bool] = True
    reason: FreeText | None = None
    said: SaidByCustomer | None = None


class Noted(EventData):
    """Somebody wrote a remark into the record."""

    TYPE: ClassVar[str] = "noted"
    BY_COMMAND: ClassVar[bool] = True
    text: FreeText


class Attached(EventData):
    """A document that is stored elsewhere was referenced; ``size`` in bytes."""

    TYPE: ClassVar[str] = "attached"
    BY_COMMAND: ClassVar[bool] = True
    name: FreeText
    sha256: str
    where: FreeText
    size: int | None = None


class ContactAttempted(EventData):
    """Somebody tried to reach the customer."""

    TYPE: ClassVar[str] = "contact_attempted"
    BY_COMMAND: ClassVar[bool] = True
    reached: bool
    channel: str | None
    reason: FreeText | None


class Promised(EventData):
    """The customer was promised a reply by an instant; with ``of`` by the reply that this event had sent."""

    TYPE: ClassVar[str] = "promised"
    BY_COMMAND: ClassVar[bool] = True
    reply_by: Moment
    of: int | None = None


class Replied(EventData):
    """The customer was replied to: ``stage`` is interim or answer.

    ``via`` is how, where that was said; with ``of`` it went out, with the text of that event.
    """

    TYPE: ClassVar[str] = "replied"
    BY_COMMAND: ClassVar[bool] = True
    stage: str
    text: FreeText | None = None
    via: str | None = None
    of: int | None = None


class Resolved(EventData):
    """The customer's matter is settled."""

    TYPE: ClassVar[str] = "resolved"
    summary: FreeText | None


class FollowedUp(EventData):
    """The customer was asked for their opinion."""

    TYPE: ClassVar[str] = "followed_up"
    BY_COMMAND: ClassVar[bool] = True
    satisfied: bool
    text: FreeText | None = None


class Reopened(EventData):
    """A resolved case was taken up again."""

    TYPE: ClassVar[str] = "reopened"
    BY_COMMAND: ClassVar[bool] = True
    reason: FreeText


class OpeningDone(EventData):
    """What came of the opening of another case that the event ``of`` asked for.

    ``outcome`` is opened, same (it was filed with this content before), or the code of its refusal: then it ``failed``,
    and somebody has to file it by hand.
    """

    TYPE: ClassVar[str] = "opening_done"
    TECHNICAL: ClassVar[bool] = True
    of: int
    case: str
    outcome: str
    failed: bool | None = None


class CaseFiled(EventData):
    """Another case is to be filed by this one: its id. What it is filed with follows from the state of this one."""

    TYPE: ClassVar[str] = "case_filed"
    case: str


class CommandRefused(EventData):
    """A command that nobody waited for, or that is a violation by itself, was refused."""

    TYPE: ClassVar[str] = "command_refused"
    command: str
    code: str
    reason: FreeText | None = None

"""Merging: a case that was filed twice ends in the earlier one, which agrees first and keeps its promises.

The later case asks (``merge_asked``) and from then on takes no other command that would be lost with it. The earlier
one is sent `TakeDuplicate`; only when it has taken the other over (``duplicate_taken``) does that close. Which of two
is the earlier follows from when they were received and from their ids, which never change. So of two that are merged
into each other at once the earlier asks in vain, and may take the other although it asks itself: never do both close.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from cases.mechanisms.part import Part
from cases.vocabulary import commands
from cases.vocabulary import lifecycle as life
from cases.vocabulary.effects import MERGE_CASE, ActivityCall
from cases.vocabulary.events import Actor, Event, EventData
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import Moment

if TYPE_CHECKING:
    from cases.case import Case

# What a case takes while it is asked for: what stays on its own record, or changes nothing. Everything else would be
# lost with it, or would come too late for what was already handed over.
MEANWHILE = frozenset({"acknowledge", "note", "attach", "load_calendar", "resend", "take_duplicate"})


class MergeAsked(EventData):
    """Another case is asked to take this one, a duplicate, over."""

    TYPE: ClassVar[str] = "merge_asked"
    BY_COMMAND: ClassVar[bool] = True
    into: str


class Merged(EventData):
    """The other case has taken this one over, with its open promises; this one ends."""

    TYPE: ClassVar[str] = "merged"
    into: str


class MergeRefused(EventData):
    """The other case does not take this one, by the code of its refusal; this one goes on."""

    TYPE: ClassVar[str] = "merge_refused"
    into: str
    code: str


class DuplicateTaken(EventData):
    """A later case about the same matter was taken over; ``promises`` are the instants of its open promises."""

    TYPE: ClassVar[str] = "duplicate_taken"
    BY_COMMAND: ClassVar[bool] = True
    case: str
    promises: list[Moment]


class Merging(Part):
    """What becomes of a case that was filed twice, on either side."""

    ACTIVITIES = frozenset({MERGE_CASE})

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        # The case that was asked to take this one over and has not answered; the one that has.
        self.asked: str | None = None
        self.into: str | None = None
        # The cases that this one has taken over, by id.
        self.taken: list[str] = []

    def refusal(self, name: str) -> Refused | None:
        """Say why a case that is being merged does not take a command that would be lost with it."""
        return None if self.asked is None or name in MEANWHILE else self._merging(name)

    def _merging(self, name: str) -> Refused:
        message = f"{name}: it is being merged into {self.asked}; what came of that is on record in a moment"
        return Refused("merging", message)

    @staticmethod
    def _known_merge(own: Mapping[str, Any], other: Mapping[str, Any]) -> None:
        refuse_other(own["id"], other["id"], "into")
        refuse_earlier(_received(own), _received(other))
        if other["status"] != "open":
            raise Refused(other["status"], f"into = {other['id']!r} is {other['status']}; allowed: a case that is open")

    # --- the later case ---------------------------------------------------------------------------

    def _check_merge(self, command: commands.Merge, at: datetime, by: Actor) -> None:
        refuse_other(self.case.id, command.into, "into")

    def _do_merge(self, command: commands.Merge, at: datetime, by: Actor) -> None:
        self.case.emit(MergeAsked(into=command.into), at, by=by)

    def activity_done(self, call: ActivityCall, result: Mapping[str, Any], at: datetime) -> None:
        """Take in what the other case has said: it took this one over, or ``refused`` with a code."""
        case = self.case
        at, into = case.arrive(at), call.order["into"]
        if (code := result.get("refused")) is not None:
            case.emit(MergeRefused(into=into, code=code), at)
            return
        case.emit(Merged(into=into), at)
        case.emit(life.Closed(outcome="merged"), at)

    # --- the earlier case -------------------------------------------------------------------------

    def _check_take_duplicate(self, command: commands.TakeDuplicate, at: datetime, by: Actor) -> None:
        if command.case in self.taken:
            return
        case = self.case
        refuse_other(case.id, command.case, "case")
        assert case.received_at is not None
        refuse_earlier((command.received_at, command.case), (case.received_at, case.id))
        # What this one asks of the other is in vain, since the other is later, as it has just said.
        if self.asked is not None and self.asked != command.case:
            raise self._merging("take_duplicate")

    def _do_take_duplicate(self, command: commands.TakeDuplicate, at: datetime, by: Actor) -> None:
        if command.case in self.taken:
            # Asked again it answers as before.
            return
        case = self.case
        promises = [case.policy.local(due) for due in command.promises]
        case.emit(DuplicateTaken(case=command.case, promises=promises), at, by=by)
        for due in promises:
            case.promise(due, at, by)

    # --- how events change the state --------------------------------------------------------------

    def _on_merge_asked(self, data: MergeAsked, event: Event) -> None:
        case = self.case
        self.asked = data.into
        assert case.received_at is not None
        order = {
            "into": data.into,
            "received_at": case.received_at.isoformat(),
            "promises": [case.clocks[name].due_at(event.at).isoformat() for name in case.clocks.live("promise")],
        }
        case.ask(ActivityCall(seq=event.seq, activity=MERGE_CASE, order=order, recorded_first=True))

    def _on_merged(self, data: Merged, event: Event) -> None:
        self._answered()
        self.into = data.into

    def _on_merge_refused(self, _: MergeRefused, event: Event) -> None:
        self._answered()

    def _answered(self) -> None:
        self.asked = None
        self.case.came_out(ActivityCall, name=MERGE_CASE)

    def _on_duplicate_taken(self, data: DuplicateTaken, event: Event) -> None:
        self.taken.append(data.case)


def refuse_other(own: str, other: str, field: str) -> None:
    """Refuse to merge what is no other case of the same kind, by their ids.

    Raises:
        Refused: code ``itself`` or ``other_kind``.
    """
    if other == own:
        raise Refused("itself", f"{field} = {other!r} is this case; name another one")
    kind = own.partition(":")[0]
    if other.partition(":")[0] != kind:
        raise Refused("other_kind", f"{field} = {other!r}: allowed: a case of the kind {kind}")


def refuse_earlier(later: tuple[datetime, str], earlier: tuple[datetime, str]) -> None:
    """Refuse to merge an earlier case into a later one: by when they were received, then by id.

    Raises:
        Refused: code ``not_earlier``.
    """
    if later <= earlier:
        (received, own), (other_received, other) = later, earlier
        message = (
            f"{own} was received {received.isoformat()}, {other} {other_received.isoformat()}: allowed: the later into "
            f"the earlier, so merge {other} into {own}"
        )
        raise Refused("not_earlier", message)


def _received(view: Mapping[str, Any]) -> tuple[datetime, str]:
    # Views of before a case could be merged say only when it began.
    return datetime.fromisoformat(view.get("received_at") or view["opened_at"]), view["id"]

"""Replies to the customer: said and recorded at once, or sent out and recorded once they have gone out (S0-2.3.5).

Only what reached the customer counts: the clocks that a reply meets run on while it is being sent, and a promise that
was made with it is made when it went out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cases.mechanisms.part import Choices, Part
from cases.vocabulary import commands
from cases.vocabulary.effects import SEND_REPLY, UNAVAILABLE, ActivityCall
from cases.vocabulary.events import SYSTEM, Actor, Event, EventData
from cases.vocabulary.lifecycle import Replied
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import FreeText, Moment

if TYPE_CHECKING:
    from cases.case import Case

CLAUSE = "S0-2.3.5"
# For so long a reply is tried: longer than a mail server lets an unknown sender wait, and short enough for whoever
# wrote it to take up the phone instead.
TRIED_FOR = timedelta(minutes=30)


# Why a reply has not reached the customer: nobody has left an address, no way to it is set up, it was refused for good,
# or nothing took it for as long as it was tried.
Unsent = Literal["no_address", "not_set_up", "refused", "unavailable"]


class ReplySending(EventData):
    """A reply is on its way to the customer; `replied` or `reply_failed` says what came of it."""

    TYPE: ClassVar[str] = "reply_sending"
    BY_COMMAND: ClassVar[bool] = True
    stage: str
    via: str
    text: FreeText
    reply_by: Moment | None = None


class ReplyFailed(EventData):
    """The reply that the event ``of`` asked for has not reached the customer, and does not count as one."""

    TYPE: ClassVar[str] = "reply_failed"
    stage: str
    via: str
    reason: Unsent
    of: int


class ReplyBounced(EventData):
    """The reply that the event ``of`` had sent came back: the customer has not got it.

    It was taken by a mail server before, so what it met stays met; whoever holds the case replies anew.
    """

    TYPE: ClassVar[str] = "reply_bounced"
    BY_COMMAND: ClassVar[bool] = True
    stage: str
    via: str
    of: int


class CustomerWrote(EventData):
    """The customer wrote back; ``known`` is whether from where they are reached, as far as that can be told."""

    TYPE: ClassVar[str] = "customer_wrote"
    BY_COMMAND: ClassVar[bool] = True
    text: FreeText
    via: str
    known: bool | None = None


class Replies(Part):
    """The replies of a case, and what the customer writes back; at most one reply is being sent at a time."""

    ACTIVITIES = frozenset({SEND_REPLY})

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        # The event that asked for the reply that is being sent.
        self.under_way: int | None = None
        # How the replies that went out were sent, by the events that asked for them; and those that came back.
        self.gone_out: dict[int, tuple[str, str]] = {}
        self.bounced: set[int] = set()

    def activity_done(self, call: ActivityCall, result: Mapping[str, Any], at: datetime) -> None:
        """Take in what came of a sending: ``failed`` with the reason, or that it went out."""
        case = self.case
        at = case.arrive(at)
        asked = ReplySending.read(case.event(call.seq).data)
        failed = result.get("failed")
        if failed is None:
            self._reply(Replied(stage=asked.stage, via=asked.via, of=call.seq), asked.reply_by, at, SYSTEM)
        else:
            data = ReplyFailed(stage=asked.stage, via=asked.via, reason=failed, of=call.seq)
            case.emit(data, at, clauses=(CLAUSE,))

    def came_out(self, call: ActivityCall, outcome: str, at: datetime) -> None:
        """Let a sending come out in a rehearsal: ``ok`` or ``fail``."""
        self.activity_done(call, {} if outcome == "ok" else UNAVAILABLE, at)

    def _reply(self, data: Replied, reply_by: datetime | None, at: datetime, by: Actor) -> None:
        case = self.case
        case.emit(data, at, by=by, clauses=(CLAUSE,))
        case.clocks.meet(at, *case.met_by_reply(data.stage), *case.clocks.live("promise"))
        # What was settled or withdrawn while it was being sent waits for no further word.
        if reply_by is not None and case.status == "open":
            case.promise(case.policy.local(reply_by), at, by, of=data.of)
        case.after_reply(data.stage, at, by)

    # --- commands ---------------------------------------------------------------------------------

    def _choices_reply(self, by: Actor, at: datetime) -> Choices:
        sent = () if self.under_way is not None else commands.SENT
        return {"via": (*sent, *(via for via in commands.VIAS if via not in commands.SENT))}

    def _check_reply(self, command: commands.Reply, at: datetime, by: Actor) -> None:
        case = self.case
        if command.is_sent and command.text is None:
            raise Refused("reply_text_missing", f"reply: text is missing: by {command.via} something is sent", CLAUSE)
        if command.is_sent and self.under_way is not None:
            message = f"reply: event {self.under_way} is being sent; wait until it is known what came of it"
            raise Refused("reply_under_way", message, CLAUSE)
        if command.reply_by is not None:
            if case.settled_by_reply(command.stage):
                raise Refused("resolved", "reply_by: this reply settles the case, and nothing is promised with it")
            case.refuse_promise(case.policy.local(command.reply_by), at, by)

    def _do_reply(self, command: commands.Reply, at: datetime, by: Actor) -> None:
        if command.is_sent:
            # `_check_reply` has seen to it.
            assert command.via is not None
            assert command.text is not None
            due = None if command.reply_by is None else self.case.policy.local(command.reply_by)
            data = ReplySending(stage=command.stage, via=command.via, text=command.text, reply_by=due)
            self.case.emit(data, at, by=by, clauses=(CLAUSE,))
        else:
            self._reply(Replied(stage=command.stage, text=command.text, via=command.via), command.reply_by, at, by)

    def _do_customer_wrote(self, command: commands.CustomerWrote, at: datetime, by: Actor) -> None:
        data = CustomerWrote(text=command.text, via=command.via, known=command.known)
        self.case.emit(data, at, by=by, clauses=(CLAUSE,))

    def _may_reply_bounced(self, by: Actor, at: datetime) -> None:
        if not self.gone_out:
            raise Refused("not_sent", "reply_bounced: no reply has gone out", CLAUSE)

    def _check_reply_bounced(self, command: commands.ReplyBounced, at: datetime, by: Actor) -> None:
        if command.of not in self.gone_out:
            raise Refused("not_sent", f"of = {command.of}: no event that had a reply sent which went out", CLAUSE)

    def _do_reply_bounced(self, command: commands.ReplyBounced, at: datetime, by: Actor) -> None:
        # Several servers on the way may say the same.
        if command.of not in self.bounced:
            stage, via = self.gone_out[command.of]
            self.case.emit(ReplyBounced(stage=stage, via=via, of=command.of), at, by=by, clauses=(CLAUSE,))

    # --- how events change the state --------------------------------------------------------------

    def _on_reply_sending(self, data: ReplySending, event: Event) -> None:
        self.under_way = event.seq
        order = {"via": data.via}
        call = ActivityCall(
            seq=event.seq, activity=SEND_REPLY, order=order, recorded_first=True, tried_for=TRIED_FOR
        )  # fmt: skip
        self.case.ask(call)

    def _on_replied(self, data: Replied, event: Event) -> None:
        if data.of is not None:
            self._sent(data.of)
            self.gone_out[data.of] = (data.stage, data.via or "")

    def _on_reply_bounced(self, data: ReplyBounced, event: Event) -> None:
        self.bounced.add(data.of)

    def _on_reply_failed(self, data: ReplyFailed, event: Event) -> None:
        self._sent(data.of)

    def _sent(self, of: int) -> None:
        self.under_way = None
        self.case.came_out(ActivityCall, of, SEND_REPLY)

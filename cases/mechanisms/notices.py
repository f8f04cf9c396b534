"""Notices: who must be told of what happens, by the policy's routes, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from cases.mechanisms.part import Choices, Part
from cases.policy.tables import COPIES_ISSUED, NoticeRoute
from cases.vocabulary import commands
from cases.vocabulary.effects import Notice
from cases.vocabulary.events import Actor, Event, EventData
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import Model, Role


class Notified(EventData):
    """What came of a notice of the event ``of``: ``outcome`` is sent, partly, failed or no_address.

    ``meant`` says who was meant and why, ``attempts`` what was tried, ``reasons`` by role why not.
    ``id`` is what receivers know it by, ``no`` which copy it was.
    """

    TYPE: ClassVar[str] = "notified"
    TECHNICAL: ClassVar[bool] = True
    notice: str
    roles: list[str]
    outcome: str
    of: int
    channel: str | None = None
    reasons: dict[str, str] | None = None
    meant: list[Any] | None = None
    attempts: list[Any] | None = None
    remarks: list[Any] | None = None
    id: str | None = None
    no: int | None = None


class NoticeResent(EventData):
    """Somebody had a notice sent again; ``was`` is the number of its outcome, ``no`` which copy it is."""

    TYPE: ClassVar[str] = "notice_resent"
    notice: str
    roles: list[str]
    of: int
    was: int
    no: int | None = None


class IssuedCopy(Model):
    """A copy of a closed form and the role that it is for."""

    no: int
    to: Role


class CopiesIssued(EventData):
    """Numbered copies of what was decided go out, each to a role (S1-5.9.7)."""

    TYPE: ClassVar[str] = COPIES_ISSUED
    copies: list[IssuedCopy]


class ReportSent(EventData):
    """A notice that a clock waited for was delivered to all."""

    TYPE: ClassVar[str] = "report_sent"
    TECHNICAL: ClassVar[bool] = True
    roles: list[str]
    channel: str


class Notices(Part):
    """The notices of a case: each is an effect that names its event, and what came of it is an event too."""

    def of(self, event: Event) -> Iterator[Notice]:
        """Yield the notices that the policy sends of an event."""
        case = self.case
        for route in case.policy.routes(case.KIND, event.type):
            if not route.matches(event.data, case.facts):
                continue
            if route.of_copies and event.type == COPIES_ISSUED:
                for copy in CopiesIssued.read(event.data).copies:
                    yield self._notice(route.name, (copy.to,), event, route.clause, route, copy.no)
            else:
                filer = case.facts.get("filed_by", {}).get("role")
                roles = case.policy.recipients(route, event.data, case.ladder.rung, filer)
                yield self._notice(route.name, roles, event, route.clause, route)

    def _notice(
        self,
        name: str,
        roles: tuple[str, ...],
        event: Event,
        clause: str,
        route: NoticeRoute | None,
        no: int | None = None,
    ) -> Notice:
        """Return the notice of an event, with what its route says that it means."""
        meets = () if route is None else route.meets
        # A reminder of an approval or a signature is not answered by taking the case up.
        acknowledge = route is not None and route.acknowledge and self.case.CLIMBS and "subject" not in event.data
        people = (self.case.facts["filed_by"]["id"],) if route is not None and route.of_filer else ()
        return Notice(
            seq=event.seq,
            name=name,
            roles=roles,
            clause=clause,
            meets=meets,
            acknowledge=acknowledge,
            no=no,
            people=people,
        )

    def came_out(
        self,
        notice: Notice,
        outcome: str,
        channel: str,
        at: datetime,
        reasons: Mapping[str, str],
        *,
        id: str = "",
        **more: Sequence[Any],
    ) -> None:
        """Take in what came of a notice (also after the case has closed).

        Args:
            more: what else goes on record of it, as far as there is any: ``meant``, ``attempts``,
                ``remarks``.
        """
        case = self.case
        at = case.arrive(at)
        data = Notified(
            notice=notice.name,
            roles=list(notice.roles),
            outcome=outcome,
            of=notice.seq,
            channel=channel or None,
            reasons=dict(sorted(reasons.items())) or None,
            id=id or None,
            no=notice.no,
            **{name: list(entries) for name, entries in more.items() if entries},
        )
        case.emit(data, at, clauses=(notice.clause,))
        if notice.meets and outcome == "sent" and not self._delivered_before(notice):
            sent = ReportSent(roles=list(notice.roles), channel=channel)
            case.emit(sent, at, clauses=(notice.clause,))
            case.clocks.meet(at, *notice.meets)

    def _delivered_before(self, notice: Notice) -> bool:
        """Whether the same notice went out before, so that the last outcome is of a repeat."""
        same = {"notice": notice.name, "of": notice.seq, "outcome": "sent"}
        if notice.no is not None:
            same["no"] = notice.no
        return any(
            same.items() <= event.data.items() for event in self._outcomes() if event is not self.case.events[-1]
        )

    def _outcomes(self) -> list[Event]:
        return [event for event in self.case.events if event.type == Notified.TYPE]

    # --- commands ---------------------------------------------------------------------------------

    def _may_resend(self, by: Actor, at: datetime) -> None:
        if not self._outcomes():
            raise Refused("no_such_notice", "resend: notices of this case: none yet")

    def _choices_resend(self, by: Actor, at: datetime) -> Choices:
        return {"notice": [str(event.seq) for event in reversed(self._outcomes())]}

    def _check_resend(self, command: commands.Resend, at: datetime, by: Actor) -> None:
        known = [event.seq for event in self._outcomes()]
        if command.notice not in known:
            named = ", ".join(map(str, known)) or "none yet"
            raise Refused("no_such_notice", f"notice = {command.notice}: notices of this case: {named}")

    def _do_resend(self, command: commands.Resend, at: datetime, by: Actor) -> None:
        case, outcome = self.case, self.case.event(command.notice)
        sent = Notified.read(outcome.data)
        data = NoticeResent(notice=sent.notice, roles=sent.roles, of=sent.of, was=outcome.seq, no=sent.no)
        case.emit(data, at, by=by)

    # --- how events change the state --------------------------------------------------------------

    def _on_notified(self, data: Notified, event: Event) -> None:
        self.case.came_out(Notice, data.of, data.notice, data.no)

    def _on_notice_resent(self, data: NoticeResent, event: Event) -> None:
        case, of, outcome = self.case, self.case.event(data.of), self.case.event(data.was)
        routes = (route for route in case.policy.routes(case.KIND, of.type) if route.name == data.notice)
        route = next((route for route in routes if route.matches(of.data, case.facts)), None)
        case.ask(self._notice(data.notice, tuple(data.roles), of, "".join(outcome.clauses[:1]), route, data.no))

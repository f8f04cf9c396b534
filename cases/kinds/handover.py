"""Handover of a shift (交接班): the relief is told, both sign, then the cases change hands (S4-3.3.1, S1-1.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, StringConstraints, model_validator

from cases.case import Case, by_name
from cases.directory import Directory, Person, Shift
from cases.mechanisms.clocks import Clock
from cases.mechanisms.part import Choices, Turn
from cases.mechanisms.route import Signed
from cases.policy.model import Policy
from cases.policy.tables import Duration, KindTable
from cases.vocabulary import commands
from cases.vocabulary import lifecycle as life
from cases.vocabulary.by import Account
from cases.vocabulary.commands import Command, Sign
from cases.vocabulary.effects import ActivityCall
from cases.vocabulary.events import Actor, Event, EventData
from cases.vocabulary.facts import Facts, Intake, Staff
from cases.vocabulary.parcels import EarlierClaims
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import MOST_LISTED, Instant, Model, Moment, Role, Token
from cases.vocabulary.views import CaseView, ViewModel, Waiting

CLAUSE = "S4-3.3.1"
STAYS = (CLAUSE, "S1-1.3")
# The activity that gives the cases to the relief.
HAND_OVER = "hand_over"
OUTGOING, RELIEF = "outgoing", "relief"


class HeldCase(Model):
    """One open case of the outgoing person: when it is next due, what was promised, which clocks are paused."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z]+:[A-Za-z0-9._:/-]{1,128}$")]
    number: Token | None = None
    rung: Role
    next_due: Instant | None = None
    promised: tuple[Instant, ...] = ()
    paused: tuple[Token, ...] = ()


class HandoverFacts(Facts):
    """The end of a shift: who goes, who comes, and the open cases of the one who goes.

    ``total`` is of all cases, also where ``cases`` lists only the first. Without ``relief`` the
    roster has nobody.
    """

    shift: Token
    outgoing: Staff
    relief: Staff | None = None
    shift_ends_at: Instant
    total: Annotated[int, Field(ge=0)] = 0
    # Every step of a case carries its facts along, so that a list has an end.
    cases: Annotated[tuple[HeldCase, ...], Field(max_length=MOST_LISTED)] = ()

    @model_validator(mode="after")
    def _two_people(self) -> Self:
        if self.relief is not None and self.relief.id == self.outgoing.id:
            raise ValueError(f"relief.id = {self.relief.id!r} is the outgoing person; nobody relieves themselves")
        if len(self.cases) > self.total:
            raise ValueError(f"cases lists {len(self.cases)}, total = {self.total}")
        return self


class HandoverIntake(Intake):
    """Input of the workflow ``Handover``."""

    facts: HandoverFacts


class NameRelief(Command):
    """Say who relieves, where the roster did not, or somebody else comes (S4-3.3.1)."""

    NAME = "name_relief"
    SERVES: ClassVar[frozenset[str]] = frozenset({"handover"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"to": {"id": "agent-8", "role": "agent"}}
    to: Account


class ReliefTold(EventData):
    """The relief is told who goes, when, and how many cases come over."""

    TYPE: ClassVar[str] = "relief_told"
    people: list[str]
    role: str
    from_: Staff = Field(alias="from")
    due: Moment
    cases: int


class ReliefMissing(EventData):
    """Nobody relieves: a role above is told who goes and when."""

    TYPE: ClassVar[str] = "relief_missing"
    role: str
    from_: Staff = Field(alias="from")
    due: Moment


class ReliefNamed(EventData):
    """Somebody said who relieves."""

    TYPE: ClassVar[str] = "relief_named"
    to: Staff


class HandingOver(EventData):
    """The cases are given over, for the ``round``-th time."""

    TYPE: ClassVar[str] = "handing_over"
    round: int
    from_: Staff = Field(alias="from")
    to: Staff


class HandedOver(EventData):
    """These cases changed hands, and these did not: ``left`` says case and code."""

    TYPE: ClassVar[str] = "handed_over"
    round: int
    people: list[str]
    role: str
    cases: list[str]
    left: list[dict[str, str]]


class SideSigned(ViewModel):
    """Who signed as which side, and when."""

    side: str
    id: str
    role: str
    at: str


class HandoverTable(KindTable):
    """The numbers of handovers (S4-3.3.1)."""

    CLOCKS = ("handover",)
    GIVEN = frozenset({"handover"})

    # How long before the end of a shift the relief is told, and how long after it the last look for
    # cases is taken.
    tell_before: Duration
    look_again: Duration


class HandoverView(CaseView):
    """A handover: who goes and comes, who must sign, who answers for the cases now, what changed hands."""

    outgoing: dict[str, str]
    relief: dict[str, str] | None
    signers: list[dict[str, str]]
    signed: list[SideSigned]
    responsible: str
    handed: int
    left: list[dict[str, str]]


class Handover(Case):
    """One ending shift. Until both have signed, the outgoing person stays responsible.

    Its clock is due when the shift ends; a breach is told to whoever is above the outgoing person,
    and signing late is still signing. The cases are given over when both have signed, and once more
    after the shift for those that arrived meanwhile; then the handover is closed.
    """

    KIND = "handover"
    WORKFLOW = "Handover"
    INTAKE = HandoverIntake
    EXAMPLE = {
        "key": "S-17",
        "facts": {
            "shift": "S-17",
            "outgoing": {"id": "agent-7", "role": "agent"},
            "relief": {"id": "agent-8", "role": "agent"},
            "shift_ends_at": "2026-03-11T18:00:00+08:00",
        },
    }
    TABLE = HandoverTable
    COMMANDS = by_name(
        commands.Acknowledge, commands.Assign, commands.Escalate, commands.Note, commands.Attach,
        Sign, NameRelief, commands.Resend,
    )  # fmt: skip
    VIEW = HandoverView
    CLIMBS = False
    FILED = False
    SEEN_BY = frozenset()
    ABOUT = ""
    MONEY = {}
    OPENED_BY = (CLAUSE,)

    rule: HandoverTable
    # Known from the opening on.
    ends_at: datetime

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.outgoing: Mapping[str, str] = {}
        self.relief: Mapping[str, str] | None = None
        # Whether the relief has heard; the signatures by side; how often the cases were given over.
        self.relief_told = False
        self.signed: dict[str, Event] = {}
        self.rounds = 0
        self.handed_at: datetime | None = None
        self.handed: list[str] = []
        self.left: list[Mapping[str, str]] = []

    @property
    def signers(self) -> list[dict[str, str]]:
        """Who has yet to sign; nobody where no relief is known."""
        sides = {OUTGOING: self.outgoing, RELIEF: self.relief}
        return [dict(person) for side, person in sides.items() if person and side not in self.signed]

    # --- opening ----------------------------------------------------------------------------------

    def _admit(self, intake: Intake, received: datetime) -> None:
        facts = intake.facts
        assert isinstance(facts, HandoverFacts)
        if intake.key != key_of(facts.shift):
            raise Refused("invalid", f"key = {intake.key!r}: the key is the shift's, {key_of(facts.shift)}", CLAUSE)
        for name, person in (("outgoing", facts.outgoing), ("relief", facts.relief)):
            if person is not None:
                self._refuse_no_rung(f"facts.{name}.role", person.role)

    def _refuse_no_rung(self, path: str, role: str) -> None:
        rungs = self.ladder.rungs
        if role not in rungs:
            raise Refused("unknown_role", f"{path} = {role!r} is no rung; allowed: {', '.join(rungs)}")

    def _start_clocks(self, at: datetime) -> None:
        self.clocks.start("handover", at, self.ends_at)
        if self.relief is None:
            data = ReliefMissing(role=self._above(), from_=Staff(**self.outgoing), due=self.ends_at)
            self.emit(data, at, clauses=STAYS)

    def _above(self) -> str:
        """Who hears of what goes wrong: the rung above the outgoing person, at least the policy's."""
        rungs = self.ladder.rungs
        rule = self.rule.clock("handover")
        named = (rule and rule.escalates_to) or rungs[0]
        height = max(self.ladder.height(self.outgoing["role"]) + 1, self.ladder.height(named))
        return rungs[min(height, len(rungs) - 1)]

    # --- time -------------------------------------------------------------------------------------

    def turns(self) -> Iterable[Turn]:
        """Yield when the relief is told, and when the last look for cases is taken."""
        yield from super().turns()
        if self.status != "open":
            return
        if self.relief is not None and not self.relief_told and RELIEF not in self.signed:
            yield tell_at(self.ends_at, self.policy), self._tell_relief
        elif self.rounds == 1 and self.handed_at is not None:
            # The outgoing person is there to the end of the shift, so cases may come until then.
            yield max(self.ends_at, self.handed_at) + self.rule.look_again, self._hand_over

    def _tell_relief(self, at: datetime) -> None:
        assert self.relief is not None
        data = ReliefTold(
            people=[self.relief["id"]],
            role=self.relief["role"],
            from_=Staff(**self.outgoing),
            due=self.ends_at,
            cases=self.facts["total"],
        )
        self.emit(data, at, clauses=(CLAUSE,))

    def breached(self, clock: Clock, at: datetime) -> None:
        """Tell whoever is above the outgoing person that it was not signed in time."""
        self.ladder.climb(self._above(), "deadline", at, clauses=STAYS)

    # --- commands ---------------------------------------------------------------------------------

    def _may_sign(self, by: Actor, at: datetime) -> None:
        side = self._side_of(by)
        if side in self.signed:
            raise Refused("already_signed", f"by.id = {by.id!r} has signed as {side}", CLAUSE)

    def _do_sign(self, command: Sign, at: datetime, by: Actor) -> None:
        data = Signed(side=self._side_of(by), role=by.role, text=command.text)
        self.emit(data, at, by=by, clauses=(CLAUSE,))
        if len(self.signed) == 2:
            self.clocks.meet(at, "handover")
            self._hand_over(at)

    def _side_of(self, by: Actor) -> str:
        for side, person in ((OUTGOING, self.outgoing), (RELIEF, self.relief)):
            if person is not None and (person["id"], person["role"]) == (by.id, by.role):
                return side
        parties = [f"{person['id']} as {person['role']}" for person in (self.outgoing, self.relief) if person]
        raise Refused("not_party", f"sign: by.id = {by.id!r} as {by.role}: only {' and '.join(parties)} sign", CLAUSE)

    def _may_name_relief(self, by: Actor, at: datetime) -> None:
        if RELIEF in self.signed:
            signed = self.signed[RELIEF].actor.id
            raise Refused("already_signed", f"name_relief: {signed} has signed as relief", CLAUSE)

    def _choices_name_relief(self, by: Actor, at: datetime) -> Choices:
        return {"to.role": self.ladder.rungs}

    def _check_name_relief(self, command: NameRelief, at: datetime, by: Actor) -> None:
        to = command.to
        self._refuse_no_rung("to.role", to.role)
        if to.id == self.outgoing["id"]:
            raise Refused("same_person", f"to.id = {to.id!r} is the outgoing person; somebody else relieves", CLAUSE)

    def _do_name_relief(self, command: NameRelief, at: datetime, by: Actor) -> None:
        to = command.to
        self.emit(ReliefNamed(to=Staff(id=to.id, role=to.role)), at, by=by, clauses=(CLAUSE,))
        self._tell_relief(at)

    # --- giving the cases over ----------------------------------------------------------------------

    def _hand_over(self, at: datetime) -> None:
        assert self.relief is not None
        data = HandingOver(round=self.rounds + 1, from_=Staff(**self.outgoing), to=Staff(**self.relief))
        self.emit(data, at, clauses=(CLAUSE,))

    def activity_done(self, call: ActivityCall, result: Mapping[str, Any], at: datetime) -> None:
        """Take in which cases have changed hands, and which not and why."""
        assert self.relief is not None
        at = self.arrive(at)
        data = HandedOver(
            round=call.order["round"],
            people=[self.outgoing["id"], self.relief["id"]],
            role=self.relief["role"],
            cases=list(result["cases"]),
            left=[dict(one) for one in result["left"]],
        )
        self.emit(data, at, clauses=(CLAUSE,))
        if data.round > 1:
            self.emit(life.Closed(outcome="handed_over"), at, clauses=(CLAUSE,))

    def rehearsed(self, call: ActivityCall, earlier_claims: EarlierClaims, serial: int) -> Mapping[str, Any]:
        """Let the cases that were listed change hands, and none arrive."""
        listed = self.facts.get("cases", ()) if call.order["round"] == 1 else ()
        return {"cases": [one["id"] for one in listed], "left": []}

    # --- what others see --------------------------------------------------------------------------

    @classmethod
    def parties(cls, view: Mapping[str, Any]) -> list[str]:
        """Name who goes and who comes."""
        return [person["id"] for person in (view["outgoing"], view["relief"]) if person is not None]

    def waits_for(self) -> list[Waiting]:
        """List who has yet to sign."""
        return [Waiting(what="signature", clock="handover", person=signer["id"]) for signer in self.signers]

    def _view(self) -> dict[str, Any]:
        return {
            **super()._view(),
            "outgoing": dict(self.outgoing),
            "relief": dict(self.relief) if self.relief else None,
            "signers": self.signers,
            "signed": [
                SideSigned(side=side, id=event.actor.id, role=event.actor.role, at=event.at.isoformat())
                for side, event in self.signed.items()
            ],
            # Who answers for the cases now.
            "responsible": (self.relief if self.handed_at and self.relief else self.outgoing)["id"],
            "handed": len(self.handed),
            "left": [dict(one) for one in self.left],
        }

    # --- how events change the state --------------------------------------------------------------

    def _on_case_opened(self, data: life.CaseOpened, event: Event) -> None:
        super()._on_case_opened(data, event)
        self.outgoing, self.relief = self.facts["outgoing"], self.facts.get("relief")
        self.ends_at = self.policy.local(datetime.fromisoformat(self.facts["shift_ends_at"]))

    def _on_relief_told(self, _: ReliefTold, event: Event) -> None:
        self.relief_told = True

    def _on_relief_named(self, data: ReliefNamed, event: Event) -> None:
        self.relief = {"id": data.to.id, "role": data.to.role}

    def _on_signed(self, data: Signed, event: Event) -> None:
        assert data.side is not None
        self.signed[data.side] = event

    def _on_handing_over(self, data: HandingOver, event: Event) -> None:
        self.rounds = data.round
        self.ask(ActivityCall(seq=event.seq, activity=HAND_OVER, order=dict(event.data)))

    def _on_handed_over(self, data: HandedOver, event: Event) -> None:
        self.handed_at = event.at
        self.came_out(ActivityCall)
        self.handed += data.cases
        self.left += data.left


def key_of(shift: str) -> str:
    """Return the shift id with `@` escaped, for use as the intake key."""
    return shift.replace("@", "/at/")


def tell_at(shift_ends_at: datetime, policy: Policy) -> datetime:
    """When the relief is told: so long before the shift ends (S4-3.3.1)."""
    table = policy.rule(Handover.KIND)
    assert isinstance(table, HandoverTable)
    return shift_ends_at - table.tell_before


def goes_on(directory: Directory, shift: Shift) -> bool:
    """Whether the person works on after the shift, so that nothing is handed over."""
    following = directory.shift_at(shift.person, shift.ends_at)
    return following is not None and not directory.absent(shift.person, shift.ends_at)


def relief_of(directory: Directory, shift: Shift) -> Person | None:
    """Who relieves at the end of a shift; None where the roster has nobody.

    Somebody of the same role who has a shift then and is not absent: of the same unit, else of its
    parent, and so on. Whose shift begins last comes first. Where several go and several come, each
    who goes has one of their own as far as there are enough.
    """
    person = directory.person(shift.person)
    if person is None:
        return None
    end, unit = shift.ends_at, person.unit
    going = sorted(
        one.id for one in directory.shifts
        if one.ends_at == end and (other := directory.person(one.person)) is not None
        and (other.role, other.unit) == (person.role, unit)
    )  # fmt: skip
    parents = {one.id: one.parent for one in directory.units}
    level: str | None = unit
    while level is not None:
        coming = [
            (duty.starts_at, one) for one in directory.people_of(person.role)
            if one.unit == level and one.id != person.id and not directory.absent(one.id, end)
            and (duty := directory.shift_at(one.id, end)) is not None
        ]  # fmt: skip
        if coming:
            latest = max(begun for begun, _ in coming)
            first = [one for begun, one in coming if begun == latest]
            return first[going.index(shift.id) % len(first)]
        level = parents.get(level)
    return None

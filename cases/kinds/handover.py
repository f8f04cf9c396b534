"""Handover of a shift (交接班): the relief is told, both sign, then the cases change hands (S4-3.3.1, S1-1.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, StringConstraints, model_validator

from cases.case import Case
from cases.directory import Directory, Person, Shift
from cases.mechanisms.clocks import Clock
from cases.mechanisms.timeline import Errand
from cases.policy.model import Policy
from cases.vocabulary import commands
from cases.vocabulary.events import Actor, Event, EventType
from cases.vocabulary.facts import MOST_LISTED, Facts, Instant, Intake, Model, Role, Staff, Token
from cases.vocabulary.refusals import Refused

T = EventType

CLAUSE = "S4-3.3.1"
STAYS = (CLAUSE, "S1-1.3")
# The activity that gives the cases to the relief.
HAND_OVER = "hand_over"
OUTGOING, RELIEF = "outgoing", "relief"
_TAKEN = (
    commands.Acknowledge, commands.Assign, commands.Escalate, commands.Note, commands.Attach,
    commands.Sign, commands.NameRelief, commands.Resend,
)  # fmt: skip


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


class Handover(Case):
    """One ending shift. Until both have signed, the outgoing person stays responsible.

    Its clock is due when the shift ends; a breach is told to whoever is above the outgoing person,
    and signing late is still signing. The cases are given over when both have signed, and once more
    after the shift for those that arrived meanwhile; then the handover is closed.
    """

    KIND = "handover"
    WORKFLOW = "Handover"
    INTAKE = HandoverIntake
    COMMANDS: ClassVar[dict[str, type[commands.Command]]] = {model.NAME: model for model in _TAKEN}
    OPENED_BY = (CLAUSE,)
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
                self._on_the_ladder(f"facts.{name}.role", person.role)

    def _on_the_ladder(self, path: str, role: str) -> None:
        rungs = self.ladder.rungs
        if role not in rungs:
            raise Refused("unknown_role", f"{path} = {role!r} is no rung; allowed: {', '.join(rungs)}")

    def _start_clocks(self, at: datetime) -> None:
        self._start_clock("handover", at, self.ends_at)
        if self.relief is None:
            data = {"role": self._above(), "from": dict(self.outgoing), "due": self.ends_at.isoformat()}
            self._emit(T.RELIEF_MISSING, at, data, clauses=STAYS)

    def _above(self) -> str:
        """Who hears of what goes wrong: the rung above the outgoing person, at least the policy's."""
        rungs = self.ladder.rungs
        named = self.rule.clocks["handover"].escalates_to or rungs[0]
        height = max(self.ladder.height(self.outgoing["role"]) + 1, self.ladder.height(named))
        return rungs[min(height, len(rungs) - 1)]

    # --- time -------------------------------------------------------------------------------------

    def _next_turn(self) -> tuple[datetime, Callable[[datetime], None]] | None:
        turn = super()._next_turn()
        own = self._own_turn()
        return own if own is not None and (turn is None or own[0] < turn[0]) else turn

    def _own_turn(self) -> tuple[datetime, Callable[[datetime], None]] | None:
        if self.status != "open":
            return None
        if self.relief is not None and not self.relief_told and RELIEF not in self.signed:
            return tell_at(self.ends_at, self.policy), self._tell_relief
        if self.rounds == 1 and self.handed_at is not None:
            # The outgoing person is there to the end of the shift, so cases may come until then.
            return max(self.ends_at, self.handed_at) + _span(self.policy, "look_again"), self._hand_over
        return None

    def _tell_relief(self, at: datetime) -> None:
        assert self.relief is not None
        data = {
            "people": [self.relief["id"]],
            "role": self.relief["role"],
            "from": dict(self.outgoing),
            "due": self.ends_at.isoformat(),
            "cases": self.facts["total"],
        }
        self._emit(T.RELIEF_TOLD, at, data, clauses=(CLAUSE,))

    def _breached(self, clock: Clock, at: datetime) -> None:
        self._climb(self._above(), "deadline", at, clauses=STAYS)

    # --- commands ---------------------------------------------------------------------------------

    def _do_sign(self, command: commands.Sign, at: datetime, by: Actor) -> None:
        side = self._side_of(by)
        if side in self.signed:
            raise Refused("already_signed", f"by.id = {by.id!r} has signed as {side}", CLAUSE)
        data: dict[str, Any] = {"side": side, "role": by.role}
        if command.text is not None:
            data["text"] = command.text
        self._emit(T.SIGNED, at, data, by=by, clauses=(CLAUSE,))
        if len(self.signed) == 2:
            self._meet(at, "handover")
            self._hand_over(at)

    def _side_of(self, by: Actor) -> str:
        for side, person in ((OUTGOING, self.outgoing), (RELIEF, self.relief)):
            if person is not None and (person["id"], person["role"]) == (by.id, by.role):
                return side
        parties = [f"{person['id']} as {person['role']}" for person in (self.outgoing, self.relief) if person]
        raise Refused("not_party", f"sign: by.id = {by.id!r} as {by.role}: only {' and '.join(parties)} sign", CLAUSE)

    def _do_name_relief(self, command: commands.NameRelief, at: datetime, by: Actor) -> None:
        to = command.to
        self._on_the_ladder("to.role", to.role)
        if to.id == self.outgoing["id"]:
            raise Refused("same_person", f"to.id = {to.id!r} is the outgoing person; somebody else relieves", CLAUSE)
        if RELIEF in self.signed:
            signed = self.signed[RELIEF].actor.id
            raise Refused("already_signed", f"to.id = {to.id!r}: {signed} has signed as relief", CLAUSE)
        self._emit(T.RELIEF_NAMED, at, {"to": {"id": to.id, "role": to.role}}, by=by, clauses=(CLAUSE,))
        self._tell_relief(at)

    # --- giving the cases over ----------------------------------------------------------------------

    def _hand_over(self, at: datetime) -> None:
        assert self.relief is not None
        data = {"round": self.rounds + 1, "from": dict(self.outgoing), "to": dict(self.relief)}
        self._emit(T.HANDING_OVER, at, data, clauses=(CLAUSE,))
        self.outbox.append(Errand(HAND_OVER, data, self.events[-1]))

    def errand_done(self, errand: Errand, result: Mapping[str, Any], at: datetime) -> None:
        """The cases have changed hands: which, and which not and why."""
        assert self.relief is not None
        at = self._arrival(at)
        data = {
            "round": errand.event.data["round"],
            "people": [self.outgoing["id"], self.relief["id"]],
            "role": self.relief["role"],
            "cases": list(result["cases"]),
            "left": [dict(one) for one in result["left"]],
        }
        self._emit(T.HANDED_OVER, at, data, clauses=(CLAUSE,))
        if errand.event.data["round"] > 1:
            self._emit(T.CLOSED, at, {"outcome": "handed_over"}, clauses=(CLAUSE,))

    def rehearsed(self, errand: Errand) -> Mapping[str, Any]:
        """In a rehearsal the cases that were listed change hands, and none arrive."""
        listed = self.facts.get("cases", ()) if errand.event.data["round"] == 1 else ()
        return {"cases": [one["id"] for one in listed], "left": []}

    # --- what others see --------------------------------------------------------------------------

    def view(self) -> dict[str, Any]:
        """The case view, with who goes and comes, who must sign, and what changed hands."""
        return {
            **super().view(),
            "outgoing": dict(self.outgoing),
            "relief": dict(self.relief) if self.relief else None,
            "signers": self.signers,
            "signed": [
                {"side": side, "id": event.actor.id, "role": event.actor.role, "at": event.at.isoformat()}
                for side, event in self.signed.items()
            ],
            # Who answers for the cases now.
            "responsible": (self.relief if self.handed_at and self.relief else self.outgoing)["id"],
            "handed": len(self.handed),
            "left": [dict(one) for one in self.left],
        }

    # --- how events change the state --------------------------------------------------------------

    def _on_case_opened(self, event: Event) -> None:
        super()._on_case_opened(event)
        self.outgoing, self.relief = self.facts["outgoing"], self.facts.get("relief")
        self.ends_at = self.policy.local(datetime.fromisoformat(self.facts["shift_ends_at"]))

    def _on_relief_told(self, event: Event) -> None:
        self.relief_told = True

    def _on_relief_named(self, event: Event) -> None:
        self.relief = event.data["to"]

    def _on_signed(self, event: Event) -> None:
        self.signed[event.data["side"]] = event

    def _on_handing_over(self, event: Event) -> None:
        self.rounds = event.data["round"]

    def _on_handed_over(self, event: Event) -> None:
        self.handed_at = event.at
        self.handed += event.data["cases"]
        self.left += event.data["left"]


def key_of(shift: str) -> str:
    """The intake key of a shift's handover: its id, with the sign that a key does not take written out."""
    return shift.replace("@", "/at/")


def tell_at(shift_ends_at: datetime, policy: Policy) -> datetime:
    """When the relief is told: so long before the shift ends (S4-3.3.1)."""
    return shift_ends_at - _span(policy, "tell_before")


def _span(policy: Policy, name: str) -> timedelta:
    span: timedelta | None = getattr(policy.rule("handover"), name)
    assert span is not None  # the policy is complete
    return span


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

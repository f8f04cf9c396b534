"""A complaint (投诉): S0-2.3, S1-4, S4-2.4, S4-3.3."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from cases.case import Case, by_name
from cases.compensation import admit
from cases.kinds.claim_facts import Claimant, ClaimIntake
from cases.policy.model import Policy
from cases.policy.tables import KindTable
from cases.vocabulary import commands
from cases.vocabulary.commands import EVERY_KIND, Command
from cases.vocabulary.effects import Opening
from cases.vocabulary.events import SYSTEM, Actor, Event, EventData, known_or_reference
from cases.vocabulary.facts import SHIPMENT_EXAMPLE, Facts, Intake, read_intake
from cases.vocabulary.refusals import Refused
from cases.vocabulary.texts import Reference, Said, SaidAgain
from cases.vocabulary.values import FreeText, Label, Text
from cases.vocabulary.views import CaseView

# What a complaint of each category claims for (S0-A.2); the others do not say.
FACTORS = {"delay": "delay", "damage": "damage", "shortage": "mismatch", "loss": "loss"}


class ComplaintFacts(Facts):
    """A complaint (投诉), S0-2.3."""

    category: Literal["attitude", "delay", "damage", "shortage", "loss", "other"]
    source: Literal["customer", "platform", "network"] = "customer"
    channel: Label | None = None


class ComplaintIntake(Intake):
    """Input of the workflow ``Complaint``."""

    facts: ComplaintFacts


class Investigate(Command):
    """What the investigation of a complaint found (S0-2.3.1, S0-2.3.2)."""

    NAME = "investigate"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "finding": "sorted to the wrong depot", "delay_cause": "human", "justified": True,
    }  # fmt: skip
    finding: Text | None = None
    delay_cause: Literal["objective", "human", "information", "out_of_zone"] | None = None
    justified: bool | None = None


class Propose(Command):
    """Prepare solutions, best first; they are offered one at a time (S1-4.2)."""

    NAME = "propose"
    SERVES: ClassVar[frozenset[str]] = frozenset({"resolution"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"options": ["refund of the freight", "a voucher"]}
    options: Annotated[list[Text], Field(min_length=1)]


class AnswerOption(Command):
    """The customer's answer to the option on offer (S1-4.2)."""

    NAME = "answer_option"
    SERVES: ClassVar[frozenset[str]] = frozenset({"resolution"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"accepted": True}
    accepted: bool


class OpenClaim(Command):
    """Open a claim with the facts that a complaint has (S0-2.3.2, S0-A.5.1).

    ``claimant`` defaults to the sender; ``factor`` to what the complaint's category says.
    """

    NAME = "open_claim"
    claimant: Claimant | None = None
    factor: Literal["delay", "loss", "damage", "mismatch"] | None = None


class Investigated(EventData):
    """What the investigation found."""

    TYPE: ClassVar[str] = "investigated"
    finding: FreeText | None = None
    delay_cause: str | None = None
    justified: bool | None = None


class Proposed(EventData):
    """Solutions were prepared, best first."""

    TYPE: ClassVar[str] = "proposed"
    options: list[FreeText]


class OptionOffered(EventData):
    """One solution is before the customer; a reference to it where the text is not known here."""

    TYPE: ClassVar[str] = "option_offered"
    option: SaidAgain


class OptionAnswered(EventData):
    """The customer said yes or no to a solution."""

    TYPE: ClassVar[str] = "option_answered"
    option: SaidAgain
    accepted: bool


class ClaimOpened(EventData):
    """A claim was opened for what the complaint is about: the case id of the claim."""

    TYPE: ClassVar[str] = "claim_opened"
    BY_COMMAND: ClassVar[bool] = True
    claim: str
    factor: str
    claimant: dict[str, Any]


class ComplaintTable(KindTable):
    """The numbers of complaints."""

    CLOCKS = (
        "rung", "report", "interim_reply", "answer", "resolution", "legal_limit", "promise", "approval", "follow_up",
    )  # fmt: skip

    # After an option was chosen the customer is asked so many times (S1-4.2).
    follow_ups: Annotated[int, Field(ge=0)] = 0
    most_options: Annotated[int, Field(gt=0)] = 4


class ComplaintView(CaseView):
    """A complaint, with the options before the customer and the claim that it led to."""

    claim: str | None
    justified: bool | None
    offered: Said
    accepted: Said


class Complaint(Case):
    """A complaint climbs the ladder, is answered in 12 hours and solved in 48 (S4-2.4).

    The legal limit of seven calendar days (O-REG-29) is moved by nothing.
    """

    KIND = "complaint"
    WORKFLOW = "Complaint"
    INTAKE = ComplaintIntake
    EXAMPLE = {
        "key": "call-2026-0042",
        "facts": {
            "category": "delay",
            "unit": "east",
            "shipment": SHIPMENT_EXAMPLE,
            "customer": {"name": "王小明", "phone": "13800000000"},
            "description": "The parcel should have come on Monday.",
        },
    }
    TABLE = ComplaintTable
    IN_EVERY_POLICY = True
    COMMANDS = by_name(*EVERY_KIND, Investigate, Propose, AnswerOption, OpenClaim)
    VIEW = ComplaintView
    CLIMBS = True
    FILED = True
    SEEN_BY = frozenset()
    ABOUT = "category"
    MONEY = {}
    AFTER_RESOLVED = Case.AFTER_RESOLVED | {"open_claim"}
    OPENED_BY = ("S0-2.3", "S1-2.5")

    rule: ComplaintTable

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        # How many solutions were proposed, best first; `offered` is the place of the one before the customer now.
        self.proposed: Event | None = None
        self.options = 0
        self.offered: int | None = None
        self.accepted: Reference | None = None
        self.justified: bool | None = None
        self.claim: str | None = None

    def _start_clocks(self, at: datetime) -> None:
        if self.facts["source"] in ("customer", "platform"):
            # The broadcast of a direct complaint; a complaint of the network has none (S3-3.1.2).
            self.clocks.start("report", at)
        for name in ("interim_reply", "answer", "resolution", "legal_limit"):
            self.clocks.start(name, at)

    def _restart_clocks(self, at: datetime) -> None:
        self.clocks.start("resolution", at)
        limit = self.latest_promise()
        if limit is not None and limit > at:
            self.clocks.start("legal_limit", at, limit)

    def met_by_reply(self, stage: str) -> tuple[str, ...]:
        """Name the clocks that a reply of this stage ends; the answer is the first word too."""
        return ("interim_reply",) if stage == "interim" else ("interim_reply", "answer")

    # --- commands ---------------------------------------------------------------------------------

    def _do_investigate(self, command: Investigate, at: datetime, by: Actor) -> None:
        if command.finding is None and command.delay_cause is None and command.justified is None:
            raise Refused("invalid", "investigate: give at least one of finding, delay_cause, justified")
        data = Investigated(finding=command.finding, delay_cause=command.delay_cause, justified=command.justified)
        self.emit(data, at, by=by, clauses=("S0-2.3.1", "S0-2.3.2"))

    def _check_propose(self, command: Propose, at: datetime, by: Actor) -> None:
        most = self.rule.most_options
        if len(command.options) > most:
            raise Refused("too_many_options", f"options: {len(command.options)} given; at most {most}", "S1-4.2")
        if len(set(command.options)) != len(command.options):
            raise Refused("invalid", "options: one is given twice", "S1-4.2")

    def _may_propose(self, by: Actor, at: datetime) -> None:
        self._refuse_open_option("propose")

    def _do_propose(self, command: Propose, at: datetime, by: Actor) -> None:
        self.emit(Proposed(options=list(command.options)), at, by=by, clauses=("S1-4.2",))
        self._offer(at, by)

    def _offer(self, at: datetime, by: Actor) -> None:
        self.emit(OptionOffered(option=self._option()), at, by=by, clauses=("S1-4.2",))

    def _option(self) -> Any:
        """Return the solution before the customer."""
        assert self.proposed is not None
        return known_or_reference(self.proposed, f"options.{self.offered}")

    def _may_answer_option(self, by: Actor, at: datetime) -> None:
        if self.offered is None:
            raise Refused("no_option", "answer_option: no option is on offer", "S1-4.2")

    def _do_answer_option(self, command: AnswerOption, at: datetime, by: Actor) -> None:
        data = OptionAnswered(option=self._option(), accepted=command.accepted)
        self.emit(data, at, by=by, clauses=("S1-4.2",))
        if command.accepted:
            return
        if self.offered is not None:
            self._offer(at, by)
        else:
            second = self.ladder.rungs[min(1, len(self.ladder.rungs) - 1)]
            self.ladder.climb(second, "manual", at, by=by, clauses=("S1-4.2",), reason="all options rejected")

    def _may_open_claim(self, by: Actor, at: datetime) -> None:
        if self.claim is not None:
            raise Refused("claim_open", f"open_claim: {self.claim} was opened")
        known = FACTORS.get(self.facts["category"])
        # The sender may always claim, so what is left to refuse is what the claim is for.
        refusals = [self._refusal_of(factor, at) for factor in ([known] if known else dict.fromkeys(FACTORS.values()))]
        if refusals[0] is not None and all(refusals):
            raise refusals[0]

    def _refusal_of(self, factor: str, at: datetime) -> Refused | None:
        try:
            self._claim(factor, Claimant(relation="sender"), at)
        except Refused as refusal:
            return refusal
        return None

    def _claim(self, factor: str, claimant: Claimant, at: datetime) -> dict[str, Any]:
        """Return the intake of the claim that this complaint leads to.

        Raises:
            Refused: the facts make no claim.
        """
        intake = self._claim_intake(factor, claimant.model_dump(mode="json", exclude_none=True), at)
        claim = read_intake(ClaimIntake, intake)
        assert isinstance(claim, ClaimIntake)
        admit(claim.facts, self.policy, at)
        return intake

    def _claim_intake(self, factor: str, claimant: Mapping[str, Any], at: datetime) -> dict[str, Any]:
        shared: dict[str, Any] = {n: self.facts[n] for n in ("unit", "severity", "shipment") if n in self.facts}
        filer = self.events[0].actor
        return {
            "key": f"{self.key}-claim",
            "received_at": at.isoformat(),
            "policy": self.policy.name,
            "parent": f"{self.KIND}:{self.key}",
            # The facts are those that the complaint was filed with.
            **({} if filer == SYSTEM else {"by": filer.as_json()}),
            "facts": {**shared, "factor": factor, "claimant": dict(claimant)},
        }

    def _do_open_claim(self, command: OpenClaim, at: datetime, by: Actor) -> None:
        factor = command.factor or FACTORS.get(self.facts["category"])
        if factor is None:
            raise Refused("invalid", f"factor is missing: a complaint about {self.facts['category']} does not say it")
        intake = self._claim(factor, command.claimant or Claimant(relation="sender"), at)
        data = ClaimOpened(claim=f"claim:{intake['key']}", factor=factor, claimant=intake["facts"]["claimant"])
        self.emit(data, at, by=by, clauses=("S0-2.3.2", "S0-A.5.1"))

    def _may_resolve(self, by: Actor, at: datetime) -> None:
        self._refuse_open_option("resolve")

    def _do_resolve(self, command: commands.Resolve, at: datetime, by: Actor) -> None:
        super()._do_resolve(command, at, by)
        self.clocks.start("follow_up", at)

    def _refuse_open_option(self, name: str) -> None:
        if self.offered is not None:
            option = self.offered + 1
            raise Refused("option_open", f"{name}: option {option} waits for the customer's answer", "S1-4.2")

    def _unfinished(self) -> Refused | None:
        owed = super()._unfinished()
        if owed is None and self.accepted is not None and self.followed_up < self.rule.follow_ups:
            return Refused("follow_up_owed", "close: follow up first, since an option was chosen", "S1-4.2")
        return owed

    # --- what others see --------------------------------------------------------------------------

    @classmethod
    def copied_to(cls, view: Mapping[str, Any]) -> list[str]:
        """Name the claim that was opened with the customer of this complaint."""
        return [view["claim"]] if view.get("claim") else []

    def _view(self) -> dict[str, Any]:
        found = {
            "claim": self.claim, "justified": self.justified,
            "offered": self._before_customer(), "accepted": self.accepted,
        }  # fmt: skip
        return {**super()._view(), **found}

    def _before_customer(self) -> Reference | None:
        if self.proposed is None or self.offered is None:
            return None
        return Reference(seq=self.proposed.seq, field=f"options.{self.offered}")

    # --- how events change the state --------------------------------------------------------------

    def _on_investigated(self, data: Investigated, event: Event) -> None:
        self.justified = self.justified if data.justified is None else data.justified

    def _on_claim_opened(self, data: ClaimOpened, event: Event) -> None:
        self.claim = data.claim
        self.ask(Opening(seq=event.seq, kind="claim", intake=self._claim_intake(data.factor, data.claimant, event.at)))

    def _on_proposed(self, data: Proposed, event: Event) -> None:
        self.proposed, self.options, self.offered, self.accepted = event, len(data.options), 0, None

    def _on_option_answered(self, data: OptionAnswered, event: Event) -> None:
        if data.accepted:
            self.accepted, self.offered = self._before_customer(), None
        else:
            later = (self.offered or 0) + 1
            self.offered = later if later < self.options else None

    def _on_reopened(self, data: Any, event: Event) -> None:
        super()._on_reopened(data, event)
        self.options, self.accepted = 0, None

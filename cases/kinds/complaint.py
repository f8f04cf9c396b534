"""A complaint (投诉): S0-2.3, S1-4, S4-2.4, S4-3.3."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cases.case import Case, known_commands
from cases.compensation import admit
from cases.mechanisms.timeline import Opening
from cases.policy.model import Policy
from cases.vocabulary import commands
from cases.vocabulary.events import Actor, Event, EventType
from cases.vocabulary.facts import ClaimIntake, ComplaintIntake, read_intake
from cases.vocabulary.refusals import Refused

T = EventType

# What a complaint of each category claims for (S0-A.2); the others do not say.
FACTORS = {"delay": "delay", "damage": "damage", "shortage": "mismatch", "loss": "loss"}


class Complaint(Case):
    """A complaint climbs the ladder, is answered in 12 hours and solved in 48 (S4-2.4).

    The legal limit of seven calendar days (O-REG-29) is moved by nothing.
    """

    KIND = "complaint"
    WORKFLOW = "Complaint"
    INTAKE = ComplaintIntake
    COMMANDS = known_commands(commands.Investigate, commands.Propose, commands.AnswerOption, commands.OpenClaim)
    AFTER_RESOLVED = Case.AFTER_RESOLVED | {"open_claim"}
    OPENED_BY = ("S0-2.3", "S1-2.5")

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        # Solutions in order of preference; `offered` is the one before the customer now.
        self.options: list[str] = []
        self.offered: int | None = None
        self.accepted: str | None = None
        self.justified: bool | None = None
        self.claim: str | None = None

    def _start_clocks(self, at: datetime) -> None:
        if self.facts["source"] in ("customer", "platform"):
            # The broadcast of a direct complaint; a complaint of the network has none (S3-3.1.2).
            self._start_clock("report", at)
        for name in ("interim_reply", "answer", "resolution", "legal_limit"):
            self._start_clock(name, at)

    def _restart_clocks(self, at: datetime) -> None:
        self._start_clock("resolution", at)
        limit = self.clocks["legal_limit"].due
        if limit > at:
            self._start_clock("legal_limit", at, limit)

    def _met_by_reply(self, stage: str) -> tuple[str, ...]:
        return ("interim_reply",) if stage == "interim" else ("interim_reply", "answer")

    # --- commands ---------------------------------------------------------------------------------

    def _do_investigate(self, command: commands.Investigate, at: datetime, by: Actor) -> None:
        data = command.model_dump(mode="json", include={"finding", "delay_cause", "justified"}, exclude_none=True)
        if not data:
            raise Refused("invalid", "investigate: give at least one of finding, delay_cause, justified")
        self._emit(T.INVESTIGATED, at, data, by=by, clauses=("S0-2.3.1", "S0-2.3.2"))

    def _do_propose(self, command: commands.Propose, at: datetime, by: Actor) -> None:
        most = self.rule.most_options
        if len(command.options) > most:
            raise Refused("too_many_options", f"options: {len(command.options)} given; at most {most}", "S1-4.2")
        if len(set(command.options)) != len(command.options):
            raise Refused("invalid", "options: one is given twice", "S1-4.2")
        self._no_open_option("propose")
        self._emit(T.PROPOSED, at, {"options": list(command.options)}, by=by, clauses=("S1-4.2",))
        self._offer(at, by)

    def _do_answer_option(self, command: commands.AnswerOption, at: datetime, by: Actor) -> None:
        if self.offered is None:
            raise Refused("no_option", "answer_option: no option is on offer", "S1-4.2")
        data = {"option": self.options[self.offered], "accepted": command.accepted}
        self._emit(T.OPTION_ANSWERED, at, data, by=by, clauses=("S1-4.2",))
        if command.accepted:
            return
        if self.offered is not None:
            self._offer(at, by)
        else:
            self._climb(self.ladder.rungs[min(1, len(self.ladder.rungs) - 1)], "manual", at, by=by,
                        clauses=("S1-4.2",), reason="all options rejected")  # fmt: skip

    def _do_open_claim(self, command: commands.OpenClaim, at: datetime, by: Actor) -> None:
        if self.claim is not None:
            raise Refused("claim_open", f"open_claim: {self.claim} was opened")
        factor = command.factor or FACTORS.get(self.facts["category"])
        if factor is None:
            raise Refused("invalid", f"factor is missing: a complaint about {self.facts['category']} does not say it")
        claimant = {"relation": "sender"} if command.claimant is None else command.claimant.model_dump(mode="json")
        shared: dict[str, Any] = {n: self.facts[n] for n in ("unit", "severity", "shipment") if n in self.facts}
        intake: dict[str, Any] = {
            "key": f"{self.key}-claim",
            "received_at": at.isoformat(),
            "parent": f"{self.KIND}:{self.key}",
            "facts": {**shared, "factor": factor, "claimant": claimant},
        }
        claim = read_intake(ClaimIntake, intake)
        assert isinstance(claim, ClaimIntake)
        admit(claim.facts, self.policy, at)
        data = {"claim": f"claim:{intake['key']}", "factor": factor}
        self._emit(T.CLAIM_OPENED, at, data, by=by, clauses=("S0-2.3.2", "S0-A.5.1"))
        self.outbox.append(Opening("claim", intake, self.events[-1]))

    def _offer(self, at: datetime, by: Actor) -> None:
        assert self.offered is not None
        self._emit(T.OPTION_OFFERED, at, {"option": self.options[self.offered]}, by=by, clauses=("S1-4.2",))

    def _do_resolve(self, command: commands.Resolve, at: datetime, by: Actor) -> None:
        self._no_open_option("resolve")
        super()._do_resolve(command, at, by)
        self._start_clock("follow_up", at)

    def _no_open_option(self, name: str) -> None:
        if self.offered is not None:
            option = self.offered + 1
            raise Refused("option_open", f"{name}: option {option} waits for the customer's answer", "S1-4.2")

    def _owed(self) -> Refused | None:
        owed = super()._owed()
        if owed is None and self.accepted is not None and self.followed_up < self.rule.follow_ups:
            return Refused("follow_up_owed", "close: follow up first, since an option was chosen", "S1-4.2")
        return owed

    # --- what others see --------------------------------------------------------------------------

    def view(self) -> dict[str, Any]:
        """The case view, with the options before the customer."""
        offered = None if self.offered is None else self.options[self.offered]
        found = {"claim": self.claim, "justified": self.justified, "offered": offered, "accepted": self.accepted}
        return {**super().view(), **found}

    # --- how events change the state --------------------------------------------------------------

    def _on_investigated(self, event: Event) -> None:
        self.justified = event.data.get("justified", self.justified)

    def _on_claim_opened(self, event: Event) -> None:
        self.claim = event.data["claim"]

    def _on_proposed(self, event: Event) -> None:
        self.options, self.offered, self.accepted = list(event.data["options"]), 0, None

    def _on_option_answered(self, event: Event) -> None:
        if event.data["accepted"]:
            self.accepted, self.offered = event.data["option"], None
        else:
            later = (self.offered or 0) + 1
            self.offered = later if later < len(self.options) else None

    def _on_reopened(self, event: Event) -> None:
        super()._on_reopened(event)
        self.options, self.accepted = [], None

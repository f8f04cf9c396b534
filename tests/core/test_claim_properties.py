"""No sequence of commands moves money that nobody with the authority has agreed to, or moves it twice.

What must hold is read off the events alone, with limits written down here a second time.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cases.kinds.claim import Claim
from cases.vocabulary.events import Event
from tests.core.test_properties import POLICIES, Story, play, stories

LIMITS = {"agent": Decimal(200), "supervisor": Decimal(2000), "qa_manager": Decimal(10000)}
RUNGS = ["agent", "supervisor", "qa_manager", "general_manager"]
# What no discretion mends: who may claim, and until when.
FORMAL = {"claimant", "out_of_period", "full_year"}

checked = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
claims = stories("default", kinds=("claim",))


def covers(role: str, amount: Decimal) -> bool:
    """Whether the role may decide the amount, by the table above."""
    return role in RUNGS and (role not in LIMITS or amount <= LIMITS[role])


class Treasurer:
    """Follows the money of one claim by its events."""

    def __init__(self) -> None:
        # By subject: the person who asked, and how much.
        self.asked: dict[str, tuple[str, Decimal | None]] = {}
        self.granted: list[Decimal] = []
        self.total: Decimal | None = None
        self.refusal: str | None = None
        self.offered: Decimal | None = None
        self.agreed: Decimal | None = None
        self.paid = 0
        # What the formula gives; who overrode it, made the offer, or had any other part in it.
        self.formula = Decimal(0)
        self.overrode: str | None = None
        self.granters: list[tuple[str, Decimal]] = []
        self.involved: set[str] = set()
        # Whether the gateway may be paying.
        self.under_way = False

    def check(self, event: Event) -> None:
        """One more event."""
        amount = None if event.data.get("amount") is None else Decimal(event.data["amount"])
        if event.type == "approval_requested":
            self.asked.setdefault(event.data["subject"], (event.actor.id, amount))
        elif event.type in ("approved", "rejected"):
            who, wanted = self.asked.pop(event.data["subject"])
            assert event.actor.id != who, "four eyes"
            assert wanted == amount
            assert amount is None or covers(event.actor.role, amount)
            if event.type == "approved" and event.data["subject"] == "offer" and amount is not None:
                beyond = self.total is None or amount > self.total
                assert not beyond or RUNGS.index(event.actor.role) >= 1, "discretion"
                self.granted.append(amount)
                self.granters.append((event.actor.id, amount))
                self.involved.add(who)
                assert event.actor.id != self.overrode, "nobody approves their own override"
        elif event.type == "assessed":
            assert self.agreed is None
            assert "offer" not in self.asked
            lines = [Decimal(line["amount"]) for line in event.data["lines"]]
            self.total, self.refusal = Decimal(event.data["total"]), event.data["refused_because"]
            assert self.total == sum(lines)
            assert all(line >= 0 for line in lines)
            if event.data["overridden"] is not None:
                assert RUNGS.index(event.actor.role) >= 1
            overridden = event.data["overridden"]
            self.overrode = None if overridden is None else event.actor.id
            self.formula = self.total if overridden is None else Decimal(overridden["was_total"] or 0)
            self.granted.clear()
            self.granters.clear()
            self.involved.add(event.actor.id)
        elif event.type == "offered":
            assert amount is not None
            assert self.total is not None
            assert self.agreed is None
            assert self.refusal not in FORMAL
            assert amount > 0
            approved = any(granted >= amount for granted in self.granted)
            by_formula = amount <= self.total or RUNGS.index(event.actor.role) >= 1
            assert approved or (covers(event.actor.role, amount) and by_formula)
            if amount > self.formula:
                # The actor of what was approved is who approved it, and was asked by somebody else.
                granters = {who for who, granted in self.granters if granted >= amount}
                others = granters | ({self.overrode} if self.overrode and amount <= self.total else set())
                assert others, "nobody gives more than the formula alone"
                assert others != {event.actor.id} or event.actor.id in granters
            self.offered = amount
            self.involved.add(event.actor.id)
        elif event.type == "offer_declined":
            assert amount == self.offered
            self.offered = None
        elif event.type == "agreed":
            assert self.agreed is None
            assert amount == self.offered is not None
            assert event.actor.role == "customer" or event.actor.id not in self.involved, "duties"
            self.agreed = amount
        elif event.type == "payee_named":
            assert not self.under_way
            assert self.paid == 0
            self.agreed = None
            self.involved.add(event.actor.id)
        elif event.type == "payout_requested":
            assert amount == self.agreed is not None
            assert self.paid == 0
            self.under_way = True
        elif event.type == "payout_waiting":
            self.under_way = False
        elif event.type == "payout_failed":
            self.under_way = bool(event.data.get("unknown"))
        elif event.type == "paid":
            assert amount == self.agreed is not None
            assert event.actor.role == "system" or not self.under_way, "paid by hand beside the gateway"
            self.paid += 1
            self.under_way = False
        elif event.type == "withdrawn":
            assert self.paid == 0
        elif event.type in ("resolved", "closed"):
            assert self.agreed is None or self.paid == 1


@checked
@given(claims)
def test_no_money_without_the_authority_nor_twice_nor_another_amount(story: Story) -> None:
    treasurer = Treasurer()
    case = play(story)
    for event in case.events:
        treasurer.check(event)
    counts = Counter(event.type for event in case.events)
    assert counts["agreed"] <= 1 + counts["payee_named"]
    assert counts["paid"] <= 1
    assert counts["payout_requested"] >= counts["agreed"]


@checked
@given(claims, st.data())
def test_a_claim_is_the_fold_of_its_events_at_any_point(story: Story, data: st.DataObject) -> None:
    case = play(story)
    part = data.draw(st.integers(1, len(case.events)))
    assert Claim.replay(case.policy, case.events[:part]).events == case.events[:part]
    again = Claim.replay(POLICIES["default"], case.events)
    assert again.view() == case.view()
    assert again.due() == case.due()


@checked
@given(claims)
def test_once_agreed_money_is_owed_until_it_is_paid(story: Story) -> None:
    case = play(story)
    assert isinstance(case, Claim)
    if case.agreed is None or any(event.type == "payee_named" for event in case.events):
        return
    started = [e for e in case.events if e.type == "clock_started" and e.data["clock"] == "payout"]
    ended = [
        event
        for event in case.events
        if event.type in ("clock_met", "clock_breached") and event.data["clock"] == "payout"
    ]
    # 40 days on, the seven are over.
    assert len(started) == len(ended) == 1
    paid = [event for event in case.events if event.type == "paid"]
    assert (ended[0].type == "clock_met") == bool(paid and paid[0].at <= case.clocks["payout"].due)
    assert paid or case.status == "open"


@pytest.mark.long
def test_the_stories_get_as_far_as_money() -> None:
    """A property of stories that never pay would prove nothing."""
    seen: Counter[str] = Counter()

    # The same stories in each run: of others, one in some hundred runs has hardly a payout that fails.
    @settings(
        max_examples=300, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(claims)
    def collect(story: Story) -> None:
        seen.update({event.type for event in play(story).events})

    collect()
    for wanted in ("approved", "rejected", "offered", "offer_declined", "agreed", "payout_failed", "paid", "disputed"):
        assert seen[wanted] >= 3, wanted

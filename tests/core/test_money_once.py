"""Whatever comes in which order, the money that goes out is the money that was agreed, once.

A gateway and a finance department are modelled here: the gateway pays a key at most once, may answer late, twice, in
another order or never, and stands by its no; whoever confirms by hand has paid by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cases.kinds.claim import Claim
from cases.vocabulary.commands import read_command
from cases.vocabulary.effects import Payment
from cases.vocabulary.refusals import Refused
from tests.core.support import AGENT, CUSTOMER, QA, at
from tests.core.test_claim import FINANCE, OTHER, assessed

Answer = Callable[[Claim], None]
# What the gateway does with an order, or with a question about one: pay and answer; pay, with the answer under way for
# long; pay, and the answer is lost; take it and stay silent; say no; leave it to finance.
FATES = ["pay", "pay_late", "pay_late", "pay_lost", "silent", "refuse", "wait"]
ACTS = [
    "accept", "accept_by_staff", "decline", "offer", "offer_more", "approve", "confirm", "withdraw", "name_payee",
    "resolve", "deliver", "deliver_last", "deliver_again", "time", "time", *["gateway"] * 4, *["confirm"] * 3,
]  # fmt: skip


@dataclass
class World:
    """A claim with its gateway, and where the money went."""

    case: Claim
    fates: list[str]
    now: timedelta = timedelta(hours=2)
    # By key: paid or refused for good. Amounts that went out, by the gateway or by hand.
    gateway: dict[str, str] = field(default_factory=dict)
    out: list[Decimal] = field(default_factory=list)
    under_way: list[Answer] = field(default_factory=list)
    said: list[Answer] = field(default_factory=list)
    asked: set[int] = field(default_factory=set)

    def act(self, name: str) -> None:
        """Let one thing happen."""
        self.now += timedelta(minutes=7)
        fields: dict[str, dict[str, str]] = {
            "accept": {}, "accept_by_staff": {"channel": "phone", "evidence": "call-1"}, "decline": {}, "offer": {},
            "offer_more": {"amount": "150.00"}, "approve": {}, "confirm": {"reference": f"HAND-{len(self.out)}"},
            "withdraw": {}, "resolve": {}, "name_payee": {"relation": "sender", "payee": f"payee-{len(self.gateway)}"},
        }  # fmt: skip
        if name == "gateway":
            self.work()
        elif name == "time":
            self.now += timedelta(hours=5)
            self.case.elapse(self.instant())
        elif name.startswith("deliver"):
            self.deliver(name)
        else:
            self.command(name, fields[name])

    def command(self, name: str, fields: dict[str, str]) -> None:
        """Send a command; whether the case takes it is the matter of other tests."""
        whole = {"accept": "accept_offer", "accept_by_staff": "accept_offer", "decline": "decline_offer"}
        whole |= {"offer_more": "offer", "confirm": "confirm_payment"}
        by = {"accept": CUSTOMER, "decline": CUSTOMER, "withdraw": CUSTOMER, "name_payee": FINANCE, "approve": QA}
        by |= {"confirm": FINANCE, "accept_by_staff": OTHER}
        known = whole.get(name, name)
        model = read_command(Claim.COMMANDS, known, {"by": by.get(name, AGENT), **fields})
        agreed = self.case.agreed
        try:
            self.case.decide(model, self.instant())
        except Refused:
            return
        if name == "confirm":
            assert agreed is not None
            self.out.append(agreed)

    def work(self) -> None:
        """The activity takes up what is asked for: it asks about a key that it has sent before, and pays none twice."""
        for payment in [one for one in self.case.outbox if isinstance(one, Payment) and one.seq not in self.asked]:
            self.asked.add(payment.seq)
            key = f"payout/{payment.order}"
            fate = self.fates.pop(0) if self.fates else "pay"
            known = self.gateway.get(key)
            if known != "paid" and fate.startswith("pay"):
                self.gateway[key] = known = "paid"
                self.out.append(payment.amount)
            if known == "paid" and fate not in ("pay_lost", "silent"):
                answer = self.answer(payment, partial(self.paid, key))
            elif fate == "refuse" and known is None:
                answer = self.answer(payment, lambda case: case.payout_failed("account_closed", self.instant()))
            elif fate == "wait" and known is None:
                answer = self.answer(payment, lambda case: case.payout_waits(self.instant()))
            else:
                answer = self.answer(
                    payment, lambda case: case.payout_failed("no answer", self.instant(), unknown=True)
                )
            if fate == "pay_late":
                self.under_way.append(answer)
            else:
                self.hear(answer)

    def paid(self, key: str, case: Claim) -> None:
        """The gateway says that it has paid a key."""
        case.payout_made(f"GW-{key}", self.instant())

    def answer(self, payment: Payment, said: Answer) -> Answer:
        """What the case hears of an order: an effect has one outcome, so a late one finds that it came out."""

        def heard(case: Claim) -> None:
            if any(one is payment for one in case.outbox) or case.paid is not None:
                said(case)

        return heard

    def hear(self, answer: Answer) -> None:
        """The case hears an answer."""
        self.said.append(answer)
        answer(self.case)

    def deliver(self, how: str) -> None:
        """What was under way arrives: the first, the last, or what was said before once more."""
        if how == "deliver_again" and self.said:
            self.said[-1](self.case)
        elif self.under_way:
            self.hear(self.under_way.pop(-1 if how == "deliver_last" else 0))

    def instant(self) -> datetime:
        """Now, and not before what has happened."""
        return max(at("03-05 10:00:00") + self.now, self.case.events[-1].at)

    def check(self) -> None:
        """Never more than was agreed, never twice; and what the record says is paid went out."""
        agreed = [Decimal(event.data["amount"]) for event in self.case.events if event.type == "agreed"]
        assert len(self.out) <= 1, self.out
        assert all(amount in agreed for amount in self.out)
        if self.case.paid is not None:
            assert self.out == [self.case.agreed]
            assert self.case.status != "closed" or self.case.outcome != "withdrawn"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(ACTS), min_size=5, max_size=40), st.lists(st.sampled_from(FATES), min_size=1, max_size=8)
)
def test_money_out_is_money_agreed_once(acts: list[str], fates: list[str]) -> None:
    world = World(assessed(), fates)
    for name in ["offer", "accept", *acts]:
        world.act(name)
        world.check()
    # At the end everything is heard, and every question that is still open is asked.
    for _ in range(30):
        world.now += timedelta(days=1)
        for name in ("deliver", "gateway", "time"):
            world.act(name)
            world.check()
    if world.out:
        assert world.case.paid is not None

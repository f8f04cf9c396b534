"""What holds for any sequence of commands at any times, for every kind of case and any fate of the
notices and payouts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar, cast

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cases.case import Case
from cases.mechanisms.clocks import Clock, ClockState
from cases.policy.model import Policy
from cases.registry import KINDS
from cases.vocabulary.commands import read_command
from cases.vocabulary.effects import MERGE_CASE, ActivityCall, Payment
from cases.vocabulary.events import Actor, Event
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from tests.core.support import PERSONAL, at, default_policy, notices, policy_with, snapshot

T = TypeVar("T")
SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)

checked = settings(max_examples=130, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Several warnings on one clock; and a clock in working time.
POLICIES = {
    "default": default_policy(),
    "warned": policy_with(("warn_percent = [75]", "warn_percent = [10, 50, 99]")),
    "working": policy_with(('elapsed = "PT12H"', 'working_time = "PT6H"')),
}


# --- what may happen to a case --------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """After a wait, an act. A wait of None goes on to just when the case is due, plus ``off``.

    In ``fields`` a duration stands for the instant so long after the act.
    """

    wait: timedelta | None
    off: timedelta
    act: str
    by: tuple[str, str]
    fields: dict[str, Any]


@dataclass(frozen=True)
class Story:
    """A case and all that is done to it. ``notices``: ok, fail, or pending until a step tells.

    ``payout`` is what comes of payouts, unless they too are pending.
    """

    kind: str
    policy: str
    received: datetime
    facts: dict[str, Any]
    notices: str
    payout: str
    steps: list[Step]


# To make a strategy takes longer than to draw from it, so each is made once.


@cache
def sampled(*values: T) -> st.SearchStrategy[T]:
    """One of the values."""
    return st.sampled_from(values)


@cache
def durations(longest: timedelta) -> st.SearchStrategy[timedelta]:
    """Waits, often none or one that meets a limit exactly."""
    limits = [
        timedelta(0),
        TICK,
        SECOND,
        300 * SECOND,
        1200 * SECOND,
        1800 * SECOND,
        DAY / 2,
        2 * DAY,
        7 * DAY,
    ]
    return st.one_of(
        st.sampled_from([limit for limit in limits if limit <= longest]),
        st.integers(0, 7200).map(lambda seconds: seconds * SECOND),
        st.integers(0, longest // TICK).map(lambda ticks: ticks * TICK),
    )


SUBJECTS = st.one_of(st.none(), st.integers(1, 6).map(lambda n: f"subject-{n}"))
AMOUNTS = st.sampled_from([None, "100.00", "200.01", "9999.99", "20000.00"])
TARGETS = st.one_of(durations(10 * DAY), st.integers(2, 5).map(lambda days: days * DAY))
CHECKED = {
    "witnesses": ["agent", "site_manager", "warehouse_keeper", "porter"],
    "resealed": True,
    "label": "box, window 4, 2026-02-10",
}
FIELDS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "assign": st.builds(
        lambda role, number: {"to": {"id": f"{role}-{number}", "role": role}},
        st.sampled_from(default_policy().ladder.rungs),
        st.integers(1, 2),
    ),
    "escalate": st.builds(
        lambda to: {"reason": "r", "to": to}, st.sampled_from([None, *default_policy().ladder.rungs])
    ),
    "note": st.just({"text": "t"}),
    "attach": st.just({"name": "n", "sha256": "0" * 64, "where": "w"}),
    "log_contact": st.builds(lambda reached: {"reached": reached}, st.booleans()),
    "promise": st.builds(lambda target: {"reply_by": target}, TARGETS),
    "reply": st.builds(lambda stage: {"stage": stage}, st.sampled_from(["interim", "answer"])),
    "request_approval": st.builds(
        lambda subject, amount: {"subject": subject or "other", "amount": amount}, SUBJECTS, AMOUNTS
    ),
    "approve": st.builds(lambda subject: {"subject": subject}, SUBJECTS),
    "reject": st.builds(lambda subject: {"subject": subject, "reason": "r"}, SUBJECTS),
    "extend": st.builds(
        lambda clock, due: {"clock": clock, "due": due, "reason": "r"},
        st.sampled_from(["answer", "resolution", "rung"]),
        TARGETS,
    ),
    "follow_up": st.builds(lambda satisfied: {"satisfied": satisfied}, st.booleans()),
    "reopen": st.just({"reason": "r"}),
    "investigate": st.just({"justified": True}),
    "propose": st.builds(lambda n: {"options": ["A", "B", "C", "D", "E"][:n]}, st.integers(1, 5)),
    "answer_option": st.builds(lambda accepted: {"accepted": accepted}, st.booleans()),
    "open_claim": st.sampled_from([{}, {"factor": "loss"}]),
    "assess": st.builds(
        lambda cause, lost, override: {"cause": cause, "loss": lost, "override": override},
        st.sampled_from(["company", "company", "customer", "packing", None]),
        st.sampled_from([None, {"total_value": "3000.00", "lost_value": "3000.00"}, {"lost_value": "1.00"}]),
        st.sampled_from([None, None, None, {"amount": "150.00", "reason": "r"}, {"amount": "2500.00", "reason": "r"}]),
    ),
    "offer": st.builds(
        lambda amount: {"amount": amount},
        st.sampled_from([None, None, "0.00", "100.00", "200.00", "200.01", "2000.01", "10000.01"]),
    ),
    "accept_offer": st.sampled_from([{}, {"channel": "phone"}, {"channel": "phone", "evidence": "call-1"}]),
    "name_payee": st.builds(
        lambda relation, number: {"relation": relation, "payee": f"payee-{number}"},
        st.sampled_from(["sender", "beneficiary"]),
        st.integers(1, 2),
    ),
    "clear_waybill": st.just({"reason": "r"}),
    "prove_date": st.just({"date": "delivered_at", "evidence": "scan-1"}),
    "decline_offer": st.sampled_from([{}, {"counter": "5000.00"}]),
    "dispute": st.builds(
        lambda path: {"path": path}, st.sampled_from(["negotiation", "complaint", "arbitration", "lawsuit"])
    ),
    "confirm_payment": st.just({"reference": "BANK-1"}),
    "confirm_phone_notice": st.builds(
        lambda roles: {"roles": sorted(roles)},
        st.sets(st.sampled_from(["supervisor", "qa_manager", "general_manager"]), min_size=1),
    ),
    "check_goods": st.builds(lambda number: {"checklist": {**CHECKED, "photographs": number}}, st.integers(0, 2)),
    "find": st.builds(lambda said: {"cause": "c", "report": said}, st.sampled_from([None, "genuine", "concealed"])),
    "correct": st.builds(lambda done: {"action": "a", "carried_out": done}, st.booleans()),
    "settle": st.builds(lambda amount: {"amount": amount}, st.sampled_from(["100.00", "200.01", "20000.00"])),
    "link": st.builds(lambda number: {"case": f"claim:L-{number}"}, st.integers(1, 2)),
    "unlink": st.builds(lambda number: {"case": f"claim:L-{number}"}, st.integers(1, 2)),
}
OFFERERS = st.sampled_from(default_policy().ladder.rungs)
# What moves clocks and ladder comes often; what ends the story is rare.
OFTEN = ["wait", "wait", "tell", "log_contact", "log_contact", "extend", "reply", "promise", "escalate"]
MONEY = ["assess", "offer", "accept_offer", "decline_offer", "dispute", "approve", "gateway"]
RARELY = ["signal", "close", "resolve", "resolve", "follow_up", "reopen"]
PEOPLE = st.sampled_from(
    [(f"{role}-{number}", role) for role in default_policy().ladder.rungs for number in (1, 2)]
    + [
        ("agent-1", "agent"),
        ("general_manager-1", "general_manager"),
        ("general_manager-2", "general_manager"),
    ]
    * 4
    + [("portal", "customer"), ("x", "boss"), ("finance-1", "finance")]
    # One person in several roles.
    + [("agent-1", "supervisor"), ("agent-1", "general_manager")]
)


WAITS = st.one_of(st.none(), durations(DAY))
OFFS = st.sampled_from([timedelta(0), timedelta(0), -TICK, TICK])
NO_FIELDS: st.SearchStrategy[dict[str, Any]] = st.just({})


@cache
def acts(kind: str) -> st.SearchStrategy[str]:
    """What is done in one step."""
    names = sorted(KINDS[kind].COMMANDS)
    often = [*OFTEN, *MONEY * 3] if kind == "claim" else OFTEN * 3
    ends = (*RARELY, "withdraw", "merge", "take_duplicate")
    return st.sampled_from([*often, *RARELY, *(name for name in names if name not in ends)])


@cache
@st.composite
def steps(draw: st.DrawFn, kind: str) -> Step:
    """One step of a story."""
    act = draw(acts(kind))
    wait = draw(WAITS)
    off = draw(OFFS) if wait is None else timedelta(0)
    return Step(wait, off, act, draw(PEOPLE), draw(FIELDS.get(act, NO_FIELDS)))


@cache
@st.composite
def scenes(draw: st.DrawFn, kind: str) -> list[Step]:
    """One step, or some that belong together and would rarely meet by chance, with others between."""

    def go(act: str, role: str, /, longest: timedelta = DAY, **fields: Any) -> list[Step]:
        wait = draw(durations(longest))
        between = [draw(steps(kind))] if draw(st.booleans()) else []
        return [*between, Step(wait, timedelta(0), act, (f"{role}-1", role), fields)]

    def pause() -> list[Step]:
        return [*go("log_contact", "agent", reached=False), *go("log_contact", "agent", reached=True)]

    def extension() -> list[Step]:
        name = draw(sampled("answer", "resolution"))
        return go("extend", "supervisor", clock=name, due=draw(st.integers(2, 8)) * DAY, reason="r")

    def approval() -> list[Step]:
        asked = go("request_approval", "agent", subject="scene", amount=draw(AMOUNTS))
        return [*asked, *go(draw(sampled("approve", "reject")), "general_manager", reason="r")]

    def options() -> list[Step]:
        answers = [go("answer_option", "agent", accepted=draw(st.booleans())) for _ in range(2)]
        return [*go("propose", "agent", options=["A", "B"]), *(step for answer in answers for step in answer)]

    def solution() -> list[Step]:
        solved = [*go("reply", "agent", stage="answer"), *go("resolve", "agent")]
        asked = go("follow_up", "agent", satisfied=draw(st.booleans()))
        end = go("reopen", "supervisor", reason="r") if draw(st.booleans()) else go("close", "supervisor")
        return [*solved, *asked, *end]

    def correction() -> list[Step]:
        roles = ["supervisor", "qa_manager", "general_manager"]
        called = go("confirm_phone_notice", "agent", 300 * SECOND, roles=roles)
        told = [*called, *go("inform_customer", "agent"), *go("settle", "agent", amount="200.01")]
        found = [*go("approve", "supervisor"), *go("find", "qa_manager", cause="c")]
        return [*told, *found, *go("correct", "agent", action="a"), *go("resolve", "agent"), *go("close", "agent")]

    def offer() -> list[Step]:
        terms = draw(FIELDS["offer"])
        made = [*go("assess", "agent", cause="company"), *go("offer", draw(OFFERERS), **terms)]
        # Sometimes who asked would decide in another role.
        decider = draw(sampled("", "agent-1", "supervisor-1"))
        [*between, decision] = go(draw(sampled("approve", "approve", "reject")), draw(OFFERERS), reason="r")
        return [*made, *between, replace(decision, by=(decider or decision.by[0], decision.by[1]))]

    def again() -> list[Step]:
        """What was approved on numbers that change afterwards."""
        once = [*go("assess", "agent"), *go("offer", "agent", amount="2000.01"), *go("approve", "general_manager")]
        return [*once, *go("assess", "agent", loss={"lost_value": "1.00"}), *go("offer", "agent", amount="2000.01")]

    def agreement() -> list[Step]:
        if draw(st.booleans()):
            return [*offer(), *go("decline_offer", "agent", counter="5000.00"), *go("dispute", "agent", path="appeal")]
        if draw(st.booleans()):
            accepted = go("accept_offer", "customer")
        else:
            accepted = go("accept_offer", "agent", channel="phone", evidence="call-1")
            accepted[-1] = replace(accepted[-1], by=(draw(sampled("agent-1", "agent-2")), "agent"))
        # What somebody's own decision did not let through, a second person does.
        [*between, second] = go("approve", "general_manager")
        agreed = [*offer(), *between, replace(second, by=("general_manager-2", "general_manager")), *accepted]
        if draw(st.booleans()):
            agreed += go(*draw(sampled(("resolve", "agent"), ("withdraw", "supervisor"))))
        return [*agreed, *go("gateway", draw(OFFERERS)), *go("confirm_payment", "finance", reference="BANK-1")]

    def duplicate() -> list[Step]:
        return [*go("merge", "agent", into=f"{kind}:E-1"), *go("answer", draw(OFFERERS))]

    whole = {
        "duplicate": duplicate,
        "pause": pause,
        "extension": extension,
        "approval": approval,
        "options": options,
        "solution": solution,
        "offer": offer,
        "again": again,
        "agreement": agreement,
        "correction": correction,
    }
    common = ["step"] * 4 + ["pause"] * 3 + ["extension"] * 2 + ["approval", "options", "solution", "duplicate"]
    claimed = ["step"] * 4 + ["offer"] * 3 + ["agreement"] * 3 + ["again", "again", "approval", "solution", "duplicate"]
    reported = ["step"] * 4 + ["correction"] * 2 + ["approval", "solution"]
    chosen = draw(sampled(*{"claim": claimed, "exception": reported}.get(kind, common)))
    return [draw(steps(kind))] if chosen == "step" else whole[chosen]()


@cache
def tellings(kind: str) -> st.SearchStrategy[list[list[Step]]]:
    """Some scenes, one after the other."""
    return st.lists(scenes(kind), min_size=3, max_size=10)


MIXED = ("complaint", "complaint", "complaint", "claim", "exception", "inquiry")


@st.composite
def stories(draw: st.DrawFn, *policies: str, kinds: tuple[str, ...] = MIXED) -> Story:
    """A case of one of the kinds, mostly complaints, which have more to get wrong."""
    kind = draw(sampled(*kinds))
    facts: dict[str, Any] = {
        "severity": draw(sampled("normal", "serious", "critical")),
        "customer": PERSONAL,
        "description": "Zhang San waits",
    }
    if kind == "inquiry":
        facts["shipment"] = {"waybill": "SF1", "posted_on": "2026-01-05"}
        facts["question"] = "13800000000?"
    elif kind == "claim":
        relation = draw(sampled("sender", "sender", "sender", "recipient"))
        shipment: dict[str, str | None] = {"waybill": "SF1", "posted_on": "2026-01-05", "base_freight": "20.00"}
        shipment["weight_kg"] = "0.8"
        facts |= {"factor": "damage", "claimant": {"relation": relation}, "shipment": shipment}
        facts["loss"] = {"total_value": "3000.00", "lost_value": draw(sampled("0.00", "1000.00", "3000.00"))}
    elif kind == "exception":
        facts["source"] = draw(sampled("customer_complaint", "self_found", "excess_goods"))
        facts["category"], facts["estimated_amount"] = "damage", draw(sampled("100.00", "48000.00"))
    else:
        facts["category"] = "delay"
        facts["source"] = draw(sampled("customer", "platform", "network"))
    received = at("02-10 00:00:00") + draw(durations(20 * DAY))
    if kind == "exception":
        facts["known_at"] = (received - draw(durations(2 * DAY))).isoformat()
    fate = draw(sampled("ok", "fail", "pending"))
    payout = draw(sampled("ok", "fail", "manual"))
    policy = draw(sampled(*(policies or POLICIES)))
    told = [step for scene in draw(tellings(kind)) for step in scene]
    return Story(kind, policy, received, facts, fate, payout, told)


# --- telling the story ----------------------------------------------------------------------------


class Teller:
    """Plays a story on a case; ``small`` lets time pass in many small steps."""

    def __init__(self, story: Story, *, small: bool = False) -> None:
        self.story = story
        self.small = small
        self.now = story.received
        raw = {"key": "K", "received_at": story.received.isoformat(), "facts": story.facts}
        kind = KINDS[story.kind]
        self.case: Case = kind.open(read_intake(kind.INTAKE, raw), POLICIES[story.policy], story.received)
        self.settle(story.received)

    def settle(self, moment: datetime) -> None:
        """Where effects come out at once, they do."""
        if self.story.notices != "pending":
            merge = "ok" if self.story.payout == "manual" else "fail"
            told = (self.story.notices, self.story.payout)
            self.case.rehearse_effects(self.case.policy.local(moment), *told, merge=merge)

    def play(self) -> Case:
        """All steps; then time enough for all that can fall due."""
        for step in self.story.steps:
            self.step(step)
        self.pass_time(self.now + 40 * DAY, inclusive=True)
        return self.case

    def step(self, step: Step) -> None:
        """Wait, then act."""
        moment = self.now if step.wait is None else self.now + step.wait
        due = self.case.due()
        if step.wait is None and due is not None:
            moment = max(self.now, due + step.off)
        if self.story.notices == "pending" and step.act in ("tell", "signal", "gateway", "answer") and not self.small:
            # Word from outside comes unannounced: the case itself must let time pass first.
            self.now = moment
        else:
            self.pass_time(moment, inclusive=step.act == "wait")
        if step.act == "tell":
            if waiting := notices(self.case):
                notice = waiting[0]
                self.case.notices.came_out(notice, "sent" if step.by[1] != "agent" else "failed", "email", moment, {})
        elif step.act == "gateway":
            self.gateway(step, moment)
        elif step.act == "answer":
            self.answer(step, moment)
        elif step.act == "signal":
            self.case.refused("approve", Actor(*step.by), Refused("four_eyes", "m", "c"), moment)
        elif step.act != "wait":
            self.command(step, moment)
        self.settle(moment)

    def gateway(self, step: Step, moment: datetime) -> None:
        """The gateway says what came of the oldest payout that waits."""
        waiting = next((effect for effect in self.case.outbox if isinstance(effect, Payment)), None)
        if waiting is None:
            # Without word there is nothing that lets time pass.
            self.pass_time(moment, inclusive=False)
            return
        if step.by[1] == "agent":
            self.case.payout_failed("account unknown", moment)
        else:
            self.case.payout_made("GW-1", moment)

    def answer(self, step: Step, moment: datetime) -> None:
        """The case that this one is merged into says what came of it."""
        waiting = next((effect for effect in self.case.outbox if getattr(effect, "activity", "") == MERGE_CASE), None)
        if not isinstance(waiting, ActivityCall):
            self.pass_time(moment, inclusive=False)
            return
        self.case.activity_done(waiting, {} if step.by[1] == "agent" else {"refused": "closed"}, moment)

    def pass_time(self, moment: datetime, *, inclusive: bool) -> None:
        """Let time run on to the moment."""
        if self.small:
            pieces = [self.now + (moment - self.now) * part / 7 for part in range(1, 7)]
            for piece in sorted(pieces):
                while (due := self.case.due()) is not None and due <= piece and due < moment:
                    self.case.elapse(due, after_each=self.settle)
                if piece < moment:
                    self.case.elapse(piece, after_each=self.settle)
        self.case.elapse(moment, inclusive=inclusive, after_each=self.settle)
        self.now = moment
        due = self.case.due()
        assert due is None or due > moment or (due == moment and not inclusive)

    def command(self, step: Step, moment: datetime) -> None:
        """Send a command; a refused one must have changed nothing."""
        fields = {
            name: (moment + value).isoformat() if isinstance(value, timedelta) else value
            for name, value in step.fields.items()
            if value is not None
        }
        raw = {"by": {"id": step.by[0], "role": step.by[1]}, **fields}
        before = snapshot(self.case, moment)
        try:
            command = read_command(self.case.COMMANDS, step.act, raw)
            self.case.decide(command, moment, self.settle)
        except Refused:
            after = snapshot(self.case, moment)
        else:
            return
        assert after == before


def play(story: Story) -> Case:
    """The case after its story."""
    return Teller(story).play()


def without_recording(events: list[Event]) -> list[dict[str, Any]]:
    """Events less the instants at which they were taken note of."""
    return [{name: value for name, value in e.as_json().items() if name != "recorded_at"} for e in events]


# --- the record -----------------------------------------------------------------------------------


@checked
@given(stories())
def test_the_record_is_in_order_plain_and_survives_json(story: Story) -> None:
    case = play(story)
    assert [event.seq for event in case.events] == list(range(1, len(case.events) + 1))
    for earlier, later in pairwise(case.events):
        assert earlier.at <= later.at
        # In a rehearsal what came of a notice is taken note of when it was asked for.
        assert earlier.recorded_at <= later.recorded_at or story.notices != "pending"
    for event in case.events:
        assert event.at.utcoffset() is not None
        assert event.recorded_at.utcoffset() is not None
        assert event.recorded_at >= event.at
        assert_plain(event.as_json())
        assert Event.from_json(json.loads(json.dumps(event.as_json()))) == event
    assert_plain(case.view())
    assert_plain(case.explain(case.events[-1].at))


def assert_plain(value: Any) -> None:
    """Only what JSON has, and no floats; an instant in text carries an offset."""
    if isinstance(value, dict):
        assert all(type(key) is str for key in value)
        for inner in value.values():
            assert_plain(inner)
    elif isinstance(value, list):
        for inner in value:
            assert_plain(inner)
    else:
        assert value is None or type(value) in (str, int, bool), repr(value)


@checked
@given(stories())
def test_nothing_personal_is_in_the_record(story: Story) -> None:
    case = play(story)
    seen = json.dumps([[event.as_json() for event in case.events], case.view(), case.explain(case.events[-1].at)])
    for value in (*PERSONAL.values(), "Zhang"):
        assert value not in seen


@checked
@given(stories())
def test_the_recorded_events_give_the_case_again(story: Story) -> None:
    case = play(story)
    recorded = [Event.from_json(json.loads(json.dumps(event.as_json()))) for event in case.events]
    again = type(case).replay(case.policy, recorded)
    now = case.events[-1].at
    assert again.view() == case.view()
    assert again.due() == case.due()
    assert again.explain(now) == case.explain(now)
    # And what is to come is the same too.
    later = case.policy.local(now + 90 * DAY)
    assert without_recording(again.elapse(later)) == without_recording(case.elapse(later))


@checked
@given(stories())
def test_many_small_steps_in_time_are_one_big_one(story: Story) -> None:
    small = Teller(story, small=True).play()
    big = play(story)
    assert without_recording(small.events) == without_recording(big.events)
    assert small.view() == big.view()


@checked
@given(stories())
def test_a_refused_command_changes_nothing_and_time_always_gets_on(story: Story) -> None:
    # Both are asserted while the story is told.
    case = play(story)
    if case.status == "closed":
        assert case.due() is None
        assert case.elapse(case.events[-1].at + 365 * DAY) == []


# --- the ladder -----------------------------------------------------------------------------------


@checked
@given(stories())
def test_the_ladder_never_goes_down_by_itself(story: Story) -> None:
    case = play(story)
    rungs = case.policy.ladder.rungs
    rung = case.events[0].data["holder_role"]
    for event in case.events:
        if event.type == "escalated":
            assert event.data["from"] == rung
            assert rungs.index(event.data["to"]) > rungs.index(rung)
            rung = event.data["to"]
        elif event.type == "assigned":
            assert event.data["from"]["role"] == rung
            assert event.actor.id != "caseladder"
            assert rungs.index(event.data["to"]["role"]) <= rungs.index(rung)
            rung = event.data["to"]["role"]
    assert case.ladder.rung == rung


# --- the clocks -----------------------------------------------------------------------------------


@checked
@given(stories(), st.booleans())
def test_no_clock_is_lost(story: Story, withdrawn: bool) -> None:
    teller = Teller(story)
    case = teller.play()
    if withdrawn and case.status != "closed":
        raw = {"by": {"id": "g", "role": "general_manager"}}
        try:
            case.decide(read_command(case.COMMANDS, "withdraw", raw), teller.now)
        except Refused as refusal:
            # What is agreed must be paid, and what is paid is not undone; nothing ends then.
            if refusal.code not in ("payout_owed", "already_paid", "merging"):
                raise
    running: dict[str, list[str]] = {}
    ends: dict[str, list[str]] = {}
    for event in case.events:
        name = event.data.get("clock", "")
        if event.type == "clock_started":
            # One at a time: the one before has ended.
            assert name not in running
            running[name] = []
        elif event.type in ("clock_met", "clock_breached"):
            del running[name]
            ends.setdefault(name, []).append(event.type.removeprefix("clock_"))
        elif event.type in ("escalated", "assigned") and running.pop("rung", None) is not None:
            ends.setdefault("rung", []).append("cancelled")
        elif event.type == "closed":
            for left in running:
                ends.setdefault(left, []).append("cancelled")
            running.clear()
    states: dict[str, list[str]] = {}
    for clock in (*case.clocks.past, *case.clocks.values()):
        assert (clock.ended_at is None) == clock.live
        if clock.live:
            assert clock.name in running
        else:
            states.setdefault(clock.name, []).append(clock.state.value)
    assert states == ends
    assert len(running) == sum(clock.live for clock in case.clocks.values())
    # In the end nothing but a paused clock can still be open, and a closed case has none.
    assert all(case.clocks[name].state is ClockState.PAUSED for name in running)
    assert case.status != "closed" or not running


@dataclass
class Expected:
    """A clock as it must be by the events alone: what is left of it while it is paused."""

    rule_pausable: bool
    percents: tuple[int, ...]
    due: datetime
    warnings: list[datetime]
    paused_at: datetime | None = None

    def aim(self, since: datetime, due: datetime) -> None:
        """A new target, with its warnings over the time from ``since``."""
        self.due = due
        self.warnings = [since + (due - since) * percent / 100 for percent in self.percents]

    def shift(self, by: timedelta) -> None:
        """Limit and warnings move together."""
        self.due += by
        self.warnings = [moment + by for moment in self.warnings]


class Auditor:
    """Follows the clocks by the events alone and checks each event against what must have been."""

    def __init__(self, policy: Policy, kind: str) -> None:
        self.rules = policy.rule(kind).clocks
        self.live: dict[str, Expected] = {}
        self.pauses = 0

    def check(self, event: Event) -> None:
        """One more event."""
        for name, clock in self.live.items():
            if clock.paused_at is None:
                # Nothing that fell due earlier was left out.
                assert event.at <= clock.due, name
                assert all(event.at <= moment for moment in clock.warnings), name
        act = cast("Callable[[Event], None] | None", getattr(self, f"_{event.type}", None))
        if act is not None:
            act(event)

    def _clock_started(self, event: Event) -> None:
        rule = self.rules[event.data["clock"].partition(":")[0]]
        due = datetime.fromisoformat(event.data["due"])
        clock = self.live[event.data["clock"]] = Expected(rule.pausable, rule.warn_percent, due, [])
        clock.aim(event.at, due)

    def _clock_met(self, event: Event) -> None:
        clock = self._ends(event)
        moved = event.at - clock.paused_at if clock.paused_at is not None else timedelta(0)
        assert datetime.fromisoformat(event.data["due"]) == clock.due + moved
        assert event.at <= clock.due + moved

    def _clock_breached(self, event: Event) -> None:
        clock = self._ends(event)
        assert clock.paused_at is None
        assert event.at == clock.due == datetime.fromisoformat(event.data["due"])
        assert clock.warnings == []

    def _ends(self, event: Event) -> Expected:
        return self.live.pop(event.data["clock"])

    def _clock_warned(self, event: Event) -> None:
        clock = self.live[event.data["clock"]]
        assert clock.paused_at is None
        assert event.at == clock.warnings.pop(0)
        assert datetime.fromisoformat(event.data["due"]) == clock.due
        percent = clock.percents[-len(clock.warnings) - 1]
        assert event.data["fraction"] == f"0.{percent:02}"

    def _clock_paused(self, event: Event) -> None:
        self.pauses += 1
        running = [n for n, c in self.live.items() if c.rule_pausable and c.paused_at is None]
        assert event.data["clocks"] == running
        for name in running:
            self.live[name].paused_at = event.at

    def _clock_resumed(self, event: Event) -> None:
        paused = [name for name, clock in self.live.items() if clock.paused_at is not None]
        assert event.data["clocks"] == paused
        for name, due in zip(paused, event.data["dues"], strict=True):
            clock = self.live[name]
            assert clock.paused_at is not None
            clock.shift(event.at - clock.paused_at)
            clock.paused_at = None
            assert datetime.fromisoformat(due) == clock.due

    def _extended(self, event: Event) -> None:
        clock = self.live.get(event.data["clock"])
        if clock is not None:
            # As of now it is due then; while it is paused both move on with the time.
            clock.aim(event.at, datetime.fromisoformat(event.data["due"]))
            clock.paused_at = None if clock.paused_at is None else event.at

    def _escalated(self, event: Event) -> None:
        self.live.pop("rung", None)

    _assigned = _escalated

    def _closed(self, event: Event) -> None:
        self.live.clear()


@checked
@given(stories("default", "warned"))
def test_a_pause_moves_what_it_may_by_its_length_and_loses_nothing(story: Story) -> None:
    case = play(story)
    # A claim answered so late that its proposal is overdue at once has a test of its own.
    assume(all(started.at <= datetime.fromisoformat(started.data["due"]) for started in case.events
               if started.type == "clock_started"))  # fmt: skip
    auditor = Auditor(case.policy, story.kind)
    for event in case.events:
        auditor.check(event)
    for name, expected in auditor.live.items():
        clock: Clock = case.clocks[name]
        assert (clock.state is ClockState.PAUSED) == (expected.paused_at is not None)
        now = case.events[-1].at
        moved = now - expected.paused_at if expected.paused_at is not None else timedelta(0)
        assert clock.due_at(now) == expected.due + moved

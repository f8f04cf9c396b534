"""What the core says is allowed is what it takes: for any case, person and instant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.case import Case
from cases.vocabulary.commands import read_command
from cases.vocabulary.events import Actor
from cases.vocabulary.refusals import Refused
from tests.core.support import AGENT, SUPERVISOR, at, complaint, do
from tests.core.test_claim import claim
from tests.core.test_exception_report import DAY, report
from tests.core.test_properties import CHECKED, PEOPLE, Story, Teller, checked, stories

TICK = timedelta(microseconds=1)
LOSS = {"total_value": "3000.00", "lost_value": "3000.00", "name_differs": False, "declared_quantity": "2"} | {
    "found_quantity": "0", "declared_weight_kg": "2", "found_weight_kg": "0",
}  # fmt: skip
PLAIN: dict[str, list[dict[str, Any]]] = {
    "note": [{"text": "t"}],
    "attach": [{"name": "n", "sha256": "0" * 64, "where": "w"}],
    "log_contact": [{"reached": True}, {"reached": False}],
    "reply": [{"stage": "interim"}, {"stage": "answer"}],
    "request_approval": [{"subject": "quite-new"}, {"subject": "quite-new", "amount": "1.00"}],
    "follow_up": [{"satisfied": True}, {"satisfied": False}],
    "reopen": [{"reason": "r"}],
    "load_calendar": [{"year": 2031, "published": {"source": "s", "holidays": ["2031-01-01"]}}],
    "investigate": [{"justified": True}],
    "propose": [{"options": ["A"]}, {"options": ["A", "B"]}],
    "answer_option": [{"accepted": True}, {"accepted": False}],
    "open_claim": [{}, *({"factor": factor} for factor in ("delay", "loss", "damage", "mismatch"))],
    "assess": [
        {},
        *({"cause": cause, "packed_by": "courier", "loss": LOSS, "inspection_offered": True} for cause in
          ("company", "customer", "nature_of_goods", "force_majeure", "packing")),
        {"override": {"amount": "1.00", "reason": "r"}},
    ],
    "offer": [{}, {"amount": "0.01"}, {"amount": "100.00"}],
    "name_payee": [{"relation": "sender", "payee": "payee-1"}],
    "accept_offer": [{}, {"channel": "phone", "evidence": "call-1"}],
    "clear_waybill": [{"reason": "r"}],
    "prove_date": [{"date": one, "evidence": "e"} for one in ("inquiry_recorded_on", "promised_at", "delivered_at")],
    "decline_offer": [{}, {"counter": "5.00"}],
    "dispute": [{"path": path} for path in ("negotiation", "complaint", "appeal", "arbitration", "lawsuit")],
    "confirm_payment": [{"reference": "B-1"}],
    "check_goods": [{"checklist": {**CHECKED, "photographs": 1}}],
    "hold_goods": [{"reason": "r"}],
    "find": [{"cause": "c"}, {"cause": "c", "report": "genuine"}],
    "correct": [{"action": "a"}],
    "link": [{"case": "handover:L-1"}],
    "customer_wrote": [{"text": "t", "via": "mail"}],
    "settle": [{"amount": "0.01"}, {"amount": "100.00"}, {"amount": "99999.00"}],
}  # fmt: skip


def tries(case: Case, name: str, now: datetime) -> Iterator[dict[str, Any]]:
    """Complete, valid fields of a command, with every value that might make a difference."""
    rungs = case.policy.ladder.rungs
    if name == "withdraw":
        yield {}
        yield {"reason": "r", "said": {"by": "sender", "at": now.isoformat(), "channel": "phone"}}
    elif name == "unlink":
        yield from ({"case": one} for one in case.links.cases or ["claim:none"])
    elif name == "merge":
        yield {"into": f"{case.KIND}:earlier"}
    elif name == "take_duplicate":
        yield {"case": f"{case.KIND}:later", "received_at": now.isoformat()}
    elif name == "reply_bounced":
        yield from ({"of": one} for one in case.replies.gone_out)
    yield from PLAIN.get(name, [])
    if name == "assign":
        yield from ({"to": {"id": "somebody", "role": rung}} for rung in rungs)
    elif name == "escalate":
        yield from ({"reason": "r", **to} for to in ({}, *({"to": rung} for rung in rungs)))
    elif name == "promise":
        yield from ({"reply_by": (now + wait).isoformat()} for wait in (TICK, timedelta(hours=1), timedelta(days=30)))
    elif name == "extend":
        for clock in case.clocks.values():
            limit = case.latest_promise() or now
            for due in (max(now, clock.due_at(now)) + TICK, limit):
                yield {"clock": clock.name, "due": due.isoformat(), "reason": "r"}
    elif name == "resend":
        yield from ({"notice": event.seq} for event in case.events if event.type == "notified")
        yield {"notice": 1}
    elif name in ("approve", "reject"):
        subjects = dict.fromkeys(approval.subject for approval in case.approvals)
        yield from ({"reason": "r", **subject} for subject in ({}, *({"subject": one} for one in subjects)))
    elif name == "confirm_phone_notice":
        yield from ({"roles": [role]} for role in ("supervisor", "qa_manager", "general_manager"))
    elif name not in PLAIN and name not in ("withdraw", "unlink", "merge", "take_duplicate", "reply_bounced"):
        yield {"summary": "s"} if name == "resolve" else {}


def taken(case: Case, name: str, by: Actor, now: datetime) -> bool:
    """Whether there are fields with which the case takes the command; it is tried on copies."""
    for fields in tries(case, name, now):
        copy = type(case).replay(case.policy, case.events)
        raw = {"by": {"id": by.id, "role": by.role}, **fields}
        try:
            copy.decide(read_command(case.COMMANDS, name, raw), now)
        except Refused:
            continue
        return True
    return False


@checked
@given(stories(), st.integers(0, 12), PEOPLE, st.sampled_from([TICK, timedelta(minutes=3), timedelta(days=2)]))
def test_a_command_is_allowed_exactly_when_it_can_be_given(
    story: Story, length: int, person: tuple[str, str], wait: timedelta
) -> None:
    teller = Teller(story)
    for step in story.steps[:length]:
        teller.step(step)
    case, by = teller.case, Actor(*person)
    now = case.policy.local(max(teller.now, case.events[-1].at) + wait)
    case.elapse(now, inclusive=False)
    before = [event.as_json() for event in case.events]
    allowed = case.allowed(by, now)
    assert [event.as_json() for event in case.events] == before
    assert list(allowed) == list(case.COMMANDS)
    for name, refusal in allowed.items():
        assert (refusal is None) == taken(case, name, by, now), (name, refusal and refusal.message)
        for values in case.choices(name, by, now).values():
            assert all(isinstance(value, str) for value in values)


def refusals(case: Case, by: dict[str, str], moment: str) -> dict[str, str]:
    """The codes of what a person may not do."""
    allowed = case.allowed(Actor(**by), at(moment))
    return {name: refusal.code for name, refusal in allowed.items() if refusal is not None}


# --- what the doors' own table of predicates had wrong ------------------------------------------------


def test_an_agent_does_not_decide_on_an_offer_beyond_the_formula() -> None:
    """Discretion needs a supervisor, also where the amount is within an agent's authority."""
    case = claim(loss={"total_value": "100.00", "lost_value": "10.00"}, cause="company")
    do(case, "03-05 10:00:00", "assess")
    do(case, "03-05 10:01:00", "offer", amount="150.00")
    assert [approval.least for approval in case.approvals.open()] == ["supervisor"]
    colleague = {"id": "agent-8", "role": "agent"}
    assert {name: refusals(case, colleague, "03-05 10:02:00")[name] for name in ("approve", "reject")} == {
        "approve": "authority", "reject": "authority",
    }  # fmt: skip
    assert "approve" not in refusals(case, SUPERVISOR, "03-05 10:02:00")
    assert case.choices("approve", Actor(**SUPERVISOR), at("03-05 10:02:00")) == {"subject": ["offer"]}
    assert case.choices("approve", Actor(**colleague), at("03-05 10:02:00")) == {"subject": []}


def test_goods_are_checked_only_where_some_wait_and_never_held() -> None:
    case = report(DAY)
    found = refusals(case, AGENT, "03-04 10:01:00")
    assert (found["check_goods"], found["hold_goods"]) == ("nothing_to_check", "external_first")
    excess = report(DAY, source="excess_goods")
    found = refusals(excess, AGENT, "03-04 10:01:00")
    assert "check_goods" not in found
    assert found["hold_goods"] == "external_first"


def test_a_case_does_not_close_while_an_approval_is_open() -> None:
    case = complaint("03-10 09:00:00")
    do(case, "03-10 09:01:00", "request_approval", subject="voucher", amount="900.00")
    do(case, "03-10 09:02:00", "resolve")
    assert refusals(case, SUPERVISOR, "03-10 09:03:00")["close"] == "approval_open"
    do(case, "03-10 09:04:00", "approve", SUPERVISOR)
    assert "close" not in refusals(case, SUPERVISOR, "03-10 09:05:00")


def test_a_stranger_may_do_nothing() -> None:
    case = complaint("03-10 09:00:00")
    assert set(refusals(case, {"id": "x", "role": "boss"}, "03-10 09:01:00").values()) == {"unknown_role"}


def test_a_case_that_is_full_takes_no_more_texts_and_can_still_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cases.case.MOST_TEXTS", 3)
    case = complaint("03-05 09:00:00")
    for number in range(3):
        do(case, f"03-05 09:1{number}:00", "note", text="n")

    with pytest.raises(Refused) as refused:
        do(case, "03-05 09:20:00", "note", text="one too many")

    assert refused.value.code == "full"
    assert case.allowed(Actor("agent-1", "agent"), case.events[-1].at)["note"] is not None
    do(case, "03-05 09:21:00", "resolve")
    do(case, "03-05 09:22:00", "close")
    assert case.status == "closed"

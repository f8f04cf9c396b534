"""Merging duplicates: the later into the earlier, which agrees first; never all of them end, and no promise is lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.case import Case
from cases.kinds.complaint import Complaint
from cases.mechanisms.merging import MEANWHILE
from cases.vocabulary.effects import MERGE_CASE, ActivityCall
from cases.vocabulary.events import SYSTEM, Actor
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from tests.core.support import AGENT, CUSTOMER, QA, SUPERVISOR, at, clock, default_policy, do, only, pass_time, refuse
from tests.core.test_claim import claim

NINE = "03-10 09:00:00"
BY = SYSTEM.as_json()


def filed(key: str, received: str = NINE) -> Complaint:
    """A complaint of the category attitude, under a key of its own."""
    raw = {"key": key, "received_at": at(received).isoformat(), "facts": {"category": "attitude"}}
    return Complaint.open(read_intake(Complaint.INTAKE, raw), default_policy(), at(received))


def asked(case: Case) -> ActivityCall:
    """What a case that is merged asks for."""
    [call] = [one for one in case.owed() if isinstance(one, ActivityCall) and one.activity == MERGE_CASE]
    return call


def hand_over(case: Case, target: Case, moment: str | datetime) -> dict[str, Any]:
    """Do what the activity does: send the other case what this one asks, and return what came of it."""
    order = asked(case).order
    fields: dict[str, Any] = {"case": case.id, "received_at": order["received_at"], "promises": order["promises"]}
    try:
        do(target, moment, "take_duplicate", BY, **fields)
    except Refused as refusal:
        # What it took before is on its record, whatever has become of it since.
        return {} if case.id in target.merging.taken else {"refused": refusal.code}
    return {}


# --- one into the other -----------------------------------------------------------------------------


def test_the_later_case_ends_in_the_earlier_one_which_keeps_its_promises() -> None:
    earlier, later = filed("C-1"), filed("C-2", "03-10 09:10:00")
    do(later, "03-10 09:11:00", "promise", reply_by="2026-03-10T12:00:00+08:00")
    do(earlier, "03-10 09:12:00", "promise", reply_by="2026-03-10T10:00:00+08:00")

    do(later, "03-10 09:20:00", "merge", into="complaint:C-1")
    assert only(later, "merge_asked").data == {"into": "complaint:C-1"}
    assert (later.view()["merging"], later.status) == ("complaint:C-1", "open")
    assert asked(later).recorded_first

    assert hand_over(later, earlier, "03-10 09:20:01") == {}
    taken = only(earlier, "duplicate_taken")
    assert taken.data == {"case": "complaint:C-2", "promises": ["2026-03-10T12:00:00+08:00"]}
    assert taken.actor == SYSTEM
    assert clock(earlier, "promise:2") == ("running", "03-10 12:00:00")
    assert later.status == "open"

    later.activity_done(asked(later), {}, at("03-10 09:20:02"))
    assert only(later, "merged").data == {"into": "complaint:C-1"}
    assert only(later, "closed").data == {"outcome": "merged"}
    assert (later.view()["merging"], later.view()["merged_into"]) == (None, "complaint:C-1")
    assert earlier.view()["duplicates"] == ["complaint:C-2"]
    assert (later.due(), [one for one in later.owed() if isinstance(one, ActivityCall)]) == (None, [])
    pass_time(earlier, "03-10 12:00:00")
    assert clock(earlier, "promise:2")[0] == "breached"


def test_what_was_taken_once_is_not_taken_again() -> None:
    earlier, later = filed("C-1"), filed("C-2", "03-10 09:10:00")
    do(later, "03-10 09:11:00", "promise", reply_by="2026-03-10T12:00:00+08:00")
    do(later, "03-10 09:20:00", "merge", into="complaint:C-1")
    assert hand_over(later, earlier, "03-10 09:20:01") == {}
    events = len(earlier.events)
    assert hand_over(Complaint.replay(later.policy, later.events), earlier, "03-10 09:20:02") == {}
    assert len(earlier.events) == events


def test_a_case_that_is_started_from_its_ledger_asks_for_the_same() -> None:
    later = filed("C-2")
    do(later, "03-10 09:11:00", "promise", reply_by="2026-03-10T12:00:00+08:00")
    do(later, "03-10 09:20:00", "merge", into="complaint:C-1")
    assert Complaint.replay(later.policy, later.events).owed() == later.owed()


def test_only_open_promises_move() -> None:
    later = filed("C-2")
    do(later, "03-10 09:11:00", "promise", reply_by="2026-03-10T10:00:00+08:00")
    do(later, "03-10 09:12:00", "reply", stage="interim")
    do(later, "03-10 09:13:00", "promise", reply_by="2026-03-10T09:15:00+08:00")
    pass_time(later, "03-10 09:15:00")
    do(later, "03-10 09:16:00", "promise", reply_by="2026-03-10T11:00:00+08:00")
    do(later, "03-10 09:20:00", "merge", into="complaint:C-1")
    assert asked(later).order["promises"] == ["2026-03-10T11:00:00+08:00"]


def test_a_promise_that_fell_due_meanwhile_is_missed_there() -> None:
    earlier, later = filed("C-1"), filed("C-2", "03-10 09:10:00")
    do(later, "03-10 09:11:00", "promise", reply_by="2026-03-10T09:30:00+08:00")
    do(later, "03-10 09:20:00", "merge", into="complaint:C-1")
    hand_over(later, earlier, "03-10 09:40:00")
    pass_time(earlier, "03-10 09:40:00")
    assert clock(earlier, "promise:1") == ("breached", "03-10 09:30:00")


def test_a_case_that_is_refused_goes_on() -> None:
    later = filed("C-2")
    do(later, "03-10 09:03:00", "merge", into="complaint:C-1")
    later.activity_done(asked(later), {"refused": "closed"}, at("03-10 09:04:00"))
    assert only(later, "merge_refused").data == {"into": "complaint:C-1", "code": "closed"}
    assert (later.status, later.view()["merging"], later.view()["merged_into"]) == ("open", None, None)
    do(later, "03-10 09:04:30", "escalate", reason="r")
    do(later, "03-10 09:04:40", "merge", SUPERVISOR, into="complaint:C-0")


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("into", "code", "says"),
    [("complaint:C-2", "itself", "name another"), ("claim:C-1", "other_kind", "allowed: a case of the kind complaint")],
)
def test_a_case_is_merged_into_another_one_of_its_kind(into: str, code: str, says: str) -> None:
    refuse(filed("C-2"), "03-10 09:01:00", code, "merge", into, says, into=into)


@pytest.mark.parametrize(
    ("key", "received", "code"),
    [
        ("C-2", "03-10 08:59:59", "not_earlier"),
        ("C-0", NINE, "not_earlier"),
        ("C-1", "03-10 10:00:00", "itself"),
    ],
)
def test_the_earlier_of_two_takes_the_later(key: str, received: str, code: str) -> None:
    case = filed("C-1")
    fields: dict[str, Any] = {"case": f"complaint:{key}", "received_at": at(received).isoformat(), "promises": []}
    refuse(case, "03-10 10:00:00", code, "take_duplicate", key, by=BY, **fields)
    # Received at the same instant the ids decide.
    do(case, "03-10 10:00:00", "take_duplicate", BY, **{**fields, "case": "complaint:C-9", "received_at": at(NINE)})


def test_a_case_that_is_over_or_settled_takes_none() -> None:
    fields: dict[str, Any] = {"case": "complaint:C-2", "received_at": at("03-10 09:30:00").isoformat()}
    case = filed("C-1")
    do(case, "03-10 09:01:00", "resolve")
    refuse(case, "03-10 09:02:00", "resolved", "take_duplicate", "reopen it first", by=BY, **fields)
    do(case, "03-10 09:03:00", "close")
    refuse(case, "03-10 09:04:00", "closed", "take_duplicate", by=BY, clause="S1-5.9.8", **fields)


@pytest.mark.parametrize("by", [AGENT, QA, CUSTOMER, {"id": "erp", "role": "system"}])
def test_nobody_but_the_program_hands_a_case_over(by: dict[str, str]) -> None:
    fields: dict[str, Any] = {"case": "complaint:C-2", "received_at": at("03-10 09:30:00").isoformat()}
    refuse(filed("C-1"), "03-10 09:01:00", "role", "take_duplicate", by=by, **fields)


def test_a_case_that_is_merged_takes_nothing_that_would_be_lost() -> None:
    case = filed("C-2")
    do(case, "03-10 09:01:00", "merge", into="complaint:C-1")
    for who in (AGENT, QA):
        allowed = case.allowed(Actor(**who), at("03-10 09:02:00"))
        for name, refusal in allowed.items():
            if refusal is None or name == "take_duplicate":
                assert name in MEANWHILE
            elif name not in MEANWHILE:
                assert refusal.code in ("merging", "role"), name
    do(case, "03-10 09:03:00", "acknowledge")
    do(case, "03-10 09:03:00", "note", text="n")
    refuse(case, "03-10 09:04:00", "merging", "promise", "complaint:C-1", reply_by="2026-03-10T10:00:00+08:00")
    refuse(case, "03-10 09:04:00", "merging", "merge", into="complaint:C-0")
    later = {"case": "complaint:C-3", "received_at": at("03-10 09:03:00").isoformat()}
    refuse(case, "03-10 09:04:00", "merging", "take_duplicate", by=BY, **later)


def test_a_solved_case_does_not_close_by_itself_while_it_is_merged() -> None:
    case = filed("C-2")
    do(case, "03-10 09:01:00", "resolve")
    do(case, "03-10 09:02:00", "merge", into="complaint:C-1")
    pass_time(case, "04-10 09:00:00")
    assert case.status == "resolved"
    case.activity_done(asked(case), {"refused": "resolved"}, at("04-10 09:00:00"))
    pass_time(case, "04-10 09:00:01")
    assert case.outcome == "resolved"


def test_a_claim_is_not_merged_while_it_owes_money() -> None:
    case = claim(loss={"total_value": "100.00", "lost_value": "100.00"}, cause="company")
    do(case, "03-05 10:00:00", "assess")
    do(case, "03-05 10:01:00", "offer")
    do(case, "03-05 10:02:00", "accept_offer", CUSTOMER)
    refuse(case, "03-05 10:03:00", "payout_owed", "merge", "100.00", clause="S0-A.5.4", into="claim:F-0")
    case.payout_made("GW-1", at("03-05 10:04:00"))
    refuse(case, "03-05 10:05:00", "already_paid", "merge", clause="S0-A.5.4", into="claim:F-0")


def test_what_the_casebook_knows_of_a_parcel_is_heard_while_a_claim_is_merged() -> None:
    case = claim(loss={"total_value": "100.00", "lost_value": "100.00"}, cause="company")
    do(case, "03-05 10:00:00", "merge", into="claim:F-0")
    lookups = [one for one in case.owed() if isinstance(one, ActivityCall) and one.activity != MERGE_CASE]
    for call in lookups:
        case.activity_done(call, {"claims": [], "inquiries": []}, at("03-05 10:00:01"))
    case.activity_done(asked(case), {}, at("03-05 10:00:02"))
    assert (len(lookups), case.outcome) == (1, "merged")


@pytest.mark.parametrize(
    ("own", "other", "code"),
    [
        ({}, {"id": "claim:C-1"}, "other_kind"),
        ({}, {"id": "complaint:C-2"}, "itself"),
        ({}, {"received_at": "2026-03-10T09:30:01+08:00"}, "not_earlier"),
        ({}, {"received_at": None, "opened_at": "2026-03-10T09:30:01+08:00"}, "not_earlier"),
        ({}, {"status": "closed"}, "closed"),
        ({}, {"status": "resolved"}, "resolved"),
        ({}, {}, None),
    ],
)
def test_doors_know_before_what_will_be_refused(own: dict[str, Any], other: dict[str, Any], code: str | None) -> None:
    later = {**filed("C-2", "03-10 09:30:00").view(), **own}
    earlier = {**filed("C-1").view(), **other}
    if code is None:
        Complaint.refuse_known("merge", later, earlier)
        return
    with pytest.raises(Refused) as refused:
        Complaint.refuse_known("merge", later, earlier)
    assert refused.value.code == code


# --- links ------------------------------------------------------------------------------------------


def test_a_case_is_linked_once_and_unlinked() -> None:
    case = filed("C-1")
    do(case, "03-10 09:01:00", "link", case="claim:F-1")
    assert (only(case, "linked").data, case.view()["links"]) == ({"case": "claim:F-1"}, ["claim:F-1"])
    refuse(case, "03-10 09:02:00", "already_linked", "link", "claim:F-1", case="claim:F-1")
    refuse(case, "03-10 09:02:00", "itself", "link", "complaint:C-1", case="complaint:C-1")
    assert case.choices("unlink", Actor(**AGENT), at("03-10 09:02:00")) == {"case": ["claim:F-1"]}
    refuse(case, "03-10 09:02:00", "not_linked", "unlink", "claim:F-2", "allowed: claim:F-1", case="claim:F-2")
    do(case, "03-10 09:03:00", "unlink", case="claim:F-1")
    assert (only(case, "unlinked").data, case.view()["links"]) == ({"case": "claim:F-1"}, [])
    refuse(case, "03-10 09:04:00", "not_linked", "unlink", case="claim:F-1")


def test_a_solved_case_is_still_linked() -> None:
    case = filed("C-1")
    do(case, "03-10 09:01:00", "resolve")
    do(case, "03-10 09:02:00", "link", case="complaint:C-0")
    do(case, "03-10 09:03:00", "unlink", case="complaint:C-0")


# --- whatever the order -----------------------------------------------------------------------------


@dataclass
class Network:
    """Some cases that are merged into each other, and the answers on their way back."""

    cases: dict[str, Case]
    now: datetime
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    promised: set[str] = field(default_factory=set)

    def act(self, what: str, one: str, other: str) -> None:
        """Let one thing happen, where it can."""
        self.now += timedelta(seconds=1)
        case = self.cases[one]
        owed = [call for call in case.owed() if isinstance(call, ActivityCall) and call.activity == MERGE_CASE]
        try:
            if what == "merge":
                do(case, self.now, "merge", into=other)
            elif what == "promise":
                due = (self.now + timedelta(days=1)).isoformat()
                do(case, self.now, "promise", reply_by=due)
                self.promised.add(due)
            elif what == "restart":
                self.cases[one] = type(case).replay(case.policy, case.events)
            elif what == "send" and owed:
                # The worker may die after this and send it again: a later answer takes the place of the first.
                self.answers[one] = hand_over(case, self.cases[owed[0].order["into"]], self.now)
            elif what == "answer" and owed and one in self.answers:
                case.activity_done(owed[0], self.answers.pop(one), self.now)
        except Refused:
            pass


IDS = [f"complaint:C-{number}" for number in (1, 2, 3)]
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["merge", "merge", "send", "send", "answer", "answer", "promise", "restart"]),
        st.sampled_from(list(permutations(IDS, 2))),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(MOVES, st.permutations([NINE, "03-10 09:00:01", NINE]))
def test_never_do_all_of_them_end_and_no_promise_is_lost(moves: list[Any], received: list[str]) -> None:
    cases: dict[str, Case] = {id: filed(id.partition(":")[2], when) for id, when in zip(IDS, received, strict=True)}
    network = Network(cases, at("03-10 09:00:02"))
    for what, (one, other) in moves:
        network.act(what, one, other)
        assert any(case.status == "open" for case in network.cases.values())
    # Whatever is on its way arrives.
    for _ in IDS:
        for id in IDS:
            network.act("send", id, id)
            network.act("answer", id, id)
    left = [case for case in network.cases.values() if case.status == "open"]
    assert left
    assert all(case.merging.asked is None for case in left)
    taken = {id for case in network.cases.values() for id in case.merging.taken}
    assert {case.id for case in network.cases.values() if case.status == "closed"} == taken
    running = {case.clocks[name].due.isoformat() for case in left for name in case.clocks.live("promise")}
    assert network.promised <= running
    for case in network.cases.values():
        if case.status == "closed":
            assert case.merging.into is not None
            assert network.cases[case.merging.into].merging.taken.count(case.id) == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["send 1", "send 2", "answer 1", "answer 2"]), max_size=12))
def test_of_two_that_are_merged_into_each_other_at_once_exactly_one_ends(moves: list[str]) -> None:
    one, two = IDS[:2]
    network = Network({one: filed("C-1"), two: filed("C-2")}, at("03-10 09:00:02"))
    network.act("merge", one, two)
    network.act("merge", two, one)
    for move in (*moves, "send 2", "answer 2", "send 1", "answer 1"):
        what, number = move.split()
        network.act(what, f"complaint:C-{number}", "")
    assert [network.cases[id].status for id in (one, two)] == ["open", "closed"]

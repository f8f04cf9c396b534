"""Forms: whatever people do to one, in any order, as their tables say."""

from __future__ import annotations

import json
from datetime import datetime, time, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.policies.store import Policies
from cases.kinds.form import Form
from cases.policy.forms import PERMITTED, StepRule
from cases.policy.model import Policy
from cases.policy.tables import meets
from cases.registry import kind_of
from cases.vocabulary.commands import read_command
from cases.vocabulary.events import Actor, Event
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from tests.core.support import at, default_policy, found, only, shown, snapshot

DOCUMENT = {"name": "paper.pdf", "sha256": "0" * 64, "where": "s3://papers/1"}
BEGUN = "03-10 09:00"
# A form of each sort: conditions and leaving early, copies to a role that a field names, a decision and fields that
# are filled, an effect, an opinion, one that is long, and one of a company that may be reopened.
FILED: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "new_business": (
        {"id": "m-1", "role": "marketing"},
        {"client": "ACME", "business": "both", "contract": True, "price_list": DOCUMENT},
    ),
    "penalty_notice": (
        {"id": "go-1", "role": "gm_office"},
        {
            "case": "complaint:1", "ground": "quality", "kind": "penalty", "department": "manufacturing",
            "bearers": [{"person": "agent-7", "role": "agent", "amount": "1.50"}],
        },
    ),
    "allowance": (
        {"id": "b-1", "role": "business"},
        {"case": "quality:1", "amount": "50000.00", "reason": "scratched"},
    ),
    "leave": (
        {"id": "agent-1", "role": "agent"},
        {"from": "2026-06-15T09:00:00+08:00", "to": "2026-06-16T18:00:00+08:00", "reason": "family"},
    ),
    "petition": (
        {"id": "b-1", "role": "business"},
        {"department": "business", "decision": "quality:1", "objection": "the seal was broken"},
    ),
    "statement": (
        {"id": "agent-1", "role": "agent"},
        {
            "client": "ACME", "month": "2026-02", "key_client": True, "payment_until": "2026-03-31",
            "lines": [{"waybill": "SF1", "amount": "10.01"}],
        },
    ),
    "site_check": (
        {"id": "agent-1", "role": "agent"},
        {"site": "DOCK-3", "done_by": "2026-03-12", "cost": "1000.00"},
    ),
}  # fmt: skip
FILLED = {
    "customer_document": DOCUMENT, "invoice_number": "INV-1", "delivered_on": "2026-03-11",
    "payment_reference": "PAY-1", "way": "transfer", "result": "good", "weight": 1200,
}  # fmt: skip
# What is decided of these lies at the limit of the lowest rung; a fen more is beyond it.
ABOVE = {"allowance": {"amount": "50000.01"}, "site_check": {"cost": "1000.01"}}
PEOPLE = ("p-1", "p-2", "p-3")
COMPANY = Path(__file__).parents[1] / "company" / "default.toml"


@cache
def company_policy() -> Policy:
    """Load the policy of a company with forms of its own beside those that come with the program."""
    return Policies().read(COMPANY)


def form(name: str, **changes: Any) -> Form:
    """File a form."""
    policy = changes.pop("policy", company_policy())
    kind = kind_of(name, policy)
    filed_by, fields = FILED[name]
    key = changes.pop("key", "F-1")
    facts = {"filed_by": filed_by, "fields": {**fields, **changes}}
    opened = kind.open(read_intake(kind.INTAKE, {"key": key, "facts": facts}), policy, at(BEGUN))
    assert isinstance(opened, Form)
    return opened


def send(case: Form, now: datetime, name: str, by: dict[str, str], **fields: Any) -> list[Event]:
    """Send a command, and let effects come out."""
    events = case.decide(read_command(type(case).COMMANDS, name, {"by": by, **fields}), now)
    case.rehearse_effects(now)
    return events


def test_the_permissions_of_a_form_decide_just_what_they_are_for() -> None:
    document = json.loads(default_policy().document)
    document["form"]["leave"]["permissions"] = {name: ["customer"] for name in Form.COMMANDS}
    before, after = form("leave"), form("leave", policy=Policy.from_document(json.dumps(document)))
    assert {name for name in Form.COMMANDS if before.permitted(name) != after.permitted(name)} == set(PERMITTED)


# --- any story ------------------------------------------------------------------------------------


def role_of(case: Form, role: str) -> str:
    """Return the role that a step means."""
    return case.fields[role.removeprefix("field:")] if role.startswith("field:") else role


def roles_in(case: Form, rule: StepRule) -> tuple[str, ...]:
    """Return the roles that a step asks, by its table alone."""
    who = rule.any_of or tuple(one.role for one in rule.roles if meets(case.fields, one.when))
    roles = case.policy.expand(tuple(role_of(case, role) for role in who))
    if not rule.superior:
        return roles
    rungs, own = case.policy.ladder.rungs, case.filed_by.role
    return tuple(role for role in roles if role not in rungs or rungs.index(role) > rungs.index(own))


class Book:
    """What ought to be true of a form, kept beside it: the step, who has signed it, and who the one before."""

    def __init__(self, case: Form) -> None:
        self.case, self.table, self.done, self.over = case, case.rule, list[StepRule](), False
        self.signed: dict[str, dict[str, str]] = {}
        self.effective = False
        self.granted = self.completed = 0
        # Since when the present step is asked, and until when a complete form may be reopened.
        self.since, self.window = at(BEGUN), at(BEGUN)

    @property
    def steps(self) -> list[StepRule]:
        """The steps that the fields ask for."""
        fields = self.case.fields
        found = [rule for rule in self.table.steps if meets(fields, rule.when)]
        return [rule for rule in found if rule.decides or roles_in(self.case, rule)]

    @property
    def present(self) -> StepRule | None:
        """The step whose turn it is."""
        return None if self.over or len(self.done) == len(self.steps) else self.steps[len(self.done)]

    @property
    def complete(self) -> bool:
        """Whether everybody has signed."""
        return not self.over and self.present is None

    def closed(self, now: datetime) -> bool:
        """Whether nothing happens to it any more."""
        return self.over or (self.complete and not (self.table.reopens and now <= self.window))

    def due(self, now: datetime) -> set[str]:
        """Return the roles that are asked and have not acted."""
        rule = self.present
        if rule is None:
            return set()
        if rule.decides:
            return {self.decider(rule, now)}
        return set(roles_in(self.case, rule)) - self.signed.get(rule.name, {}).keys()

    def deciders(self, rule: StepRule) -> list[str]:
        """Return the rungs that may decide a step, lowest first, by the amount and the table of authority."""
        rule_of, policy = self.table.authority, self.case.policy
        rungs = policy.ladder.rungs if rule_of is None else rule_of.rungs
        limits = policy.authority.limits if rule_of is None else rule_of.limits
        amount = Decimal(self.case.fields[str(rule.decides)])
        return [rung for rung in rungs if rung not in limits or amount <= limits[rung]]

    def decider(self, rule: StepRule, now: datetime) -> str:
        """Return who is asked to decide: the lowest, and the next each time that the limit has passed."""
        limit = self.table.clocks["approval"].working_time
        assert limit is not None
        rungs, due = self.deciders(rule), self.since
        for rung in rungs[:-1]:
            due = self.case.policy.working.add_working_time(due, limit).at
            if now < due:
                return rung
        return rungs[-1]

    def take(self, rule: StepRule, role: str, person: str, now: datetime) -> None:
        """Note a signature or a decision."""
        self.signed.setdefault(rule.name, {})[role] = person
        all_of = set(() if rule.any_of or rule.decides else roles_in(self.case, rule))
        if all_of <= self.signed[rule.name].keys():
            self.done.append(rule)
            self.since = now
        if self.complete:
            self.completed += 1
            self.effective = True
            last = now.date() + timedelta(days=self.table.reopen_days)
            self.window = datetime.combine(last, time(23, 59, 59), now.tzinfo)

    def send_back(self, to: int, now: datetime) -> None:
        """Void what was signed from a step on."""
        kept = {rule.name for rule in self.done[:to]}
        self.signed = {name: signed for name, signed in self.signed.items() if name in kept}
        del self.done[to:]
        self.since = now

    def reopen(self, now: datetime) -> None:
        """Void all of it."""
        self.signed, self.done, self.since, self.effective = {}, [], now, False

    def end(self) -> None:
        """Note that it is not granted."""
        self.over, self.effective = True, False


OTHERS = ["sign", "approve", "reject", "refuse", "withdraw"]
STORY = st.lists(
    st.tuples(
        # Mostly what is due, so that stories get somewhere.
        st.sampled_from(
            ["due"] * 12 + ["time"] * 4 + ["reopen"] * 3 + ["grant_early"] * 3 + ["send_back"] * 2 + OTHERS
        ),
        st.sampled_from(PEOPLE),
        st.integers(0, 12),
        st.integers(0, 3),
    ),
    min_size=6,
    max_size=25,
)


def act(book: Book, what: str, person: str, which: int, back: int, now: datetime) -> None:
    """Do one thing of a story, and say what became of it in the book."""
    case, rule = book.case, book.present
    roles = sorted({role_of(case, role) for role in case.permitted("sign")})
    if what == "due":
        roles = sorted(book.due(now)) or roles
        what = "approve" if rule is not None and rule.decides else "sign"
    if what == "grant_early" and book.table.early is not None and back:
        roles = list(book.table.early.roles)
    by = {"id": person, "role": roles[which % len(roles)]}
    match what:
        case "time":
            case.elapse(now)
        case "withdraw":
            withdraw(book, case.filed_by.as_json() if back else by, now)
        case "grant_early":
            grant_early(book, by, now)
        case "reopen":
            reopen(book, person, now)
        case _:
            move(book, what, by, back, now)


def attempt(case: Form, now: datetime, name: str, by: dict[str, str], **fields: Any) -> str | None:
    """Send a command, and return the code of its refusal."""
    try:
        send(case, now, name, by, **fields)
    except Refused as refusal:
        return refusal.code
    return None


def withdraw(book: Book, by: dict[str, str], now: datetime) -> None:
    may = book.present is not None and by["id"] == book.case.filed_by.id
    assert (attempt(book.case, now, "withdraw", by) is None) == may
    if may:
        book.end()


def grant_early(book: Book, by: dict[str, str], now: datetime) -> None:
    early = book.table.early
    may = early is not None and by["role"] in early.roles and book.present is not None and not book.effective
    assert (attempt(book.case, now, "grant_early", by, reason="tonight") is None) == may
    if may:
        book.granted += 1
        book.effective = True


def reopen(book: Book, person: str, now: datetime) -> None:
    may = book.table.reopens and book.complete and now <= book.window
    assert (attempt(book.case, now, "reopen", {"id": person, "role": "agent"}, reason="wrong") is None) == may
    if may:
        book.reopen(now)


def move(book: Book, what: str, by: dict[str, str], back: int, now: datetime) -> None:
    """Sign a step, decide it, send it back or refuse it."""
    case, rule = book.case, book.present
    role, person = by["role"], by["id"]
    fields: dict[str, Any] = {"reason": "no"} if what in ("send_back", "refuse", "reject") else {}
    if what == "sign" and rule is not None:
        fields = {"text": "as it is"}
        if rule.fills:
            fields["fields"] = {name: FILLED[name] for name in rule.fills}
            if "result" in rule.fills and back % 2:
                fields["fields"]["result"] = "repair"
    if what == "send_back" and back < len(book.done):
        fields["to"] = book.steps[back].name
    code = attempt(case, now, what, by, **fields)
    if code is not None:
        # Whose turn it is may sign or decide, unless they are the wrong person.
        decides = rule is not None and bool(rule.decides)
        turn = book.deciders(rule) if rule is not None and decides else book.due(now)
        right = what in ("approve", "reject") if decides else what == "sign"
        assert not right or role not in turn or code in ("four_eyes", "not_superior")
        return
    assert rule is not None
    if what in ("sign", "approve"):
        assert (what == "approve") == bool(rule.decides)
        assert not rule.decides or role in book.deciders(rule)
        before = book.signed.get(book.done[-1].name, {}) if book.done else {}
        others = {**before, **book.signed.get(rule.name, {})}
        assert all(name != person or other == role for other, name in others.items()), "two roles in a row"
        assert rule.own or not Actor(**by).is_same(case.filed_by)
        book.take(rule, role, person, now)
    elif what == "send_back":
        book.send_back(back if "to" in fields else len(book.done) - 1, now)
    else:
        book.end()


# Twice those that may begin early or be reopened.
@given(name=st.sampled_from([*sorted(FILED), "new_business", "site_check"]), above=st.booleans(), story=STORY)
def test_exactly_the_due_are_asked_and_everything_ends_once(
    name: str, above: bool, story: list[tuple[str, str, int, int]]
) -> None:
    case = form(name, **(ABOVE.get(name, {}) if above else {}))
    book, now = Book(case), at(BEGUN)
    for what, person, which, back in story:
        now += timedelta(days=which) if what == "time" else timedelta(hours=5, minutes=which)
        closed = case.status == "closed"
        before = snapshot(case, now) if closed else None
        act(book, what, person, which, back, now)
        if before is not None:
            # A form that is over does not change any more.
            assert snapshot(case, now) == before
        case.elapse(now)
        step = book.present
        assert (case.status == "closed") == book.closed(now)
        assert (case.status == "open") == (step is not None)
        assert case.route.step == step.name if step is not None else True
        assert set(case.route.turn) == book.due(now)
        assert case.effective == book.effective
        assert len(found(case, "took_effect", early=True)) == book.granted
        assert len(found(case, "form_completed")) == book.completed
        assert len(found(case, "copies_issued")) == (book.completed > 0 and bool(case.rule.copies))
        assert len(found(case, "absence_recorded")) == (book.complete and case.rule.effect is not None)
    ends_once(case)
    again = type(case).replay(case.policy, case.events)
    assert again.view() == case.view()
    assert again.due() == case.due()


def ends_once(case: Form) -> None:
    """Each clock that was started ended at most once before it was started again."""
    running: set[str] = set()
    for event in case.events:
        clock = event.data.get("clock")
        if event.type == "clock_started":
            assert clock not in running
            running.add(str(clock))
        elif event.type in ("clock_met", "clock_breached"):
            assert clock in running
            running.remove(str(clock))
    asked = [event for event in case.events if event.type == "signature_asked"]
    assert all(event.data["role"] in case.permitted("sign") for event in asked)


# --- single rules ---------------------------------------------------------------------------------


def test_a_signature_fills_fields_and_the_end_says_them_again() -> None:
    case, business = form("allowance"), {"id": "b-1", "role": "business"}
    send(case, at("03-10 10:00"), "sign", {"id": "bm-1", "role": "business_manager"})
    send(case, at("03-10 11:00"), "approve", {"id": "d-1", "role": "deputy_gm"})
    send(case, at("03-10 12:00"), "sign", business, fields={"customer_document": DOCUMENT})
    signed = found(case, "signed", step="customer")[0]
    assert signed.data["written"] == ["fields.customer_document.name", "fields.customer_document.where"]
    # What people wrote is said by reference from then on, so that it can be erased in one place.
    assert shown(case)["fields"]["customer_document"] == DOCUMENT
    assert only(case, "form_completed").data["fields"] == {"customer_document": DOCUMENT}


def test_texts_of_a_form_stand_apart_and_personal_fields_are_in_no_event() -> None:
    case = form("leave")
    assert "family" not in str([event.as_json() for event in case.events])
    petition = form("petition")
    assert only(petition, "case_opened").data["written"] == ["facts.fields.objection"]
    assert petition.view()["fields"]["objection"] == {"seq": 1, "field": "facts.fields.objection"}


def test_what_a_step_needs_is_refused_when_it_is_missing_or_too_much() -> None:
    case = form("allowance")
    send(case, at("03-10 10:00"), "sign", {"id": "bm-1", "role": "business_manager"})
    send(case, at("03-10 11:00"), "approve", {"id": "d-1", "role": "deputy_gm"})
    for fields, code in (({}, "fields_missing"), ({"customer_document": DOCUMENT, "way": "x"}, "unknown_field")):
        with pytest.raises(Refused) as refused:
            send(case, at("03-10 12:00"), "sign", {"id": "b-1", "role": "business"}, fields=fields)
        assert refused.value.code == code
    with pytest.raises(Refused, match=r"fields\.customer_document\.sha256"):
        read_command(
            type(case).COMMANDS,
            "sign",
            {"by": {"id": "b-1", "role": "business"}, "fields": {"customer_document": {**DOCUMENT, "sha256": "no"}}},
        )


def test_who_is_told_of_a_form_that_takes_effect_and_of_copies() -> None:
    case = form("new_business", business="warehousing")
    for moment, role in (("10:00", "marketing_manager"), ("11:00", "warehouse_manager"), ("12:00", "general_manager")):
        send(case, at(f"03-10 {moment}"), "sign", {"id": role, "role": role})
    told = found(case, "notified", notice="effective")
    assert [event.data["roles"] for event in told] == [["director"]]


def test_a_form_that_its_policy_lacks_is_no_kind() -> None:
    with pytest.raises(Refused, match=r"not a kind of case; allowed: complaint, .*; the forms of policy default: "):
        kind_of("car_hire", default_policy())


@pytest.mark.parametrize(
    ("command", "by", "fields", "code"),
    [
        ("sign", {"id": "p-3", "role": "general_manager"}, {}, "out_of_order"),
        ("refuse", {"id": "p-3", "role": "general_manager"}, {"reason": "no"}, "out_of_order"),
        ("withdraw", FILED["leave"][0], {}, "resolved"),
    ],
)
def test_a_complete_form_whose_effect_is_under_way_does_not_change(
    command: str, by: dict[str, str], fields: dict[str, str], code: str
) -> None:
    case = form("leave")
    sign = {"by": {"id": "p-2", "role": "supervisor"}}
    case.decide(read_command(type(case).COMMANDS, "sign", sign), at(BEGUN))
    assert (case.status, case.view()["turn"], case.waits_for()) == ("open", [], [])
    before = len(case.events)
    with pytest.raises(Refused) as refused:
        case.decide(read_command(type(case).COMMANDS, command, {"by": by, **fields}), at(BEGUN))
    assert (refused.value.code, len(case.events)) == (code, before)
    case.rehearse_effects(at(BEGUN))
    assert [event.type for event in case.events[-2:]] == ["absence_recorded", "closed"]


def test_a_condition_names_a_case_by_its_kind_or_by_its_whole_id() -> None:
    fields = {"decision": "quality:Q-9", "urgent": False}
    assert meets(fields, {"decision": ("quality:Q-9",), "urgent": ("false",)})
    assert meets(fields, {"decision": ("quality",)})
    assert not meets(fields, {"decision": ("quality:Q-8", "Q-9")})


def test_what_nobody_may_is_said_so() -> None:
    case = form("leave")
    with pytest.raises(Refused, match="may not grant_early; allowed: nobody"):
        send(case, at("03-10 10:00"), "grant_early", {"id": "gm-1", "role": "general_manager"}, reason="now")


@pytest.mark.parametrize(("name", "fields"), [("sign", {}), ("refuse", {"reason": "not now"})])
def test_an_equal_neither_signs_nor_refuses_what_a_superior_decides(name: str, fields: dict[str, str]) -> None:
    case = form("leave")
    filed_by = case.facts["filed_by"]
    case.facts = {**case.facts, "filed_by": {**filed_by, "role": "supervisor"}}
    equal = {"id": "lead-2", "role": "supervisor"}
    assert case.allowed(Actor(**equal), at("03-10 10:00"))[name] is not None
    with pytest.raises(Refused) as refused:
        send(case, at("03-10 10:00"), name, equal, **fields)
    assert refused.value.code == "not_superior"
    send(case, at("03-10 10:00"), name, {"id": "qa-1", "role": "qa_manager"}, **fields)
    assert case.status == "closed"

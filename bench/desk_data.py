"""Fills a casebook with cases that look real: many closed ones over a year, some open ones of these days.

    python bench/desk_data.py postgresql://postgres@127.0.0.1:5432/empty [--closed 100000] [--open 5000]

The pure core runs a few dozen stories; each becomes a template from which cases are made with keys, units,
people, waybills and times of their own, with a valid hash chain, and copied in. The schema must be there
(`caseladder migrate`) and the casebook empty. Notices are in the ledger, but not in the table of them.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg

from activities.casebook.ledger import chain, genesis
from activities.policies.store import Policies
from cases.case import Case
from cases.policy.model import Policy
from cases.registry import KINDS
from cases.vocabulary.commands import read_command
from cases.vocabulary.events import canonical
from cases.vocabulary.facts import read_intake

# A Monday morning; every story begins here and is moved to where its case belongs.
START = datetime.fromisoformat("2026-03-09T09:00:00+08:00")
# So many cases in one transaction, as a ledger that grew would not have them all in one.
CHUNK = 1000
# One thing of a story: minutes after its start, command, role, fields.
Act = tuple[float, str, str, dict[str, Any]]

_MARKS = ("KEYMARK", "WAYBILLMARK", "UNITMARK", "PERSONMARK", "NUMBERMARK")
_SPLIT = re.compile(rf"(\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?\+08:00|{'|'.join(_MARKS)})")
_EVENT = ("case_id", "seq", "type", "at", "recorded_at", "body", "prev_hash", "hash")
_FILE = (
    "case_id", "kind", "number", "status", "rung", "holder", "unit", "severity", "policy", "opened_at",
    "updated_at", "closed_at", "next_due", "breached", "view", "head_seq", "head_hash",
)  # fmt: skip
_PAYOUT = ("key", "case_id", "amount", "state", "reference", "requested_at", "settled_at", "gateway")
TABLES = {"case_event": _EVENT, "case_file": _FILE, "payout": _PAYOUT, "personal": ("case_id", "facts")}
YEAR = 365 * 86400
UNITS = [f"{city}-{number:02}" for city in ("HZ", "SH", "NJ", "SZ") for number in range(1, 11)]


@dataclass(frozen=True)
class Story:
    """What happens to a case. Cut short, it is the story of an open case."""

    kind: str
    facts: dict[str, Any]
    acts: tuple[Act, ...]
    weight: int = 10
    payout: str = "ok"
    # The claim that a complaint led to: so many minutes later, its key ends in -claim.
    leads_to: Story | None = None
    after: float = 0


@dataclass(frozen=True)
class Template:
    """A case as text in pieces: instants (as seconds from its start) and marks between what stays."""

    kind: str
    weight: int
    suffix: str
    # seq, type, at, recorded_at, body
    events: list[tuple[int, str, float, float, list[str | float]]]
    view: list[str | float]
    stand: dict[str, Any]
    # Seconds from the start: where the story stands, and how far it may be moved back before something falls due.
    age: float
    slack: float
    # What was paid, and what waits to be paid by hand.
    paid: tuple[float, str] | None = None
    owed: tuple[float, str] | None = None
    # The case that this one led to, and how long after its start.
    leads_to: Template | None = None
    after: float = 0


@dataclass(frozen=True)
class Filled:
    """What was made, and how long it took in seconds."""

    cases: int
    events: int
    seconds: float


SHIPMENT = {
    "waybill": "WAYBILLMARK", "posted_on": "2026-03-02", "base_freight": "20.00", "weight_kg": "0.8",
    "route": "domestic",
}  # fmt: skip
_PROMPT: tuple[Act, ...] = (
    (2, "acknowledge", "agent", {}),
    (20, "reply", "agent", {"stage": "interim", "text": "We are looking for the parcel."}),
    (300, "reply", "agent", {"stage": "answer", "text": "It was found and goes out today."}),
)
_SOLVED: tuple[Act, ...] = (
    (1500, "resolve", "agent", {"summary": "delivered"}),
    (2900, "follow_up", "agent", {"satisfied": True}),
    (2910, "close", "agent", {}),
)
_CLAIM: tuple[Act, ...] = (
    (3, "acknowledge", "agent", {}),
    (60, "answer_claim", "agent", {}),
    (600, "assess", "agent", {"cause": "company"}),
    (640, "offer", "agent", {}),
)
_PAID: tuple[Act, ...] = (
    (650, "approve", "supervisor", {}),
    (3000, "accept_offer", "customer", {}),
    (3100, "close", "agent", {}),
)
_LOSS = {"total_value": "500.00", "lost_value": "500.00"}


def stories() -> Iterator[Story]:
    """The stories, each of a case that ends."""
    for category in ("delay", "damage", "loss", "attitude"):
        facts = {"category": category, "shipment": SHIPMENT}
        yield Story("complaint", facts, _PROMPT + _SOLVED, 14)
        climbed = (
            (7, "acknowledge", "supervisor", {}),
            (9, "assign", "supervisor", {"to": {"id": "PERSONMARK-agent", "role": "agent"}}),
            (12, "acknowledge", "agent", {}),
            *_PROMPT[1:],
        )
        yield Story("complaint", {**facts, "source": "platform"}, climbed + _SOLVED, 8)
    delay = {"category": "delay", "shipment": SHIPMENT}
    yield Story("complaint", delay, ((13, "acknowledge", "qa_manager", {}), *_PROMPT[1:], *_SOLVED), 4)
    top: tuple[Act, ...] = (
        (55, "acknowledge", "general_manager", {}),
        (3200, "resolve", "general_manager", {"summary": "late"}),
        (3300, "follow_up", "agent", {"satisfied": True}),
    )
    yield Story("complaint", {**delay, "severity": "critical"}, top, 2)
    yield Story("complaint", {"category": "attitude", "severity": "serious"}, ((3, "acknowledge", "supervisor", {}),
                (25, "reply", "supervisor", {"stage": "answer"}), *_SOLVED), 5)  # fmt: skip
    yield Story("complaint", delay, (*_PROMPT[:2], (90, "withdraw", "customer", {"reason": "it arrived"})), 6)
    paused = (
        (100, "log_contact", "agent", {"reached": False, "channel": "phone", "reason": "unreachable"}),
        (900, "log_contact", "agent", {"reached": True, "channel": "phone"}),
        (950, "reply", "agent", {"stage": "answer"}),
    )
    yield Story("complaint", delay, (*_PROMPT[:2], *paused, *_SOLVED), 4)
    asked: tuple[Act, ...] = (
        (310, "request_approval", "agent", {"subject": "voucher", "amount": "500.00"}),
        (320, "approve", "supervisor", {}),
    )
    yield Story("complaint", delay, (*_PROMPT, *asked, *_SOLVED), 6)
    refused = (
        (310, "request_approval", "agent", {"subject": "gift", "amount": "5000.00"}),
        (355, "reject", "general_manager", {"reason": "too much"}),
    )
    yield Story("complaint", delay, (*_PROMPT, *refused, *_SOLVED), 3)
    again = (*_PROMPT, _SOLVED[0], (2000, "reopen", "customer", {"reason": "it is not"}),
             (2003, "acknowledge", "agent", {}), (2600, "resolve", "agent", {}),
             (2700, "follow_up", "agent", {"satisfied": True}), (2710, "close", "agent", {}))  # fmt: skip
    yield Story("complaint", delay, again, 3)

    shipment = {**SHIPMENT, "insured_amount": "500.00"}
    for factor in ("damage", "loss"):
        facts = {"factor": factor, "claimant": {"relation": "sender"}, "shipment": shipment, "loss": _LOSS}
        yield Story("claim", facts, _CLAIM + _PAID, 10)
        confirmed = (5000, "confirm_payment", "finance", {"reference": "BANK-1"})
        by_hand: tuple[Act, ...] = (*_PAID[:2], confirmed, (5100, "close", "agent", {}))
        yield Story("claim", facts, _CLAIM + by_hand, 5, payout="manual")
        led = (*_PROMPT, (400, "open_claim", "agent", {}), *_SOLVED)
        claim = Story("claim", facts, _CLAIM + _PAID)
        yield Story("complaint", {"category": factor, "shipment": shipment}, led, 4, leads_to=claim, after=400)
    arrived = {"promised_at": "2026-03-04T18:00:00+08:00", "delivered_at": "2026-03-06T10:00:00+08:00"}
    late = {"factor": "delay", "claimant": {"relation": "sender"}, "shipment": {**SHIPMENT, **arrived}}
    yield Story("claim", late, (*_CLAIM, *_PAID[1:]), 8)
    yield Story("claim", late, (*_CLAIM[:2], (700, "withdraw", "customer", {})), 4)

    reports = (("damage", "self_found"), ("late", "customer_complaint"), ("shortage", "procedure_breach"))
    for category, source in reports:
        facts = {"category": category, "source": source, "known_at": START.isoformat(), "shipment": SHIPMENT}
        acts: tuple[Act, ...] = (
            (3, "acknowledge", "agent", {}),
            (50, "inform_customer", "agent", {}),
            (400, "find", "qa_manager", {"cause": "badly packed", "responsibility": "branch", "report": "genuine"}),
            (500, "correct", "agent", {"action": "trained", "carried_out": True}),
            (520, "resolve", "agent", {}),
            (540, "close", "agent", {}),
        )
        yield Story("exception", facts, acts, 7)
        yield Story("exception", facts, ((7, "acknowledge", "supervisor", {}), *acts[1:]), 3)

    inquiry = {"shipment": SHIPMENT}
    answered: tuple[Act, ...] = ((4, "acknowledge", "agent", {}), (12, "reply", "agent", {"stage": "answer"}))
    yield Story("inquiry", inquiry, (*answered, (30, "close", "agent", {})), 20)
    yield Story("inquiry", inquiry, ((31, "acknowledge", "supervisor", {}),
                (45, "reply", "supervisor", {"stage": "answer"}), (60, "close", "agent", {})), 5)  # fmt: skip


def closed_templates(policy: Policy) -> list[Template]:
    """A template of each story, run to its end."""
    return [_template(story, story.acts, None, policy) for story in stories()]


def open_templates(policy: Policy) -> list[Template]:
    """Each story cut short before each of its acts, as far as its case is not closed by then."""
    found = [
        _template(story, story.acts[:place], START + timedelta(minutes=act[0], seconds=-1), policy)
        for story in stories()
        for place, act in enumerate(story.acts)
        # Before it leads to something.
        if story.leads_to is None or act[0] <= story.after
    ]
    return [template for template in found if template.stand["closed_at"] is None]


def _template(
    story: Story, acts: Sequence[Act], until: datetime | None, policy: Policy, springs_from: str | None = None
) -> Template:
    suffix = "-claim" if springs_from else ""
    case = _run(story, acts, until, policy, suffix, springs_from)
    view = {**case.view(), "number": "NUMBERMARK"}
    due, last = case.due(), case.events[-1].at
    age = _offset(until or last)
    paid = next((event for event in case.events if event.type == "paid"), None)
    agreed = next((event for event in case.events if event.type == "agreed"), None)
    leads_to = None
    if until is None and story.leads_to is not None:
        child = story.leads_to
        leads_to = _template(child, child.acts, None, policy, f"{story.kind}:KEYMARK")
        age = max(age, story.after * 60 + leads_to.age)
    return Template(
        story.kind,
        story.weight,
        suffix,
        [
            (event.seq, event.type, _offset(event.at), _offset(event.recorded_at), _pieces(event.as_json()))
            for event in case.events
        ],
        _pieces(view),
        view,
        age,
        0.0 if due is None else max(0.0, _offset(due) - age),
        None if paid is None else (_offset(paid.at), paid.data["amount"]),
        None if agreed is None or paid is not None else (_offset(agreed.at), agreed.data["amount"]),
        leads_to,
        story.after * 60,
    )


def _run(
    story: Story, acts: Sequence[Act], until: datetime | None, policy: Policy, suffix: str, parent: str | None
) -> Case:
    kind = KINDS[story.kind]
    facts = {**story.facts, "unit": "UNITMARK"}
    intake: dict[str, Any] = {"key": f"KEYMARK{suffix}", "received_at": START.isoformat(), "facts": facts}
    if parent is not None:
        intake["parent"] = parent
    case = kind.open(read_intake(kind.INTAKE, intake), policy, START)

    def settle(at: datetime) -> None:
        case.rehearse_effects(at, "ok", story.payout)

    settle(START)
    for minutes, name, role, fields in acts:
        at = START + timedelta(minutes=minutes)
        by = {"id": f"PERSONMARK-{role}", "role": role}
        case.decide(read_command(kind.COMMANDS, name, {"by": by, **fields}), at, settle)
        settle(at)
    if until is None:
        # Long enough for what closes by itself.
        case.elapse(START + timedelta(days=40), after_each=settle)
        assert case.status == "closed", f"{story.kind} {story.acts}: {case.status}"
    else:
        case.elapse(until, after_each=settle)
    return case


def _offset(instant: datetime) -> float:
    return (instant - START).total_seconds()


def _pieces(value: dict[str, Any]) -> list[str | float]:
    """The JSON text of a value, cut at what differs between two cases of a story."""
    parts: list[str | float] = []
    for place, part in enumerate(_SPLIT.split(canonical(value))):
        # Every other part is a mark or an instant.
        instant = place % 2 == 1 and part not in _MARKS
        parts.append(_offset(datetime.fromisoformat(part)) if instant else part)
    return parts


class _Maker:
    """Makes rows of cases from templates."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.serials: dict[tuple[str, int, int], int] = {}
        self.keys = 0

    def marks(self) -> dict[str, str]:
        """What tells one case from another."""
        chance, unit = self.chance, self.chance.choice(UNITS)
        self.keys += 1
        return {
            "KEYMARK": f"CC-{self.keys:06}",
            "WAYBILLMARK": f"SF{chance.randrange(10**12):012}",
            "UNITMARK": unit,
            # Each unit has people of its own.
            "PERSONMARK": f"{unit}.{chance.randrange(6)}",
        }

    def rows(self, template: Template, start: datetime, marks: dict[str, str]) -> tuple[list[Any], ...]:
        """The rows for events, file, payouts and personal facts of one case that began at an instant."""
        local = start.astimezone(START.tzinfo)
        month = (template.kind, local.year, local.month)
        serial = self.serials[month] = self.serials.get(month, 0) + 1
        marks = {**marks, "NUMBERMARK": f"{local.year}-{local.month:02}-{serial:04}"}
        moments: dict[float, str] = {}

        def text(pieces: list[str | float]) -> str:
            parts = []
            for piece in pieces:
                if isinstance(piece, str):
                    parts.append(marks.get(piece, piece))
                else:
                    if piece not in moments:
                        moments[piece] = (local + timedelta(seconds=piece)).isoformat()
                    parts.append(moments[piece])
            return "".join(parts)

        def later(seconds: float) -> datetime:
            return local + timedelta(seconds=seconds)

        def moment(stood: str | None) -> datetime | None:
            return None if stood is None else later(_offset(datetime.fromisoformat(stood)))

        case_id = f"{template.kind}:{marks['KEYMARK']}{template.suffix}"
        bodies = [text(pieces) for *_, pieces in template.events]
        hashes = chain(genesis(case_id).hash, bodies)
        events = [
            (case_id, seq, type_, later(at), later(recorded_at), body, before, after)
            for (seq, type_, at, recorded_at, _), body, before, after in zip(
                template.events, bodies, hashes[:-1], hashes[1:], strict=True
            )
        ]
        stand = template.stand
        file = (
            case_id, template.kind, marks["NUMBERMARK"], stand["status"], stand["rung"],
            stand["holder"].replace("PERSONMARK", marks["PERSONMARK"]), marks["UNITMARK"],
            stand["severity"], stand["policy"], moment(stand["opened_at"]), events[-1][3], moment(stand["closed_at"]),
            moment(stand["next_due"]), stand["breached"], text(template.view), len(events), hashes[-1],
        )  # fmt: skip
        payouts: list[Any] = []
        if template.paid is not None:
            at, amount = later(template.paid[0]), template.paid[1]
            payouts.append((f"{case_id}/by-hand", case_id, Decimal(amount), "paid", "BANK-1", at, at, "manual"))
        elif template.owed is not None:
            at, amount = later(template.owed[0]), template.owed[1]
            payouts.append((f"{case_id}/1", case_id, Decimal(amount), "waiting", "", at, None, "manual"))
        return events, [file], payouts, [(case_id, '{"customer": {"name": "Zhang San", "phone": "13800000000"}}')]


async def fill(
    dsn: str, *, closed: int = 100_000, opened: int = 5_000, now: datetime | None = None, seed: int = 1
) -> Filled:
    """Fill an empty casebook; the same seed and instant give the same cases.

    Args:
        closed: how many closed cases, over the year before ``now``.
        opened: how many open or resolved ones, none with anything overdue at ``now``.
    """
    began, chance = time.perf_counter(), random.Random(seed)
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    policy = Policies().load("default")
    maker = _Maker(chance)
    plan: list[tuple[Template, datetime, dict[str, str]]] = []
    ended, going = closed_templates(policy), open_templates(policy)
    while len(plan) < closed:
        [template] = chance.choices(ended, [one.weight for one in ended])
        back = template.age + chance.random() * (YEAR - template.age)
        start, marks = now - timedelta(seconds=int(back)), maker.marks()
        plan.append((template, start, marks))
        if template.leads_to is not None and len(plan) < closed:
            plan.append((template.leads_to, start + timedelta(seconds=template.after), marks))
    for template in chance.choices(going, [one.weight for one in going], k=opened):
        back = template.age + chance.random() * 0.9 * template.slack
        plan.append((template, now - timedelta(seconds=int(back)), maker.marks()))
    # In order of time, as they were recorded.
    plan.sort(key=lambda planned: planned[1])

    events = 0
    connection = await asyncpg.connect(dsn)
    try:
        document = policy.document
        await connection.execute(
            "INSERT INTO policy (hash, name, document) VALUES ($1, $2, $3)",
            hashlib.sha256(document.encode()).hexdigest(), policy.name, document,
        )  # fmt: skip
        for place in range(0, len(plan), CHUNK):
            rows: tuple[list[Any], ...] = ([], [], [], [])
            for template, start, marks in plan[place : place + CHUNK]:
                for gathered, made in zip(rows, maker.rows(template, start, marks), strict=True):
                    gathered.extend(made)
            events += len(rows[0])
            async with connection.transaction():
                for (table, columns), records in zip(TABLES.items(), rows, strict=True):
                    await connection.copy_records_to_table(table, records=records, columns=columns)
        await connection.executemany(
            "INSERT INTO case_number (kind, year, month, serial) VALUES ($1, $2, $3, $4)",
            [(*month, serial) for month, serial in maker.serials.items()],
        )
        # As autovacuum leaves a casebook that grew.
        for table in ("case_event", "case_file", "case_search", "payout"):
            await connection.execute(f"VACUUM (ANALYZE) {table}")
    finally:
        await connection.close()
    return Filled(len(plan), events, time.perf_counter() - began)


def main() -> None:
    """Fill the database that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dsn", nargs="?", help="address of an empty casebook")
    parser.add_argument("--closed", type=int, default=100_000)
    parser.add_argument("--open", type=int, default=5_000)
    given = parser.parse_args()
    if given.dsn is None:
        print("no bench, but what bench/pages.py runs on; it fills the database that is named")
        return
    filled = asyncio.run(fill(given.dsn, closed=given.closed, opened=given.open))
    print(f"{filled.cases} cases, {filled.events} events in {filled.seconds:.0f} s")


if __name__ == "__main__":
    main()

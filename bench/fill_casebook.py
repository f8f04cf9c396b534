"""Fill a casebook with realistic cases: many closed ones over a year, and some that are open now.

    python bench/fill_casebook.py postgresql://postgres@127.0.0.1:5432/empty [--closed 100000] [--open 5000]

The pure core runs a few dozen scripts, and each run becomes a template. From the templates, cases are made
that have their own keys, units, people, waybills and times and a valid hash chain, and are copied into the
database. The database must have the schema (`caseladder migrate`) and no cases. `caseladder audit verify --full`
finds no fault in what was made.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import re
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg

from activities.casebook.ledger import chain, genesis
from activities.casebook.texts import Text, seal, strip
from activities.policies.store import Policies
from cases.case import Case
from cases.policy.model import Policy
from cases.registry import KINDS
from cases.vocabulary.commands import read_command
from cases.vocabulary.events import Event, canonical
from cases.vocabulary.facts import read_intake
from cases.working_calendar import anniversary

# A Monday morning, at which every script begins; the times of a case are then shifted.
START = datetime.fromisoformat("2026-03-09T09:00:00+08:00")
# Cases in one transaction; a ledger that grew would not have all of them in one.
CHUNK = 1000
# One command of a script: minutes after its start, name, role, fields.
Step = tuple[float, str, str, dict[str, Any]]

# Placeholders for what differs between two cases of a template.
# The day of posting is one of them: a week before the case began.
POSTED = "2026-03-02"
_MARKS = ("KEYMARK", "WAYBILLMARK", "UNITMARK", "PERSONMARK", "NUMBERMARK", POSTED)
_SPLIT = re.compile(rf"(\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?\+08:00|{'|'.join(_MARKS)})")
_EVENT = ("case_id", "seq", "type", "at", "recorded_at", "body", "prev_hash", "hash")
_FILE = (
    "case_id", "kind", "number", "status", "rung", "holder", "unit", "severity", "policy", "opened_at",
    "updated_at", "closed_at", "next_due", "breached", "view", "head_seq", "head_hash",
)  # fmt: skip
_PAYOUT = ("key", "case_id", "amount", "state", "reference", "requested_at", "settled_at", "gateway")
TABLES = {
    "case_event": _EVENT,
    "case_file": _FILE,
    "payout": _PAYOUT,
    "personal": ("case_id", "facts"),
    "case_text": ("case_id", "seq", "field", "salt", "text"),
    "case_number_given": ("kind", "number", "case_id", "at"),
}
# As recording an event does.
_NOTICES = """
INSERT INTO notification (case_id, seq, notice, roles, outcome, channel, at, id, meant, attempts, reasons, remarks)
SELECT case_id, seq, data ->> 'notice', ARRAY(SELECT jsonb_array_elements_text(data -> 'roles')),
       data ->> 'outcome', coalesce(data ->> 'channel', ''), at,
       case_id || '/' || (data ->> 'of') || '/' || (data ->> 'notice'), coalesce(data -> 'meant', '[]'),
       coalesce(data -> 'attempts', '[]'), coalesce(data -> 'reasons', '{}'), coalesce(data -> 'remarks', '[]')
FROM (SELECT case_id, seq, at, body::jsonb -> 'data' AS data FROM case_event WHERE type = 'notified') AS n
"""
YEAR = 365 * 86400
CUSTOMERS = 20_000
GIVEN = ("伟", "芳", "娜", "秀英", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰", "娟", "涛", "明", "超")
COMPLAINTS = (
    "快递三天没有更新，电话打不通，请尽快处理",
    "包裹外箱破了，里面的杯子碎了两个，要求赔偿",
    "派送员态度很差，放在门口不打电话",
    "收到的货少了一件，寄件人说发了三件",
    "The parcel was promised for Friday and nobody knows where it is.",
)
UNITS = [f"{city}-{number:02}" for city in ("HZ", "SH", "NJ", "SZ") for number in range(1, 11)]


@dataclass(frozen=True)
class Script:
    """The commands that are sent to a case; a case that gets only the first ones stays open."""

    kind: str
    facts: dict[str, Any]
    steps: tuple[Step, ...]
    weight: int = 10
    payout: str = "ok"
    # The claim that a complaint leads to, ``after`` minutes after its start; the claim's key ends in -claim.
    leads_to: Script | None = None
    after: float = 0


@dataclass(frozen=True)
class Template:
    """A case that was run, as JSON texts cut into pieces at their instants (seconds from the start) and marks."""

    kind: str
    weight: int
    suffix: str
    # seq, type, at, recorded_at, body
    events: list[tuple[int, str, float, float, list[str | float]]]
    # What people wrote freely, with its salts: the same in all copies.
    texts: list[Text]
    view: list[str | float]
    values: dict[str, Any]
    # Seconds since the start, and how many seconds further back the start may be before a clock falls due.
    age: float
    slack: float
    # Seconds from the start, amount and reference of what was paid; seconds and amount of what is to be paid by hand.
    paid: tuple[float, str, str] | None = None
    owed: tuple[float, str] | None = None
    # The case that this one led to, and how many seconds after its start.
    leads_to: Template | None = None
    after: float = 0


@dataclass(frozen=True)
class Filled:
    """The numbers of cases and events that were made, and the seconds that it took."""

    cases: int
    events: int
    seconds: float


SHIPMENT = {
    "waybill": "WAYBILLMARK", "posted_on": POSTED, "base_freight": "20.00", "weight_kg": "0.8",
    "route": "domestic",
}  # fmt: skip
_PROMPT: tuple[Step, ...] = (
    (2, "acknowledge", "agent", {}),
    (20, "reply", "agent", {"stage": "interim", "text": "We are looking for the parcel."}),
    (40, "note", "agent", {"text": "已联系派送站点，包裹外箱压坏，客户要求当天回电"}),
    (300, "reply", "agent", {"stage": "answer", "text": "It was found and goes out today."}),
)
_SOLVED: tuple[Step, ...] = (
    (1500, "resolve", "agent", {"summary": "delivered"}),
    (2900, "follow_up", "agent", {"satisfied": True}),
    (2910, "close", "agent", {}),
)
_CLAIM: tuple[Step, ...] = (
    (3, "acknowledge", "agent", {}),
    (60, "answer_claim", "agent", {}),
    (600, "assess", "agent", {"cause": "company"}),
    (640, "offer", "agent", {}),
)
_PAID: tuple[Step, ...] = (
    (650, "approve", "supervisor", {}),
    (3000, "accept_offer", "customer", {}),
    (3100, "close", "agent", {}),
)
_LOSS = {"total_value": "500.00", "lost_value": "500.00"}


def scripts() -> Iterator[Script]:
    """Yield the scripts, each of which ends with a closed case."""
    for category in ("delay", "damage", "loss", "attitude"):
        facts = {"category": category, "shipment": SHIPMENT}
        yield Script("complaint", facts, _PROMPT + _SOLVED, 14)
        climbed = (
            (7, "acknowledge", "supervisor", {}),
            (9, "assign", "supervisor", {"to": {"id": "PERSONMARK-agent", "role": "agent"}}),
            (12, "acknowledge", "agent", {}),
            *_PROMPT[1:],
        )
        yield Script("complaint", {**facts, "source": "platform"}, climbed + _SOLVED, 8)
    delay = {"category": "delay", "shipment": SHIPMENT}
    yield Script("complaint", delay, ((13, "acknowledge", "qa_manager", {}), *_PROMPT[1:], *_SOLVED), 4)
    top: tuple[Step, ...] = (
        (55, "acknowledge", "general_manager", {}),
        (3200, "resolve", "general_manager", {"summary": "late"}),
        (3300, "follow_up", "agent", {"satisfied": True}),
    )
    yield Script("complaint", {**delay, "severity": "critical"}, top, 2)
    yield Script("complaint", {"category": "attitude", "severity": "serious"}, ((3, "acknowledge", "supervisor", {}),
                (25, "reply", "supervisor", {"stage": "answer"}), *_SOLVED), 5)  # fmt: skip
    yield Script("complaint", delay, (*_PROMPT[:2], (90, "withdraw", "customer", {"reason": "it arrived"})), 6)
    paused = (
        (100, "log_contact", "agent", {"reached": False, "channel": "phone", "reason": "unreachable"}),
        (900, "log_contact", "agent", {"reached": True, "channel": "phone"}),
        (950, "reply", "agent", {"stage": "answer"}),
    )
    yield Script("complaint", delay, (*_PROMPT[:2], *paused, *_SOLVED), 4)
    asked: tuple[Step, ...] = (
        (310, "request_approval", "agent", {"subject": "voucher", "amount": "500.00"}),
        (320, "approve", "supervisor", {}),
    )
    yield Script("complaint", delay, (*_PROMPT, *asked, *_SOLVED), 6)
    refused = (
        (310, "request_approval", "agent", {"subject": "gift", "amount": "5000.00"}),
        (355, "reject", "general_manager", {"reason": "too much"}),
    )
    yield Script("complaint", delay, (*_PROMPT, *refused, *_SOLVED), 3)
    again = (*_PROMPT, _SOLVED[0], (2000, "reopen", "customer", {"reason": "it is not"}),
             (2003, "acknowledge", "agent", {}), (2600, "resolve", "agent", {}),
             (2700, "follow_up", "agent", {"satisfied": True}), (2710, "close", "agent", {}))  # fmt: skip
    yield Script("complaint", delay, again, 3)

    shipment = {**SHIPMENT, "insured_amount": "500.00"}
    for factor in ("damage", "loss"):
        facts = {"factor": factor, "claimant": {"relation": "sender"}, "shipment": shipment, "loss": _LOSS}
        yield Script("claim", facts, _CLAIM + _PAID, 10)
        confirmed = (5000, "confirm_payment", "finance", {"reference": "BANK-1"})
        by_hand: tuple[Step, ...] = (*_PAID[:2], confirmed, (5100, "close", "agent", {}))
        yield Script("claim", facts, _CLAIM + by_hand, 5, payout="manual")
        led = (*_PROMPT, (400, "open_claim", "agent", {}), *_SOLVED)
        claim = Script("claim", facts, _CLAIM + _PAID)
        yield Script("complaint", {"category": factor, "shipment": shipment}, led, 4, leads_to=claim, after=400)
    arrived = {"promised_at": "2026-03-04T18:00:00+08:00", "delivered_at": "2026-03-06T10:00:00+08:00"}
    late = {"factor": "delay", "claimant": {"relation": "sender"}, "shipment": {**SHIPMENT, **arrived}}
    yield Script("claim", late, (*_CLAIM, *_PAID[1:]), 8)
    yield Script("claim", late, (*_CLAIM[:2], (700, "withdraw", "customer", {})), 4)

    reports = (("damage", "self_found"), ("late", "customer_complaint"), ("shortage", "procedure_breach"))
    for category, source in reports:
        facts = {"category": category, "source": source, "known_at": START.isoformat(), "shipment": SHIPMENT}
        steps: tuple[Step, ...] = (
            (3, "acknowledge", "agent", {}),
            (50, "inform_customer", "agent", {}),
            (400, "find", "qa_manager", {"cause": "badly packed", "responsibility": "branch", "report": "genuine"}),
            (500, "correct", "agent", {"action": "trained", "carried_out": True}),
            (520, "resolve", "agent", {}),
            (540, "close", "agent", {}),
        )
        yield Script("exception", facts, steps, 7)
        yield Script("exception", facts, ((7, "acknowledge", "supervisor", {}), *steps[1:]), 3)

    inquiry = {"shipment": SHIPMENT}
    answered: tuple[Step, ...] = ((4, "acknowledge", "agent", {}), (12, "reply", "agent", {"stage": "answer"}))
    yield Script("inquiry", inquiry, (*answered, (30, "close", "agent", {})), 20)
    yield Script("inquiry", inquiry, ((31, "acknowledge", "supervisor", {}),
                (45, "reply", "supervisor", {"stage": "answer"}), (60, "close", "agent", {})), 5)  # fmt: skip


def closed_templates(policy: Policy) -> list[Template]:
    """Make a template of each script, run to its end."""
    return [_template(script, script.steps, None, policy) for script in scripts()]


def open_templates(policy: Policy) -> list[Template]:
    """Make templates of each script stopped before each of its steps, except those whose case is closed by then."""
    found = [
        _template(script, script.steps[:place], START + timedelta(minutes=step[0], seconds=-1), policy)
        for script in scripts()
        for place, step in enumerate(script.steps)
        # Only before the step that leads to another case.
        if script.leads_to is None or step[0] <= script.after
    ]
    return [template for template in found if template.values["closed_at"] is None]


def _template(
    script: Script, steps: Sequence[Step], until: datetime | None, policy: Policy, parent: str | None = None
) -> Template:
    suffix = "-claim" if parent else ""
    case = _run(script, steps, until, policy, suffix, parent)
    view = {**case.view(), "number": "NUMBERMARK"}
    due, last = case.due(), case.events[-1].at
    age = _offset(until or last)
    sealed = [seal(event.as_json()) for event in case.events]
    paid = next((event for event in case.events if event.type == "paid"), None)
    agreed = next((event for event in case.events if event.type == "agreed"), None)
    leads_to = None
    if until is None and script.leads_to is not None:
        child = script.leads_to
        leads_to = _template(child, child.steps, None, policy, f"{script.kind}:KEYMARK")
        age = max(age, script.after * 60 + leads_to.age)
    return Template(
        script.kind,
        script.weight,
        suffix,
        [
            (event.seq, event.type, _offset(event.at), _offset(event.recorded_at), _pieces(body))
            for event, (body, _) in zip(case.events, sealed, strict=True)
        ],
        [text for _, texts in sealed for text in texts],
        _pieces(view),
        view,
        age,
        0.0 if due is None else max(0.0, _offset(due) - age),
        None if paid is None else (_offset(paid.at), paid.data["amount"], paid.data["reference"]),
        None if agreed is None or paid is not None else (_offset(agreed.at), agreed.data["amount"]),
        leads_to,
        script.after * 60,
    )


def _run(
    script: Script, steps: Sequence[Step], until: datetime | None, policy: Policy, suffix: str, parent: str | None
) -> Case:
    kind = KINDS[script.kind]
    facts = {**script.facts, "unit": "UNITMARK"}
    intake: dict[str, Any] = {"key": f"KEYMARK{suffix}", "received_at": START.isoformat(), "facts": facts}
    if parent is not None:
        intake["parent"] = parent
    case = kind.open(read_intake(kind.INTAKE, intake), policy, START)

    def settle(at: datetime) -> None:
        case.rehearse_effects(at, "ok", script.payout)

    settle(START)
    for minutes, name, role, fields in steps:
        at = START + timedelta(minutes=minutes)
        by = {"id": f"PERSONMARK-{role}", "role": role}
        case.decide(read_command(kind.COMMANDS, name, {"by": by, **fields}), at, settle)
        settle(at)
    if until is None:
        # Long enough for cases that close by themselves.
        case.elapse(START + timedelta(days=40), after_each=settle)
        assert case.status == "closed", f"{script.kind} {script.steps}: {case.status}"
    else:
        case.elapse(until, after_each=settle)
    return case


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _offset(instant: datetime) -> float:
    return (instant - START).total_seconds()


def _pieces(value: dict[str, Any]) -> list[str | float]:
    """Cut the JSON text of a value at its marks and instants, which differ between two cases of a template."""
    parts: list[str | float] = []
    for position, part in enumerate(_SPLIT.split(canonical(value))):
        # The regular expression puts a mark or an instant at every odd position.
        instant = position % 2 == 1 and part not in _MARKS
        parts.append(_offset(datetime.fromisoformat(part)) if instant else part)
    return parts


class _RowMaker:
    """Makes the rows of cases from templates."""

    def __init__(self, chance: random.Random, policy: Policy) -> None:
        self.chance, self.policy = chance, policy
        self.serials: dict[tuple[str, int, int], int] = {}
        self.keys = 0

    def marks(self) -> dict[str, str]:
        """Choose the values of a case's marks."""
        chance, unit = self.chance, self.chance.choice(UNITS)
        self.keys += 1
        return {
            "KEYMARK": f"CC-{self.keys:06}",
            "WAYBILLMARK": f"SF{chance.randrange(10**12):012}",
            "UNITMARK": unit,
            # Each unit has its own people.
            "PERSONMARK": f"{unit}.{chance.randrange(6)}",
        }

    def personal(self, case_id: str) -> dict[str, Any]:
        """Make up a customer, each of whom has five cases as chance has it, and what they said."""
        chance, who = self.chance, zlib.crc32(case_id.encode()) % CUSTOMERS
        name = chance.choice("王李张刘陈杨赵黄周吴") + chance.choice(GIVEN)
        customer = {"name": name, "phone": f"{13800000000 + who}", "ref": f"C-{who}"}
        return {"customer": customer, "description": chance.choice(COMPLAINTS)}

    def rows(self, template: Template, start: datetime, marks: dict[str, str]) -> tuple[list[Any], ...]:
        """Make the rows of one case that began at ``start``, table by table of `TABLES`."""
        local = start.astimezone(START.tzinfo)
        month = (template.kind, local.year, local.month)
        serial = self.serials[month] = self.serials.get(month, 0) + 1
        posted = (local - timedelta(days=7)).date().isoformat()
        marks = {**marks, "NUMBERMARK": f"{local.year}-{local.month:02}-{serial:04}", POSTED: posted}
        instants: dict[float, str] = {}

        def text(pieces: list[str | float]) -> str:
            parts = []
            for piece in pieces:
                if isinstance(piece, str):
                    parts.append(marks.get(piece, piece))
                else:
                    if piece not in instants:
                        instants[piece] = (local + timedelta(seconds=piece)).isoformat()
                    parts.append(instants[piece])
            return "".join(parts)

        def later(seconds: float) -> datetime:
            return local + timedelta(seconds=seconds)

        def shifted(instant: str | None) -> datetime | None:
            return None if instant is None else later(_offset(datetime.fromisoformat(instant)))

        case_id = f"{template.kind}:{marks['KEYMARK']}{template.suffix}"
        bodies = [text(pieces) for *_, pieces in template.events]
        hashes = chain(genesis(case_id).hash, bodies)
        events = [
            (case_id, seq, type_, later(at), later(recorded_at), body, before, after)
            for (seq, type_, at, recorded_at, _), body, before, after in zip(
                template.events, bodies, hashes[:-1], hashes[1:], strict=True
            )
        ]
        values, view = template.values, text(template.view)
        if values["closed_at"] is None:
            # By the calendar, another morning may mean another deadline.
            events_so_far = [Event.from_json(strip(body)) for body in bodies]
            values = KINDS[template.kind].replay(self.policy, events_so_far).view()
            values["number"] = marks["NUMBERMARK"]
            view, opened, due = canonical(values), *map(_instant, (values["opened_at"], values["next_due"]))
        else:
            opened, due = shifted(values["opened_at"]), None
            closed = shifted(values["closed_at"])
            assert closed is not None
            kept = anniversary(closed.date(), self.policy.rule(template.kind).retain_years)
            view = canonical({**json.loads(view), "keep_until": kept.isoformat()})
        file = (
            case_id, template.kind, marks["NUMBERMARK"], values["status"], values["rung"],
            values["holder"].replace("PERSONMARK", marks["PERSONMARK"]), marks["UNITMARK"],
            values["severity"], values["policy"], opened, events[-1][3],
            shifted(values["closed_at"]), due, values["breached"], view,
            len(events), hashes[-1],
        )  # fmt: skip
        payouts: list[Any] = []
        if template.paid is not None:
            at, amount, reference = later(template.paid[0]), *template.paid[1:]
            payouts.append((f"{case_id}/by-hand", case_id, Decimal(amount), "paid", reference, at, at, "manual"))
        elif template.owed is not None:
            at, amount = later(template.owed[0]), template.owed[1]
            payouts.append((f"{case_id}/1", case_id, Decimal(amount), "waiting", "", at, None, "manual"))
        personal = (case_id, canonical(self.personal(case_id)))
        texts = [(case_id, text.seq, text.field, text.salt, text.text) for text in template.texts]
        given = (template.kind, marks["NUMBERMARK"], case_id, later(0))
        return events, [file], payouts, [personal], texts, [given]


async def fill(
    dsn: str, *, closed: int = 100_000, opened: int = 5_000, now: datetime | None = None, seed: int = 1
) -> Filled:
    """Fill an empty casebook; the same seed and ``now`` give the same cases, save for the salts of texts.

    Args:
        dsn: the address of the database.
        closed: how many closed cases, which began in the year before ``now``.
        opened: how many open or resolved cases, none of which has an overdue clock at ``now``.
        now: the instant; by default the current time.
        seed: of the random choices.
    """
    began, chance = time.perf_counter(), random.Random(seed)
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    policy = Policies().load("default")
    maker = _RowMaker(chance, policy)
    plan: list[tuple[Template, datetime, dict[str, str]]] = []
    templates_of_closed, templates_of_open = closed_templates(policy), open_templates(policy)
    while len(plan) < closed:
        [template] = chance.choices(templates_of_closed, [one.weight for one in templates_of_closed])
        back = template.age + chance.random() * (YEAR - template.age)
        start, marks = now - timedelta(seconds=int(back)), maker.marks()
        plan.append((template, start, marks))
        if template.leads_to is not None and len(plan) < closed:
            plan.append((template.leads_to, start + timedelta(seconds=template.after), marks))
    for template in chance.choices(templates_of_open, [one.weight for one in templates_of_open], k=opened):
        back = template.age + chance.random() * 0.9 * template.slack
        plan.append((template, now - timedelta(seconds=int(back)), maker.marks()))
    # Sorted by time, since that is the order in which cases are recorded.
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
            rows: tuple[list[Any], ...] = tuple([] for _ in TABLES)
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
        await connection.execute(_NOTICES)
        # What autovacuum would have done while the casebook grew.
        for table in (*TABLES, "case_search", "notification"):
            await connection.execute(f"VACUUM (ANALYZE) {table}")
    finally:
        await connection.close()
    return Filled(len(plan), events, time.perf_counter() - began)


def main() -> None:
    """Fill the database that is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dsn", nargs="?", help="address of an empty casebook")
    parser.add_argument("--closed", type=int, default=100_000)
    parser.add_argument("--open", type=int, default=5_000)
    given = parser.parse_args()
    if given.dsn is None:
        print("not a bench, but the data of bench/pages.py; it fills the database that is given")
        return
    filled = asyncio.run(fill(given.dsn, closed=given.closed, opened=given.open))
    print(f"{filled.cases} cases, {filled.events} events in {filled.seconds:.0f} s")


if __name__ == "__main__":
    main()
